//! Every permission of the chart's roles is needed: without it, a piece of work fails and the log says which right is missing;
//! and as soon as it is back, the work is done.
//!
//! [`sealed`] and [`external`] list the permissions, and what is done with each. The lists must be exactly what the chart
//! renders, so a permission that no work needs cannot be added.

#[path = "permissions/external.rs"]
mod external;
#[path = "permissions/proxied.rs"]
mod proxied;
#[path = "permissions/sealed.rs"]
mod sealed;

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::ResourceAttributes;
use sealwright_tests::harness::cluster::Namespace;
use sealwright_tests::harness::generated;
use serde_json::{Value, json};

use super::chart::Release;
use super::kubelet::Replica;
use super::objects;

/// The right to do one thing with one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Permission {
    group: String,
    resource: String,
    verb: String,
    /// Of these objects only, if any are named.
    names: Vec<String>,
}

/// A role of the chart, by kind and name; a Role lies in the namespace that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Role {
    kind: &'static str,
    name: &'static str,
    place: Place,
}

/// One of the two namespaces of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Where the controller is.
    Home,
    /// Where its work is.
    Work,
}

/// What needs a permission: its role, its verb and resource, and the work.
struct Need<W> {
    role: Role,
    verb: &'static str,
    resource: &'static str,
    work: W,
    /// The request that is refused without it, by verb and resource, where that is another.
    refused: Option<(&'static str, &'static str)>,
    /// What the log says without it, where those are not the API server's usual words.
    says: Option<&'static str>,
}

impl<W> Need<W> {
    fn new(role: Role, verb: &'static str, resource: &'static str, work: W) -> Self {
        Self {
            role,
            verb,
            resource,
            work,
            refused: None,
            says: None,
        }
    }
}

/// What an API server as OpenShift's asks for beside.
const OF_OPENSHIFT: &str = "OwnerReferencesPermissionEnforcement";
/// What it says.
const NO_FINALIZERS: &str = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on";

/// A piece of work of the controller.
trait Work: Copy + std::fmt::Debug {
    /// Returns true if it is done once, at the start of the controller.
    fn starts(self) -> bool {
        false
    }
    /// Returns true if what was refused is not asked for again.
    fn is_asked_once(self) -> bool {
        false
    }
    /// Makes what has to be there before, while all permissions are; `number` is new each time.
    async fn prepare(self, stage: &mut Stage<'_>, number: usize);
    /// Asks for the work.
    async fn ask(self, stage: &Stage<'_>, number: usize);
    /// Returns true if the work is done.
    async fn is_done(self, stage: &Stage<'_>, number: usize) -> bool;
    /// Removes what would go on.
    async fn clean(self, _stage: &Stage<'_>, _number: usize) {}
}

/// A release of the chart, and a namespace that it works in.
struct Stage<'a> {
    home: &'a Namespace<'a>,
    work: &'a Namespace<'a>,
    release: Release<'a>,
    replica: Option<Replica>,
    started: usize,
}

impl<'a> Stage<'a> {
    async fn start(home: &'a Namespace<'a>, work: &'a Namespace<'a>, values: &str) -> Self {
        let mut stage = Self {
            home,
            work,
            release: Release::install(home, values).await,
            replica: None,
            started: 0,
        };
        stage.start_controller("/readyz").await;
        stage
    }

    async fn start_controller(&mut self, probe: &str) {
        let account = &self.release.account;
        let replica =
            Replica::start_until(probe, self.home, account, "sealwright", self.started).await;
        self.started += 1;
        self.replica = Some(replica);
    }

    async fn stop_controller(&mut self) {
        if let Some(replica) = self.replica.take() {
            replica.stop(self.home).await;
        }
    }

    fn place(&self, place: Place) -> &'a Namespace<'a> {
        match place {
            Place::Home => self.home,
            Place::Work => self.work,
        }
    }

    fn log(&self) -> String {
        let replica = self.replica.as_ref().expect("it runs");
        // Quotes are escaped in the values of fields.
        replica.server.log_text().replace('\\', "")
    }

    async fn rules_of(&self, role: Role) -> Value {
        let object = objects::get(self.place(role.place), role.kind, role.name).await;
        object.unwrap_or_else(|| panic!("the chart has no {role:?}"))["rules"].clone()
    }

    async fn set_rules(&self, role: Role, rules: &Value) {
        let patch = json!({"rules": rules});
        objects::patch(self.place(role.place), role.kind, role.name, patch).await;
    }

    /// Waits until the API server has taken notice of a change of a role.
    async fn eventually_may(&self, role: Role, permission: &Permission, may: bool) {
        let (resource, subresource) = match permission.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (permission.resource.as_str(), None),
        };
        let attributes = ResourceAttributes {
            group: Some(permission.group.clone()),
            resource: Some(resource.to_owned()),
            subresource,
            name: permission.names.first().cloned(),
            namespace: (role.kind == "Role").then(|| self.place(role.place).name().to_owned()),
            verb: Some(permission.verb.clone()),
            ..ResourceAttributes::default()
        };
        let user = self.release.account.user();
        self.home.eventually_may(user, attributes, may).await;
    }

    /// How often the controller has asked for something and got an answer like this.
    fn answers(&self, verb: &str, resource: &str, like: impl Fn(u16) -> bool) -> usize {
        let requests = self
            .home
            .cluster()
            .requests_of(&self.release.account.user());
        let such = requests.iter().filter(|request| {
            request.verb == verb && request.resource() == resource && like(request.code())
        });
        such.count()
    }
}

/// What a role permits, one by one.
fn permissions(rules: &Value) -> BTreeSet<Permission> {
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        let texts = rule[field].as_array().into_iter().flatten();
        texts
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    };
    let mut all = BTreeSet::new();
    for rule in rules.as_array().into_iter().flatten() {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                for verb in texts(rule, "verbs") {
                    all.insert(Permission {
                        group: group.clone(),
                        resource: resource.clone(),
                        verb,
                        names: texts(rule, "resourceNames"),
                    });
                }
            }
        }
    }
    all
}

