//! ServiceAccounts with the rights a test gives them, and no others.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};

use super::{Namespace, client_of, eventually};

/// A ServiceAccount with a token.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name in the namespace.
    pub name: String,
    /// The namespace.
    pub namespace: String,
    /// A token, good for as long as any test runs.
    pub token: String,
    /// A kubeconfig file for `kubectl`, `kubeseal` and programs of ours (`KUBECONFIG`).
    pub kubeconfig: PathBuf,
    /// A folder as a Pod sees it under `/var/run`: `secrets/kubernetes.io/serviceaccount/{token,ca.crt,namespace}`.
    pub pod_run: PathBuf,
    api_server_port: u16,
}

impl Account {
    /// A client that speaks as this account.
    pub async fn client(&self) -> kube::Client {
        client_of(&self.kubeconfig).await
    }

    /// A command that runs `program` as if in a Pod of this account, for programs that look for the API server only there.
    ///
    /// The account's files lie under `/var/run` in a mount namespace that only this program sees.
    pub fn in_pod(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args([
            "sh",
            "-c",
            "mount --bind \"$0\" \"$(readlink -f /var/run)\" && exec \"$@\"",
        ]);
        command.arg(&self.pod_run).arg(program);
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
        command.env("KUBERNETES_SERVICE_PORT", self.api_server_port.to_string());
        command
    }

    /// The name by which the API server knows the account, in its audit log too.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

/// A rule of a Role: the API group (empty for the core one), resources and verbs.
pub fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

impl Namespace<'_> {
    /// Creates a ServiceAccount that may do what `rules` say in this namespace, and nothing else.
    pub async fn account(&self, name: &str, rules: &[PolicyRule]) -> Account {
        let account = self.bare_account(name).await;
        self.grant(&account, rules).await;
        account
    }

    /// Creates a ServiceAccount that may do what `rules` say in the whole cluster, and nothing else.
    pub async fn cluster_account(&self, name: &str, rules: &[PolicyRule]) -> Account {
        let account = self.bare_account(name).await;
        let name = format!("{}-{name}", self.name());
        let role = ClusterRole {
            metadata: named(&name),
            rules: Some(rules.to_vec()),
            ..ClusterRole::default()
        };
        self.create_in_cluster(&role).await;
        let binding = ClusterRoleBinding {
            metadata: named(&name),
            role_ref: role_ref("ClusterRole", &name),
            subjects: Some(vec![subject(&account)]),
        };
        self.create_in_cluster(&binding).await;
        self.wait_until_allowed(&account, rules, None).await;
        account
    }

    /// Lets `account` also do what `rules` say in this namespace.
    pub async fn grant(&self, account: &Account, rules: &[PolicyRule]) {
        let name = format!("{}-{}-{}", account.namespace, account.name, super::number());
        let role = Role {
            metadata: named(&name),
            rules: Some(rules.to_vec()),
        };
        self.create(&role).await;
        let binding = RoleBinding {
            metadata: named(&name),
            role_ref: role_ref("Role", &name),
            subjects: Some(vec![subject(account)]),
        };
        self.create(&binding).await;
        self.wait_until_allowed(account, rules, Some(self.name()))
            .await;
    }

    async fn bare_account(&self, name: &str) -> Account {
        let account = ServiceAccount {
            metadata: named(name),
            ..ServiceAccount::default()
        };
        self.create(&account).await;
        self.existing_account(name).await
    }

    /// The ServiceAccount that manifests brought along, with a token.
    pub async fn existing_account(&self, name: &str) -> Account {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(24 * 3600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = self.api();
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await;
        let token = answer
            .expect("the API server gives a token")
            .status
            .expect("a token request is answered")
            .token;
        let cluster = self.cluster();
        let file = format!("{}-{name}", self.name());
        let pod_run = cluster.sandbox.path().join(format!("{file}-run"));
        write_pod_run(&pod_run, &token, &cluster.authority(), self.name());
        let user = serde_json::json!({ "token": token });
        let kubeconfig = cluster
            .write_kubeconfig(&file, self.name(), &user)
            .expect("a kubeconfig can be written");
        Account {
            name: name.to_owned(),
            namespace: self.name().to_owned(),
            token,
            kubeconfig,
            pod_run,
            api_server_port: cluster.port(),
        }
    }

    /// The API server learns of new roles through a watch of its own, a moment later.
    async fn wait_until_allowed(
        &self,
        account: &Account,
        rules: &[PolicyRule],
        namespace: Option<&str>,
    ) {
        for rule in rules {
            let first = |words: &Option<Vec<String>>| {
                words.as_ref().and_then(|words| words.first().cloned())
            };
            let Some(resource) = first(&rule.resources) else {
                continue;
            };
            let (resource, subresource) = match resource.split_once('/') {
                Some((resource, subresource)) => {
                    (resource.to_owned(), Some(subresource.to_owned()))
                }
                None => (resource, None),
            };
            let attributes = ResourceAttributes {
                group: first(&rule.api_groups),
                resource: Some(resource),
                subresource,
                name: first(&rule.resource_names),
                namespace: namespace.map(str::to_owned),
                verb: rule.verbs.first().cloned(),
                ..ResourceAttributes::default()
            };
            self.eventually_may(account.user(), attributes, true).await;
        }
    }

    /// Waits until a user may do something by the API server's word, or may not.
    pub async fn eventually_may(&self, user: String, attributes: ResourceAttributes, may: bool) {
        let reviews: Api<SubjectAccessReview> = Api::all(self.client().clone());
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user),
                resource_attributes: Some(attributes),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        eventually("the API server knows the role", async || {
            let answer = reviews.create(&PostParams::default(), &review).await.ok()?;
            answer
                .status
                .is_some_and(|status| status.allowed == may)
                .then_some(())
        })
        .await;
    }
}

fn write_pod_run(folder: &Path, token: &str, authority: &Path, namespace: &str) {
    let folder = folder.join("secrets/kubernetes.io/serviceaccount");
    std::fs::create_dir_all(&folder).expect("the sandbox can be written");
    std::fs::write(folder.join("token"), token).expect("the sandbox can be written");
    std::fs::write(folder.join("namespace"), namespace).expect("the sandbox can be written");
    std::fs::copy(authority, folder.join("ca.crt")).expect("the sandbox can be written");
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: "rbac.authorization.k8s.io".to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

fn subject(account: &Account) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: account.name.clone(),
        namespace: Some(account.namespace.clone()),
        ..Subject::default()
    }
}
