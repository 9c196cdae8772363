//! How old the sealing keys are, and when the certificate to seal with expires.

use prometheus::proto::MetricFamily;

use super::collected::{Collected, Kind, family};

/// The state of the sealing keys.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct KeyMetrics {
    /// How many keys unseal.
    pub(crate) keys: usize,
    /// When the newest was made, in seconds since 1970.
    pub(crate) created: Option<i64>,
    /// When its certificate expires.
    pub(crate) expires: Option<i64>,
    /// The time after which the next key is made, in seconds; 0 means never.
    pub(crate) renew_period: f64,
}

pub(super) fn collector(look: impl Fn() -> KeyMetrics + Send + Sync + 'static) -> Collected {
    let collect = move || {
        let state = look();
        let mut families = vec![
            gauge(
                "sealwright_sealing_keys",
                "Sealing keys in use.",
                state.keys as f64,
            ),
            gauge(
                "sealwright_sealing_key_renew_period_seconds",
                "Time after which a new sealing key is made; 0 means that none is made by time.",
                state.renew_period,
            ),
        ];
        if let Some(created) = state.created {
            families.push(gauge(
                "sealwright_sealing_key_created_timestamp_seconds",
                "When the newest sealing key was made, in seconds since 1970.",
                created as f64,
            ));
        }
        if let Some(expires) = state.expires {
            families.push(gauge(
                "sealwright_sealing_certificate_expiry_timestamp_seconds",
                "When the certificate of the newest sealing key expires, in seconds since 1970.",
                expires as f64,
            ));
        }
        families
    };
    Collected::new("sealwright_sealing_keys", collect)
}

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    family(name, Kind::Gauge, help, vec![(Vec::new(), value)])
}
