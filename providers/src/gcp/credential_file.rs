//! Files of credentials as Google writes them: keys of service accounts, users of `gcloud`, external identities, and
//! service accounts that one of these acts as.

use sealwright_crypto::secret::SecretBytes;

use super::Source;
use super::account::{AuthorizedUser, Impersonated, ServiceAccount};
use super::address::{https, impersonation_of, impersonation_url, token_service_of};
use super::origin::Origin;
use super::workload::{Federated, subject_of};
use crate::bearer::assertion::Signer;
use crate::json::{Json, Kind};
use crate::message::name_in;
use crate::outcome::{StoreError, shown};

/// Where credentials of a user are exchanged for tokens.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// Reads a file of credentials; `name` says which, for errors.
pub(super) fn read(text: &SecretBytes, name: &str, origin: &Origin) -> Result<Source, StoreError> {
    let json = Json::parse(text.expose()).ok();
    let json = json.filter(|json| json.kind() == Kind::Object);
    let json = json.ok_or_else(|| {
        StoreError::invalid(format!("`{name}` is no file of credentials (JSON)")).public()
    })?;
    of_object(json, name, origin, 2)
}

fn of_object(json: Json<'_>, name: &str, origin: &Origin, depth: u8) -> Result<Source, StoreError> {
    let wrong = |what: &str| {
        StoreError::invalid(format!("`{name}` is a file of credentials {what}")).public()
    };
    let text = |member: &'static str| {
        name_in(json, member).ok_or_else(|| wrong(&format!("without `{member}`")))
    };
    let secret = |member: &'static str| {
        let text = json.member(member).and_then(Json::string);
        text.filter(|text| !text.expose().is_empty())
            .ok_or_else(|| wrong(&format!("without `{member}`")))
    };
    let kind = text("type")?;
    match kind.as_str() {
        "service_account" => {
            let token_url = name_in(json, "token_uri");
            let token_url = https(token_url.as_deref().unwrap_or(TOKEN_URL), "token_uri")?;
            let key = secret("private_key")?;
            let signer = Signer::from_pem(key.expose().as_bytes());
            Ok(Box::new(ServiceAccount {
                email: text("client_email")?,
                key_id: name_in(json, "private_key_id"),
                signer: signer.ok_or_else(|| wrong("whose `private_key` is no RSA key in PEM"))?,
                token_url,
                http: origin.http(),
            }))
        }
        "authorized_user" => Ok(Box::new(AuthorizedUser {
            client_id: text("client_id")?,
            client_secret: secret("client_secret")?,
            refresh_token: secret("refresh_token")?,
            quota_project: name_in(json, "quota_project_id"),
            token_url: https(TOKEN_URL, "token_uri")?,
            http: origin.http(),
        })),
        "external_account" => external_account(json, origin, &Instead::default()),
        "impersonated_service_account" if depth > 0 => {
            let url = text("service_account_impersonation_url")?;
            let url = impersonation_of(&url, "service_account_impersonation_url")?;
            let base = json.member("source_credentials");
            let base = base.ok_or_else(|| wrong("without `source_credentials`"))?;
            let delegates = json.member("delegates").into_iter();
            Ok(Box::new(Impersonated {
                base: of_object(base, name, origin, depth - 1)?,
                url,
                delegates: delegates
                    .flat_map(Json::elements)
                    .filter_map(|name| Some(name.string()?.expose().to_owned()))
                    .collect(),
                lifetime: 3600,
                http: origin.http(),
            }))
        }
        _ => Err(wrong(&format!(
            "of the type {}, which this program does not know",
            shown(&kind)
        ))),
    }
}

/// What a store says in the place of a file of external credentials; empty texts say nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct Instead<'a> {
    /// The provider of the pool.
    pub(super) audience: Option<&'a str>,
    /// What kind of token the pool is given, where the file does not say so.
    pub(super) subject_type: Option<&'a str>,
    /// The service account of Google that is impersonated.
    pub(super) email: Option<&'a str>,
}

