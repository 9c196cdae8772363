//! Tokens of a service account of Grafana. The account is made if there is none, and is left behind.

use http::Method;
use http::StatusCode;
use http::header::ACCEPT;
use sealwright_crypto::secret::{SecretBytes, SecretText};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{JSON, Made, ask, basic, bearer, client, number_of, refusal, text_of, undone};
use crate::http::url::Url;
use crate::http::{HttpClient, Request, Response};
use crate::json::Json;
use crate::outcome::StoreError;
use crate::remote::SecretMap;
use crate::settings::generators::GrafanaSettings;
use crate::store::Connection;

/// What is left behind, in upstream's form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    service_account: Account,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    id: Option<i64>,
    login: Option<String>,
    #[serde(rename = "tokenID")]
    token: Option<i64>,
}

/// Makes a token: the account under `login`, the token under `token`.
///
/// # Errors
///
/// When the settings are wrong, or Grafana refuses.
pub async fn generate(
    settings: &GrafanaSettings,
    connection: &Connection,
) -> Result<Made, StoreError> {
    let server = Server::new(settings, connection).await?;
    let (id, login) = server.account(settings).await?;
    let mut wanted = json!({"name": token_name()?});
    if let Some(seconds) = settings.service_account.seconds_to_live {
        wanted["secondsToLive"] = seconds.into();
    }
    let id_text = id.to_string();
    let path = ["api", "serviceaccounts", &id_text, "tokens"];
    let answer = server
        .call("make a token", Method::POST, &path, Some(&wanted))
        .await?;
    let state = json!(State {
        service_account: Account {
            id: Some(id),
            login: Some(login.clone()),
            token: Some(number_of(&answer, "id")?),
        },
    });
    let token = match text_of(&answer, "key") {
        Ok(token) => token,
        Err(error) => return Err(undone(error, clean_up(settings, &state, connection)).await),
    };
    Ok(Made {
        values: SecretMap::from([
            ("login".to_owned(), SecretBytes::from(login.into_bytes())),
            ("token".to_owned(), token),
        ]),
        state: Some(state),
    })
}

/// Deletes the token of a state. One that is gone already is no error.
///
/// # Errors
///
/// When the state is none, or Grafana refuses.
pub async fn clean_up(
    settings: &GrafanaSettings,
    state: &Value,
    connection: &Connection,
) -> Result<(), StoreError> {
    let state = State::deserialize(state).ok();
    let ids = state.and_then(|state| state.service_account.id.zip(state.service_account.token));
    let (id, token) =
        ids.ok_or_else(|| StoreError::invalid("the state names no token of Grafana").public())?;
    let server = Server::new(settings, connection).await?;
    let (id, token) = (id.to_string(), token.to_string());
    let path = ["api", "serviceaccounts", &id, "tokens", &token];
    let request = server.request(Method::DELETE, &path)?;
    let response = server.http.call(request).await?;
    if is_gone(&response) {
        return Ok(());
    }
    match refusal(&response) {
        None => Ok(()),
        Some(error) => Err(error.while_trying("delete a token").at_store("Grafana")),
    }
}

/// Returns true if Grafana says that a token is gone, or the account with all its tokens. It answers 404 to an address that it
/// does not have as well, and the token may be good there where it was made.
fn is_gone(response: &Response) -> bool {
    let body = Json::parse(response.body.expose()).ok();
    let message = body.and_then(|body| body.member("message")?.string());
    let names_account = |message: &SecretText| {
        message
            .expose()
            .to_ascii_lowercase()
            .contains("service account")
    };
    response.status == StatusCode::NOT_FOUND && message.as_ref().is_some_and(names_account)
}

/// A name that no other token has.
fn token_name() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|_| StoreError::invalid("the system has no randomness").public())?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("external-secrets-{hex}"))
}

struct Server {
    http: HttpClient,
    url: Url,
    credential: Credential,
}

enum Credential {
    Token(SecretBytes),
    User(String, SecretBytes),
}

impl Server {
    async fn new(settings: &GrafanaSettings, connection: &Connection) -> Result<Self, StoreError> {
        let (credentials, scope) = (&connection.credentials, &connection.scope);
        let credential = match (&settings.auth.token, &settings.auth.basic) {
            (Some(token), _) => {
                let read = credentials.secret(scope, &token.selector()).await;
                Credential::Token(read.map_err(|error| error.at_field("auth.token"))?)
            }
            (None, Some(user)) => {
                let read = credentials.secret(scope, &user.password.selector()).await;
                let password = read.map_err(|error| error.at_field("auth.basic.password"))?;
                Credential::User(user.username.clone(), password)
            }
            (None, None) => {
                return Err(StoreError::invalid("`auth` needs token or basic").public());
            }
        };
        Ok(Self {
            http: client(connection)?,
            url: Url::parse(&settings.url).map_err(|error| error.at_field("url"))?,
            credential,
        })
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<Request, StoreError> {
        let url = self.url.with_segments(path.iter().copied());
        self.signed(Request::new(method, url))
    }

    fn signed(&self, request: Request) -> Result<Request, StoreError> {
        let request = request.header(ACCEPT, JSON);
        match &self.credential {
            Credential::Token(token) => bearer(request, token),
            Credential::User(name, password) => basic(request, name, password),
        }
    }

    async fn call(
        &self,
        attempt: &str,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Response, StoreError> {
        let mut request = self.request(method, path)?;
        if let Some(body) = body {
            request = request.json(SecretBytes::from(body.to_string().into_bytes()));
        }
        ask(&self.http, "Grafana", attempt, request).await
    }

    /// The number and login of the service account; it is made if there is none of this name.
    async fn account(&self, settings: &GrafanaSettings) -> Result<(i64, String), StoreError> {
        let wanted = &settings.service_account;
        let url = self.url.with_segments(["api", "serviceaccounts", "search"]);
        let url = url.with_query([("query", wanted.name.as_str())]);
        let request = self.signed(Request::new(Method::GET, url))?;
        let attempt = "look for the service account";
        let answer = ask(&self.http, "Grafana", attempt, request).await?;
        let body = Json::parse(answer.body.expose()).ok();
        let accounts = body.and_then(|body| body.member("serviceAccounts"));
        for account in accounts.into_iter().flat_map(Json::elements) {
            let text = |name| account.member(name).and_then(Json::string);
            let number = account.member("id").and_then(Json::integer);
            let is_it = text("name").is_some_and(|name| name.expose() == wanted.name);
            if let (true, Some(id), Some(login)) = (is_it, number, text("login")) {
                return Ok((id, login.expose().to_owned()));
            }
        }
        let body = json!({"name": wanted.name, "role": wanted.role});
        let path = ["api", "serviceaccounts"];
        let attempt = "make the service account";
        let answer = self.call(attempt, Method::POST, &path, Some(&body)).await?;
        let login = text_of(&answer, "login")?;
        let login = String::from_utf8_lossy(login.expose()).into_owned();
        Ok((number_of(&answer, "id")?, login))
    }
}
