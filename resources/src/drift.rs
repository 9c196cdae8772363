//! What is done when another writer changes a Secret that an object made.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// On a SealedSecret or an ExternalSecret: `revert`, which is the default, or `report`.
pub const ANNOTATION: &str = "sealwright.dev/drift";

/// What is done about a changed Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// It is put back at once.
    Revert,
    /// It stays as it is, and its object says so, until one of both is changed.
    Report,
}

impl Drift {
    /// What the annotation of an object asks for. Another text than `report` asks for nothing special.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        let annotations = metadata.annotations.as_ref();
        match annotations.and_then(|all| all.get(ANNOTATION)) {
            Some(mode) if mode == "report" => Self::Report,
            Some(_) | None => Self::Revert,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_report_leaves_a_change_as_it_is() {
        let of = |mode: Option<&str>| {
            let annotations = mode.map(|mode| [(ANNOTATION.to_owned(), mode.to_owned())].into());
            Drift::of(&ObjectMeta {
                annotations,
                ..ObjectMeta::default()
            })
        };
        assert_eq!(of(Some("report")), Drift::Report);
        for mode in [None, Some("revert"), Some("Report"), Some("")] {
            assert_eq!(of(mode), Drift::Revert, "{mode:?}");
        }
    }
}
