//! Doppler: the secrets of one config.

mod sign_in;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use http::Method;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde_json::json;

use crate::bearer::token::AccessToken;
use crate::bearer::{Call, Dialect, Expects, Refusal, Rest};
use crate::credential::{Need, Scope};
use crate::http::tls::{TlsSettings, Verification};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits, secret_header};
use crate::json::{self, Json, Kind, object_of_texts};
use crate::message::Body;
use crate::outcome::{Answer, Outcome, StoreError, Trouble, shown};
use crate::remote::{Find, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::doppler::{DopplerFormat, DopplerNames, DopplerSettings};
use crate::store::{
    Capabilities, Connection, Content, Deleted, Inspection, Match, Payload, Pushed, ReadKey, Store,
    Validation, WriteMode,
};

/// Where Doppler is, unless `DOPPLER_BASE_URL` says otherwise.
const ADDRESS: &str = "https://api.doppler.com";
/// How many secrets one call reads.
const BATCH: usize = 50;
/// The name of the file that all secrets make.
const FILE: &str = "DOPPLER_SECRETS_FILE";
const READ: &str = "read access to the config";
const WRITE: &str = "write access to the config";

/// One config of Doppler as a store.
pub(crate) struct Doppler {
    rest: Rest,
    base: Url,
    project: Option<String>,
    config: Option<String>,
    names: Option<DopplerNames>,
    format: Option<DopplerFormat>,
    scope: Scope,
    depends_on_consumer: bool,
}

/// How Doppler refuses: `{"messages": ["Invalid Service token"], "success": false}`.
struct DopplerErrors;

impl Dialect for DopplerErrors {
    /// The token is a user without a password, as upstream sends it.
    fn header(&self, token: &AccessToken) -> Result<(HeaderName, HeaderValue), StoreError> {
        // One that no header can carry by itself is told as such, and not by Doppler.
        token.header()?;
        let mut user = SecretWriter::with_capacity(token.expose().len() + 1);
        user.push(token.expose().as_bytes());
        user.push_byte(b':');
        let user = user.finish();
        let mut text = SecretWriter::default();
        text.push(b"Basic ");
        let place = text.extend_zeroed(user.len().div_ceil(3) * 4);
        STANDARD
            .encode_slice(user.expose(), place)
            .expect("the place is of that size");
        Ok((AUTHORIZATION, secret_header(text.finish())?))
    }

    fn refusal(&self, status: u16, body: Json<'_>, call: &Call<'_>) -> Option<Refusal> {
        let messages = body.member("messages")?;
        if messages.kind() != Kind::Array || body.member("success").is_none_or(Json::is_true) {
            return None;
        }
        let first = messages.elements().find_map(Json::string);
        let text = first.map(|text| text.expose().to_owned());
        let text = text.unwrap_or_default();
        let trouble = match status {
            401 => Trouble::Unauthenticated,
            403 => Trouble::Forbidden,
            404 => Trouble::Missing,
            409 => Trouble::Conflict,
            429 => Trouble::Throttled { retry_after: None },
            500.. => Trouble::Unavailable,
            _ => Trouble::Invalid,
        };
        // The text about a request that carries a secret may repeat it.
        let reason = match call.carries_secret || text.is_empty() {
            true => format!("Doppler refused with HTTP status {status}"),
            false => shown(&text),
        };
        let mut error = StoreError::new(trouble, reason);
        if trouble == Trouble::Forbidden {
            let hint = format!("give the token {} in Doppler", call.permission);
            error = error.lacking(call.permission).with_hint(hint);
        }
        Some(Refusal {
            code: status.to_string(),
            message: text,
            error,
        })
    }
}

impl Doppler {
    pub(crate) fn new(
        settings: &DopplerSettings,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        // As upstream has it, the program's environment can name another address for all stores.
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let address = variable("DOPPLER_BASE_URL").unwrap_or_else(|| ADDRESS.to_owned());
        let address = match address.contains("://") {
            true => address,
            false => format!("https://{address}"),
        };
        let base = Url::parse(&address).map_err(|error| error.at_field("DOPPLER_BASE_URL"))?;
        let skipped = variable("DOPPLER_VERIFY_TLS").is_some_and(|text| is_false(&text));
        let verification = match skipped {
            true => Verification::Skipped,
            false => Verification::Full,
        };
        let http = Arc::new(HttpClient::new(HttpSettings {
            tls: TlsSettings {
                verification,
                ..TlsSettings::default()
            },
            guard: connection.guard,
            limits: Limits::within(connection.timeout),
            ..HttpSettings::default()
        })?);
        let tokens = sign_in::of_store(settings, connection, &http, &base);
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (project, config) = (text(&settings.project), text(&settings.config));
        let describe = match (&project, &config) {
            (Some(project), Some(config)) => {
                format!("Doppler config {} of {}", shown(config), shown(project))
            }
            _ => format!("Doppler at {base}"),
        };
        let needs = settings.needs().finish();
        Ok(Self {
            rest: Rest::new(http, Arc::new(tokens), &DopplerErrors, describe),
            base: base.with_segments(["v3"]),
            project,
            config,
            names: settings.name_transformer,
            format: settings.format,
            scope: connection.scope.clone(),
            depends_on_consumer: needs.iter().any(Need::depends_on_consumer),
        })
    }

    /// Which config is meant, and what else a query says.
    fn url(&self, path: &[&str], more: &[(&str, &str)]) -> Url {
        let config = [("project", &self.project), ("config", &self.config)];
        let config = config.iter().filter_map(|(name, value)| {
            let value = value.as_deref()?;
            Some((*name, value))
        });
        let pairs: Vec<_> = config.chain(more.iter().copied()).collect();
        self.base
            .with_segments(path.iter().copied())
            .with_query(pairs)
    }

    /// Reads the secrets of these names; those that are not there are left out.
    async fn download(&self, names: &str, what: &str) -> Result<SecretMap, StoreError> {
        let url = self.url(&DOWNLOAD, &[("format", "json"), ("secrets", names)]);
        let reply = self.rest.call(Call::get(url, what, READ)).await?;
        self.values_in(reply.json(), what)
    }

    fn values_in(&self, object: Json<'_>, what: &str) -> Result<SecretMap, StoreError> {
        let mut values = SecretMap::new();
        for (name, value) in object.members() {
            let Some(value) = value.string() else {
                let reason = format!("the value of {} is no text", shown(name.expose()));
                return Err(StoreError::new(Trouble::Malformed, reason)
                    .while_trying(what)
                    .at_store(self.rest.describe()));
            };
            values.insert(name.expose().to_owned(), value.into());
        }
        Ok(values)
    }

    fn found(&self, key: &ReadKey, value: Option<SecretBytes>) -> Outcome<Payload> {
        match value {
            Some(value) => Ok(Answer::Found(Payload::whole(value))),
            // Upstream takes this for an error, so nothing is deleted for it.
            None => Err(StoreError::new(
                Trouble::Missing,
                format!("there is no secret {} in the config", shown(&key.key)),
            )
            .public()
            .while_trying(reading(&key.key))
            .at_store(self.rest.describe())),
        }
    }

    async fn read_one(&self, key: &ReadKey) -> Outcome<Payload> {
        let mut values = self.download(&key.key, &reading(&key.key)).await?;
        self.found(key, values.remove(&key.key))
    }

    async fn read_batch(&self, keys: &[ReadKey]) -> Vec<Outcome<Payload>> {
        let names: Vec<&str> = keys.iter().map(|key| key.key.as_str()).collect();
        let what = format!("read {} secrets", keys.len());
        let error = match self.download(&names.join(","), &what).await {
            Ok(values) => {
                let each = keys.iter();
                let value = |key: &ReadKey| values.get(&key.key).map(copy);
                return each.map(|key| self.found(key, value(key))).collect();
            }
            Err(error) => error,
        };
        // One name that the service does not take must not spoil the others.
        let of_one = matches!(error.trouble(), Trouble::Missing | Trouble::Invalid);
        let mut outcomes = Vec::with_capacity(keys.len());
        for key in keys {
            outcomes.push(match of_one && keys.len() > 1 {
                true => self.read_one(key).await,
                false => Err(error.clone()),
            });
        }
        outcomes
    }

    async fn all(&self) -> Result<SecretMap, StoreError> {
        let what = "read all secrets";
        let mut query = Vec::new();
        if let Some(names) = self.names {
            query.push(("name_transformer", names.name()));
        }
        let Some(format) = self.format else {
            let url = self.url(&DOWNLOAD, &query);
            let reply = self.rest.call(Call::get(url, what, READ)).await?;
            return self.values_in(reply.json(), what);
        };
        query.push(("format", format.name()));
        let call = Call::get(self.url(&DOWNLOAD, &query), what, READ);
        let reply = self.rest.call(call.expecting(Expects::File)).await?;
        Ok(BTreeMap::from([(FILE.to_owned(), reply.into_bytes())]))
    }

    async fn names(&self) -> Result<Vec<String>, StoreError> {
        let url = self.url(&["configs", "config", "secrets", "names"], &[]);
        let reply = self.rest.call(Call::get(url, "list names", READ)).await?;
        let names = reply.json().member("names");
        let names = names.into_iter().flat_map(Json::elements);
        Ok(names
            .filter_map(|name| Some(name.string()?.expose().to_owned()))
            .collect())
    }

    /// What is there under the key of a push.
    async fn there(&self, item: &PushItem) -> Result<Option<SecretBytes>, StoreError> {
        let key = self.key_of(&item.remote_key)?;
        Ok(self.download(key, &reading(key)).await?.remove(key))
    }

    /// A name, as lists of names can hold it.
    fn key_of<'a>(&self, key: &'a str) -> Result<&'a str, StoreError> {
        match key.is_empty() || key.contains(',') || key.chars().any(char::is_control) {
            false => Ok(key),
            true => Err(
                StoreError::invalid(format!("{:?} is no name of a secret", shown(key)))
                    .public()
                    .at_store(self.rest.describe()),
            ),
        }
    }

    async fn write(&self, body: Body, what: &str) -> Result<(), StoreError> {
        let mut body = body;
        for (name, value) in [("project", &self.project), ("config", &self.config)] {
            body = body.optional(name, value.as_deref());
        }
        let body = body.finish();
        let url = self.base.with_segments(["configs", "config", "secrets"]);
        let call = Call::of(Method::POST, url, what, WRITE).with(&body);
        self.rest.call(call).await?;
        Ok(())
    }

    async fn push_item(
        &self,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let value = source.value(item)?;
        let there = self.there(item).await?;
        let outcome = match &there {
            Some(there) if there.expose() == value.expose() => return Ok(Pushed::Unchanged),
            Some(_) => Pushed::Updated,
            None => Pushed::Created,
        };
        if std::str::from_utf8(value.expose()).is_err() {
            let text = "the value is not valid UTF-8, and Doppler stores only text";
            return Err(StoreError::invalid(text).public());
        }
        if mode == WriteMode::Apply {
            let secrets = BTreeMap::from([(item.remote_key.clone(), value)]);
            let body = Body::new().secret_json("secrets", object_of_texts(&secrets)?.expose());
            self.write(body, "set the secret").await?;
        }
        Ok(outcome)
    }

    async fn delete_item(&self, item: &PushItem, mode: WriteMode) -> Result<Deleted, StoreError> {
        if self.there(item).await?.is_none() {
            return Ok(Deleted::Nothing);
        }
        if mode == WriteMode::Apply {
            let name = &item.remote_key;
            let change =
                json!([{"name": name, "originalName": name, "value": null, "shouldDelete": true}]);
            let body = Body::new().value("change_requests", &change);
            self.write(body, "delete the secret").await?;
        }
        Ok(Deleted::Key)
    }
}

