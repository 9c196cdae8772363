//! `kubeseal`: its flags and modes, its messages and exit codes.

mod flags;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::manifest::Output;
use sealwright_resources::scope::Scope;

use crate::command::seal::{self, CertificateSource, SealOptions};
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::terminal::{Terminal, Voice};
use flags::Flags;

/// The version of the contract that is implemented; scripts compare it.
const VERSION: &str = "0.40.0";

/// Runs `kubeseal` and gives its exit code: 0, 1 for an error, 2 for a wrong flag.
pub(crate) fn run(words: Vec<OsString>) -> u8 {
    let terminal = Terminal::new(Voice::Upstream);
    let words = words
        .into_iter()
        .map(|word| word.to_string_lossy().into_owned());
    let flags = match Flags::parse(words, |name| std::env::var(name).ok()) {
        Ok(flags) => flags,
        Err(error) => {
            terminal.tell(&error.to_string());
            terminal.tell_text(&flags::usage());
            return 2;
        }
    };
    match work(&terminal, &flags) {
        Ok(()) => 0,
        Err(error) => {
            for (at, line) in error.lines().iter().enumerate() {
                let mark = if at == 0 { "error: " } else { "" };
                terminal.tell(&format!("{mark}{line}"));
            }
            super::hints(&terminal, &error);
            1
        }
    }
}

fn work(terminal: &Terminal, flags: &Flags) -> Result<()> {
    // On standard output, as there: scripts that still use the old name take the line away again (T40).
    for notice in flags.notices() {
        terminal.say(&notice)?;
    }
    if flags.is_on("version") {
        return terminal.say(&format!("kubeseal version: {VERSION}"));
    }
    if flags.is_on("help") {
        return terminal.out(flags::usage().as_bytes());
    }
    let from_files = flags.list("from-file");
    if !from_files.is_empty() && !flags.is_on("raw") {
        return Err(Error::new(Kind::Usage, "--from-file requires --raw"));
    }
    let re_encrypts = flags.is_on("re-encrypt");
    let input = flags.text("secret-file").map(PathBuf::from);
    let mut target = flags.text("sealed-secret-file").map(PathBuf::from);
    if re_encrypts && target.is_none() {
        target.clone_from(&input);
    }
    // Looked at where an object is written: an extension that decides, and modes that print none, make it irrelevant.
    let output = || output(flags, target.as_deref());
    let typed = |what: &str| {
        if rustix::termios::isatty(rustix::stdio::stdin()) {
            terminal.tell(&format!(
                "reading {what} from the terminal; end it with Ctrl-D, or name a file"
            ));
        }
        seal::read_input(None)
    };
    let read = || match &input {
        // The words that scripts know; the cause tells the rest.
        Some(_) => seal::read_input(input.as_ref()).map_err(|error| {
            Error::new(
                Kind::Read,
                "Could not read file specified with --secret-file",
            )
            .because(error.message())
        }),
        None => typed("a manifest in YAML or JSON"),
    };
    let write = |bytes: SecretBytes| write(terminal, target.as_ref(), bytes);

    if flags.is_on("recovery-unseal") {
        let keys = seal::keyring(&flags.list("recovery-private-key"))?;
        return write(seal::unseal_stream(
            terminal,
            &read()?,
            &keys,
            (output()?, crate::command::Spelling::Encoded),
        )?);
    }
    if !flags.list("recovery-private-key").is_empty()
        && rustix::termios::isatty(rustix::stdio::stderr())
    {
        terminal.tell("warning: --recovery-private-key does nothing without --recovery-unseal");
    }
    let cluster = flags.cluster();
    if flags.is_on("validate") {
        return seal::validate(&read()?, &flags.controller(), &cluster);
    }
    if re_encrypts {
        let output = output()?;
        let sealed = seal::re_encrypt(&read()?, &flags.controller(), &cluster)?;
        return write(seal::write_all(&sealed, output).into());
    }
    let source = match flags.text("cert") {
        Some(name) => CertificateSource::Named(name),
        None => CertificateSource::Controller(flags.controller(), Box::new(cluster.clone())),
    };
    if flags.is_on("fetch-cert") {
        return write(source.fetch()?.into());
    }
    let scope = match flags.value("scope").unwrap_or_default() {
        "" => None,
        name => Some(
            name.parse::<Scope>()
                .map_err(|error| Error::new(Kind::Usage, error.to_string()))?,
        ),
    };
    let options = SealOptions {
        scope,
        name: flags.text("name"),
        allow_empty_data: flags.is_on("allow-empty-data"),
        cluster,
    };
    if let Some(merged) = flags.text("merge-into").map(PathBuf::from) {
        let secrets = read()?;
        let certificate = source.load()?;
        let original = file::read_to_update(&merged).map_err(|error| {
            Error::new(Kind::Read, format!("cannot read {}", merged.display())).because(error)
        })?;
        let old = SecretBytes::copy_of(original.bytes.expose());
        let text = seal::merge_into(&merged, old, &secrets, &certificate, &options)?;
        if text == original.bytes {
            return Ok(());
        }
        return file::replace(
            terminal,
            &merged,
            &text,
            file::Content::Encrypted,
            Some(&original),
        );
    }
    if flags.is_on("raw") {
        let value = match &from_files[..] {
            [] => typed("the value to seal")?,
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
        return write(
            seal::seal_raw(&value, &source.load()?, &options)?
                .into_bytes()
                .into(),
        );
    }
    let output = output()?;
    let secrets = read()?;
    let sealed = seal::seal_stream(&secrets, &source.load()?, &options)?;
    write(seal::write_all(&sealed, output).into())
}

fn output(flags: &Flags, target: Option<&Path>) -> Result<Output> {
    let wished = flags.value("format").unwrap_or_default();
    match (
        seal::output_of(target, Output::Json),
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
fn write(terminal: &Terminal, target: Option<&PathBuf>, bytes: SecretBytes) -> Result<()> {
    match target {
        Some(target) => file::replace(terminal, target, &bytes, file::Content::Private, None),
        None => terminal.out(bytes.expose()),
    }
}
