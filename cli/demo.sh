#!/bin/sh
# demo.sh PROGRAM: the main job from end to end, in a folder that vanishes.
set -eu
program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
folder=$(mktemp -d "${TMPDIR:-/tmp}/sealwright-demo-XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
mkdir "$folder/bin" "$folder/home" "$folder/work"
ln -s "$program" "$folder/bin/sealwright"
PATH=$folder/bin:$PATH HOME=$folder/home XDG_CONFIG_HOME=$folder/home/.config
export PATH HOME XDG_CONFIG_HOME
# Keys of whoever runs this have no part in it.
unset SOPS_AGE_KEY SOPS_AGE_KEY_CMD SOPS_AGE_RECIPIENTS SOPS_PGP_FP SOPS_CONFIG KUBECONFIG 2>/dev/null || true
SOPS_AGE_KEY_FILE=$folder/home/keys.txt
export SOPS_AGE_KEY_FILE
cd "$folder/work"

if [ -t 1 ]; then bold=$(printf '\033[1;36m') faint=$(printf '\033[2m') plain=$(printf '\033[0m'); else bold='' faint='' plain=''; fi
title() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
show() { printf '%s$ %s%s\n' "$faint" "$*" "$plain"; "$@"; }
indented() { sed 's/^/  /' "$1" | cut -c1-110; }

title '1. A key, and a rule for which files are encrypted with it'
show sealwright keygen --out "$SOPS_AGE_KEY_FILE" >keygen.out 2>&1
recipient=$(grep -o 'age1[0-9a-z]*' "$SOPS_AGE_KEY_FILE" | head -n 1)
rm keygen.out
printf 'creation_rules:\n  - path_regex: .*\\.yaml$\n    age: %s\n' "$recipient" >.sops.yaml
indented .sops.yaml

title '2. A file as people write it: comments, quotes, odd indentation, a folded text'
cat >app.yaml <<'YAML'
# The database of the shop.
db:
    user:   'shop'          # rotates every month
    password: "s3cr3t, with a comma"

    hosts: [ one, two ]
note: >-
    a folded text
    of two lines
port: 0x1F90
YAML
cp app.yaml original.yaml
indented app.yaml

title '3. Encrypted for Git'
show sealwright encrypt --in-place app.yaml
sed '/^sops:/,$d' app.yaml >shown && indented shown && rm shown
printf '  sops: …\n'

title '4. Decrypted, it is the same file, byte for byte'
printf '%s$ sealwright decrypt app.yaml | cmp - original.yaml && echo identical%s\n' "$faint" "$plain"
sealwright decrypt app.yaml | cmp - original.yaml && echo '  identical'

title '5. A Secret, sealed for one cluster: only its controller has the key'
show sealwright sealing-key --bits 2048 --key backup.pem --cert cert.pem
cat >secret.yaml <<'YAML'
apiVersion: v1
kind: Secret
metadata: { name: db, namespace: shop }
stringData: { password: correct horse }
YAML
indented secret.yaml
show sealwright seal secret.yaml --cert cert.pem --out sealed.yaml
indented sealed.yaml

title '6. Unsealed without the cluster, with a backup of the key'
sealwright unseal --key backup.pem sealed.yaml >opened.yaml
printf '%s$ sealwright unseal --key backup.pem sealed.yaml%s\n' "$faint" "$plain"
sed -n '/^data:/,/^kind:/p' opened.yaml | sed '$d; s/^/  /'
printf '  which is: %s\n' "$(sed -n 's/^  password: //p' opened.yaml | base64 -d)"

title '7. A vault: here a folder, elsewhere HashiCorp Vault, OpenBao, a cloud or a cluster'
cat >store.yaml <<'YAML'
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: { name: local, namespace: shop }
spec: { provider: { file: { path: vault } } }
YAML
mkdir vault
indented store.yaml
printf '%s$ printf %%s "correct horse" | sealwright push --store store.yaml shop/db#password%s\n' "$faint" "$plain"
printf %s 'correct horse' | sealwright push --store store.yaml 'shop/db#password'
show sealwright store ls --store store.yaml
printf '%s$ sealwright fetch --store store.yaml shop/db#password%s\n' "$faint" "$plain"
printf '  %s\n' "$(sealwright fetch --store store.yaml 'shop/db#password')"
printf '%s$ sealwright --output env fetch DB_PASSWORD=file:vault/shop/db#password%s\n' "$faint" "$plain"
printf '  %s\n' "$(sealwright --output env fetch 'DB_PASSWORD=file:vault/shop/db#password')"

title '8. An ExternalSecret, worked out here as the controller would in the cluster'
cat >externalsecret.yaml <<'YAML'
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: { name: db, namespace: shop }
spec:
  secretStoreRef: { name: local }
  target:
    template:
      data: { url: 'postgres://shop:{{ .password | urlquery }}@db/shop' }
  data:
    - secretKey: password
      remoteRef: { key: shop/db, property: password }
YAML
indented externalsecret.yaml
printf '%s$ sealwright fetch -f externalsecret.yaml -f store.yaml --decode%s\n' "$faint" "$plain"
sealwright fetch -f externalsecret.yaml -f store.yaml --decode >resolved.yaml
indented resolved.yaml

title '9. What is here that upstream programs use, and what it takes to move to this one'
printf '%s$ sealwright adopt .%s\n' "$faint" "$plain"
sealwright adopt . >adopted.txt
sed 's/^/  /' adopted.txt

printf '\n%sThat was all of it; nothing is left behind.%s\n' "$bold" "$plain"
