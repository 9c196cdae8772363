//! Signing in to Vault with an identity of AWS: a request to AWS's token service that is signed here, and that Vault sends to
//! learn whose the keys are. The keys stay here, and no variable of the process is touched.

use std::time::SystemTime;

use aws_sigv4::http_request::SigningSettings;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use http::Method;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::service::endpoint;
use super::sign_in::SignIn;
use super::signature::Signer;
use crate::http::Request;
use crate::http::url::Url;
use crate::json::{Html, write_text};
use crate::message::Body;
use crate::outcome::{StoreError, Trouble};
use crate::settings::aws::{AwsAuth, AwsSettings};
use crate::settings::vault::VaultIamAuth;
use crate::store::Connection;
use crate::vault::identity::Identity;

/// What Vault asks AWS for.
const BODY: &[u8] = b"Action=GetCallerIdentity&Version=2011-06-15";
/// The header that ties a signed request to one Vault.
const SERVER_ID: HeaderName = HeaderName::from_static("x-vault-aws-iam-server-id");

/// An identity of AWS.
pub(crate) struct VaultLogin {
    sign_in: SignIn,
    region: String,
    role: String,
    server_id: Option<String>,
    /// Whether the keys are those of the pod that the program runs in.
    of_pod: bool,
}

impl VaultLogin {
    /// Signs in with what the settings name: a service account, keys, or the pod's own identity, and a role that is assumed on
    /// top of it.
    ///
    /// # Errors
    ///
    /// When the region is none.
    pub(crate) fn new(auth: &VaultIamAuth, connection: &Connection) -> Result<Self, StoreError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let region = given(&auth.region).unwrap_or_else(|| "us-east-1".to_owned());
        let of_region = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !region.bytes().all(of_region) {
            return Err(StoreError::invalid("`auth.iam.region` is no name of a region").public());
        }
        let keys = AwsAuth {
            secret_ref: auth.secret_ref.clone(),
            jwt: auth.jwt.clone(),
        };
        let settings = AwsSettings {
            external_id: auth.external_id.clone(),
            ..AwsSettings::to_sign_in(keys, auth.aws_role.clone(), region.clone())
        };
        Ok(Self {
            sign_in: SignIn::of_store(&settings, connection)?,
            region,
            role: auth.vault_role.clone(),
            server_id: given(&auth.server_id),
            of_pod: auth.jwt.is_none() && auth.secret_ref.is_none(),
        })
    }

    async fn signed(&self) -> Result<Request, StoreError> {
        // The keys of the node are no one's to sign in with: upstream takes only what was given to the pod.
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let own = [
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ];
        if self.of_pod && !own.into_iter().any(set) {
            return Err(StoreError::new(
                Trouble::Unauthenticated,
                "no AWS authentication method found: expected either IRSA or Pod Identity",
            )
            .public());
        }
        let url = Url::parse(&format!("{}/", endpoint("sts", &self.region)));
        let url = url.map_err(|error| error.at_field("auth.iam.region"))?;
        let host = HeaderValue::from_str(url.host());
        let host = host.map_err(|_| StoreError::invalid("the region of AWS gives no host"))?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        let mut request = Request::new(Method::POST, url)
            .header(HOST, host)
            .header(CONTENT_TYPE, form);
        if let Some(id) = &self.server_id {
            let id = HeaderValue::from_str(id).map_err(|_| {
                let text = "`auth.iam.vaultAwsIamServerID` is no text that a header can carry";
                StoreError::invalid(text).public()
            })?;
            request = request.header(SERVER_ID, id);
        }
        let credentials = self.sign_in.credentials().await?;
        let signer = Signer {
            region: &self.region,
            service: "sts",
            time: SystemTime::now(),
        };
        signer.sign_by(&mut request, &credentials, BODY, SigningSettings::default())?;
        Ok(request)
    }
}

impl Identity for VaultLogin {
    fn body(&self) -> BoxFuture<'_, Result<SecretBytes, StoreError>> {
        Box::pin(async {
            let request = self.signed().await?;
            let mut headers = SecretWriter::with_capacity(2048);
            headers.push_byte(b'{');
            let sent = request.headers.iter().filter(|(name, _)| *name != HOST);
            for (count, (name, value)) in sent.enumerate() {
                if count > 0 {
                    headers.push_byte(b',');
                }
                write_text(name.as_str().as_bytes(), Html::Plain, &mut headers);
                headers.push(b":[");
                write_text(value.as_bytes(), Html::Plain, &mut headers);
                headers.push_byte(b']');
            }
            headers.push_byte(b'}');
            // As it is signed: an address with a port is another one to Vault.
            let url = STANDARD.encode(format!("{}/", endpoint("sts", &self.region)));
            let (body, _) = Body::new()
                .text("role", &self.role)
                .text("iam_http_request_method", "POST")
                .text("iam_request_url", &url)
                .text("iam_request_body", &STANDARD.encode(BODY))
                .secret_bytes("iam_request_headers", headers.finish().expose())
                .finish();
            Ok(body)
        })
    }
}
