//! Who asked the API server what, and how often: its audit log, read back.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;

/// One request that the API server has answered, or a watch that it has begun to answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Request {
    #[serde(rename = "auditID")]
    id: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// Path and query as sent.
    #[serde(rename = "requestURI")]
    pub uri: String,
    user: User,
    /// What the client calls itself.
    #[serde(default, rename = "userAgent")]
    pub user_agent: String,
    #[serde(default)]
    object_ref: Option<Object>,
    #[serde(default)]
    response_status: Option<Status>,
}

#[derive(Clone, Debug, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Object {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    subresource: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

impl Request {
    /// The user as the API server saw it: `system:serviceaccount:NAMESPACE:NAME` for a ServiceAccount.
    pub fn user(&self) -> &str {
        &self.user.username
    }

    /// The plural resource, with its subresource: `secrets`, `sealedsecrets/status`; empty for other paths.
    pub fn resource(&self) -> String {
        match &self.object_ref {
            Some(object) if object.subresource.is_empty() => object.resource.clone(),
            Some(object) => format!("{}/{}", object.resource, object.subresource),
            None => String::new(),
        }
    }

    /// The namespace asked about; empty for the whole cluster.
    pub fn namespace(&self) -> &str {
        self.object_ref
            .as_ref()
            .map_or("", |object| &object.namespace)
    }

    /// The name asked about; empty for lists and watches.
    pub fn name(&self) -> &str {
        self.object_ref.as_ref().map_or("", |object| &object.name)
    }

    /// The HTTP status of the answer; 0 for none.
    pub fn code(&self) -> u16 {
        self.response_status
            .as_ref()
            .map_or(0, |status| status.code)
    }
}

/// Reads the log, or the part of it that names a user; each request counts once, a watch when it begins.
pub(super) fn read(log: &Path, user: &str) -> Vec<Request> {
    let text = std::fs::read(log).unwrap_or_default();
    // The last line may be half written; it is not a whole JSON object then, and comes with the next reading.
    let lines = text
        .split(|byte| *byte == b'\n')
        // Most of a long log is about others, and need not be parsed.
        .filter(|line| {
            user.is_empty() || std::str::from_utf8(line).is_ok_and(|line| line.contains(user))
        })
        .filter_map(|line| serde_json::from_slice::<Request>(line).ok())
        .filter(|request| user.is_empty() || request.user() == user);
    let mut known = HashSet::new();
    lines
        .filter(|request| known.insert(request.id.clone()))
        .collect()
}
