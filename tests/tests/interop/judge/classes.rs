//! Files as people have them: each class of them is judged under the rules that such files come with.

use super::reproducers::holds;
use super::upstream::Settings;

/// Every rule that a file of this kind is likely to have.
fn judged(format: &'static str, text: &str) {
    for (field, pattern) in [
        ("unencrypted_suffix", "_unencrypted"),
        ("encrypted_regex", "(?i)(pass|secret|token|key|data|env)"),
        ("unencrypted_regex", "^(apiVersion|kind|metadata|on|image)$"),
        ("encrypted_suffix", "_secret"),
        ("encrypted_comment_regex", "sops:enc|note"),
        ("unencrypted_comment_regex", "public|note"),
    ] {
        holds(format, text, &Settings::by(field, pattern));
    }
}

#[test]
fn values_of_helm_charts() {
    for text in [
        "# Default values for app.\n# This is a YAML-formatted file.\n\nreplicaCount: 1\n\nimage:\n  repository: nginx\n  pullPolicy: IfNotPresent\n  # Overrides the image tag whose default is the chart appVersion.\n  tag: \"\"\n\nimagePullSecrets: []\nnameOverride: \"\"\n\nserviceAccount:\n  # Specifies whether a service account should be created\n  create: true\n  annotations: {}\n  name: \"\"\n\npodAnnotations: {}\n\nresources: {}\n  # We leave this as a choice.\n  # limits:\n  #   cpu: 100m\n  # requests:\n  #   cpu: 100m\n\nnodeSelector: {}\n\ntolerations: []\n\naffinity: {}\n",
        "---\nglobal: &global\n  storageClass: gp2  # note\n  env: &env\n  - name: A\n    value: \"1\"\n  - name: PASSWORD\n    value: \"s3cr3t\" # public\nweb:\n  <<: *global\n  env: *env\nworker:\n  <<: *global\n  replicas: 3\n",
        "postgresql:\n  auth:\n    postgresPassword: \"p@ss: # word\"\n    ## @param auth.existingSecret Name of an existing secret\n    ##\n    existingSecret: \"\"\n  primary:\n    extraEnvVars: []\n    initdb:\n      scripts:\n        init.sql: |-\n          CREATE USER a;\n\n          -- a comment of SQL\n          GRANT ALL ON x TO a;\n    livenessProbe: {enabled: true, initialDelaySeconds: 30}\n",
        "ingress:\n  enabled: false\n  annotations:\n    kubernetes.io/ingress.class: nginx\n    cert-manager.io/cluster-issuer: \"letsencrypt\"\n  hosts:\n    - host: chart-example.local\n      paths:\n        - path: /\n          pathType: ImplementationSpecific\n  tls: []\n  #  - secretName: chart-example-tls\n  #    hosts:\n  #      - chart-example.local\n",
        "a:\r\n  b: 1 # note\r\n  c:\r\n  - x\r\n  - y\r\n\r\n# end\r\nd: |\r\n  text\r\n  more\r\n",
        "config: |\n  {{- if .Values.x }}\n  key: {{ .Values.secret | quote }}\n  {{- end }}\ntemplate: '{{ include \"x\" . }}'\n",
    ] {
        judged("yaml", text);
    }
}

#[test]
fn manifests_and_workflows() {
    for text in [
        "name: CI\non:\n  push:\n    branches: [ \"main\" ]\n  pull_request:\n    branches: [ main, 'release/**' ]\nenv:\n  TOKEN: ${{ secrets.TOKEN }}\njobs:\n  build:\n    runs-on: ${{ matrix.os }}\n    strategy:\n      matrix:\n        os: [ubuntu-latest, windows-latest] # note\n        include:\n        - os: ubuntu-latest\n          version: 3.10\n    steps:\n    - uses: actions/checkout@v4\n    # Runs a set of commands\n    - name: Run\n      run: |\n        echo Add other actions\n        echo test, and deploy.\n\n    - name: Fold\n      run: >-\n        one\n        two\n",
        "version: \"3.9\"\nx-default: &default\n  restart: always\n  logging:\n    driver: json-file\nservices:\n  db:\n    <<: *default\n    image: postgres:16\n    environment:\n      - POSTGRES_PASSWORD=s3cr3t # note\n      - POSTGRES_USER=app\n    ports:\n      - \"5432:5432\"\n      - 22:22\n  web:\n    <<: *default\n    depends_on: [db]\n    command: [\"npm\", \"run\", \"start\"]\nvolumes:\n  data:\n",
        "# the namespace\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: b\n  namespace: a\ntype: Opaque\nstringData:\n  tls.key: |\n    -----BEGIN PRIVATE KEY-----\n    MIIEvQ\n    -----END PRIVATE KEY-----\n  password: s3cr3t # rotate\n---\n# last\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  mode: \"0644\"\n  off: \"no\"\n",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- a.yaml\n- b.yaml\ngenerators:\n- ./secret-generator.yaml # note\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - op: replace\n      path: /spec/replicas\n      value: 3\n",
        "---\n# group_vars\ndb_password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6231\nusers:\n  - { name: alice, key: \"ssh-ed25519 AAAA\" }\n  - { name: bob, key: 'x' } # note\npath: \"{{ home }}/bin\"\nmode: 0755\nports: [80, 443]\nwhen: yes\n",
        "grafana:\n    admin_secret: 'it''s'\n    date: 2024-01-01\n    at: 2024-01-01T10:00:00Z\n    float: 1e3\n    hex: 0x1F\n    big: 123456789012345678\n    null_value: ~\n    empty:\n    quoted: \"\\u00e9\\t\\x41\"\n    ? complex\n    : value\n",
        "a: 1\n...\n",
        "\u{feff}a: 1\nb: # note\n  - c\n",
    ] {
        judged("yaml", text);
    }
}

