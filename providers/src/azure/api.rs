//! Azure's clouds, and what the answers of Key Vault mean.

use crate::bearer::{Call, Dialect, Refusal};
use crate::http::url::Url;
use crate::json::Json;
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::azure::{AzureEnvironment, AzureSettings};

/// The version of the interface, sent with every request.
pub(super) const VERSION: (&str, &str) = ("api-version", "7.4");

/// Where Azure's own clouds give tokens; the last one has the place of an older name in China.
const LOGINS: [&str; 5] = [
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.chinacloudapi.cn",
    "login.microsoftonline.de",
    "login.partner.microsoftonline.cn",
];

/// One of Azure's clouds: where tokens come from, and to which hosts they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cloud {
    /// Where tokens come from.
    pub(super) login: String,
    /// For whom they are made, such as `https://vault.azure.net`.
    pub(super) resource: String,
    /// What the names of its vaults end with.
    suffixes: Vec<String>,
}

impl Cloud {
    fn known(login: &str, resource: &str, suffixes: &[&str]) -> Self {
        Self {
            login: format!("https://{login}"),
            resource: format!("https://{resource}"),
            suffixes: suffixes.iter().map(|&suffix| suffix.to_owned()).collect(),
        }
    }

    fn modules(login: &str, host: &str) -> Self {
        Self::known(login, host, &[host])
    }

    fn public() -> Self {
        Self::known(
            "login.microsoftonline.com",
            "vault.azure.net",
            &["vault.azure.net"],
        )
    }

    fn us_government() -> Self {
        let vaults = "vault.usgovcloudapi.net";
        Self::known("login.microsoftonline.us", vaults, &[vaults])
    }

    fn china() -> Self {
        Self::known(
            "login.chinacloudapi.cn",
            "vault.azure.cn",
            &["vault.azure.cn"],
        )
    }

    fn german() -> Self {
        let vaults = "vault.microsoftazure.de";
        Self::known("login.microsoftonline.de", vaults, &[vaults])
    }

    /// The cloud that a store names.
    pub(super) fn of_store(settings: &AzureSettings) -> Self {
        let mut cloud = match settings.environment_type {
            AzureEnvironment::PublicCloud | AzureEnvironment::AzureStackCloud => Self::public(),
            AzureEnvironment::UsGovernmentCloud => Self::us_government(),
            AzureEnvironment::ChinaCloud => Self::china(),
            AzureEnvironment::GermanCloud => Self::german(),
        };
        let Some(own) = &settings.custom_cloud_config else {
            return cloud;
        };
        let trimmed = |text: &str| text.trim_end_matches('/').to_owned();
        cloud.login = trimmed(&own.active_directory_endpoint);
        if let Some(resource) = own
            .key_vault_endpoint
            .as_deref()
            .filter(|text| !text.is_empty())
        {
            cloud.resource = trimmed(resource);
        }
        let suffix = own.key_vault_dns_suffix.as_deref();
        match suffix.filter(|text| !text.is_empty()) {
            Some(suffix) => cloud.suffixes = vec![suffix.trim_start_matches('.').to_owned()],
            // The host for which tokens are made is what the names of vaults end with.
            None => {
                let host = Url::parse(&cloud.resource).map(|url| url.host().to_owned());
                cloud.suffixes = host.into_iter().collect();
            }
        }
        cloud
    }

    /// The cloud that a vault of a file belongs to, by its host.
    pub(super) fn of_vault(vault: &Url) -> Option<Self> {
        let clouds = [
            Self::public(),
            Self::us_government(),
            Self::china(),
            Self::german(),
            // Managed hardware modules speak the same interface for a resource of their own.
            Self::modules("login.microsoftonline.com", "managedhsm.azure.net"),
            Self::modules("login.microsoftonline.us", "managedhsm.usgovcloudapi.net"),
            Self::modules("login.chinacloudapi.cn", "managedhsm.azure.cn"),
        ];
        clouds.into_iter().find(|cloud| cloud.has(vault))
    }