const DOWNLOAD: [&str; 4] = ["configs", "config", "secrets", "download"];

fn copy(value: &SecretBytes) -> SecretBytes {
    SecretBytes::copy_of(value.expose())
}

fn reading(key: &str) -> String {
    format!("read {}", shown(key))
}

/// What Go takes for false.
fn is_false(text: &str) -> bool {
    matches!(text, "0" | "f" | "F" | "false" | "FALSE" | "False")
}

impl Store for Doppler {
    fn describe(&self) -> &str {
        self.rest.describe()
    }

    fn capabilities(&self) -> Capabilities {
        // It can be written, and upstream says this.
        Capabilities::ReadOnly
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        let key = self.key_of(&at.key)?;
        Ok(ReadKey::value(key, None))
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(self.read_one(key))
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn read_many<'a>(&'a self, keys: &'a [ReadKey]) -> BoxFuture<'a, Vec<Outcome<Payload>>> {
        Box::pin(self.read_batch(keys))
    }

    fn value(&self, _: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        // Properties are ignored, as upstream has it.
        Ok(Answer::Found(SecretBytes::copy_of(payload.bytes())))
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        json::map_at(payload.bytes(), &at.key, self.rest.describe())
    }

    fn list<'a>(&'a self, what: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        Box::pin(async move {
            let path = what.path.as_deref().unwrap_or_default();
            let wanted = |name: &str| {
                let matches = what.name.as_ref().is_none_or(|wanted| wanted.matches(name));
                matches && name.starts_with(path)
            };
            let all = self.all().await?.into_iter();
            let found = all.filter(|(name, _)| wanted(name));
            let found = found.map(|(name, value)| Match {
                name,
                content: Content::Here(value),
            });
            Ok(Answer::Found(found.collect()))
        })
    }

