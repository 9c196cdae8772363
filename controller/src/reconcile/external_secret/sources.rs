//! ConfigMaps and Secrets that templates are read from.

use sealwright_resources::external_secret::render::Sources;
use sealwright_resources::external_secret::{ExternalSecret, render};

use super::super::template_sources::{self, SourcesError};
use super::ExternalSecrets;
use crate::action;

impl ExternalSecrets {
    /// Says in one text which versions of ConfigMaps and Secrets the templates are read from.
    pub(super) async fn sources_versions(&self, object: &ExternalSecret) -> Option<String> {
        let template = object.spec.target.template.as_ref()?;
        let (config_maps, secrets) = render::sources_of(template);
        if config_maps.is_empty() && secrets.is_empty() {
            return None;
        }
        let namespace = object.namespace();
        let paths = config_maps
            .iter()
            .map(|name| action::config_map(namespace, name))
            .chain(secrets.iter().map(|name| action::secret(namespace, name)));
        Some(action::versions(self.api(), paths.collect()).await)
    }

    /// Reads the ConfigMaps and Secrets that templates come from; what is not there is left out.
    pub(super) async fn read_sources(
        &self,
        object: &ExternalSecret,
    ) -> Result<Sources, SourcesError> {
        match &object.spec.target.template {
            Some(template) => {
                template_sources::read(self.api(), object.namespace(), template).await
            }
            None => Ok(Sources::default()),
        }
    }
}
