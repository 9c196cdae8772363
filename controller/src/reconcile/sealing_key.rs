//! The sealing keys of the cluster: watched, and renewed before they grow old.
//!
//! Every replica watches the key Secrets, because every replica answers verify and rotate; only
//! the one that leads generates keys, so that a first installation with several replicas has one
//! key. A key Secret that is changed, relabelled or deleted counts at once, and one that cannot be
//! read is reported and otherwise ignored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher;
use sealwright_crypto::sealing::{Certificate, CertificateError, KeyError, PrivateKey};
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::keyring::SealingKey;
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::sealed_secret::SEALING_KEY_LABEL;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use thiserror::Error;
use tokio::sync::watch;

use crate::action;
use crate::api::{Api, ApiError};
use crate::flags::KeyOrder;
use crate::frame::backoff::patiently;
use crate::frame::event::{Event, Recorder};
use crate::frame::follow::follow;
use crate::frame::pages::Listed;
use crate::frame::watch_log::WatchLog;
use crate::keys::SealingKeys;
use crate::metrics::watches::Watches;
use crate::pool::{Panicked, Pool};
use crate::reconcile::sealed_secret::COMPONENT;

/// How keys are named, ordered and renewed.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) namespace: String,
    pub(crate) prefix: String,
    pub(crate) order: KeyOrder,
    pub(crate) size: usize,
    pub(crate) valid: Duration,
    pub(crate) common_name: String,
    pub(crate) renew_period: Duration,
    pub(crate) cutoff: Option<Timestamp>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: Vec<(String, String)>,
    /// The certificate is logged as base64, as it is in upstream's JSON logs.
    pub(crate) log_base64: bool,
}

/// Watches the key Secrets until the process ends.
pub(crate) async fn watch(
    settings: Arc<Settings>,
    api: Arc<Api>,
    recorder: Arc<Recorder>,
    keys: Arc<SealingKeys>,
    watches: Arc<Watches>,
) {
    let secrets: kube::Api<KeySecret> = kube::Api::namespaced(api.client(), &settings.namespace);
    let active = Listed::new(secrets.clone(), &format!("{SEALING_KEY_LABEL}=active"));
    // T27: the single key from before 0.9 has the prefix as its name and no label.
    let legacy = format!("metadata.name={}", settings.prefix);
    let legacy = Listed::new(secrets, "").with_fields(&legacy);
    let mut logs = [
        WatchLog::new("sealing keys", &watches),
        WatchLog::new("the sealing key from before 0.9", &watches),
    ];
    let mut events = futures::stream::select(
        tagged(Source::Active, follow(active, logs[0].alive())),
        tagged(Source::Legacy, follow(legacy, logs[1].alive())),
    );
    let mut seen = Seen::default();
    while let Some((source, event)) = events.next().await {
        let log = &mut logs[source as usize];
        let event = match event {
            Ok(event) => {
                log.sees(&event);
                event
            }
            Err(error) => {
                log.fails(&error);
                continue;
            }
        };
        let changes = seen.take(source, event);
        for name in changes.gone {
            if keys.remove(&name) {
                tracing::info!(secretname = name, "private key is no longer used");
            }
        }
        for secret in changes.here {
            load(&settings, &api, &recorder, &keys, &secret).await;
        }
        if seen.is_complete() && !keys.changes().loaded {
            keys.loaded();
        }
    }
}

fn tagged<S>(source: Source, stream: S) -> impl Stream<Item = (Source, S::Item)> + Send + Unpin
where
    S: Stream<Item = watcher::Result<watcher::Event<KeySecret>>> + Send + 'static,
{
    Box::pin(patiently(stream).map(move |event| (source, event)))
}

/// Which of the two watches tells something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Active,
    Legacy,
}

/// What both watches have told, so that a key is forgotten only when neither shows it.
#[derive(Default)]
struct Seen {
    /// Name to: shown as active, shown as legacy.
    shown: BTreeMap<String, [bool; 2]>,
    listing: [Vec<KeySecret>; 2],
    complete: [bool; 2],
}

#[derive(Default)]
struct Changed {
    gone: Vec<String>,
    here: Vec<KeySecret>,
}

impl Seen {
    fn take(&mut self, source: Source, event: watcher::Event<KeySecret>) -> Changed {
        let at = source as usize;
        let mut changed = Changed::default();
        match event {
            watcher::Event::Init => self.listing[at].clear(),
            watcher::Event::InitApply(secret) => self.listing[at].push(secret),
            watcher::Event::InitDone => {
                let mut listed = std::mem::take(&mut self.listing[at]);
                // 1.13: registered in the order in which they were created.
                listed.sort_by(|one, other| one.age().cmp(&other.age()));
                let names: Vec<String> = self.shown.keys().cloned().collect();
                for name in names {
                    if !listed.iter().any(|secret| secret.name() == name) {
                        self.hide(at, &name, &mut changed);
                    }
                }
                for secret in listed {
                    self.show(at, secret, &mut changed);
                }
                self.complete[at] = true;
            }
            watcher::Event::Apply(secret) => self.show(at, secret, &mut changed),
            watcher::Event::Delete(secret) => self.hide(at, secret.name(), &mut changed),
        }
        changed
    }

