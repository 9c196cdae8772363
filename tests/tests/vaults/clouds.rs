//! Files whose data key is wrapped by Google Cloud KMS or Azure Key Vault: both ways between the real `sops` and ours, on
//! doubles that the vendors' own clients have passed first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::programs::sealwright;
use sealwright_tests::harness::upstream;
use serde_json::{Value, json};

const PLAIN: &str = "db:\n    user: admin\n    password: canary-of-a-password\n";
const KMS: &str = "projects/shop/locations/global/keyRings/ring/cryptoKeys/files";
const VAULT: &str = "shop.vault.azure.net";

/// A folder with a file and an age key, beside doubles with a key in each cloud.
struct Bench {
    clouds: Clouds,
    home: tempfile::TempDir,
    ours: PathBuf,
    theirs: PathBuf,
    /// What leads programs to the doubles and lets them sign in.
    variables: Vec<(&'static str, String)>,
    recipient: String,
    /// The key in Azure with and without its version.
    azure: String,
    azure_open: String,
}

impl Bench {
    fn new() -> Self {
        let clouds = Clouds::start().unwrap_or_else(|error| panic!("{error}"));
        clouds.control("google/key", &json!({ "name": KMS }));
        let key = clouds.control("azure/key", &json!({"vault": VAULT, "name": "files"}));
        let azure = key["key"]["kid"].as_str().unwrap().to_owned();
        let azure_open = azure.rsplit_once('/').unwrap().0.to_owned();
        let home = tempfile::tempdir().unwrap();
        let ours = home.path().join("sops");
        std::os::unix::fs::symlink(sealwright(), &ours).unwrap();
        fs::write(home.path().join("f.yaml"), PLAIN).unwrap();
        let mut age = Command::new(upstream::age_keygen());
        let age = age.output().unwrap();
        let identity = String::from_utf8(age.stdout).unwrap();
        let recipient = identity
            .lines()
            .find_map(|line| line.strip_prefix("# public key: "))
            .unwrap()
            .to_owned();
        let file = home.path().join("age.txt");
        fs::write(&file, &identity).unwrap();
        let client = clouds.control("azure/client", &json!({}));
        let account = clouds.control("google/account", &json!({}));
        let mut variables = clouds.variables();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        variables.extend([
            ("SOPS_AGE_KEY_FILE", file.to_string_lossy().into_owned()),
            ("GOOGLE_CREDENTIALS", account.to_string()),
            ("AZURE_TENANT_ID", text(&client["tenant"])),
            ("AZURE_CLIENT_ID", text(&client["client"])),
            ("AZURE_CLIENT_SECRET", text(&client["secret"])),
        ]);
        Self {
            clouds,
            home,
            ours,
            theirs: upstream::sops(),
            variables,
            recipient,
            azure,
            azure_open,
        }
    }

