//! Variables of CI/CD in GitLab: of a project, and of its groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use http::header::{HeaderName, HeaderValue};
use sealwright_crypto::secret::SecretBytes;

use crate::bearer::token::{AccessToken, OfSecret, Tokens};
use crate::bearer::{Call, CallError, Dialect, Refusal, Rest};
use crate::credential::Scope;
use crate::http::tls::TlsSettings;
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits, secret_header};
use crate::json::{self, Json, Kind};
use crate::listing::Listing;
use crate::message::name_in;
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble, shown};
use crate::remote::{Find, NamePattern, RemoteRef, SecretMap};
use crate::settings::gitlab::{GitlabSettings, TOKEN_FIELD};
use crate::store::{
    Capabilities, Connection, Content, Inspection, Match, Payload, ReadKey, Store, Validation,
};

/// How many entries a page of a listing has; GitLab gives no more.
const PAGE: usize = 100;
/// How many pages all lists of a search may have: of a group at most 300 come.
const MOST_PAGES: usize = 2_000;
/// The scope of a variable that is for every environment.
const EVERYWHERE: &str = "*";

/// GitLab as a store. It is only read, as upstream has it.
pub(crate) struct Gitlab {
    rest: Rest,
    base: Url,
    project: Option<String>,
    groups: Vec<String>,
    inherits: bool,
    environment: Option<String>,
    scope: Scope,
    depends_on_consumer: bool,
}

/// How GitLab refuses: `{"message": "404 Variable Not Found"}`.
struct GitlabErrors;

impl Dialect for GitlabErrors {
    fn lists(&self) -> bool {
        true
    }

    fn header(&self, token: &AccessToken) -> Result<(HeaderName, HeaderValue), StoreError> {
        let value = SecretBytes::copy_of(token.expose().as_bytes());
        Ok((
            HeaderName::from_static("private-token"),
            secret_header(value)?,
        ))
    }

    fn refusal(&self, status: u16, body: Json<'_>, call: &Call<'_>) -> Option<Refusal> {
        let text = name_in(body, "message").or_else(|| name_in(body, "error"))?;
        // GitLab writes the status in front; a proxy's page does not.
        let trouble = match status {
            401 => Trouble::Unauthenticated,
            403 => Trouble::Forbidden,
            404 if text.starts_with("404 ") => Trouble::Missing,
            404 => return None,
            409 => Trouble::Conflict,
            429 => Trouble::Throttled { retry_after: None },
            500.. => Trouble::Unavailable,
            _ => Trouble::Invalid,
        };
        let mut error = StoreError::new(trouble, shown(&text));
        if trouble == Trouble::Forbidden {
            error = error
                .lacking(call.permission)
                .with_hint("give the token the scope read_api and the role Maintainer");
        }
        if trouble == Trouble::Conflict {
            error = error.with_hint("set `environment`: there are several variables of that name");
        }
        Some(Refusal {
            code: text.clone(),
            message: text,
            error,
        })
    }
}

impl Gitlab {
    pub(crate) async fn new(
        settings: &GitlabSettings,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let url = text(&settings.url).unwrap_or_else(|| "https://gitlab.com/".to_owned());
        let base = Url::parse(&url).map_err(|error| error.at_field("url"))?;
        let authorities = crate::vault::authorities(
            connection,
            settings.ca_bundle.as_deref(),
            settings.ca_provider.as_ref(),
        )
        .await?;
        let http = Arc::new(HttpClient::new(HttpSettings {
            tls: TlsSettings {
                authorities,
                ..TlsSettings::default()
            },
            guard: connection.guard,
            limits: Limits::within(connection.timeout),
            ..HttpSettings::default()
        })?);
        let token = OfSecret {
            credentials: Arc::clone(&connection.credentials),
            scope: connection.scope.clone(),
            at: settings.auth.secret_ref.access_token.clone(),
            field: TOKEN_FIELD,
        };
        let tokens = Arc::new(Tokens::new(Box::new(token)));
        let describe = format!("GitLab at {base}");
        let needs = settings.needs().finish();
        Ok(Self {
            rest: Rest::new(http, tokens, &GitlabErrors, describe),
            base: base.with_segments(["api", "v4"]),
            project: text(&settings.project_id),
            groups: settings.group_ids.clone(),
            inherits: settings.inherit_from_groups == Some(true),
            environment: text(&settings.environment),
            scope: connection.scope.clone(),
            depends_on_consumer: needs
                .iter()
                .any(crate::credential::Need::depends_on_consumer),
        })
    }

    /// Where the variables of the project are, if the store has one.
    fn of_project(&self) -> Option<Url> {
        let project = self.project.as_ref()?;
        Some(self.base.with_segments(["projects", project, "variables"]))
    }