    /// The same cloud with tokens for its resource manager, which registries take.
    pub(super) fn for_registries(self, environment: AzureEnvironment) -> Self {
        let (resource, suffix) = match environment {
            AzureEnvironment::UsGovernmentCloud => ("management.usgovcloudapi.net", "azurecr.us"),
            AzureEnvironment::ChinaCloud => ("management.chinacloudapi.cn", "azurecr.cn"),
            AzureEnvironment::GermanCloud => ("management.microsoftazure.de", "azurecr.de"),
            AzureEnvironment::PublicCloud | AzureEnvironment::AzureStackCloud => {
                ("management.azure.com", "azurecr.io")
            }
        };
        Self {
            resource: format!("https://{resource}"),
            suffixes: vec![suffix.to_owned()],
            ..self
        }
    }

    /// Returns true if a vault is one of this cloud: no other host gets its tokens.
    pub(super) fn has(&self, vault: &Url) -> bool {
        let mut suffixes = self.suffixes.iter();
        vault.is_https() && suffixes.any(|suffix| is_below(vault.host(), suffix))
    }

    /// Returns true if a vault is one of those that the tokens are made for, whatever the store says that its vaults end with.
    pub(super) fn is_made_for(&self, vault: &Url) -> bool {
        let resource = Url::parse(&self.resource);
        vault.is_https() && resource.is_ok_and(|resource| is_below(vault.host(), resource.host()))
    }

    /// Returns true if tokens come from Azure itself.
    pub(super) fn has_known_login(&self) -> bool {
        let login = Url::parse(&self.login);
        login.is_ok_and(|login| login.is_https() && LOGINS.contains(&login.host()))
    }

    /// The scope that tokens are asked for.
    pub(super) fn scope(&self) -> String {
        format!("{}/.default", self.resource)
    }
}

fn is_below(host: &str, suffix: &str) -> bool {
    let name = host.strip_suffix(suffix);
    name.and_then(|name| name.strip_suffix('.'))
        .is_some_and(|name| !name.is_empty())
}

/// How Key Vault refuses: `{"error": {"code": "Forbidden", "message": "…", "innererror": {"code": "…"}}}`.
pub(super) struct AzureErrors;

impl Dialect for AzureErrors {
    fn refusal(&self, status: u16, body: Json<'_>, call: &Call<'_>) -> Option<Refusal> {
        let error = body.member("error")?;
        let text = |of: Json<'_>, name: &str| {
            let text = of.member(name).and_then(Json::string);
            text.map(|text| text.expose().to_owned())
                .unwrap_or_default()
        };
        let (outer, message) = (text(error, "code"), text(error, "message"));
        if outer.is_empty() {
            return None;
        }
        let inner = error.member("innererror").map(|inner| text(inner, "code"));
        let inner = inner.filter(|code| !code.is_empty());
        let trouble = match status {
            401 => Trouble::Unauthenticated,
            403 => Trouble::Forbidden,
            404 => Trouble::Missing,
            409 => Trouble::Conflict,
            429 => Trouble::Throttled { retry_after: None },
            500.. => Trouble::Unavailable,
            _ => Trouble::Invalid,
        };
        let code = match &inner {
            Some(inner) => format!("{} ({})", shown(&outer), shown(inner)),
            None => shown(&outer),
        };
        // The text about a request that carries a secret may repeat it.
        let told = !call.carries_secret || matches!(trouble, Trouble::Forbidden);
        let message = without_what_changes(&message);
        let reason = match told && !message.is_empty() {
            true => format!("{code}: {}", shown(&message)),
            false => code,
        };
        let mut error = StoreError::new(trouble, reason);
        match (status, inner.as_deref()) {
            // It is there, and no permission would help.
            (403, Some("SecretDisabled" | "KeyDisabled" | "CertificateDisabled")) => {
                error = error.with_hint("enable the version in the vault");
            }
            (403, _) => {
                error = error.lacking(call.permission).with_hint(format!(
                    "grant {} to this principal by a role or an access policy of the vault",
                    call.permission
                ));
            }
            (409, Some("ObjectIsDeletedButRecoverable")) => {
                error = error.with_hint(
                    "it was deleted and can be recovered: recover or purge it in the vault first",
                );
            }
            _ => {}
        }
        Some(Refusal {
            code: inner.filter(|_| status == 403).unwrap_or(outer),
            message,
            error,
        })
    }
}

