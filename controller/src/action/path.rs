//! Paths of the API server.

use kube::Resource;

use crate::api::NO_NAME;
use crate::frame::object::Key;

/// Who we are in `managedFields`. What we write has only fields that we know, so the server need not look for others,
/// which costs it another reading of each body.
pub(super) const MANAGER: &str = "fieldManager=sealwright-controller&fieldValidation=Ignore";

/// No name of an object is longer.
const LONGEST_NAME: usize = 253;

/// A name as a part of a path.
///
/// Tenants write names into fields that no schema checks, and the API server decodes a path before it splits it. What cannot be the
/// name of an object therefore becomes one that none has, which `Api::call` does not ask for.
pub(crate) fn part(name: &str) -> &str {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~".contains(&byte);
    let is_name = !matches!(name, "" | "." | "..") && name.len() <= LONGEST_NAME;
    match is_name && name.bytes().all(is_legal) {
        true => name,
        false => NO_NAME,
    }
}

/// The path of a namespace.
pub(crate) fn namespace(name: &str) -> String {
    format!("/api/v1/namespaces/{}", part(name))
}

/// The path of the Secrets of a namespace.
pub(crate) fn secrets(namespace: &str) -> String {
    format!("{}/secrets", self::namespace(namespace))
}

/// The path of a Secret.
pub(crate) fn secret(namespace: &str, name: &str) -> String {
    format!("{}/{}", secrets(namespace), part(name))
}

/// The path of an object.
pub(crate) fn path_of<K: Resource<DynamicType = ()>>(key: &Key) -> String {
    let namespace = Some(&*key.namespace).filter(|name| !name.is_empty());
    format!(
        "{}/{}",
        K::url_path(&(), namespace.map(part)),
        part(&key.name)
    )
}

/// The path of the objects of a folder with this label.
pub(crate) fn labelled(folder: &str, label: &str, value: &str) -> String {
    format!(
        "{folder}?labelSelector={}%3D{value}",
        label.replace('/', "%2F")
    )
}

/// The path of the Leases of a namespace.
pub(crate) fn leases(namespace: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
}
