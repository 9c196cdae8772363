//! Our controller on a real API server, under exactly the roles that `deploy/` ships.

#[path = "sealed_secrets/deploy.rs"]
mod deploy;
#[path = "sealed_secrets/flags.rs"]
mod flags;
#[path = "sealed_secrets/hostile.rs"]
mod hostile;
#[path = "sealed_secrets/http_clients.rs"]
mod http_clients;
#[path = "sealed_secrets/integration.rs"]
mod integration;
#[path = "sealed_secrets/isolation.rs"]
mod isolation;
#[path = "sealed_secrets/keys.rs"]
mod keys;
#[path = "sealed_secrets/kinds.rs"]
mod kinds;
#[path = "sealed_secrets/kseal.rs"]
mod kseal;
#[path = "sealed_secrets/kubeseal.rs"]
mod kubeseal;
#[path = "sealed_secrets/leader.rs"]
mod leader;
#[path = "sealed_secrets/oracle.rs"]
mod oracle;
#[path = "sealed_secrets/rig.rs"]
pub(crate) mod rig;
#[path = "sealed_secrets/storms.rs"]
mod storms;
#[path = "sealed_secrets/takeover.rs"]
pub(crate) mod takeover;
#[path = "sealed_secrets/updates.rs"]
mod updates;
#[path = "sealed_secrets/wire.rs"]
mod wire;