#[test]
fn objects_of_programs() {
    for text in [
        "{\n  \"name\": \"app\",\n  \"version\": \"1.0.0\",\n  \"private\": true,\n  \"scripts\": {\n    \"test\": \"jest --coverage\"\n  },\n  \"token\": \"s3cr3t\",\n  \"dependencies\": {}\n}\n",
        "{\"auths\":{\"ghcr.io\":{\"auth\":\"dXNlcjpwYXNz\",\"email\":null}},\"n\":[1,2.5,-0,1e10,[],{}]}",
        "{\n\t\"aws_secret\" : \"a\\/b\\u003cc\",\n\t\"region\"\t: \"eu\",\n\n\t\"list\": [\n\t]\n}",
        "{\r\n    \"a\": \"x\",\r\n    \"b\": {\r\n        \"c\": \"\\\"quoted\\\"\"\r\n    }\r\n}\r\n",
        "{\"type\":\"service_account\",\"private_key\":\"-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n\",\"client_id\":\"123456789012345678901\"}\n",
        "{\"\": 1, \" \": 2, \"a.b\": 3, \"ключ\": \"значение\", \"😀\": \"\\ud83d\\ude00\"}\n",
        "{}",
        "{\n}\n",
    ] {
        judged("json", text);
    }
}

#[test]
fn environments_of_programs() {
    for text in [
        "APP_NAME=Laravel\nAPP_ENV=local\nAPP_KEY=base64:abc=\nAPP_DEBUG=true\n\nLOG_CHANNEL=stack\n\n# Database\nDB_CONNECTION=mysql\nDB_PASSWORD=\n\nMAIL_FROM_NAME=\"${APP_NAME}\"\n",
        "export TOKEN=s3cr3t\nQUOTED='single'\nDOUBLE=\"a b # c\"\nURL=https://u:p@x.example/?a=b&c=d#frag\nMULTI=line\\nbreak\nTRAILING=x   \n",
        "#comment\nKEY = spaced\nlower.case=1\nDASH-ED=2\nEMPTY=\nEQ==\nUNI=пароль\n",
        "A=1\r\nB=2\r\n# c\r\nC=\r\n",
        "PRIVATE_KEY=\"-----BEGIN KEY-----\\nabc\\n-----END KEY-----\\n\"\nJSON={\"a\": \"b\"}\nNIL=<nil>\n",
        "A=1",
        "\n\nA=1\n\n\n",
    ] {
        judged("dotenv", text);
    }
}

#[test]
fn settings_of_programs() {
    for text in [
        "[PHP]\nengine = On\n; a comment\nshort_open_tag = Off\nprecision = 14\n\n[Session]\nsession.save_handler = files\nsession.name = PHPSESSID ; beside it\n",
        "[client]\nport = 3306\npassword = \"s3cr3t\"\n\n# note\n[mysqld]\nsql_mode = STRICT_ALL_TABLES,NO_ZERO_DATE\n",
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n[remote \"origin\"]\n\turl = git@github.com:a/b.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        "[global]\nindex-url = https://user:pass@pypi.example/simple\ntrusted-host = pypi.example\n",
        "[Unit]\nDescription=A service\nAfter=network.target\n\n[Service]\nExecStart=/bin/sh -c 'echo %i'\nEnvironment=\"A=1\"\n",
        "key = top\n[default]\naws_access_key_id=AKIA\naws_secret_access_key = a/b+c=\n\n[profile x]\nregion = eu\n",
        "[a]\r\nb = 1\r\n; c\r\nd = 2\r\n",
        "[a]\nempty =\nquoted = `x;y`\ncolon: value\nnil = <nil>\n",
    ] {
        judged("ini", text);
    }
}
