//! `template`: what the templates of an ExternalSecret or SealedSecret make of given values, as the controller makes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::external_secret::ExternalSecret;
use sealwright_resources::external_secret::render::{Inputs, Options};
use sealwright_resources::external_secret::target::{self, Write};
use sealwright_resources::external_secret::values::Values;
use sealwright_resources::external_secret::{CreationPolicy, validate};
use sealwright_resources::manifest::{self, Output};
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::push_secret::PushSecret;
use sealwright_resources::sealed_secret::{SealedSecret, fill_with};
use sealwright_template::Budget;

use super::objects::Objects;
use super::secret_text::{self, Values as Spelling};
use super::store::plain;
use super::{Settings, absolute};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Content};
use crate::visible::shown;
use crate::world::World;

/// Renders templates against given values.
pub(crate) struct Template {
    /// The object with the templates.
    pub(crate) file: PathBuf,
    /// A map of keys and texts; may be encrypted.
    pub(crate) data: PathBuf,
    /// Secrets and ConfigMaps that templates are taken from.
    pub(crate) from: Vec<PathBuf>,
    pub(crate) form: (Output, Spelling),
    /// The file that is written instead of standard output.
    pub(crate) out: Option<PathBuf>,
    pub(crate) settings: Settings,
}

impl Template {
    /// Prints the Secret.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let path = absolute(&self.file)?;
        let text = plain(world, &self.settings, &path)?;
        let unreadable = |error: manifest::ManifestError| {
            Error::new(Kind::Parse, format!("cannot read {}", shown(&path))).because(error)
        };
        let external: Vec<ExternalSecret> =
            manifest::read_objects(text.expose(), "ExternalSecret").map_err(unreadable)?;
        let pushes: Vec<PushSecret> =
            manifest::read_objects(text.expose(), "PushSecret").map_err(unreadable)?;
        let sealed: Vec<SealedSecret> =
            manifest::read_objects(text.expose(), "SealedSecret").map_err(unreadable)?;
        let values = self.values(world)?;
        let secret = match (&external[..], &pushes[..], &sealed[..]) {
            ([object], [], []) => self.of_external(world, object.clone(), values)?,
            ([], [object], []) => self.of_external(world, of_push(object, &path)?, values)?,
            ([], [], [object]) => of_sealed(object, values)?,
            _ => {
                return Err(Error::new(
                    Kind::Usage,
                    format!(
                        "{} should hold one ExternalSecret, PushSecret or SealedSecret",
                        shown(&path)
                    ),
                ));
            }
        };
        let (output, spelling) = self.form;
        let bytes = secret_text::write(&secret, output, spelling)?;
        match &self.out {
            Some(path) => file::replace(&world.terminal, path, &bytes, Content::Plain, None),
            None => world.terminal.out(bytes.expose()),
        }
    }

    fn values(&self, world: &World) -> Result<Values> {
        let path = absolute(&self.data)?;
        let text = plain(world, &self.settings, &path)?;
        manifest::read_text_pairs(text.expose()).map_err(|error| {
            Error::new(
                Kind::Parse,
                format!("{} is no map of keys and texts", shown(&path)),
            )
            .because(error)
        })
    }

    fn of_external(
        &self,
        world: &World,
        mut object: ExternalSecret,
        values: Values,
    ) -> Result<PlainSecret> {
        let objects = Objects::read(world, &self.settings, &self.from)?;
        if let Some(template) = &object.spec.target.template {
            validate::check_template(template)
                .map_err(|error| Error::generic("the template is refused").because(error))?;
        }
        // Here the Secret is always made, and belongs to no one.
        object.spec.target.creation_policy = CreationPolicy::Orphan;
        let sources = objects.sources(object.namespace());
        let inputs = Inputs {
            sources: &sources,
            options: &Options::default(),
            budget: &Budget::default(),
        };
        let written = target::build(&object, None, values, inputs);
        match written {
            Ok(Write::Create(secret)) => Ok(secret),
            Ok(_) => Err(Error::generic("the object makes no Secret")),
            Err(error) => Err(Error::generic(error.to_string())),
        }
    }
}

/// An ExternalSecret with the template of a PushSecret, which sees the values of the Secret that is pushed.
fn of_push(object: &PushSecret, path: &Path) -> Result<ExternalSecret> {
    let template = object.spec.template.clone().ok_or_else(|| {
        Error::generic(format!("the PushSecret in {} has no template", shown(path)))
    })?;
    let mut made = ExternalSecret::new(
        object.metadata.name.as_deref().unwrap_or_default(),
        Default::default(),
    );
    made.metadata
        .namespace
        .clone_from(&object.metadata.namespace);
    made.spec.target.template = Some(template);
    Ok(made)
}

fn of_sealed(object: &SealedSecret, values: BTreeMap<String, SecretBytes>) -> Result<PlainSecret> {
    let mut secret =
        fill_with(object, values).map_err(|error| Error::generic(error.to_string()))?;
    // An owner has a UID, which only a cluster gives.
    secret.metadata.owner_references = None;
    Ok(secret)
}
