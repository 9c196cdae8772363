// sops-age FILE: prints the decrypted document as JSON. The key comes from SOPS_AGE_KEY, as sops takes it.
import { decryptSops } from "sops-age";

const plain = await decryptSops({ path: process.argv[2], secretKey: process.env.SOPS_AGE_KEY });
process.stdout.write(JSON.stringify(plain));