    fn is_complete(&self) -> bool {
        self.complete == [true, true]
    }

    fn show(&mut self, at: usize, secret: KeySecret, changed: &mut Changed) {
        self.shown.entry(secret.name().to_owned()).or_default()[at] = true;
        changed.here.push(secret);
    }

    fn hide(&mut self, at: usize, name: &str, changed: &mut Changed) {
        let Some(shown) = self.shown.get_mut(name) else {
            return;
        };
        shown[at] = false;
        if *shown == [false, false] {
            self.shown.remove(name);
            changed.gone.push(name.to_owned());
        }
    }
}

/// Why a key Secret is of no or little use.
#[derive(Debug, Error)]
enum BadKey {
    #[error("tls.key: {0}")]
    Key(#[from] KeyError),
    #[error("tls.crt: {0}; the key unseals but nothing is sealed for it")]
    Certificate(CertificateError),
    #[error("tls.crt does not belong to tls.key; the key unseals but nothing is sealed for it")]
    Mismatch,
}

async fn load(
    settings: &Settings,
    api: &Api,
    recorder: &Recorder,
    keys: &SealingKeys,
    secret: &KeySecret,
) {
    let (key, bad) = read(settings.order, secret);
    let name = secret.name().to_owned();
    if let Some(error) = bad {
        tracing::error!(secret = name, error = %error, "Error reading key");
        let event = Event {
            component: COMPONENT,
            namespace: settings.namespace.clone(),
            object: json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "namespace": settings.namespace,
                "name": name,
                "uid": secret.metadata.uid,
            }),
            uid: secret.metadata.uid.clone().unwrap_or_default(),
            name: name.clone(),
            warning: true,
            reason: "ErrSealingKey",
            message: format!("Error reading sealing key: {error}"),
        };
        action::emit(api, recorder, &event).await;
    }
    match key {
        Some(key) => {
            let before = keys.changes();
            keys.insert(key);
            if keys.changes() != before {
                tracing::info!(secretname = name, "registered private key");
            }
        }
        // What the Secret held before is not in the cluster any more.
        None => {
            keys.remove(&name);
        }
    }
}

fn read(order: KeyOrder, secret: &KeySecret) -> (Option<SealingKey>, Option<BadKey>) {
    let private = match PrivateKey::from_pem(secret.data.key.expose()) {
        Ok(private) => private,
        Err(error) => return (None, Some(error.into())),
    };
    let certificate = match Certificate::from_pem(secret.data.certificate.expose()) {
        Ok(certificate) => certificate,
        Err(error) => {
            let key = SealingKey::without_certificate(secret.name(), private);
            return (Some(key), Some(BadKey::Certificate(error)));
        }
    };
    let bad = (!certificate.belongs_to(&private)).then_some(BadKey::Mismatch);
    let time = match order {
        KeyOrder::CertNotBefore => certificate.not_before(),
        KeyOrder::SecretCreationTimestamp => secret.age().0,
    };
    let key = SealingKey::new(secret.name(), private, certificate, time);
    (Some(key), bad)
}

