//! Deploy tokens of a project or a group of GitLab.

use http::header::{ACCEPT, HeaderName};
use http::{Method, StatusCode};
use sealwright_crypto::secret::SecretBytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{JSON, Made, ask, client, number_of, refusal, text_of, undone};
use crate::http::url::Url;
use crate::http::{Request, Response, secret_header};
use crate::outcome::StoreError;
use crate::remote::SecretMap;
use crate::settings::generators::GitlabDeployTokenSettings;
use crate::store::Connection;

const SERVER: &str = "https://gitlab.com";
const TOKEN: HeaderName = HeaderName::from_static("private-token");

/// What is left behind, in upstream's form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    url: String,
    #[serde(rename = "projectID", skip_serializing_if = "String::is_empty")]
    project: String,
    #[serde(rename = "groupID", skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(rename = "tokenID")]
    token: i64,
}

/// Makes a deploy token: its user under `username`, the token under `token`.
///
/// # Errors
///
/// When the settings are wrong, or GitLab refuses.
pub async fn generate(
    settings: &GitlabDeployTokenSettings,
    connection: &Connection,
) -> Result<Made, StoreError> {
    let mut state = State {
        url: settings.url.clone().unwrap_or_default(),
        project: settings.project_id.clone().unwrap_or_default(),
        group: settings.group_id.clone().unwrap_or_default(),
        token: 0,
    };
    let mut wanted = json!({"name": settings.name, "scopes": settings.scopes});
    if let Some(name) = settings.username.as_deref().filter(|name| !name.is_empty()) {
        wanted["username"] = name.into();
    }
    if let Some(end) = settings.expires_at.as_deref().filter(|end| !end.is_empty()) {
        let end: jiff::Timestamp = end
            .parse()
            .map_err(|_| StoreError::invalid("`expiresAt` is no date and time").public())?;
        wanted["expires_at"] = end.to_string().into();
    }
    let url = tokens_of(&state)?;
    let request =
        Request::new(Method::POST, url).json(SecretBytes::from(wanted.to_string().into_bytes()));
    let request = signed(request, settings, connection).await?;
    let http = client(connection)?;
    let answer = ask(&http, "GitLab", "make a deploy token", request).await?;
    state.token = number_of(&answer, "id")?;
    let state = json!(state);
    match values_of(&answer) {
        Ok(values) => Ok(Made {
            values,
            state: Some(state),
        }),
        Err(error) => Err(undone(error, clean_up(settings, &state, connection)).await),
    }
}

fn values_of(answer: &Response) -> Result<SecretMap, StoreError> {
    Ok(SecretMap::from([
        ("username".to_owned(), text_of(answer, "username")?),
        ("token".to_owned(), text_of(answer, "token")?),
    ]))
}

/// Deletes the token of a state, where it was made. One that is gone already is no error.
///
/// # Errors
///
/// When the state is none, or GitLab refuses.
pub async fn clean_up(
    settings: &GitlabDeployTokenSettings,
    state: &Value,
    connection: &Connection,
) -> Result<(), StoreError> {
    let state = State::deserialize(state)
        .map_err(|_| StoreError::invalid("the state names no token of GitLab").public())?;
    if state.token == 0 {
        return Ok(());
    }
    let url = tokens_of(&state)?.with_segments([state.token.to_string().as_str()]);
    let request = signed(Request::new(Method::DELETE, url), settings, connection).await?;
    let response = client(connection)?.call(request).await?;
    if response.status == StatusCode::NOT_FOUND && response.is_json() {
        return Ok(());
    }
    match refusal(&response) {
        None => Ok(()),
        Some(error) => Err(error
            .while_trying("delete a deploy token")
            .at_store("GitLab")),
    }
}

/// The address of the deploy tokens of a project or a group.
fn tokens_of(state: &State) -> Result<Url, StoreError> {
    let server = Some(state.url.as_str()).filter(|url| !url.is_empty());
    let server = Url::parse(server.unwrap_or(SERVER)).map_err(|error| error.at_field("url"))?;
    let (kind, id) = match (state.project.as_str(), state.group.as_str()) {
        ("", group) if !group.is_empty() => ("groups", group),
        (project, "") if !project.is_empty() => ("projects", project),
        _ => {
            return Err(
                StoreError::invalid("exactly one of projectID and groupID is needed").public(),
            );
        }
    };
    Ok(server.with_segments(["api", "v4", kind, id, "deploy_tokens"]))
}

async fn signed(
    request: Request,
    settings: &GitlabDeployTokenSettings,
    connection: &Connection,
) -> Result<Request, StoreError> {
    let token = connection
        .credentials
        .secret(&connection.scope, &settings.auth.token.secret_ref)
        .await
        .map_err(|error| error.at_field("auth.token.secretRef"))?;
    Ok(request
        .header(ACCEPT, JSON)
        .header(TOKEN, secret_header(token)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_deleted_where_they_were_made() {
        let state = |json: Value| State::deserialize(json).unwrap();
        let project = state(json!({"url": "", "projectID": "group/app", "tokenID": 7}));
        let url = tokens_of(&project).unwrap();
        assert_eq!(url.host(), "gitlab.com");
        assert_eq!(url.path(), "/api/v4/projects/group%2Fapp/deploy_tokens");
        let group = state(json!({"url": "https://git.example/", "groupID": "9", "tokenID": 7}));
        let url = tokens_of(&group).unwrap();
        assert_eq!(url.path(), "/api/v4/groups/9/deploy_tokens");
        for bad in [
            json!({"url": "", "tokenID": 7}),
            json!({"url": "", "projectID": "1", "groupID": "2", "tokenID": 7}),
        ] {
            assert!(tokens_of(&state(bad)).is_err());
        }
    }
}
