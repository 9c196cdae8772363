//! The program without a command: old flags choose what is done.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::command::{self, Input, parse_tree_path};
use crate::error::{Error, Kind, Result};
use crate::world::World;

use super::call::{Call, refuse_missing};
use super::parser::Values;

/// The program without a command (S17): `--encrypt`, `--decrypt`, `--rotate`, `--set`, otherwise edit.
pub(super) fn run(world: &World, values: &Values, operands: &[OsString]) -> Result<()> {
    world.open_trail()?;
    let terminal = &*world.terminal;
    let call = Call {
        world,
        root: values,
        values,
        operands,
    };
    let (encrypt, decrypt, rotate) = (
        values.on("encrypt"),
        values.on("decrypt"),
        values.on("rotate"),
    );
    let set = !values.text("set").is_empty();
    let file = call.file()?;
    call.refuse_two_outputs()?;
    if !file.exists() {
        if call.changes_keys() {
            return Err(Error::new(
                Kind::NoFileToRotate,
                format!(
                    "Error: cannot add or remove keys on non-existent file {file:?}, use the `edit` subcommand instead."
                ),
            ));
        }
        if encrypt || decrypt || rotate {
            refuse_missing(&file)?;
        }
    }
    if [encrypt, decrypt, rotate, set]
        .iter()
        .filter(|on| **on)
        .count()
        > 1
    {
        terminal.warn(
            "More than one of --encrypt, --decrypt, --rotate and --set was given: only the last of them in this order is written",
        );
        // Upstream does them all and shows the last; of the others only wrong options and rules stop it.
        if encrypt {
            call.encryption(Input::File(file.clone()))?.check(world)?;
        }
    }
    if !decrypt || set || rotate {
        call.check_rule(&file)?;
    }
    if set {
        legacy_set(&call, file)
    } else if rotate {
        call.rotate_file(file)
    } else if decrypt {
        call.decrypt_from(Input::File(file))
    } else if encrypt {
        call.settings_to_decrypt()?;
        call.encrypt_from(Input::File(file))
    } else {
        call.edit_file(file)
    }
}

/// `--set 'path json'`: split at the first `] ` (S104).
fn legacy_set(call: &Call<'_>, file: PathBuf) -> Result<()> {
    let name = call.name(&Input::File(file.clone()))?;
    let settings = call.settings_to_decrypt()?;
    let text = call.values.text("set");
    let wrong = || {
        Error::new(
            Kind::Path,
            "Invalid --set format: 'path' and 'json' must be separated by a space after ]",
        )
    };
    let (path, json) = text.split_once("] ").ok_or_else(wrong)?;
    let path = parse_tree_path(&format!("{path}]"))
        .map_err(|reason| Error::new(Kind::Path, format!("Invalid --set format: {reason}")))?;
    if path.is_empty() {
        return Err(wrong());
    }
    command::Set {
        name,
        file,
        path,
        value: command::SetValue::json(json.as_bytes()),
        replacing: command::Replacing::Anything,
        idempotent: false,
        ignore_mac: call.values.on("ignore-mac"),
        settings,
    }
    .run(call.world)
}
