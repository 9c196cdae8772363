//! How far a sealed value may move without being sealed again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use thiserror::Error;

/// The annotation that makes an object cluster-wide when it is exactly `true`.
pub const CLUSTER_WIDE_ANNOTATION: &str = "sealedsecrets.bitnami.com/cluster-wide";
/// The annotation that makes an object namespace-wide when it is exactly `true`.
pub const NAMESPACE_WIDE_ANNOTATION: &str = "sealedsecrets.bitnami.com/namespace-wide";

/// What a sealed value is tied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// Namespace and name.
    #[default]
    Strict,
    /// The namespace; the object may be renamed.
    NamespaceWide,
    /// Nothing; the object may go anywhere in the cluster.
    ClusterWide,
}

/// The text is not a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be one of: strict, namespace-wide, cluster-wide")]
pub struct UnknownScope;

impl Scope {
    /// Reads the scope from the annotations of one object; `cluster-wide` wins over
    /// `namespace-wide`, and any value but the exact text `true` counts as absent.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        let is_true = |key: &str| {
            metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get(key))
                .is_some_and(|value| value == "true")
        };
        if is_true(CLUSTER_WIDE_ANNOTATION) {
            Self::ClusterWide
        } else if is_true(NAMESPACE_WIDE_ANNOTATION) {
            Self::NamespaceWide
        } else {
            Self::Strict
        }
    }

    /// The annotation that stands for this scope; strict needs none.
    #[must_use]
    pub fn annotation(self) -> Option<&'static str> {
        match self {
            Self::Strict => None,
            Self::NamespaceWide => Some(NAMESPACE_WIDE_ANNOTATION),
            Self::ClusterWide => Some(CLUSTER_WIDE_ANNOTATION),
        }
    }

    /// Removes both scope annotations and adds the one of this scope.
    pub fn annotate(self, metadata: &mut ObjectMeta) {
        let annotations = metadata.annotations.get_or_insert_with(BTreeMap::new);
        annotations.remove(CLUSTER_WIDE_ANNOTATION);
        annotations.remove(NAMESPACE_WIDE_ANNOTATION);
        if let Some(key) = self.annotation() {
            annotations.insert(key.to_owned(), "true".to_owned());
        }
        if annotations.is_empty() {
            metadata.annotations = None;
        }
    }

    /// The label a value is sealed under in an object of this name.
    #[must_use]
    pub fn label(self, namespace: &str, name: &str) -> Vec<u8> {
        match self {
            Self::Strict => format!("{namespace}/{name}").into_bytes(),
            Self::NamespaceWide => namespace.as_bytes().to_vec(),
            Self::ClusterWide => Vec::new(),
        }
    }

    /// The label of the object with this metadata, by its own annotations.
    #[must_use]
    pub fn label_of(metadata: &ObjectMeta) -> Vec<u8> {
        Self::of(metadata).label(
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        )
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strict => "strict",
            Self::NamespaceWide => "namespace-wide",
            Self::ClusterWide => "cluster-wide",
        })
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    /// Reads a flag's value; the empty text is the default.
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        match text {
            "" | "strict" => Ok(Self::Strict),
            "namespace-wide" => Ok(Self::NamespaceWide),
            "cluster-wide" => Ok(Self::ClusterWide),
            _ => Err(UnknownScope),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(pairs: &[(&str, &str)]) -> ObjectMeta {
        ObjectMeta {
            namespace: Some("ns".into()),
            name: Some("name".into()),
            annotations: Some(
                pairs
                    .iter()
                    .map(|&(key, value)| (key.into(), value.into()))
                    .collect(),
            ),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn labels_are_those_of_the_contract() {
        assert_eq!(Scope::Strict.label("ns", "name"), b"ns/name");
        assert_eq!(Scope::NamespaceWide.label("ns", "name"), b"ns");
        assert_eq!(Scope::ClusterWide.label("ns", "name"), b"");
    }

    #[test]
    fn t2_only_the_exact_text_true_counts() {
        for text in ["TRUE", "True", "false", "", " true", "yes", "1"] {
            let metadata = annotated(&[
                (CLUSTER_WIDE_ANNOTATION, text),
                (NAMESPACE_WIDE_ANNOTATION, text),
            ]);
            assert_eq!(Scope::of(&metadata), Scope::Strict, "{text:?}");
        }
    }

    #[test]
    fn cluster_wide_wins() {
        let both = annotated(&[
            (CLUSTER_WIDE_ANNOTATION, "true"),
            (NAMESPACE_WIDE_ANNOTATION, "true"),
        ]);
        assert_eq!(Scope::of(&both), Scope::ClusterWide);
        assert_eq!(Scope::label_of(&both), b"");
    }

    #[test]
    fn annotating_leaves_exactly_one_mark() {
        let mut metadata = annotated(&[(CLUSTER_WIDE_ANNOTATION, "true"), ("a", "b")]);
        Scope::NamespaceWide.annotate(&mut metadata);
        assert_eq!(Scope::of(&metadata), Scope::NamespaceWide);
        assert_eq!(metadata.annotations.as_ref().unwrap().len(), 2);
        Scope::Strict.annotate(&mut metadata);
        assert_eq!(metadata.annotations.as_ref().unwrap().len(), 1);
    }

    #[test]
    fn flags_read_and_print_the_same_words() {
        for scope in [Scope::Strict, Scope::NamespaceWide, Scope::ClusterWide] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert_eq!("".parse(), Ok(Scope::Strict));
        assert_eq!("Strict".parse::<Scope>(), Err(UnknownScope));
    }
}
