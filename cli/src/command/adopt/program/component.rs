//! The components that `adopt` recognises by the image and command of a container.

use k8s_openapi::api::core::v1::Container;

use super::container::{flags, image_name, words};

/// What a Deployment runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Component {
    /// The Sealed Secrets controller.
    SealedSecrets,
    /// The External Secrets Operator.
    ExternalSecrets,
    /// The webhook of the External Secrets Operator.
    Webhook,
    /// The operator's certificate controller, which renews the certificate of its webhook.
    CertController,
    /// Our own controller, and which of its parts are enabled.
    Sealwright {
        sealed_secrets: bool,
        external_secrets: bool,
    },
}

impl Component {
    /// Recognises a container by its image and its command.
    pub(super) fn of(container: &Container) -> Option<Self> {
        let words = words(container);
        let program = words
            .first()
            .map(|word| word.rsplit('/').next().unwrap_or(word));
        let image = image_name(container.image.as_deref().unwrap_or_default());
        if image == "sealwright-controller" || program == Some("sealwright-controller") {
            let flags = flags(container);
            let on = |name: &str| {
                let found = flags.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value == "true")
            };
            let is_operator = words.contains(&"external-secrets");
            return Some(Self::Sealwright {
                sealed_secrets: on("enable-sealed-secrets").unwrap_or(!is_operator),
                external_secrets: on("enable-external-secrets").unwrap_or(is_operator),
            });
        }
        match image {
            "sealed-secrets-controller" | "sealed-secrets" => Some(Self::SealedSecrets),
            "external-secrets" if words.contains(&"webhook") => Some(Self::Webhook),
            "external-secrets" if words.contains(&"certcontroller") => Some(Self::CertController),
            "external-secrets" => Some(Self::ExternalSecrets),
            _ => None,
        }
    }
}
