//! The names that manifests have for providers: those of this build, and those that only upstream has.

use std::fmt;

/// The providers that upstream has or had and this build has not, by the names that manifests have for them.
pub const OTHER_PROVIDERS: &[&str] = &[
    "akeyless",
    "alibaba",
    "barbican",
    "beyondtrust",
    "beyondtrustworkloadcredentials",
    "bitwardensecretsmanager",
    "chef",
    "cloudrusm",
    "conjur",
    "crd",
    "delinea",
    "device42",
    "dvls",
    "fortanix",
    "github",
    "ibm",
    "infisical",
    "keepersecurity",
    "nebiusmysterybox",
    "ngrok",
    "onboardbase",
    "onepasswordSDK",
    "oracle",
    "ovh",
    "passbolt",
    "passworddepot",
    "previder",
    "pulumi",
    "scaleway",
    "secretserver",
    "senhasegura",
    "volcengine",
    "yandexcertificatemanager",
    "yandexlockbox",
];

/// The providers of this build, by the names that manifests have for them.
pub const OWN_PROVIDERS: &[&str] = &[
    #[cfg(feature = "aws")]
    "aws",
    #[cfg(feature = "azure")]
    "azurekv",
    #[cfg(feature = "doppler")]
    "doppler",
    "fake",
    "file",
    #[cfg(feature = "gcp")]
    "gcpsm",
    #[cfg(feature = "gitlab")]
    "gitlab",
    #[cfg(feature = "clients")]
    "kubernetes",
    #[cfg(feature = "onepassword")]
    "onepassword",
    #[cfg(feature = "clients")]
    "openBao",
    #[cfg(feature = "clients")]
    "vault",
    #[cfg(feature = "clients")]
    "webhook",
];

/// A provider that this build does not have.
#[derive(Clone, PartialEq)]
pub struct OtherProvider {
    pub(super) name: &'static str,
    pub(super) settings: serde_json::Value,
}

impl OtherProvider {
    /// The name that manifests have for it.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Debug for OtherProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some of these providers have credentials in their settings.
        write!(f, "OtherProvider({})", self.name)
    }
}
