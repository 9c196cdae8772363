//! `keyservice`: this machine's keys for other machines.

use crate::error::{Error, Result};
use crate::world::World;

/// Serves keys over gRPC.
#[derive(Debug)]
pub(crate) struct KeyService {
    pub(crate) network: String,
    pub(crate) address: String,
    pub(crate) prompt: bool,
}

impl KeyService {
    /// Says that the service is not in this build.
    pub(crate) fn run(self, _world: &World) -> Result<()> {
        let _ = self.prompt;
        Err(Error::generic(format!(
            "cannot listen on {} {}: this build has no key service",
            self.network, self.address
        )))
    }
}
