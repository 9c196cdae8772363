//! Where AWS credentials come from, each way alone: the environment of a child process leads to moto and to doubles of the
//! services that hand out credentials, and nothing else is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::Trouble;
use sealwright_providers::remote::RemoteRef;
use sealwright_providers::store::Connection;
use sealwright_tests::harness::moto::{Moto, REGION};
use sealwright_tests::harness::peer::{Head, Peer, reply};
use sealwright_tests::harness::programs::sealwright;
use sealwright_tests::harness::upstream;
use serde_json::{Value, json};

use super::support::{connect_with, failed, get};

/// What stands for the end of credentials that are good for long.
const LATER: &str = "2099-01-01T00:00:00Z";
/// A secret of moto that each way reads.
const KEY: &str = "k";

/// The machine of a program: moto, a home, and the variables that lead there, without any credentials.
struct Machine {
    moto: Moto,
    home: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

impl Machine {
    fn new() -> Self {
        let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
        let body = json!({"Name": KEY, "SecretString": "value"});
        moto.call("secretsmanager.CreateSecret", &body);
        moto.with_vendors_client(
            "client('iam').create_role(RoleName='web', AssumeRolePolicyDocument='{}')",
        );
        let home = tempfile::tempdir().unwrap();
        let kept = moto.variables();
        let kept = kept.into_iter().filter(|(name, _)| !name.contains("KEY"));
        let mut machine = Self {
            variables: kept.map(|(name, value)| (name.to_owned(), value)).collect(),
            moto,
            home,
        };
        let home = machine.home.path().to_string_lossy().into_owned();
        machine.set("HOME", home);
        machine.set("PATH", "/usr/bin:/bin");
        machine
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn run(&self, program: &Path, words: &[&str]) -> Output {
        Command::new(program)
            .args(words)
            .current_dir(self.home.path())
            .env_clear()
            .envs(&self.variables)
            .output()
            .unwrap()
    }

    /// Reads the secret and says as whom.
    fn check(&self) -> Value {
        let word = format!("aws-sm://{REGION}/{KEY}");
        let words = ["--output", "json", "store", "check", &*word];
        let checked = self.run(&sealwright(), &words);
        let text = String::from_utf8_lossy(&checked.stdout).into_owned();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", told(&checked)))
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn is_ready(report: &Value, principal: &str) {
    assert_eq!(report["ready"], true, "{report}");
    let found = report["principal"].as_str().unwrap_or_default();
    assert!(found.contains(principal), "{report}");
}

fn access_key(report: &Value) -> String {
    report["steps"][0].to_string()
}

/// Credentials as the services of machines and containers write them.
fn credentials(id: &str) -> Value {
    json!({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
        "AccessKeyId": id, "SecretAccessKey": "canary-of-a-key", "Token": "canary-of-a-token", "Expiration": LATER})
}

#[test]
fn p24_nothing_is_found_where_nothing_is() {
    let machine = Machine::new();
    let report = machine.check();
    assert_eq!(report["ready"], false, "{report}");
    assert!(
        report.to_string().contains("no AWS credentials were found"),
        "{report}"
    );
}

#[test]
fn p24_a_web_identity_of_the_environment_assumes_its_role() {
    let mut machine = Machine::new();
    let token = machine.write("token", "eyJ.canary.token");
    machine.set("AWS_WEB_IDENTITY_TOKEN_FILE", token);
    machine.set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/web");
    machine.set("AWS_ROLE_SESSION_NAME", "pod");
    let report = machine.check();
    is_ready(&report, ":assumed-role/web/pod");
    assert!(!report.to_string().contains("canary"));
}

#[test]
fn p24_a_container_is_asked_with_the_token_of_its_pod() {
    let mut machine = Machine::new();
    let agent = Peer::start(|head: &Head, stream| {
        let good = head.path == "/v1/credentials"
            && head.headers.get("authorization").map(String::as_str) == Some("eyJ.pod.token");
        match good {
            true => {
                let body = credentials("ASIAPODIDENTITY00000").to_string();
                let kind = [("Content-Type", "application/json")];
                reply(stream, 200, &kind, body.as_bytes());
            }
            false => reply(stream, 403, &[], b"{\"message\": \"no\"}"),
        }
    });
    let token = machine.write("pod-token", "eyJ.pod.token");
    let uri = format!("{}/v1/credentials", agent.address());
    machine.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri);
    machine.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token);
    let report = machine.check();
    is_ready(&report, "arn:aws:");
    assert!(
        access_key(&report).contains("ASIAPODIDENTITY00000"),
        "{report}"
    );
    assert!(!report.to_string().contains("canary"));
    assert_eq!(agent.requests(), 1, "one sign-in for all calls");
    // Without the token there are no credentials, and the reason is told.
    machine
        .variables
        .remove("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    assert_eq!(machine.check()["ready"], false);
}

#[test]
fn p24_the_metadata_of_an_instance_are_asked_by_version_two() {
    let mut machine = Machine::new();
    let service = Peer::start(|head: &Head, stream| {
        const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
        let token = head
            .headers
            .get("x-aws-ec2-metadata-token")
            .map(String::as_str);
        match (head.method.as_str(), head.path.as_str()) {
            ("PUT", "/latest/api/token") if head.headers.contains_key(TTL) => {
                reply(stream, 200, &[(TTL, "21600")], b"instance-token");
            }
            // Version one asks without a token.
            ("GET", _) if token != Some("instance-token") => reply(stream, 401, &[], b""),
            ("GET", "/latest/meta-data/iam/security-credentials/") => {
                reply(stream, 200, &[], b"web");
            }
            ("GET", "/latest/meta-data/iam/security-credentials/web") => {
                let body = credentials("ASIAINSTANCE00000000").to_string();
                reply(stream, 200, &[], body.as_bytes());
            }
            _ => reply(stream, 404, &[], b""),
        }
    });
    machine.variables.remove("AWS_EC2_METADATA_DISABLED");
    machine.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.address());
    let report = machine.check();
    is_ready(&report, "arn:aws:");
    assert!(
        access_key(&report).contains("ASIAINSTANCE00000000"),
        "{report}"
    );
    assert!(!report.to_string().contains("canary"));
}

#[test]
fn p24_a_profile_is_read_and_assumes_its_role() {
    let mut machine = Machine::new();
    machine.write(
        ".aws/credentials",
        "[base]\naws_access_key_id = AKIAPROFILE000000000\naws_secret_access_key = canary-of-a-key\n",
    );
    machine.write(
        ".aws/config",
        "[profile shop]\nrole_arn = arn:aws:iam::123456789012:role/web\nsource_profile = base\nrole_session_name = laptop\n",
    );
    machine.set("AWS_PROFILE", "base");
    let report = machine.check();
    assert!(
        access_key(&report).contains("AKIAPROFILE000000000"),
        "{report}"
    );
    machine.set("AWS_PROFILE", "shop");
    is_ready(&machine.check(), ":assumed-role/web/laptop");
}

#[test]
fn p24_what_a_person_has_signed_in_for_with_sso_is_used() {
    let mut machine = Machine::new();
    let portal = Peer::start(|head: &Head, stream| {
        let token = head
            .headers
            .get("x-amz-sso_bearer_token")
            .map(String::as_str);
        let wanted = "/federation/credentials?role_name=web&account_id=123456789012";
        match (token, head.path == wanted) {
            (Some("sso-token"), true) => {
                let body = json!({"roleCredentials": {"accessKeyId": "ASIASSO0000000000000",
                    "secretAccessKey": "canary-of-a-key", "sessionToken": "canary-of-a-token",
                    "expiration": 4_070_908_800_000_u64}});
                let kind = [("Content-Type", "application/json")];
                reply(stream, 200, &kind, body.to_string().as_bytes());
            }
            _ => reply(
                stream,
                401,
                &[("x-amzn-errortype", "UnauthorizedException")],
                b"{}",
            ),
        }
    });
    let start = "https://shop.awsapps.example/start";
    machine.write(
        ".aws/config",
        &format!(
            "[profile sso]\nsso_start_url = {start}\nsso_region = {REGION}\nsso_account_id = 123456789012\nsso_role_name = web\n"
        ),
    );
    // The name of the file is the SHA-1 of the address.
    let name = Command::new("sh")
        .args(["-c", &format!("printf %s {start} | sha1sum")])
        .output()
        .unwrap();
    let name = String::from_utf8(name.stdout).unwrap();
    let name = name.split(' ').next().unwrap();
    let cached = json!({"accessToken": "sso-token", "expiresAt": LATER, "region": REGION, "startUrl": start});
    machine.write(&format!(".aws/sso/cache/{name}.json"), &cached.to_string());
    machine.set("AWS_PROFILE", "sso");
    machine.set("AWS_ENDPOINT_URL_SSO", portal.address());
    let report = machine.check();
    is_ready(&report, "arn:aws:");
    assert!(
        access_key(&report).contains("ASIASSO0000000000000"),
        "{report}"
    );
    assert!(!report.to_string().contains("canary"));
}

#[test]
fn s29_a_profile_for_one_key_is_the_same_in_both_programs() {
    let machine = Machine::new();
    machine.write(
        ".aws/credentials",
        "[shop]\naws_access_key_id = AKIAPROFILE000000000\naws_secret_access_key = canary-of-a-key\n",
    );
    let made = machine.moto.call("TrentService.CreateKey", &json!({}));
    let arn = made["KeyMetadata"]["Arn"].as_str().unwrap();
    machine.write("f.yaml", "a: canary-of-a-value\n");
    let ours = machine.home.path().join("sops");
    std::os::unix::fs::symlink(sealwright(), &ours).unwrap();
    let theirs = upstream::sops();
    for (writer, reader) in [(&theirs, &ours), (&ours, &theirs)] {
        let without = machine.run(writer, &["encrypt", "--kms", arn, "f.yaml"]);
        assert!(!without.status.success(), "there are no other credentials");
        let words = ["encrypt", "--kms", arn, "--aws-profile", "shop", "f.yaml"];
        let encrypted = machine.run(writer, &words);
        assert!(encrypted.status.success(), "{}", told(&encrypted));
        let text = String::from_utf8(encrypted.stdout).unwrap();
        assert!(text.contains("aws_profile: shop"), "{text}");
        machine.write("e.yaml", &text);
        // The file says which profile opens it.
        let decrypted = machine.run(reader, &["decrypt", "e.yaml"]);
        assert_eq!(told(&decrypted), "a: canary-of-a-value\n");
    }
}

/// Runs one case in a process whose environment leads to moto, without any credentials.
fn alone(case: &str) -> bool {
    if std::env::var_os("SEALWRIGHT_ALONE").is_some() {
        return true;
    }
    let mut machine = Machine::new();
    machine.set("SEALWRIGHT_ALONE", "1");
    let case = format!("vaults::aws_sign_in::{case}");
    let program = std::env::current_exe().unwrap();
    let output = machine.run(&program, &["--exact", "--nocapture", &case]);
    assert!(
        output.status.success() && told(&output).contains("1 passed"),
        "{}",
        told(&output)
    );
    false
}

#[tokio::test]
async fn p23_the_token_of_a_service_account_assumes_the_role_of_its_annotation() {
    if !alone("p23_the_token_of_a_service_account_assumes_the_role_of_its_annotation") {
        return;
    }
    let held = Arc::new(Held::default());
    held.put_token("web", b"eyJ.canary.token".to_vec().into());
    let role = "arn:aws:iam::123456789012:role/web".to_owned();
    let annotations = BTreeMap::from([("eks.amazonaws.com/role-arn".to_owned(), role)]);
    held.put_annotations("web", annotations);
    held.put_token("bare", b"eyJ.canary.token".to_vec().into());
    held.put_annotations("bare", BTreeMap::new());
    let connection = Connection {
        credentials: Arc::clone(&held) as Arc<_>,
        ..Connection::default()
    };
    let manifest = |account: &str| {
        json!({"aws": {"service": "SecretsManager", "region": REGION,
            "auth": {"jwt": {"serviceAccountRef": {"name": account}}}}})
    };
    let store = connect_with(&manifest("web"), &connection).await;
    let at = RemoteRef::new(KEY);
    assert_eq!(get(&store, &at).await, "value");
    let inspection = store.inspect(Some(&at)).await;
    let principal = inspection.principal.unwrap_or_default();
    assert!(principal.contains(":assumed-role/web/"), "{principal}");
    let bare = connect_with(&manifest("bare"), &connection).await;
    let error = failed(bare.get(&at).await);
    assert_eq!(error.trouble(), Trouble::Invalid);
    assert!(error.to_string().contains("role-arn"), "{error}");
}
