//! The kinds of External Secrets, put together.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use sealwright_resources::external_secret::render::Options;
use sealwright_resources::secret_store::{ClusterSecretStore, SecretStore};

use crate::announcement::Announced;
use crate::frame::AnyKind;
use crate::frame::kind::{SecretUse, Shared, Watching};
use crate::generators::{GeneratorRules, Generators};
use crate::reconcile::cluster_external_secret::ClusterExternalSecrets;
use crate::reconcile::cluster_push_secret::ClusterPushSecrets;
use crate::reconcile::external_secret::{ExternalSecrets, Rules};
use crate::reconcile::generator_state::GeneratorStates;
use crate::reconcile::push_secret::PushSecrets;
use crate::reconcile::secret_store::{StoreReconciler, StoreRules};
use crate::stores::Stores;

/// What decides how External Secrets are treated.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Each namespace to watch, or one `None` for all of them.
    pub(crate) scopes: Vec<Option<String>>,
    /// The labels of the ExternalSecrets and PushSecrets that are looked at; empty means all.
    pub(crate) selector: String,
    /// The class of this controller (E5).
    pub(crate) class: String,
    /// Stores must be ready before they are read from (E26).
    pub(crate) flood_gate: bool,
    /// Which reconcilers run (E16 to E20).
    pub(crate) cluster_stores: bool,
    pub(crate) stores: bool,
    pub(crate) cluster_external_secrets: bool,
    pub(crate) push_secrets: bool,
    pub(crate) cluster_push_secrets: bool,
    /// What generators leave on servers is recorded, and how long after it was replaced (E27, E32).
    pub(crate) generator_state: bool,
    pub(crate) generator_grace: Duration,
    /// The time between two validations of a store (E25).
    pub(crate) store_interval: Duration,
    /// Targets may be of other kinds than Secret (E30).
    pub(crate) generic_targets: bool,
    /// How templates are spelled (E31).
    pub(crate) options: Options,
    /// What is gone from a store is deleted, however much it is.
    pub(crate) upstream_deletion: bool,
    /// Objects that are worked on at a time.
    pub(crate) workers: usize,
}

/// The CustomResourceDefinitions as YAML.
pub(crate) fn definitions(serve_v1beta1: bool) -> String {
    let all = sealwright_resources::external_secrets_definitions(serve_v1beta1);
    all.iter()
        .map(|definition| {
            let yaml = serde_saphyr::to_string(definition).expect("a CRD is YAML");
            format!("---\n{}\n", yaml.trim_end())
        })
        .collect()
}

/// What these settings ask for.
pub(crate) struct Parts {
    pub(crate) kinds: Vec<Arc<dyn AnyKind>>,
    /// What is refreshed when values are announced as changed.
    pub(crate) announced: Arc<dyn Announced>,
}

/// Puts together what these settings ask for.
pub(crate) fn parts(settings: &Settings, shared: &Shared) -> Parts {
    let watching = |secrets, workers| Watching {
        scopes: settings.scopes.clone(),
        label_selector: String::new(),
        secrets,
        statuses: true,
        workers,
    };
    let selected = |secrets, workers| Watching {
        label_selector: settings.selector.clone(),
        ..watching(secrets, workers)
    };
    let of_cluster = |workers| Watching {
        scopes: vec![None],
        ..watching(SecretUse::Reads, workers)
    };
    let stores = Arc::new(Stores::new(
        Arc::clone(&shared.api),
        Arc::clone(&shared.metrics),
    ));
    let generators = Arc::new(Generators::new(
        Arc::clone(&shared.api),
        Arc::clone(&shared.pool),
        Arc::clone(&shared.slow_pool),
        GeneratorRules {
            class: settings.class.clone(),
            keeps_state: settings.generator_state,
            grace: SignedDuration::try_from(settings.generator_grace)
                .unwrap_or(SignedDuration::MAX),
        },
    ));
    let rules = StoreRules {
        class: settings.class.clone(),
        interval: settings.store_interval,
    };
    let mut kinds: Vec<Arc<dyn AnyKind>> = Vec::new();
    if settings.stores {
        kinds.push(Arc::new(StoreReconciler::<SecretStore>::new(
            shared.clone(),
            watching(SecretUse::Reads, settings.workers),
            rules.clone(),
            Arc::clone(&stores),
        )));
    }
    if settings.cluster_stores {
        kinds.push(Arc::new(StoreReconciler::<ClusterSecretStore>::new(
            shared.clone(),
            of_cluster(settings.workers),
            rules,
            Arc::clone(&stores),
        )));
    }
    let external_secrets = Arc::new(ExternalSecrets::new(
        shared.clone(),
        selected(SecretUse::Writes, settings.workers),
        Rules {
            class: settings.class.clone(),
            flood_gate: settings.flood_gate,
            cluster_stores: settings.cluster_stores,
            generic_targets: settings.generic_targets,
            options: settings.options.clone(),
            zone: TimeZone::system(),
            upstream_deletion: settings.upstream_deletion,
        },
        Arc::clone(&stores),
        Arc::clone(&generators),
    ));
    kinds.push(Arc::clone(&external_secrets) as _);
    kinds.push(Arc::new(GeneratorStates::new(
        shared.clone(),
        watching(SecretUse::None, settings.workers.min(4)),
        Arc::clone(&generators),
    )));
    if settings.push_secrets {
        kinds.push(Arc::new(PushSecrets::new(
            shared.clone(),
            selected(SecretUse::None, settings.workers),
            settings.class.clone(),
            settings.options.clone(),
            stores,
            generators,
        )));
    }
    if settings.cluster_push_secrets {
        kinds.push(Arc::new(ClusterPushSecrets::new(
            shared.clone(),
            Watching {
                secrets: SecretUse::None,
                ..of_cluster(settings.workers.min(4))
            },
        )));
    }
    if settings.cluster_external_secrets {
        kinds.push(Arc::new(ClusterExternalSecrets::new(
            shared.clone(),
            Watching {
                secrets: SecretUse::None,
                ..of_cluster(settings.workers.min(4))
            },
        )));
    }
    Parts {
        kinds,
        announced: external_secrets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_definitions_are_those_that_the_program_prints() {
        let shipped = include_str!("../../deploy/external-secrets/crds.yaml");
        assert!(
            shipped == definitions(false),
            "print them again: sealwright-controller external-secrets crd > deploy/external-secrets/crds.yaml"
        );
    }
}
