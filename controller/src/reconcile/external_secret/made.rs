//! The Secrets that were made for an object, under whatever names.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_resources::external_secret::{CreationPolicy, ExternalSecret, OWNER_LABEL, hash};

use super::{ExternalSecrets, Extra};
use crate::action;
use crate::api::ApiError;
use crate::frame::object::key_of;
use crate::frame::tracked::{Target, Tracked};

impl ExternalSecrets {
    /// Returns true if the object owns its Secret and another one is there with the same label.
    pub(super) fn is_copied(&self, object: &ExternalSecret) -> bool {
        let owner = hash::of_owner(object.namespace(), object.name());
        let made = self.made.lock().expect("no holder panics");
        object.spec.target.creation_policy == CreationPolicy::Owner
            && made.has_others(object.namespace(), &owner, object.target_name())
    }

    /// The metadata of Secrets that the object made under another name.
    pub(super) async fn orphans(
        &self,
        object: &ExternalSecret,
        known: &Tracked<Extra>,
    ) -> Result<Vec<ObjectMeta>, ApiError> {
        if object.spec.target.creation_policy != CreationPolicy::Owner {
            return Ok(Vec::new());
        }
        let owner = hash::of_owner(object.namespace(), object.name());
        let is_orphan = |name: &str| name != object.target_name();
        // Where Secrets are watched, a list is worth its request only if there is something to find.
        let is_watched = !matches!(known.target(), Target::Unknown);
        let shown = {
            let made = self.made.lock().expect("no holder panics");
            made.has_others(object.namespace(), &owner, object.target_name())
        };
        if is_watched && !shown {
            return Ok(Vec::new());
        }
        let mut owned = action::secrets_of_owner(self.api(), object.namespace(), &owner).await?;
        owned.retain(|metadata| {
            metadata.name.as_deref().is_some_and(is_orphan) && metadata.deletion_timestamp.is_none()
        });
        if owned.is_empty() && shown {
            let mut made = self.made.lock().expect("no holder panics");
            made.forget_others(object.namespace(), &owner, object.target_name());
        }
        Ok(owned)
    }

    pub(super) fn note_made(&self, secret: &ObjectMeta, exists: bool) {
        let label = secret.labels.as_ref().and_then(|all| all.get(OWNER_LABEL));
        let label = label.filter(|_| exists).map(String::as_str);
        let mut made = self.made.lock().expect("no holder panics");
        made.set(&key_of(secret), label);
    }
}
