//! The data of a Secret: which values an ExternalSecret asks for, and what is made out of the answers.
//!
//! [`requests`] lists what has to be read, in the order in which upstream reads it; [`assemble`] takes one answer for each.
//! Nothing here waits, so the same code serves the controller and the command line.

use sealwright_crypto::secret::SecretBytes;
use sealwright_template::Budget;
use thiserror::Error;

use super::keys::{self, KeyError};
use super::remote_ref::{Find, NullBytePolicy, RemoteRef};
use super::rewrite::{self, RewriteError};
use super::values::{DecodingError, Values, decode};
use super::{
    Data, DataFrom, DeletionPolicy, ExternalSecretSpec, GeneratorRef, SourceRef, StoreRef,
};

/// One thing to be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// The entry that asks for it.
    pub entry: Entry,
    /// Where it comes from.
    pub source: Source<'a>,
    /// What is asked.
    pub query: Query<'a>,
}

/// An entry of the spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// `spec.data[i]`.
    Data(usize),
    /// `spec.dataFrom[i]`.
    DataFrom(usize),
}

/// Where an entry is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// A store.
    Store(&'a StoreRef),
    /// A generator.
    Generator(&'a GeneratorRef),
    /// The entry names neither, and there is no default.
    Missing,
}

/// What is asked of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query<'a> {
    /// One value.
    Value(&'a RemoteRef),
    /// All pairs of one secret.
    Map(&'a RemoteRef),
    /// All secrets that match.
    Find(&'a Find),
    /// Whatever the generator makes.
    Generate,
}

/// What came back.
#[derive(Debug)]
pub enum Answer {
    /// One value.
    Value(SecretBytes),
    /// A set of values.
    Values(Values),
    /// The source says that there is no such secret, which is not the same as saying nothing.
    Absent,
    /// Nothing is known.
    Failed(Failure),
}

/// Why nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What may be shown to those who may read the ExternalSecret: no word of a store's own text.
    pub public: Option<String>,
    /// Whether asking again soon is pointless, because the same answer would come.
    pub definite: bool,
}

/// The data could not be made. The text is public.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}{problem}", at(entry, key.as_deref()))]
pub struct DataError {
    /// The entry at fault.
    pub entry: Entry,
    /// The remote key, as it stands in the spec.
    pub key: Option<String>,
    /// What is wrong.
    pub problem: DataProblem,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DataProblem {
    /// The secret is not there, and the deletion policy does not put up with that.
    #[error("the store has no such secret")]
    Absent,
    /// Neither the entry nor the spec names a store.
    #[error("no store is named")]
    NoStore,
    /// Nothing is known, and the reason is not public.
    #[error("the store could not be read")]
    Failed {
        /// Whether asking again soon is pointless.
        definite: bool,
    },
    /// Nothing is known, and the reason is public.
    #[error("{text}")]
    Public {
        /// The reason.
        text: String,
        /// Whether asking again soon is pointless.
        definite: bool,
    },
    /// The keys cannot be changed as asked.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// The keys are none that a Secret can have.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A value cannot be decoded as asked.
    #[error("a value cannot be decoded as {0}")]
    Decoding(&'static str),
    /// A value has a byte that it must not have.
    #[error("a value contains the byte zero")]
    NullByte,
    /// The source answered something else than it was asked.
    #[error("the answer is of the wrong kind")]
    WrongAnswer,
}

impl From<DecodingError> for DataProblem {
    fn from(DecodingError(encoding): DecodingError) -> Self {
        Self::Decoding(encoding)
    }
}

impl DataProblem {
    /// Returns true if asking again soon is pointless.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Failed { definite } | Self::Public { definite, .. } => *definite,
            Self::NoStore | Self::WrongAnswer => false,
            _ => true,
        }
    }
}

fn at(entry: &Entry, key: Option<&str>) -> String {
    match (entry, key) {
        (Entry::Data(index), Some(key)) => format!("spec.data[{index}] (key: {key}): "),
        (Entry::Data(index), None) => format!("spec.data[{index}]: "),
        (Entry::DataFrom(index), _) => format!("spec.dataFrom[{index}]: "),
    }
}

/// What [`assemble`] found out.
#[derive(Debug)]
pub struct Assembled {
    /// The data, or the first entry at fault.
    pub values: Result<Values, DataError>,
    /// Entries without a secret that the deletion policy puts up with, as the events name them.
    pub missing: Vec<String>,
}

/// Lists what has to be read: all of `dataFrom`, then all of `data`.
#[must_use]
pub fn requests(spec: &ExternalSecretSpec) -> Vec<Request<'_>> {
    let default = spec.secret_store_ref.as_ref();
    let from = spec.data_from.iter().enumerate();
    let from = from.filter_map(|(index, entry)| {
        let entry_of = |source, query| Request {
            entry: Entry::DataFrom(index),
            source,
            query,
        };
        let store = || store_of(entry.source_ref.as_ref(), default);
        if let Some(find) = &entry.find {
            return Some(entry_of(store(), Query::Find(find)));
        }
        if let Some(extract) = &entry.extract {
            return Some(entry_of(store(), Query::Map(extract)));
        }
        let generator = entry.source_ref.as_ref()?.generator_ref.as_ref()?;
        Some(entry_of(Source::Generator(generator), Query::Generate))
    });
    let data = spec.data.iter().enumerate().map(|(index, entry)| Request {
        entry: Entry::Data(index),
        source: match &entry.source_ref {
            // A generator has no single values: upstream takes such an entry for one without a store.
            Some(source) if source.store_ref.is_none() && source.generator_ref.is_some() => {
                Source::Missing
            }
            source => store_of(source.as_ref(), default),
        },
        query: Query::Value(&entry.remote_ref),
    });
    from.chain(data).collect()
}

fn store_of<'a>(source: Option<&'a SourceRef>, default: Option<&'a StoreRef>) -> Source<'a> {
    let own = source.and_then(|source| source.store_ref.as_ref());
    match own.or(default).filter(|store| !store.name().is_empty()) {
        Some(store) => Source::Store(store),
        None => Source::Missing,
    }
}

/// Makes the data out of one answer for each of [`requests`], in their order; later entries win.
///
/// # Panics
///
/// If there are fewer answers than requests.
#[must_use]
pub fn assemble(spec: &ExternalSecretSpec, answers: Vec<Answer>, budget: &Budget) -> Assembled {
    let mut missing = Vec::new();
    let tolerant = spec.target.deletion_policy != DeletionPolicy::Retain;
    let mut values = Values::new();
    let requests = requests(spec);
    assert!(
        answers.len() >= requests.len(),
        "an answer for each request"
    );
    for (request, answer) in requests.into_iter().zip(answers) {
        if matches!(answer, Answer::Absent) && tolerant {
            missing.push(missing_text(spec, request.entry));
            continue;
        }
        let added = match request.entry {
            Entry::DataFrom(index) => set(&spec.data_from[index], answer, budget),
            Entry::Data(index) => single(&spec.data[index], &request.source, answer),
        };
        match added {
            Ok(added) => values.extend(added),
            Err(problem) => {
                let key = match request.query {
                    Query::Value(remote) => Some(remote.key.clone()),
                    _ => None,
                };
                let values = Err(DataError {
                    entry: request.entry,
                    key,
                    problem,
                });
                return Assembled { values, missing };
            }
        }
    }
    Assembled {
        values: Ok(values),
        missing,
    }
}

/// The text of the event about a secret that is not there; it says `dataFrom` for entries of `data` too (T26).
fn missing_text(spec: &ExternalSecretSpec, entry: Entry) -> String {
    let text = "secret does not exist at provider using spec.dataFrom";
    match entry {
        Entry::DataFrom(index) => format!("{text}[{index}]"),
        Entry::Data(index) => {
            let key = &spec.data[index].remote_ref.key;
            format!("{text}[{index}] (key={key})")
        }
    }
}

fn single(entry: &Data, source: &Source<'_>, answer: Answer) -> Result<Values, DataProblem> {
    if matches!(source, Source::Missing) {
        return Err(DataProblem::NoStore);
    }
    let value = match answer {
        Answer::Value(value) => value,
        Answer::Values(_) => return Err(DataProblem::WrongAnswer),
        answer => return Err(no_values(answer)),
    };
    let strategy = entry.remote_ref.decoding_strategy.unwrap_or_default();
    let value = decode(value, strategy)?;
    let mut values = Values::new();
    values.insert(entry.secret_key.clone(), value);
    check_null_bytes(&values, entry.remote_ref.null_byte_policy)?;
    Ok(values)
}

fn set(entry: &DataFrom, answer: Answer, budget: &Budget) -> Result<Values, DataProblem> {
    let values = match answer {
        Answer::Values(values) => values,
        Answer::Value(_) => return Err(DataProblem::WrongAnswer),
        answer => return Err(no_values(answer)),
    };
    let mut values = rewrite::rewrite(values, &entry.rewrite, budget)?;
    let (conversion, decoding, null_bytes) = match (&entry.find, &entry.extract) {
        (Some(find), _) => (
            find.conversion_strategy,
            find.decoding_strategy,
            find.null_byte_policy,
        ),
        (None, Some(extract)) => (
            extract.conversion_strategy,
            extract.decoding_strategy,
            extract.null_byte_policy,
        ),
        (None, None) => {
            keys::validate(&mut values)?;
            return Ok(values);
        }
    };
    // A rewrite is trusted to leave keys that need no conversion (T17).
    if entry.rewrite.is_empty() {
        values = keys::convert(values, conversion.unwrap_or_default())?;
    }
    keys::validate(&mut values)?;
    let decoding = decoding.unwrap_or_default();
    let values = values
        .into_iter()
        .map(|(key, value)| Ok((key, decode(value, decoding)?)))
        .collect::<Result<Values, DataProblem>>()?;
    check_null_bytes(&values, null_bytes)?;
    Ok(values)
}

fn no_values(answer: Answer) -> DataProblem {
    match answer {
        Answer::Absent => DataProblem::Absent,
        Answer::Failed(Failure {
            public: None,
            definite,
        }) => DataProblem::Failed { definite },
        Answer::Failed(Failure {
            public: Some(text),
            definite,
        }) => DataProblem::Public { text, definite },
        Answer::Value(_) | Answer::Values(_) => DataProblem::WrongAnswer,
    }
}

fn check_null_bytes(values: &Values, policy: Option<NullBytePolicy>) -> Result<(), DataProblem> {
    let fails = policy == Some(NullBytePolicy::Fail)
        && values.values().any(|value| value.expose().contains(&0));
    if fails {
        return Err(DataProblem::NullByte);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
