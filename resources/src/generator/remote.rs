//! Generators that ask a server. Their settings and clients are those of `sealwright-providers`.

use kube::CustomResource;
use schemars::JsonSchema;
use sealwright_providers::settings::generators::{
    AcrAccessTokenSettings, EcrAuthorizationTokenSettings, GcrAccessTokenSettings,
    GithubAccessTokenSettings, GitlabDeployTokenSettings, GrafanaSettings, QuayAccessTokenSettings,
    StsSessionTokenSettings, VaultDynamicSecretSettings,
};
use sealwright_providers::settings::webhook::WebhookSettings;
use serde::{Deserialize, Serialize};

macro_rules! remote {
    ($spec:ident, $settings:ty, $kind:tt, $root:tt, $plural:tt, $doc:tt) => {
        #[doc = concat!("The specification of objects of the kind ", $kind, ".")]
        #[derive(
            CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema,
        )]
        #[kube(
                                                    group = "generators.external-secrets.io",
                                                    version = "v1alpha1",
                                                    kind = $kind,
                                                    root = $root,
                                                    plural = $plural,
                                                    category = "external-secrets",
                                                    category = "external-secrets-generators",
                                                    namespaced,
                                                    derive = "PartialEq",
                                                    doc = $doc
                                                )]
        #[serde(transparent)]
        pub struct $spec(pub $settings);
    };
}

remote!(
    WebhookSpec,
    WebhookSettings,
    "Webhook",
    "Webhook",
    "webhooks",
    "Webhook asks an endpoint for values."
);
remote!(
    VaultDynamicSecretSpec,
    VaultDynamicSecretSettings,
    "VaultDynamicSecret",
    "VaultDynamicSecret",
    "vaultdynamicsecrets",
    "VaultDynamicSecret has Vault or OpenBao make a secret."
);
remote!(
    EcrAuthorizationTokenSpec,
    EcrAuthorizationTokenSettings,
    "ECRAuthorizationToken",
    "EcrAuthorizationToken",
    "ecrauthorizationtokens",
    "ECRAuthorizationToken gets a password for the Elastic Container Registry of AWS."
);
remote!(
    GcrAccessTokenSpec,
    GcrAccessTokenSettings,
    "GCRAccessToken",
    "GcrAccessToken",
    "gcraccesstokens",
    "GCRAccessToken gets a token for the container registries of Google."
);
remote!(
    AcrAccessTokenSpec,
    AcrAccessTokenSettings,
    "ACRAccessToken",
    "AcrAccessToken",
    "acraccesstokens",
    "ACRAccessToken gets a token for a container registry of Azure."
);
remote!(
    StsSessionTokenSpec,
    StsSessionTokenSettings,
    "STSSessionToken",
    "StsSessionToken",
    "stssessiontokens",
    "STSSessionToken gets temporary credentials of AWS."
);
remote!(
    GithubAccessTokenSpec,
    GithubAccessTokenSettings,
    "GithubAccessToken",
    "GithubAccessToken",
    "githubaccesstokens",
    "GithubAccessToken gets a token of an installation of a GitHub App."
);
remote!(
    QuayAccessTokenSpec,
    QuayAccessTokenSettings,
    "QuayAccessToken",
    "QuayAccessToken",
    "quayaccesstokens",
    "QuayAccessToken gets a token of a robot account of Quay."
);
remote!(
    GrafanaSpec,
    GrafanaSettings,
    "Grafana",
    "Grafana",
    "grafanas",
    "Grafana makes tokens of a service account of Grafana."
);
remote!(
    GitlabDeployTokenSpec,
    GitlabDeployTokenSettings,
    "GitlabDeployToken",
    "GitlabDeployToken",
    "gitlabdeploytokens",
    "GitlabDeployToken makes deploy tokens of a project or a group of GitLab."
);