    /// Where the variables of groups are, the farthest first: as the store lists them, or those of the project by the length
    /// of their paths.
    async fn of_groups(&self, listing: &mut Listing) -> Result<Vec<Url>, StoreError> {
        let of_group = |id: &str| self.base.with_segments(["groups", id, "variables"]);
        let project = self.project.as_ref().filter(|_| self.inherits);
        let Some(project) = project else {
            return Ok(self.groups.iter().map(|id| of_group(id)).collect());
        };
        let url = self.base.with_segments(["projects", project, "groups"]);
        let mut found = Vec::new();
        let what = "list the groups of the project";
        self.pages(&url, what, listing, |group, listing| {
            let id = group.member("id").and_then(Json::integer);
            let path = name_in(group, "full_path").unwrap_or_default();
            if let Some(id) = id.map(|id| id.to_string()) {
                listing.name(&id)?;
                found.push((path.len(), id));
            }
            Ok(())
        })
        .await?;
        // GitLab promises no order.
        found.sort_by_key(|(length, _)| *length);
        Ok(found.iter().map(|(_, id)| of_group(id)).collect())
    }

    async fn pages(
        &self,
        url: &Url,
        what: &str,
        listing: &mut Listing,
        mut each: impl FnMut(Json<'_>, &mut Listing) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let placed = |error: StoreError| error.while_trying(what).at_store(self.rest.describe());
        for page in 1_usize.. {
            listing.page().map_err(placed)?;
            let (number, size) = (page.to_string(), PAGE.to_string());
            let url = url.with_query([("per_page", &*size), ("page", &*number)]);
            let reply = self.rest.call(Call::get(url, what, "read_api")).await?;
            listing.answer(reply.json().raw().len()).map_err(placed)?;
            if reply.json().kind() != Kind::Array {
                return Err(self.malformed("the answer is no list", what));
            }
            let mut count = 0;
            for entry in reply.json().elements() {
                count += 1;
                each(entry, listing).map_err(placed)?;
            }
            if count < PAGE {
                break;
            }
        }
        Ok(())
    }

    fn malformed(&self, text: &str, what: &str) -> StoreError {
        StoreError::new(Trouble::Malformed, text.to_owned())
            .while_trying(what)
            .at_store(self.rest.describe())
    }

    async fn variable(&self, key: &str) -> Result<SecretBytes, StoreError> {
        let what = format!("read the variable {}", shown(key));
        let mut missing = None;
        if let Some(project) = self.of_project() {
            match self.variable_at(&project, key, &what).await? {
                Ok(value) => return Ok(value),
                Err(error) => missing = Some(error),
            }
        }
        // The groups are asked only for what the project does not have.
        let mut listing = Listing::of_pages(MOST_PAGES);
        for group in self.of_groups(&mut listing).await?.iter().rev() {
            match self.variable_at(group, key, &what).await? {
                Ok(value) => return Ok(value),
                Err(error) => missing = missing.or(Some(error)),
            }
        }
        Err(missing.unwrap_or_else(|| self.malformed("there is no place to look", &what)))
    }

    /// Reads a variable at one place, or says that it is not there.
    async fn variable_at(
        &self,
        place: &Url,
        key: &str,
        what: &str,
    ) -> Result<Result<SecretBytes, StoreError>, StoreError> {
        let scopes = match self.environment.as_deref() {
            None => vec![None],
            Some(EVERYWHERE) => vec![Some(EVERYWHERE)],
            Some(environment) => vec![Some(environment), Some(EVERYWHERE)],
        };
        let mut missing = self.malformed("there is no place to look", what);
        for scope in scopes {
            let url = place.with_segments([key]);
            let url = url.with_query(scope.map(|it| ("filter[environment_scope]", it)));
            match self.rest.call(Call::get(url, what, "read_api")).await {
                Ok(reply) => return self.value_of(reply.json(), what).map(Ok),
                Err(error) if is_missing(&error) => missing = error.error,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Err(missing))
    }

    fn value_of(&self, variable: Json<'_>, what: &str) -> Result<SecretBytes, StoreError> {
        let value = variable.member("value").and_then(Json::string);
        let value = value.ok_or_else(|| self.malformed("the answer has no `value`", what))?;
        match value.expose().is_empty() {
            false => Ok(value.into()),
            true => Err(StoreError::new(Trouble::Missing, "the variable is empty")
                .public()
                .while_trying(what)
                .at_store(self.rest.describe())),
        }
    }

    async fn list_matches(&self, what: &Find) -> Result<Vec<Match>, StoreError> {
        let invalid = |text: &str| {
            Err(StoreError::invalid(text.to_owned())
                .public()
                .at_store(self.rest.describe()))
        };
        if what.path.as_deref().is_some_and(|path| !path.is_empty()) {
            return invalid("`find.path` is not supported for GitLab");
        }
        let Some(wanted) = &what.name else {
            return invalid("`find.name` is required for GitLab");
        };
        let narrow = |scope: &&str| !scope.is_empty() && *scope != EVERYWHERE;
        let mut environment = self.environment.as_deref().filter(narrow);
        for (tag, value) in what.tags.iter().flatten() {
            if tag != "environment_scope" {
                return invalid("`find.tags` of GitLab may hold environment_scope only");
            }
            let wanted = Some(value.as_str()).filter(narrow);
            // Who may use the store may not leave the environment that it is for.
            if environment.is_some() && wanted.is_some() {
                return invalid("'find.tags' is constrained by 'environment_scope' of the store");
            }
            environment = environment.or(wanted);
        }
        let mut found: BTreeMap<String, SecretBytes> = BTreeMap::new();
        // One bound for all places together: the server says how many groups there are.
        let mut listing = Listing::of_pages(MOST_PAGES);
        let meant = (wanted, environment);
        for group in self.of_groups(&mut listing).await? {
            self.matching(&group, meant, &mut listing, |key, everywhere, value| {
                // What is for one environment wins; else the first of the groups does.
                if !everywhere || !found.contains_key(&key) {
                    found.insert(key, value);
                }
            })
            .await?;
        }
        if let Some(project) = self.of_project() {
            let mut exact = BTreeSet::new();
            self.matching(&project, meant, &mut listing, |key, everywhere, value| {
                if !everywhere {
                    exact.insert(key.clone());
                } else if exact.contains(&key) {
                    return;
                }
                found.insert(key, value);
            })
            .await?;
        }
        let found = found.into_iter();
        Ok(found
            .map(|(name, value)| Match {
                name,
                content: Content::Here(value),
            })
            .collect())
    }

    /// Lists the variables of a place that match by their names and are for the environment, or for everything: without an
    /// environment all of them are.
    async fn matching(
        &self,
        place: &Url,
        (wanted, environment): (&NamePattern, Option<&str>),
        listing: &mut Listing,
        mut each: impl FnMut(String, bool, SecretBytes),
    ) -> Result<(), StoreError> {
        self.pages(place, "list variables", listing, |variable, listing| {
            let key = name_in(variable, "key").unwrap_or_default();
            let scope = name_in(variable, "environment_scope");
            let scope = scope.as_deref().unwrap_or(EVERYWHERE);
            let everywhere = scope == EVERYWHERE;
            let counts = everywhere || environment.is_none_or(|environment| environment == scope);
            if counts && !key.is_empty() && wanted.matches(&key) {
                let value = variable.member("value").and_then(Json::string);
                let value: SecretBytes = value.unwrap_or_default().into();
                listing.taken(key.len() + value.len())?;
                each(key, everywhere, value);
            }
            Ok(())
        })
        .await
    }
}

fn is_missing(error: &CallError) -> bool {
    error.error.trouble() == Trouble::Missing && error.code.is_some()
}

impl Store for Gitlab {
    fn describe(&self) -> &str {
        self.rest.describe()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadOnly
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        // Variables have no dashes in their names.
        let key = at.key.replace('-', "_");
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        match !key.is_empty() && key.bytes().all(valid) {
            true => Ok(ReadKey::value(key, None)),
            false => Err(StoreError::invalid(format!(
                "{:?} is no name of a variable",
                shown(&at.key)
            ))
            .public()
            .at_store(self.rest.describe())),
        }
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(async move {
            let value = self.variable(&key.key).await?;
            Ok(Answer::Found(Payload::whole(value)))
        })
    }

    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        let Some(property) = at.wanted_property() else {
            return Ok(Answer::Found(SecretBytes::copy_of(payload.bytes())));
        };
        match json::path::get(payload.bytes(), property) {
            Some(found) => Ok(Answer::Found(found.text())),
            None => Err(StoreError::new(
                Trouble::Missing,
                format!(
                    "key {} does not exist in secret {}",
                    shown(property),
                    shown(&at.key)
                ),
            )
            .public()
            .at_store(self.rest.describe())),
        }
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        let Answer::Found(document) = self.value(at, payload)? else {
            return Ok(Answer::Absent(Absent::proved(Proof::NoSuchProperty)));
        };
        let placed = |error: StoreError| {
            error
                .while_trying(format!("read {} as a map", shown(&at.key)))
                .at_store(self.rest.describe())
        };
        // Upstream takes texts only.
        let object = Json::parse(document.expose()).ok();
        let other = object.is_some_and(|object| {
            let mut members = object.members();
            members.any(|(_, value)| value.kind() != Kind::Text)
        });
        if other {
            let error = StoreError::new(Trouble::Missing, "a member of the value is no text");
            return Err(placed(error.public()));
        }
        let map = json::object_values(document.expose());
        map.map(Answer::Found).map_err(placed)
    }

    fn list<'a>(&'a self, what: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        Box::pin(async move { self.list_matches(what).await.map(Answer::Found) })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async move {
            if self.depends_on_consumer && self.scope.is_unbound() {
                return Ok(Validation::Unknown);
            }
            let groups = self.of_groups(&mut Listing::of_pages(MOST_PAGES)).await?;
            for place in self.of_project().into_iter().chain(groups) {
                let url = place.with_query([("per_page", "1")]);
                let call = Call::get(url, "list variables", "read_api");
                self.rest.call(call).await?;
            }
            Ok(Validation::Ready)
        })
    }

    fn inspect<'a>(&'a self, at: Option<&'a RemoteRef>) -> BoxFuture<'a, Inspection> {
        Box::pin(self.rest.inspect(self, at))
    }
}
