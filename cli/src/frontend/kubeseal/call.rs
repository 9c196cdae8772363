//! One command line of `kubeseal`, and what each of its modes makes of it.

use std::path::{Path, PathBuf};

use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::manifest::Output;
use sealwright_resources::scope::Scope;

use super::flags::Flags;
use crate::cluster::ClusterOptions;
use crate::command::Spelling;
use crate::command::seal::{self, CertificateSource, SealOptions};
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::terminal::Terminal;

/// One command line, read.
pub(super) struct Call<'a> {
    terminal: &'a Terminal,
    flags: &'a Flags,
    cluster: ClusterOptions,
    input: Option<PathBuf>,
    /// The file to write; `None` is standard output.
    target: Option<PathBuf>,
}

impl<'a> Call<'a> {
    pub(super) fn new(terminal: &'a Terminal, flags: &'a Flags) -> Self {
        let input = flags.text("secret-file").map(PathBuf::from);
        let target = flags.text("sealed-secret-file").map(PathBuf::from);
        let in_place = input.clone().filter(|_| flags.is_on("re-encrypt"));
        Self {
            terminal,
            flags,
            cluster: flags.cluster(),
            target: target.or(in_place),
            input,
        }
    }

    /// Opens SealedSecrets with a backup of the private keys.
    pub(super) fn unseal(&self) -> Result<()> {
        let keys = seal::keyring(&self.flags.list("recovery-private-key"))?;
        self.write(seal::unseal_stream(
            self.terminal,
            &self.read()?,
            &keys,
            (self.output()?, Spelling::Encoded),
        )?)
    }

    /// Private keys without the mode that opens something are a mistake.
    pub(super) fn warn_of_useless_keys(&self) {
        if !self.flags.list("recovery-private-key").is_empty()
            && rustix::termios::isatty(rustix::stdio::stderr())
        {
            self.terminal
                .tell("warning: --recovery-private-key does nothing without --recovery-unseal");
        }
    }

    /// Asks the controller whether it can open SealedSecrets.
    pub(super) fn validate(&self) -> Result<()> {
        seal::validate(&self.read()?, &self.flags.controller(), &self.cluster)
    }

    /// Lets the controller seal SealedSecrets for its newest key.
    pub(super) fn re_encrypt(&self) -> Result<()> {
        let output = self.output()?;
        let sealed = seal::re_encrypt(&self.read()?, &self.flags.controller(), &self.cluster)?;
        self.write(seal::write_all(&sealed, output).into())
    }

    /// Prints the certificate to seal with.
    pub(super) fn fetch_certificate(&self) -> Result<()> {
        self.refuse_absent_input()?;
        self.write(self.certificate().fetch()?.into())
    }

    /// Adds sealed values to a file of SealedSecrets.
    pub(super) fn merge_into(&self, merged: &Path, options: &SealOptions) -> Result<()> {
        let secrets = self.read()?;
        let certificate = self.certificate().load()?;
        let original = file::read_to_update(merged).map_err(|error| {
            Error::new(Kind::Read, format!("cannot read {}", merged.display())).because(error)
        })?;
        let old = SecretBytes::copy_of(original.bytes.expose());
        let text = seal::merge_into(merged, old, &secrets, &certificate, options)?;
        if text == original.bytes {
            return Ok(());
        }
        file::replace(
            self.terminal,
            merged,
            &text,
            file::Content::Encrypted,
            Some(&original),
        )
    }

    /// Seals one value.
    pub(super) fn seal_value(&self, options: &SealOptions) -> Result<()> {
        self.refuse_absent_input()?;
        let value = match &self.flags.list("from-file")[..] {
            [] => self.read_stdin("the value to seal")?,
            [one] => seal::read_input(Some(&PathBuf::from(
                one.split_once('=').map_or(one.as_str(), |(_, path)| path),
            )))?,
            _ => {
                return Err(Error::new(
                    Kind::Usage,
                    "must provide only one --from-file when encrypting a single item with --raw",
                ));
            }
        };
        let sealed = seal::seal_raw(&value, &self.certificate().load()?, options)?;
        self.write(sealed.into_bytes().into())
    }

    /// Seals the Secrets of a manifest.
    pub(super) fn seal(&self, options: &SealOptions) -> Result<()> {
        let output = self.output()?;
        let secrets = self.read()?;
        let sealed = seal::seal_stream(&secrets, &self.certificate().load()?, options)?;
        self.write(seal::write_all(&sealed, output).into())
    }

    pub(super) fn seal_options(&self) -> Result<SealOptions> {
        let scope = match self.flags.value("scope").unwrap_or_default() {
            "" => None,
            name => Some(
                name.parse::<Scope>()
                    .map_err(|error| Error::new(Kind::Usage, error.to_string()))?,
            ),
        };
        Ok(SealOptions {
            scope,
            name: self.flags.text("name"),
            allow_empty_data: self.flags.is_on("allow-empty-data"),
            cluster: self.cluster.clone(),
        })
    }

    fn certificate(&self) -> CertificateSource {
        match self.flags.text("cert") {
            Some(name) => CertificateSource::Named(name),
            None => {
                let cluster = Box::new(self.cluster.clone());
                CertificateSource::Controller(self.flags.controller(), cluster)
            }
        }
    }

    /// The manifest that a mode works on.
    fn read(&self) -> Result<SecretBytes> {
        if self.input.is_none() {
            return self.read_stdin("a manifest in YAML or JSON");
        }
        seal::read_input(self.input.as_ref())
            .map_err(|error| unreadable_input().because(error.message()))
    }

    /// Refuses an input that cannot be opened in a mode that reads none, as upstream does.
    fn refuse_absent_input(&self) -> Result<()> {
        let Some(input) = &self.input else {
            return Ok(());
        };
        match std::fs::File::open(input) {
            Ok(_) => Ok(()),
            Err(error) => Err(unreadable_input().because(error)),
        }
    }

    fn read_stdin(&self, what: &str) -> Result<SecretBytes> {
        if rustix::termios::isatty(rustix::stdio::stdin()) {
            self.terminal.tell(&format!(
                "reading {what} from the terminal; end it with Ctrl-D, or name a file"
            ));
        }
        seal::read_input(None)
    }

    /// The format of an object. Modes that print none do not ask, so a wrong one does not matter to them.
    fn output(&self) -> Result<Output> {
        let wished = self.flags.value("format").unwrap_or_default();
        match (
            seal::output_of(self.target.as_deref(), Output::Json),
            wished.to_ascii_lowercase().as_str(),
        ) {
            (Output::Yaml, _) | (_, "yaml") => Ok(Output::Yaml),
            (_, "" | "json") => Ok(Output::Json),
            _ => Err(Error::new(
                Kind::Usage,
                format!("unsupported output format: {wished}"),
            )),
        }
    }

    /// Writes to the file, readable by its owner alone, or to standard output.
    fn write(&self, bytes: SecretBytes) -> Result<()> {
        match &self.target {
            Some(target) => {
                file::replace(self.terminal, target, &bytes, file::Content::Private, None)
            }
            None => self.terminal.out(bytes.expose()),
        }
    }
}

/// The words that scripts know; the cause tells the rest.
fn unreadable_input() -> Error {
    Error::new(
        Kind::Read,
        "Could not read file specified with --secret-file",
    )
}