/// Generates keys when they are due or asked for, as long as this replica leads.
pub(crate) async fn renew(
    settings: Arc<Settings>,
    api: Arc<Api>,
    keys: Arc<SealingKeys>,
    pool: Arc<Pool>,
    mut orders: watch::Receiver<u64>,
) {
    let mut changes = keys.watch();
    if changes.wait_for(|changes| changes.loaded).await.is_err() {
        return;
    }
    orders.mark_unchanged();
    let mut ordered = false;
    let mut cutoff = settings.cutoff;
    let mut failures = 0u32;
    loop {
        changes.mark_unchanged();
        let newest = keys.with(|ring| ring.newest().map(SealingKey::ordering_time));
        let now = Timestamp::now();
        let due = match ordered {
            true => Due::Now,
            false => due(newest, settings.renew_period, cutoff, now),
        };
        let wait = match due {
            Due::Now => match generate(&settings, &api, &keys, &pool).await {
                Ok(()) => {
                    // C42: looked at once.
                    (ordered, cutoff, failures) = (false, None, 0);
                    continue;
                }
                Err(error) => {
                    tracing::error!(error = %crate::error_text(&error), "Failed to generate new key");
                    failures += 1;
                    Duration::from_secs(1) * 2u32.pow(failures.min(9))
                }
            },
            Due::At(time) => {
                cutoff = None;
                // A suspended machine or a set clock is noticed within the hour.
                Duration::try_from(time.duration_since(now))
                    .unwrap_or_default()
                    .min(Duration::from_secs(3600))
            }
            Due::Never => {
                cutoff = None;
                Duration::from_secs(3600)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = orders.changed() => match changed {
                Ok(()) => ordered = true,
                Err(_) => return,
            },
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// When the next key is to be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Now,
    At(Timestamp),
    Never,
}

/// Plans the next key: at once if there is none to seal with or the newest is older than the
/// cut-off, else one period after the newest, so that a restart does not shift the schedule.
fn due(newest: Option<i64>, period: Duration, cutoff: Option<Timestamp>, now: Timestamp) -> Due {
    let Some(newest) = newest else {
        return Due::Now;
    };
    if cutoff.is_some_and(|cutoff| newest < cutoff.as_second()) {
        return Due::Now;
    }
    if period.is_zero() {
        return Due::Never;
    }
    let due = Timestamp::from_second(newest)
        .ok()
        .zip(SignedDuration::try_from(period).ok())
        .and_then(|(newest, period)| newest.checked_add(period).ok());
    match due {
        Some(due) if due <= now => Due::Now,
        Some(due) => Due::At(due),
        None => Due::Never,
    }
}

#[derive(Debug, Error)]
enum GenerateError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("cannot write the key Secret: {0}")]
    Write(#[from] ApiError),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// Makes a key and writes it to the cluster; only then is it used.
async fn generate(
    settings: &Arc<Settings>,
    api: &Api,
    keys: &SealingKeys,
    pool: &Pool,
) -> Result<(), GenerateError> {
    let now = Timestamp::now().as_second();
    let wanted = Arc::clone(settings);
    let (secret, private, certificate) = pool
        .run(move || -> Result<_, GenerateError> {
            let private = PrivateKey::generate(wanted.size)?;
            let valid = wanted.valid.as_secs();
            let certificate = Certificate::self_signed(&private, &wanted.common_name, now, valid)?;
            let secret = key_secret(&wanted, &private, &certificate)?;
            Ok((secret, private, certificate))
        })
        .await??;
    let name = action::create_key(api, &settings.namespace, &secret).await?;
    let pem = certificate.to_pem();
    keys.insert(SealingKey::new(&name, private, certificate, now));
    tracing::info!(
        namespace = settings.namespace,
        name = name,
        "New key written"
    );
    let shown = match settings.log_base64 {
        true => sealwright_crypto::sealing::base64::encode(pem.as_bytes()),
        false => pem,
    };
    tracing::info!(certificate = shown, "Certificate generated");
    Ok(())
}

/// 1.12: the key Secret as upstream writes it.
fn key_secret(
    settings: &Settings,
    private: &PrivateKey,
    certificate: &Certificate,
) -> Result<PlainSecret, KeyError> {
    let mut labels: BTreeMap<String, String> = settings.labels.iter().cloned().collect();
    labels.insert(SEALING_KEY_LABEL.to_owned(), "active".to_owned());
    let annotations: BTreeMap<String, String> = settings.annotations.iter().cloned().collect();
    let mut secret = PlainSecret::default();
    secret.metadata = ObjectMeta {
        namespace: Some(settings.namespace.clone()),
        generate_name: Some(settings.prefix.clone()),
        labels: Some(labels),
        annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
        ..ObjectMeta::default()
    };
    secret.kind = Some("kubernetes.io/tls".to_owned());
    secret.insert("tls.key", private.to_pkcs1_pem()?);
    secret.insert(
        "tls.crt",
        SecretBytes::from(certificate.to_pem().into_bytes()),
    );
    Ok(secret)
}

/// A key Secret as the watch reads it: nothing but the two values, in buffers that are wiped.
#[derive(Clone, Deserialize)]
pub(crate) struct KeySecret {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    data: KeyData,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct KeyData {
    #[serde(rename = "tls.key", deserialize_with = "decoded")]
    key: Arc<SecretBytes>,
    #[serde(rename = "tls.crt", deserialize_with = "decoded")]
    certificate: Arc<SecretBytes>,
}

/// What is no base64 is empty, so that one bad Secret does not stop the watch.
fn decoded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<SecretBytes>, D::Error> {
    let text: Option<std::borrow::Cow<'de, str>> = Option::deserialize(deserializer)?;
    let text = text.map(|text| SecretBytes::from(text.into_owned().into_bytes()));
    let bytes = text.and_then(|text| {
        sealwright_crypto::sealing::base64::decode(text.expose())
            .ok()
            .map(SecretBytes::from)
    });
    Ok(Arc::new(bytes.unwrap_or_default()))
}

impl KeySecret {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn age(&self) -> (i64, &str) {
        let created = self.metadata.creation_timestamp.as_ref();
        (created.map_or(0, |time| time.0.as_second()), self.name())
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySecret({})", self.name())
    }
}

impl kube::Resource for KeySecret {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind(dt: &()) -> std::borrow::Cow<'_, str> {
        Secret::kind(dt)
    }

    fn group(dt: &()) -> std::borrow::Cow<'_, str> {
        Secret::group(dt)
    }

    fn version(dt: &()) -> std::borrow::Cow<'_, str> {
        Secret::version(dt)
    }

    fn plural(dt: &()) -> std::borrow::Cow<'_, str> {
        Secret::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests;
