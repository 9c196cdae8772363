//! Which work needs which permission.

use super::super::{NO_FINALIZERS, Need};
use super::External::{self, *};
use super::Spreads::{ExternalSecret, PushSecret};
use super::{CONTROLLER, REFRESH};

/// All permissions of the side of External Secrets, and the work that needs each.
pub(super) fn all() -> Vec<Need<External>> {
    let mut needs = Vec::new();
    let mut controller = |resource: &'static str, works: &[(&'static str, External)]| {
        let works = works.iter();
        needs.extend(works.map(|(verb, work)| Need::new(CONTROLLER, verb, resource, *work)));
    };
    controller(
        "externalsecrets",
        &[
            ("get", Refreshed),
            ("list", Synced),
            ("watch", Synced),
            ("patch", Synced),
            ("create", Spread(ExternalSecret)),
            ("update", SpreadAgain(ExternalSecret)),
            ("delete", Withdrawn(ExternalSecret)),
        ],
    );
    controller("externalsecrets/status", &[("update", Synced)]);
    for (kind, resource, status) in [
        ("SecretStore", "secretstores", "secretstores/status"),
        (
            "ClusterSecretStore",
            "clustersecretstores",
            "clustersecretstores/status",
        ),
    ] {
        controller(
            resource,
            &[
                ("get", ValidatedAgain(kind)),
                ("list", Validated(kind)),
                ("watch", Validated(kind)),
                ("patch", PushedForGood(kind)),
            ],
        );
        controller(status, &[("update", Validated(kind))]);
    }
    controller(
        "clusterexternalsecrets",
        &[
            ("get", SpreadLater(ExternalSecret)),
            ("list", Spread(ExternalSecret)),
            ("watch", Spread(ExternalSecret)),
            ("patch", Spread(ExternalSecret)),
        ],
    );
    controller(
        "clusterexternalsecrets/status",
        &[("update", Spread(ExternalSecret))],
    );
    controller(
        "pushsecrets",
        &[
            ("get", PushedAgain),
            ("list", Pushed),
            ("watch", Pushed),
            ("patch", PushedForGood("SecretStore")),
            ("create", Spread(PushSecret)),
            ("update", SpreadAgain(PushSecret)),
            ("delete", Withdrawn(PushSecret)),
        ],
    );
    controller("pushsecrets/status", &[("update", Pushed)]);
    controller(
        "clusterpushsecrets",
        &[
            ("get", SpreadLater(PushSecret)),
            ("list", Spread(PushSecret)),
            ("watch", Spread(PushSecret)),
        ],
    );
    controller(
        "clusterpushsecrets/status",
        &[("update", Spread(PushSecret))],
    );
    controller(
        "generatorstates",
        &[
            ("list", Recorded),
            ("watch", Recorded),
            ("create", Recorded),
            ("patch", Outdated),
            ("delete", Outdated),
        ],
    );
    controller(
        "secrets",
        &[
            ("get", Refreshed),
            ("list", Synced),
            ("watch", Synced),
            ("create", Synced),
            ("update", Refreshed),
            ("patch", Adopted),
            ("delete", Deleted),
        ],
    );
    controller(
        "configmaps",
        &[
            ("get", Rendered),
            ("list", RenderedAgain),
            ("watch", RenderedAgain),
            ("create", OtherTarget),
            ("update", OtherTargetRefreshed),
            ("delete", OtherTargetDeleted),
        ],
    );
    controller(
        "events",
        &[("create", Synced), ("patch", ValidatedAgain("SecretStore"))],
    );
    controller(
        "namespaces",
        &[
            ("get", Withdrawn(ExternalSecret)),
            ("list", SpreadLater(ExternalSecret)),
            ("watch", SpreadLater(ExternalSecret)),
            ("patch", Spread(ExternalSecret)),
        ],
    );
    needs.push(Need {
        says: Some("no permission to list ValidatingWebhookConfigurations"),
        ..Need::new(
            CONTROLLER,
            "list",
            "validatingwebhookconfigurations",
            WebhooksFound,
        )
    });
    needs.push(Need {
        refused: Some(("get", "passwords")),
        says: Some("the generator cannot be read: access denied"),
        ..Need::new(CONTROLLER, "get", "*", Generated)
    });
    for (owner, child, work) in [
        ("externalsecrets/finalizers", "secrets", Synced),
        (
            "clusterexternalsecrets/finalizers",
            "externalsecrets",
            Spread(ExternalSecret),
        ),
        (
            "clusterpushsecrets/finalizers",
            "pushsecrets",
            Spread(PushSecret),
        ),
    ] {
        needs.push(Need {
            refused: Some(("create", child)),
            says: Some(NO_FINALIZERS),
            ..Need::new(CONTROLLER, "update", owner, work)
        });
    }
    for (verb, resource, work) in [
        ("get", "serviceaccounts", SignedInByAnnotation),
        ("create", "serviceaccounts/token", SignedIn),
    ] {
        needs.push(Need {
            says: Some("/robot is forbidden"),
            ..Need::new(CONTROLLER, verb, resource, work)
        });
    }
    for resource in ["tokenreviews", "subjectaccessreviews"] {
        needs.push(Need::new(REFRESH, "create", resource, Announced));
    }
    needs
}
