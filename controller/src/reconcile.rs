//! The kinds of resources, each a file of its own on the [frame](crate::frame), and the sealing keys.

mod children;
pub(crate) mod cluster_external_secret;
pub(crate) mod cluster_push_secret;
mod due;
pub(crate) mod external_secret;
mod finalizer;
pub(crate) mod generator_state;
pub(crate) mod push_secret;
pub(crate) mod sealed_secret;
pub(crate) mod sealing_key;
pub(crate) mod secret_store;
mod template_sources;