    fn push<'a>(
        &'a self,
        source: &'a PushSource,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Pushed, StoreError>> {
        let push = self.push_item(source, item, mode);
        self.rest.writing("push to", &item.remote_key, push)
    }

    fn delete<'a>(
        &'a self,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        let delete = self.delete_item(item, mode);
        self.rest.writing("delete", &item.remote_key, delete)
    }

    fn exists<'a>(&'a self, item: &'a PushItem) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.there(item).await?.is_some()) })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async move {
            if self.depends_on_consumer && self.scope.is_unbound() {
                return Ok(Validation::Unknown);
            }
            let url = self.base.with_segments(["projects"]);
            let url = url.with_query([("per_page", "1")]);
            let call = Call::get(url, "list projects", "read access to a project");
            self.rest.call(call).await?;
            Ok(Validation::Ready)
        })
    }

    fn inspect<'a>(&'a self, at: Option<&'a RemoteRef>) -> BoxFuture<'a, Inspection> {
        Box::pin(self.rest.inspect(self, at))
    }

    fn neighbours<'a>(&'a self, _: &'a RemoteRef) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async { self.names().await.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::secret::SecretText;

    use super::*;

    #[test]
    fn a_token_is_a_user_without_a_password() {
        let header = |token: &str| {
            let token = AccessToken::new(SecretText::copy_of(token), None);
            DopplerErrors.header(&token)
        };
        let (name, value) = header("dp.st.x").unwrap();
        assert_eq!(name, AUTHORIZATION);
        assert_eq!(value, "Basic ZHAuc3QueDo=");
        assert!(value.is_sensitive());
        let error = header("dp.st.x\n").unwrap_err();
        assert_eq!(error.hint(), Some("remove the line break at its end"));
    }

    #[test]
    fn only_refusals_of_doppler_count() {
        let url = Url::parse(ADDRESS).unwrap();
        let refusal = |carries_secret, text: &str| {
            let call = Call {
                carries_secret,
                ..Call::get(url.clone(), "read x", READ)
            };
            DopplerErrors.refusal(403, Json::parse(text.as_bytes()).unwrap(), &call)
        };
        let text = r#"{"messages": ["no access to canary"], "success": false}"#;
        let told = refusal(false, text).unwrap();
        assert_eq!(told.error.trouble(), Trouble::Forbidden);
        assert_eq!(told.error.permission(), Some(READ));
        assert_eq!(told.error.reason(), "no access to canary");
        let hidden = refusal(true, text).unwrap().error;
        assert!(!hidden.to_string().contains("canary"), "{hidden}");
        for foreign in [
            r#"{"messages": "no", "success": false}"#,
            r#"{"messages": []}"#,
            r#"{"messages": [], "success": true}"#,
        ] {
            assert!(refusal(false, foreign).is_none(), "{foreign}");
        }
    }
}
