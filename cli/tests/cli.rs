//! The program in an empty home, without any server: what it prints, how it fails, what it leaves on the disk.
//!
//! Transcripts are compared with the files in `cli/snapshots`; `INSTA_UPDATE=always cargo test -p sealwright --test cli`
//! writes them again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli {
    mod adopt;
    mod desk;
    mod diff;
    mod doctor;
    mod edit;
    mod encrypt;
    mod exec;
    mod external;
    mod first_hour;
    mod folders;
    mod hostile;
    mod init;
    mod json;
    mod keygen;
    mod page;
    mod recipients;
    mod reference;
    #[allow(dead_code, reason = "the cases against a cluster use the rest")]
    pub(crate) mod schema;
    mod screen;
    mod sealed;
    mod set;
    mod shared_folder;
    mod shown;
    mod store;
    mod story;
    mod streams;
    mod team;
}