    fn run(&self, program: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Output {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        for (name, value) in more {
            match value.is_empty() {
                true => command.env_remove(name),
                false => command.env(name, value),
            };
        }
        command.output().unwrap()
    }

    fn good(&self, program: &Path, arguments: &[&str]) -> String {
        let output = self.run(program, arguments, &[]);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.home.path().join(name), text).unwrap();
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The report of an error breaks its lines where a terminal would.
fn unwrapped(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| *word != "|");
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn files_open_on_both_sides_also_after_a_key_was_rotated() {
    let bench = Bench::new();
    for flag in [["--gcp-kms", KMS], ["--azure-kv", &bench.azure]] {
        let encrypt = ["encrypt", flag[0], flag[1], "f.yaml"];
        for (writer, reader) in [(&bench.theirs, &bench.ours), (&bench.ours, &bench.theirs)] {
            let encrypted = bench.good(writer, &encrypt);
            assert!(!encrypted.contains("canary"), "{encrypted}");
            bench.write("e.yaml", &encrypted);
            assert_eq!(bench.good(reader, &["decrypt", "e.yaml"]), PLAIN);
            bench.good(reader, &["rotate", "--in-place", "e.yaml"]);
            assert_eq!(bench.good(writer, &["decrypt", "e.yaml"]), PLAIN);
        }
    }
    let old = bench.good(&bench.ours, &["encrypt", "--gcp-kms", KMS, "f.yaml"]);
    bench.write("old.yaml", &old);
    bench
        .clouds
        .control("google/rotate-key", &json!({ "name": KMS }));
    for program in [&bench.ours, &bench.theirs] {
        assert_eq!(bench.good(program, &["decrypt", "old.yaml"]), PLAIN);
    }
    let disabled = json!({"name": KMS, "version": 1});
    bench.clouds.control("google/disable-key", &disabled);
    let refused = bench.run(&bench.ours, &["decrypt", "old.yaml"], &[]);
    assert_eq!(refused.status.code(), Some(128));
    let told = unwrapped(&told(&refused));
    assert!(told.contains("FAILED_PRECONDITION"), "{told}");
}

#[test]
fn the_version_of_a_key_in_azure_is_filled_in_and_pinned() {
    let bench = Bench::new();
    let version = bench.azure.rsplit('/').next().unwrap();
    let open = ["encrypt", "--azure-kv", &bench.azure_open, "f.yaml"];
    for (writer, reader) in [(&bench.theirs, &bench.ours), (&bench.ours, &bench.theirs)] {
        let encrypted = bench.good(writer, &open);
        assert!(
            encrypted.contains(&format!("version: {version}")),
            "{encrypted}"
        );
        bench.write("e.yaml", &encrypted);
        assert_eq!(bench.good(reader, &["decrypt", "e.yaml"]), PLAIN);
    }
    // A rule without a version agrees with the file, also when there is a newer one.
    let rule = format!(
        "creation_rules:\n  - azure_keyvault: {}\n",
        bench.azure_open
    );
    bench.write(".sops.yaml", &rule);
    let newer = bench
        .clouds
        .control("azure/key", &json!({"vault": VAULT, "name": "files"}));
    let newer = newer["key"]["kid"].as_str().unwrap();
    let set = ["set", "e.yaml", r#"["db"]["user"]"#, r#""other""#];
    bench.good(&sealwright(), &set);
    assert!(
        bench
            .good(&bench.theirs, &["decrypt", "e.yaml"])
            .contains("other")
    );
    // What the rule makes and what `updatekeys` brings is the newest.
    let newest = newer.rsplit('/').next().unwrap();
    let encrypted = bench.good(&bench.ours, &["encrypt", "f.yaml"]);
    assert!(encrypted.contains(newest), "{encrypted}");
    bench.good(&bench.ours, &["updatekeys", "--yes", "e.yaml"]);
    let updated = fs::read_to_string(bench.home.path().join("e.yaml")).unwrap();
    assert!(updated.contains(newest), "{updated}");
    assert!(!updated.contains(version), "{updated}");
    bench.good(&bench.theirs, &["decrypt", "e.yaml"]);
}

#[test]
fn groups_of_several_kinds_need_as_many_as_they_say() {
    let bench = Bench::new();
    let rule = format!(
        "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - gcp_kms:\n          - resource_id: {KMS}\n      - azure_keyvault:\n          - vaultUrl: https://{VAULT}\n            key: files\n            version: {}\n      - age:\n          - {}\n",
        bench.azure.rsplit('/').next().unwrap(),
        bench.recipient
    );
    bench.write(".sops.yaml", &rule);
    for (writer, reader) in [(&bench.theirs, &bench.ours), (&bench.ours, &bench.theirs)] {
        let encrypted = bench.good(writer, &["encrypt", "f.yaml"]);
        bench.write("e.yaml", &encrypted);
        assert_eq!(bench.good(reader, &["decrypt", "e.yaml"]), PLAIN);
        // Two of the three are enough, whichever: without age, and with one cloud that refuses.
        let without_age = [("SOPS_AGE_KEY_FILE", "")];
        let decrypted = bench.run(reader, &["decrypt", "e.yaml"], &without_age);
        assert_eq!(told(&decrypted), PLAIN);
        let deny = json!(["keys/decrypt"]);
        bench.clouds.control("deny", &deny);
        assert_eq!(bench.good(reader, &["decrypt", "e.yaml"]), PLAIN);
        let refused = bench.run(reader, &["decrypt", "e.yaml"], &without_age);
        assert_eq!(refused.status.code(), Some(128), "{}", told(&refused));
        bench.clouds.control("deny", &json!([]));
    }
}

#[test]
fn three_hundred_files_with_one_wrapped_key_are_one_login_and_one_unwrap() {
    let bench = Bench::new();
    for flag in [["--gcp-kms", KMS], ["--azure-kv", &bench.azure]] {
        let encrypted = bench.good(&bench.ours, &["encrypt", flag[0], flag[1], "f.yaml"]);
        let tree = bench.home.path().join("tree");
        fs::create_dir_all(&tree).unwrap();
        for number in 0..300 {
            fs::write(tree.join(format!("{number}.yaml")), &encrypted).unwrap();
        }
        bench.clouds.control("forget-calls", &json!({}));
        bench.good(&sealwright(), &["decrypt", "--in-place", "tree"]);
        assert_eq!(fs::read_to_string(tree.join("298.yaml")).unwrap(), PLAIN);
        let calls = bench.clouds.calls();
        assert_eq!(calls.len(), 2, "{calls:?}");
        assert!(
            calls[0].contains("token") && calls[1].contains("decrypt"),
            "{calls:?}"
        );
    }
}

#[test]
fn a_refusal_names_the_permission_and_a_hostile_file_gets_no_token() {
    let bench = Bench::new();
    for (flag, permission) in [
        (
            ["--gcp-kms", KMS],
            "cloudkms.cryptoKeyVersions.useToDecrypt",
        ),
        (["--azure-kv", &*bench.azure], "keys/decrypt"),
    ] {
        let encrypted = bench.good(&bench.ours, &["encrypt", flag[0], flag[1], "f.yaml"]);
        bench.write("e.yaml", &encrypted);
        bench.clouds.control("deny", &json!([permission]));
        let refused = bench.run(&sealwright(), &["decrypt", "e.yaml"], &[]);
        assert!(!refused.status.success());
        let text = unwrapped(&told(&refused));
        assert!(text.contains(permission), "{text}");
        assert!(!text.contains("canary"), "{text}");
        bench.clouds.control("deny", &json!([]));
    }
    let evil = fs::read_to_string(bench.home.path().join("e.yaml")).unwrap();
    bench.write("e.yaml", &evil.replace(VAULT, "evil.example"));
    bench.clouds.control("forget-calls", &json!({}));
    let refused = bench.run(&sealwright(), &["decrypt", "e.yaml"], &[]);
    let text = unwrapped(&told(&refused));
    assert!(text.contains("tokens are sent to no other host"), "{text}");
    assert!(bench.clouds.calls().is_empty());
}

#[test]
fn google_is_signed_in_to_by_every_variable_and_file() {
    let bench = Bench::new();
    let encrypted = bench.good(&bench.theirs, &["encrypt", "--gcp-kms", KMS, "f.yaml"]);
    bench.write("e.yaml", &encrypted);
    let (_, account) = bench
        .variables
        .iter()
        .find(|(name, _)| *name == "GOOGLE_CREDENTIALS")
        .unwrap();
    bench.write("account.json", account);
    let decrypt = |what: &str, more: &[(&str, &str)]| {
        let mut variables = vec![("GOOGLE_CREDENTIALS", "")];
        variables.extend(more);
        let output = bench.run(&bench.ours, &["decrypt", "e.yaml"], &variables);
        assert_eq!(told(&output), PLAIN, "{what}");
    };
    let account: Value = serde_json::from_str(account).unwrap();
    let acting = json!({"type": "impersonated_service_account", "source_credentials": account,
        "service_account_impersonation_url":
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/o@shop.iam.gserviceaccount.com:generateAccessToken"});
    let audience = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool/providers/provider";
    let token = bench
        .clouds
        .control("google/outside-token", &json!({ "aud": audience }));
    bench.write("outside.jwt", token["token"].as_str().unwrap());
    let outside = json!({"type": "external_account", "audience": audience,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": bench.home.path().join("outside.jwt")}});
    let aws = json!({"type": "external_account", "audience": audience,
        "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request", "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"environment_id": "aws1",
            "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}});
    let user = json!({"type": "authorized_user", "client_id": "client", "client_secret": "client-secret",
        "refresh_token": "refresh-token", "quota_project_id": "shop"});
    for (name, file) in [
        ("acting", &acting),
        ("outside", &outside),
        ("aws", &aws),
        ("user", &user),
    ] {
        bench.write(&format!("{name}.json"), &file.to_string());
    }
    decrypt("a path", &[("GOOGLE_CREDENTIALS", "account.json")]);
    decrypt("the machine", &[]);
    let default = "GOOGLE_APPLICATION_CREDENTIALS";
    decrypt("the default file", &[(default, "account.json")]);
    decrypt("another account", &[(default, "acting.json")]);
    decrypt("a token of elsewhere", &[(default, "outside.json")]);
    let keys = [
        (default, "aws.json"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "made-for-tests"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    decrypt("keys of AWS", &keys);
    let folder = bench.home.path().join(".config/gcloud");
    fs::create_dir_all(&folder).unwrap();
    let from = bench.home.path().join("user.json");
    fs::copy(from, folder.join("application_default_credentials.json")).unwrap();
    decrypt("a user of gcloud", &[]);
    let refused = bench.run(
        &bench.ours,
        &["decrypt", "e.yaml"],
        &[
            ("GOOGLE_CREDENTIALS", ""),
            ("GOOGLE_OAUTH_ACCESS_TOKEN", "canary-token"),
        ],
    );
    assert!(!refused.status.success());
    let text = unwrapped(&told(&refused));
    assert!(
        text.contains("GOOGLE_OAUTH_ACCESS_TOKEN") && text.contains("UNAUTHENTICATED"),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn azure_is_signed_in_to_as_the_default_chain_does() {
    let bench = Bench::new();
    let encrypted = bench.good(
        &bench.theirs,
        &["encrypt", "--azure-kv", &bench.azure, "f.yaml"],
    );
    bench.write("e.yaml", &encrypted);
    let client = bench
        .clouds
        .control("azure/client", &json!({"password": "p"}));
    bench.write("client.pem", client["pem"].as_str().unwrap());
    let pfx = client["pfx"].as_str().unwrap();
    let pfx = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, pfx).unwrap();
    fs::write(bench.home.path().join("client.pfx"), pfx).unwrap();
    let trusted = json!({"aud": "api://AzureADTokenExchange"});
    let trusted = bench.clouds.control("azure/outside-token", &trusted);
    bench.write("outside.jwt", trusted["token"].as_str().unwrap());
    let decrypt = |what: &str, more: &[(&str, &str)]| {
        let mut variables = vec![("AZURE_CLIENT_SECRET", "")];
        variables.extend(more);
        let output = bench.run(&bench.ours, &["decrypt", "e.yaml"], &variables);
        assert_eq!(told(&output), PLAIN, "{what}");
    };
    let certificate = "AZURE_CLIENT_CERTIFICATE_PATH";
    decrypt("PEM", &[(certificate, "client.pem")]);
    let password = ("AZURE_CLIENT_CERTIFICATE_PASSWORD", "p");
    decrypt("PKCS#12", &[(certificate, "client.pfx"), password]);
    decrypt("workload", &[("AZURE_FEDERATED_TOKEN_FILE", "outside.jwt")]);
    let no_one = [("AZURE_CLIENT_ID", ""), ("AZURE_TENANT_ID", "")];
    decrypt("the machine", &no_one);
    let endpoint = bench.clouds.identity_endpoint();
    let service = [
        no_one[0],
        no_one[1],
        ("IDENTITY_ENDPOINT", &*endpoint),
        ("IDENTITY_HEADER", "identity-header"),
    ];
    decrypt("an App Service", &service);
    // What `az login` has signed in, when no machine answers.
    let token = bench.clouds.control("azure/token", &json!({}));
    let bin = bench.home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$5 $6\" = '--resource https://vault.azure.net' ] && echo '{{\"accessToken\": \"{}\", \"expires_on\": 99999999999}}'\n",
        token["token"].as_str().unwrap()
    );
    let az = bin.join("az");
    fs::write(&az, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&az, executable).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let nowhere = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1");
    let chosen = ("AZURE_TOKEN_CREDENTIALS", "dev");
    decrypt("az", &[no_one[0], no_one[1], ("PATH", &*path), nowhere]);
    decrypt(
        "az alone",
        &[no_one[0], no_one[1], ("PATH", &*path), chosen],
    );
    // What is set and wrong is an error, and not a reason to be someone else.
    let wrong = [("AZURE_CLIENT_SECRET", "canary-secret")];
    let refused = bench.run(&bench.ours, &["decrypt", "e.yaml"], &wrong);
    let text = unwrapped(&told(&refused));
    assert!(
        !refused.status.success() && text.contains("AADSTS7000215"),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn one_word_names_a_store_of_either_cloud() {
    let bench = Bench::new();
    let ours = sealwright();
    let (google, azure) = ("gcp-sm://shop/db", "azure-kv://shop/db");
    let account = bench.home.path().join("account.json");
    let (_, text) = bench
        .variables
        .iter()
        .find(|(name, _)| *name == "GOOGLE_CREDENTIALS")
        .unwrap();
    fs::write(&account, text).unwrap();
    let account = account.to_string_lossy();
    let variables = [("GOOGLE_APPLICATION_CREDENTIALS", &*account)];
    fs::write(bench.home.path().join("value"), "{\"user\": \"u\"}").unwrap();
    for word in [google, azure] {
        let push = ["push", "--from-file", "value", word];
        let pushed = bench.run(&ours, &push, &variables);
        assert!(pushed.status.success(), "{}", told(&pushed));
        let property = format!("{word}#user");
        let fetched = bench.run(&ours, &["fetch", &property], &variables);
        assert_eq!(told(&fetched), "u");
        let checked = bench.run(&ours, &["store", "check", word], &variables);
        assert!(checked.status.success(), "{}", told(&checked));
        assert!(told(&checked).contains("13 bytes"), "{}", told(&checked));
    }
    let none = bench.run(&ours, &["fetch", "azure-kv://shop/none"], &variables);
    assert!(!none.status.success());
}