/// An identity of somewhere else, as `gcloud iam workload-identity-pools create-cred-config` writes it.
pub(super) fn external_account(
    json: Json<'_>,
    origin: &Origin,
    instead: &Instead<'_>,
) -> Result<Source, StoreError> {
    let said = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let text = |member: &'static str| {
        name_in(json, member).ok_or_else(|| {
            StoreError::invalid(format!("the external credentials have no `{member}`")).public()
        })
    };
    let source = json.member("credential_source").ok_or_else(|| {
        StoreError::invalid("the external credentials have no `credential_source`").public()
    })?;
    let audience = said(instead.audience).map_or_else(|| text("audience"), Ok)?;
    let subject_type = match (text("subject_token_type"), said(instead.subject_type)) {
        (Err(_), Some(other)) => other,
        (named, _) => named?,
    };
    let token_url = name_in(json, "token_url").unwrap_or_else(|| {
        let universe = name_in(json, "universe_domain");
        let universe = universe.as_deref().unwrap_or("googleapis.com");
        format!("https://sts.{universe}/v1/token")
    });
    let federated = Federated {
        audience,
        subject_type,
        subject: subject_of(source, origin)?,
        token_url: token_service_of(&token_url)?,
        http: origin.http(),
    };
    let url = match said(instead.email) {
        Some(email) => impersonation_url(&email)?,
        None => match name_in(json, "service_account_impersonation_url") {
            Some(url) => impersonation_of(&url, "service_account_impersonation_url")?,
            None => return Ok(Box::new(federated)),
        },
    };
    let options = json.member("service_account_impersonation");
    let lifetime = options.and_then(|options| options.member("token_lifetime_seconds")?.integer());
    Ok(Box::new(Impersonated {
        base: Box::new(federated),
        url,
        delegates: Vec::new(),
        lifetime: lifetime
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(3600, |seconds| seconds.clamp(600, 43_200)),
        http: origin.http(),
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::http::{HttpClient, HttpSettings};

    fn refused(text: &str) -> String {
        let http = Arc::new(HttpClient::new(HttpSettings::default()).unwrap());
        let origin = Origin::Store { http };
        match read(&SecretBytes::copy_of(text.as_bytes()), "x", &origin) {
            Ok(_) => panic!("{text} is refused"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_a_store_may_not_name_is_refused() {
        let external = |source: &str, more: &str| {
            format!(
                r#"{{"type": "external_account", "audience": "//iam.googleapis.com/x",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": "https://sts.googleapis.com/v1/token", {more} "credential_source": {source}}}"#
            )
        };
        let file = refused(&external(r#"{"file": "/etc/passwd"}"#, ""));
        assert!(file.contains("may not read files"), "{file}");
        let run = refused(&external(r#"{"executable": {"command": "id"}}"#, ""));
        assert!(run.contains("executable"), "{run}");
        for url in [
            "https://sts.googleapis.com.evil.example/v1/token",
            "https://evil.example/sts.googleapis.com/v1/token",
            "http://sts.googleapis.com/v1/token",
            "https://sts.googleapis.com/v1/other",
            "https://storage.googleapis.com/v1/token",
        ] {
            let text = external(r#"{"url": "https://x"}"#, "")
                .replace("https://sts.googleapis.com/v1/token", url);
            assert!(refused(&text).contains("token_url"), "{url}");
        }
        let acting = external(
            r#"{"url": "https://x"}"#,
            r#""service_account_impersonation_url": "https://evil.example/x:generateAccessToken","#,
        );
        assert!(refused(&acting).contains("service_account_impersonation_url"));
    }

    #[test]
    fn what_a_store_says_stands_in_the_place_of_its_file() {
        let http = Arc::new(HttpClient::new(HttpSettings::default()).unwrap());
        let origin = Origin::Store { http };
        let principal = |more: &str, instead: &Instead<'_>| {
            let text = format!(
                r#"{{"type": "external_account", "credential_source": {{"url": "https://x"}} {more}}}"#
            );
            let json = Json::parse(text.as_bytes()).unwrap();
            match external_account(json, &origin, instead) {
                Ok(source) => source.principal(),
                Err(error) => error.to_string(),
            }
        };
        let instead = Instead {
            audience: Some("of-the-store"),
            subject_type: Some("urn:ietf:params:oauth:token-type:jwt"),
            email: Some("store@p.iam.gserviceaccount.com"),
        };
        let of_file = r#", "audience": "of-the-file", "service_account_impersonation_url":
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/file@p.iam.gserviceaccount.com:generateAccessToken""#;
        let both = principal(of_file, &instead);
        assert!(
            both.contains("store@p") && !both.contains("file@p"),
            "{both}"
        );
        let without = |email| Instead { email, ..instead };
        assert!(principal(of_file, &without(Some(""))).contains("file@p"));
        let plain = principal(r#", "audience": "of-the-file""#, &without(None));
        assert_eq!(plain, "an identity of of-the-store");
        let elsewhere = principal(r#", "universe_domain": "evil.example""#, &without(None));
        assert!(elsewhere.contains("token_url"), "{elsewhere}");
        // A file of one's own says everything itself, but for Google's address.
        for (missing, more) in [
            ("audience", ""),
            ("subject_token_type", r#", "audience": "of-the-file""#),
        ] {
            let told = principal(more, &Instead::default());
            assert!(told.contains(missing), "{told}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_told_without_its_text() {
        for text in [
            "canary",
            r#"{"type": "canary-type-is-shown"}"#,
            r#"{"type": "service_account", "client_email": "a@b", "private_key": "canary"}"#,
            r#"{"type": "authorized_user", "client_id": "canary"}"#,
        ] {
            let error = refused(text);
            assert!(
                !error.replace("canary-type", "").contains("canary"),
                "{error}"
            );
        }
    }
}