/// The first line: what follows in the texts of Azure names the caller's tokens and correlation ids.
fn without_what_changes(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    first.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn tokens_go_to_vaults_of_their_cloud_only() {
        let resource = |text: &str| Cloud::of_vault(&url(text)).map(|cloud| cloud.resource);
        assert_eq!(
            resource("https://v.vault.azure.net").as_deref(),
            Some("https://vault.azure.net")
        );
        assert_eq!(
            resource("https://v.vault.usgovcloudapi.net").as_deref(),
            Some("https://vault.usgovcloudapi.net")
        );
        for host in [
            "managedhsm.azure.net",
            "managedhsm.usgovcloudapi.net",
            "managedhsm.azure.cn",
        ] {
            let found = resource(&format!("https://v.{host}"));
            assert_eq!(found, Some(format!("https://{host}")));
        }
        for foreign in [
            "https://vault.azure.net",
            "https://evil.example",
            "https://v.vault.azure.net.evil.example",
            "https://evilvault.azure.net",
            "http://v.vault.azure.net",
        ] {
            assert_eq!(resource(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_cloud_of_ones_own_says_neither_for_whom_tokens_are_nor_who_gives_them() {
        let cloud = |endpoint: &str, suffix: &str, login: &str| {
            let settings: AzureSettings = serde_json::from_value(serde_json::json!({
                "vaultUrl": "https://x", "useAzureSDK": true, "customCloudConfig": {
                    "activeDirectoryEndpoint": login, "keyVaultEndpoint": endpoint,
                    "keyVaultDNSSuffix": suffix}}))
            .unwrap();
            Cloud::of_store(&settings)
        };
        let azure = "https://login.microsoftonline.com/";
        let evil = url("https://a.evil.example");
        for endpoint in ["", "https://vault.azure.net", "https://vault.azure.net/"] {
            let cloud = cloud(endpoint, "evil.example", azure);
            assert!(cloud.has(&evil) && !cloud.is_made_for(&evil), "{endpoint}");
            assert!(cloud.has_known_login());
        }
        let own = cloud("https://vault.own.example", ".own.example", azure);
        assert!(own.is_made_for(&url("https://shop.vault.own.example")));
        assert!(!own.is_made_for(&url("https://shop.own.example")));
        for login in [
            "https://evil.example",
            "https://login.microsoftonline.com.evil.example",
            "http://login.microsoftonline.com",
        ] {
            assert!(!cloud("", "", login).has_known_login(), "{login}");
        }
        for built_in in [
            Cloud::public(),
            Cloud::us_government(),
            Cloud::china(),
            Cloud::german(),
        ] {
            assert!(built_in.has_known_login(), "{}", built_in.login);
        }
    }

    #[test]
    fn only_errors_of_the_vault_count() {
        let call = Call::get(url("https://v.vault.azure.net"), "read x", "secrets/get");
        let refusal = |status, text: &str| {
            AzureErrors.refusal(status, Json::parse(text.as_bytes()).unwrap(), &call)
        };
        let text = r#"{"error": {"code": "Forbidden", "message": "no\r\nCaller: appid=x",
            "innererror": {"code": "ForbiddenByPolicy"}}}"#;
        let denied = refusal(403, text).unwrap();
        assert_eq!(denied.error.trouble(), Trouble::Forbidden);
        assert_eq!(denied.error.reason(), "Forbidden (ForbiddenByPolicy): no");
        assert_eq!(denied.error.permission(), Some("secrets/get"));
        assert!(refusal(404, r#"{"message": "x", "code": 5}"#).is_none());
        assert!(refusal(404, r#"{"error": "x"}"#).is_none());
    }
}