/// Rules that permit just that.
fn rules(permissions: &BTreeSet<Permission>) -> Value {
    let rules = permissions.iter().map(|permission| {
        json!({
            "apiGroups": [permission.group], "resources": [permission.resource],
            "verbs": [permission.verb], "resourceNames": permission.names,
        })
    });
    rules.collect()
}

/// The permissions that a test looks at: all in a soak, else a few that the seed chooses.
fn chosen<T>(mut all: Vec<T>, few: usize) -> Vec<T> {
    if generated::is_soak() || std::env::var_os("SEALWRIGHT_PERMISSION").is_some() {
        return all;
    }
    let mut state = generated::seed(1);
    while all.len() > few {
        // The generator of Numerical Recipes: any order will do.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let at = usize::try_from(state >> 16).unwrap_or_default() % all.len();
        all.swap_remove(at);
    }
    all
}

#[allow(clippy::print_stdout, reason = "the permissions of a run are printed")]
/// Takes one permission after another away and gives it back. The needs of these roles must be all that they permit.
async fn each_is_needed<W: Work>(
    mut stage: Stage<'_>,
    roles: &[Role],
    needs: Vec<Need<W>>,
    few: usize,
) {
    for role in roles {
        let granted = permissions(&stage.rules_of(*role).await);
        let granted: BTreeSet<(&str, &str)> = granted
            .iter()
            .map(|one| (one.verb.as_str(), one.resource.as_str()))
            .collect();
        let needed = needs.iter().filter(|need| need.role == *role);
        let needed: BTreeSet<(&str, &str)> =
            needed.map(|need| (need.verb, need.resource)).collect();
        let superfluous: Vec<_> = granted.difference(&needed).collect();
        let missing: Vec<_> = needed.difference(&granted).collect();
        assert!(
            superfluous.is_empty() && missing.is_empty(),
            "{role:?}: nothing needs {superfluous:?}, and it lacks {missing:?}"
        );
    }
    let wanted = std::env::var("SEALWRIGHT_PERMISSION").unwrap_or_default();
    let needs: Vec<_> = needs
        .into_iter()
        .filter(|need| format!("{} {}", need.verb, need.resource).starts_with(&wanted))
        .collect();
    let mut failures = Vec::new();
    for (number, need) in chosen(needs, few).into_iter().enumerate() {
        let title = format!(
            "{} {} of {}: {:?}",
            need.verb, need.resource, need.role.name, need.work
        );
        println!("{title}");
        if let Err(why) = is_needed(&mut stage, &need, number).await {
            println!("    {why}");
            failures.push(format!("{title}: {why}"));
        }
        need.work.clean(&stage, number).await;
    }
    stage.stop_controller().await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

async fn is_needed<W: Work>(
    stage: &mut Stage<'_>,
    need: &Need<W>,
    number: usize,
) -> Result<(), String> {
    let Need { role, work, .. } = need;
    let (verb, resource) = need.refused.unwrap_or((need.verb, need.resource));
    let says = match need.says {
        Some(says) => says.to_owned(),
        None => format!("cannot {verb} resource \"{resource}\""),
    };
    work.prepare(stage, number).await;
    let before = stage.rules_of(*role).await;
    let mut left = permissions(&before);
    let removed = left
        .iter()
        .find(|one| one.resource == need.resource && one.verb == need.verb)
        .cloned()
        .ok_or("the role does not have it")?;
    left.remove(&removed);
    // A watch that has begun goes on.
    let starts = work.starts() || matches!(verb, "list" | "watch");
    if starts {
        stage.stop_controller().await;
    }
    stage.set_rules(*role, &rules(&left)).await;
    stage.eventually_may(*role, &removed, false).await;
    let refused = stage.answers(verb, resource, |code| code == 403);
    let written = match starts {
        true => {
            stage.start_controller("/healthz").await;
            0
        }
        false => stage.log().len(),
    };
    work.ask(stage, number).await;

    let told = within(async || {
        let is_refused = stage.answers(verb, resource, |code| code == 403) > refused;
        let log = stage.log();
        is_refused && log.get(written..).is_some_and(|log| log.contains(&says))
    })
    .await;
    let is_refused = stage.answers(verb, resource, |code| code == 403) > refused;
    let is_done = work.is_done(stage, number).await;
    let granted = stage.answers(verb, resource, |code| code < 300);

    stage.set_rules(*role, &before).await;
    stage.eventually_may(*role, &removed, true).await;
    if !told {
        return Err(match is_refused {
            true => format!("the log does not say `{says}`"),
            false => format!("it was never refused (done: {is_done})"),
        });
    }
    // An event that could not be written is not written later.
    let is_asked_once = resource == "events" || work.is_asked_once();
    let done = within(async || {
        let is_done = work.is_done(stage, number).await;
        is_done && (is_asked_once || stage.answers(verb, resource, |code| code < 300) > granted)
    })
    .await;
    match done {
        true => Ok(()),
        false => Err(format!(
            "it is not done when the right is back (asked again: {})",
            stage.answers(verb, resource, |code| code < 300) > granted
        )),
    }
}

/// Returns true if that becomes so within a minute and a half.
async fn within(mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(90) {
        if is_so().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    false
}
