//! `esoctl template`: renders a template of the External Secrets Operator offline, with that program's flags (E106).

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use sealwright_resources::manifest::Output;

use crate::command::{Settings, Spelling, Template, absolute};
use crate::error::{Kind, Result};
use crate::terminal::{Terminal, Voice};
use crate::world::World;

/// Works with objects of the External Secrets Operator.
#[derive(Debug, Parser)]
#[command(
    name = "esoctl",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Template(TemplateFlags),
}

/// Render the template of an ExternalSecret or PushSecret with given data.
#[derive(Debug, Args)]
struct TemplateFlags {
    /// The file of the ExternalSecret or PushSecret.
    #[arg(long, value_name = "FILE")]
    source_templated_object: PathBuf,
    /// The file with the data: a map of keys and values.
    #[arg(long, value_name = "FILE")]
    source_secret_data_file: PathBuf,
    /// A file with a ConfigMap that templateFrom names.
    #[arg(long, value_name = "FILE")]
    template_from_config_map: Option<PathBuf>,
    /// A file with a Secret that templateFrom names.
    #[arg(long, value_name = "FILE")]
    template_from_secret: Option<PathBuf>,
    /// The file that is written instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the front-end; `words` are those after the program's name. Gives the exit code.
pub(crate) fn run(words: Vec<OsString>) -> u8 {
    let terminal = Arc::new(Terminal::new(Voice::Own));
    let words = std::iter::once(OsString::from("esoctl")).chain(words);
    let parsed = Arguments::command()
        .try_get_matches_from(words)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let done = match parsed {
        Ok(arguments) => perform(&terminal, arguments),
        Err(error) if !error.use_stderr() => terminal.out(error.render().to_string().as_bytes()),
        Err(error) => {
            terminal.tell_text(error.render().to_string().trim_end());
            return Kind::Usage.code();
        }
    };
    match done {
        Ok(()) => 0,
        Err(error) => super::report(&terminal, &error),
    }
}

fn perform(terminal: &Arc<Terminal>, arguments: Arguments) -> Result<()> {
    let Verb::Template(flags) = arguments.verb;
    let world = World::new(Arc::clone(terminal));
    let from = [flags.template_from_config_map, flags.template_from_secret];
    Template {
        file: flags.source_templated_object,
        data: flags.source_secret_data_file,
        from: from.into_iter().flatten().collect(),
        form: (Output::Yaml, Spelling::Encoded),
        out: flags.output.as_deref().map(absolute).transpose()?,
        settings: Settings::new(),
    }
    .run(&world)
}
