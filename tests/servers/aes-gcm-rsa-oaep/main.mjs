// aes-gcm-rsa-oaep CERTIFICATE SCOPE NAMESPACE NAME: reads a JSON object of values from standard input and
// prints the SealedSecret manifest that the library makes of it.
import { readFileSync } from "node:fs";
import sealing from "@socialgouv/aes-gcm-rsa-oaep";

const [certificate, scope, namespace, name] = process.argv.slice(2);
const sealed = await sealing.getSealedSecret({
  pemKey: readFileSync(certificate, "utf8"),
  scope,
  namespace,
  name,
  values: JSON.parse(readFileSync(0, "utf8")),
});
process.stdout.write(JSON.stringify(sealed));
