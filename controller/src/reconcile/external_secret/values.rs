//! The values of an ExternalSecret, read from its stores and generators.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use sealwright_providers::outcome::{Answer as Told, StoreError};
use sealwright_resources::external_secret::data::{
    self, Answer, Assembled, DataError, DataProblem, Entry, Failure, Query, Request, Source,
};
use sealwright_resources::external_secret::{
    API_VERSION, DeletionPolicy, ExternalSecret, GeneratorRef, KIND, StoreRef,
};
use sealwright_template::Budget;

use super::ExternalSecrets;
use super::access::{Access, Closed, SILENT};
use super::bounds::{AT_ONCE, Held, TOO_LARGE, failed};
use crate::generators::{Asker, Left};
use crate::stores::StoreId;

/// What came back, and what it left behind.
struct Asked {
    answer: Answer,
    left: Option<Left>,
}

impl From<Answer> for Asked {
    fn from(answer: Answer) -> Self {
        Self { answer, left: None }
    }
}

/// What the stores and generators of an object gave.
struct Gathered {
    answers: Vec<Answer>,
    left: Vec<Option<Left>>,
    /// A store that does not answer.
    silent: Option<StoreId>,
    /// Stores that have answered.
    answered: Vec<StoreId>,
}

impl Gathered {
    /// A store has fallen silent before everything was there.
    fn nothing(requests: &[Request<'_>], silent: StoreId) -> Self {
        Self {
            answers: requests.iter().map(|_| failed(SILENT, false)).collect(),
            left: requests.iter().map(|_| None).collect(),
            silent: Some(silent),
            answered: Vec::new(),
        }
    }
}

impl ExternalSecrets {
    /// Reads everything that the object asks for, and makes its data out of it; names a store that does not answer. Answers no
    /// older than `max_age` will do.
    pub(super) async fn read_values(
        &self,
        object: &ExternalSecret,
        max_age: Duration,
        budget: &Budget,
    ) -> (Assembled, Option<StoreId>) {
        let requests = data::requests(&object.spec);
        let held = Held::default();
        let gathered = self.patiently(object, self.gather(object, &requests, max_age, &held));
        let Gathered {
            answers,
            left,
            silent,
            answered,
        } = gathered
            .await
            .unwrap_or_else(|silent| Gathered::nothing(&requests, silent));
        self.note_silence(object, silent.as_ref(), &answered);
        let entries = requests.iter().map(|request| request.entry).zip(left);
        let entries: Vec<(String, Option<Left>)> = entries
            .filter_map(|(entry, left)| match entry {
                Entry::DataFrom(index) => Some((index.to_string(), left)),
                Entry::Data(_) => None,
            })
            .collect();
        let assemble = || data::assemble(&object.spec, answers, budget);
        let plain = object
            .spec
            .data_from
            .iter()
            .all(|entry| entry.rewrite.is_empty());
        let assembled = self.frame.shared.render(plain, assemble).await;
        (self.settle(object, assembled, entries).await, silent)
    }

    /// Asks for everything.
    async fn gather(
        &self,
        object: &ExternalSecret,
        requests: &[Request<'_>],
        max_age: Duration,
        held: &Held,
    ) -> Gathered {
        let mut stores = HashMap::new();
        for request in requests {
            if let Source::Store(reference) = request.source {
                let id = StoreId::of(reference, object.namespace());
                if let Place::Vacant(vacant) = stores.entry(id) {
                    vacant.insert(self.access(object, reference).await);
                }
            }
        }
        let ask = async |request| {
            if held.is_full() {
                return failed(TOO_LARGE, true).into();
            }
            let asked = self.ask(object, request, &stores, max_age).await;
            // Counted as they come: those that are finished may wait long for the first.
            Asked {
                answer: held.keep(asked.answer),
                ..asked
            }
        };
        let mut asked: Vec<Asked> = Vec::new();
        // A question takes far more memory than the entry that asks it, and there may be ten thousands of those.
        for some in requests.chunks(4 * AT_ONCE) {
            let mut asking = Vec::with_capacity(some.len());
            for request in some {
                asking.push(ask(request).boxed());
            }
            let mut asking = stream::iter(asking).buffered(AT_ONCE);
            while let Some(answer) = asking.next().await {
                // Paths into answers take processor time, and other tasks want some too.
                tokio::task::yield_now().await;
                asked.push(answer);
            }
        }
        let (mut answers, mut left): (Vec<Answer>, Vec<Option<Left>>) = asked
            .into_iter()
            .map(|asked| (asked.answer, asked.left))
            .unzip();
        // What is about to be taken away was looked for once; absence has to be proved again.
        if object.spec.target.deletion_policy != DeletionPolicy::Retain {
            let parts = requests.iter().zip(&mut answers).zip(&mut left);
            for ((request, answer), left) in parts {
                if matches!(answer, Answer::Absent) {
                    let asked = self.ask(object, request, &stores, Duration::ZERO).await;
                    (*answer, *left) = (held.keep(asked.answer), asked.left);
                }
            }
        }
        self.note_keys(object, requests, &answers);
        self.hold_mass_deletion(object, requests, &mut answers, &stores)
            .await;
        let (mut silent, mut answered) = (None, Vec::new());
        for (request, answer) in requests.iter().zip(&answers) {
            let Source::Store(reference) = request.source else {
                continue;
            };
            let id = StoreId::of(reference, object.namespace());
            // A store that was opened and does not answer, or that cannot be opened because it does not.
            match (stores.get(&id), answer) {
                (Some(Ok(_)), Answer::Failed(failure)) if !failure.definite => silent = Some(id),
                (Some(Ok(_)), _) => answered.push(id),
                (Some(Err(Closed { silent: true, .. })), _) => silent = Some(id),
                _ => {}
            }
        }
        Gathered {
            answers,
            left,
            silent,
            answered,
        }
    }

    /// Records what generators left on servers, or takes it back if the data could not be made.
    async fn settle(
        &self,
        object: &ExternalSecret,
        mut assembled: Assembled,
        entries: Vec<(String, Option<Left>)>,
    ) -> Assembled {
        if !self.generators.keeps_state() || entries.is_empty() {
            return assembled;
        }
        let asker = Asker {
            api_version: API_VERSION,
            kind: KIND,
            metadata: &object.metadata,
        };
        let failed = match &assembled.values {
            Ok(_) => false,
            Err(error) => error.problem != DataProblem::Absent,
        };
        if failed {
            self.generators.roll_back(&asker, entries).await;
            return assembled;
        }
        if let Err(error) = self.generators.commit(&asker, entries).await {
            let text = format!(
                "the state of a generator cannot be recorded: {}",
                error.category()
            );
            assembled.values = Err(DataError {
                entry: Entry::DataFrom(0),
                key: None,
                problem: DataProblem::Public {
                    text,
                    definite: false,
                },
            });
        }
        assembled
    }

    async fn ask(
        &self,
        object: &ExternalSecret,
        request: &Request<'_>,
        stores: &HashMap<StoreId, Access>,
        max_age: Duration,
    ) -> Asked {
        match request.source {
            Source::Generator(reference) => self.ask_generator(object, request, reference).await,
            Source::Store(reference) => {
                let asked = self.ask_store(object, request, reference, stores, max_age);
                asked.await.into()
            }
            Source::Missing => failed("no store is named", false).into(),
        }
    }

    async fn ask_generator(
        &self,
        object: &ExternalSecret,
        request: &Request<'_>,
        reference: &GeneratorRef,
    ) -> Asked {
        let made = self.generators.generate(reference, object.namespace());
        match made.await {
            Ok(Told::Found(made)) => Asked {
                answer: Answer::Values(made.values),
                left: made.left,
            },
            Ok(Told::Absent(_)) => Answer::Absent.into(),
            Err(error) => self.unread_value(object, request, &error).into(),
        }
    }

    async fn ask_store(
        &self,
        object: &ExternalSecret,
        request: &Request<'_>,
        reference: &StoreRef,
        stores: &HashMap<StoreId, Access>,
        max_age: Duration,
    ) -> Answer {
        let namespace = object.namespace();
        let lane = match stores.get(&StoreId::of(reference, namespace)) {
            Some(Ok(lane)) => lane,
            Some(Err(closed)) => return Answer::Failed(closed.failure.clone()),
            None => return failed("no store is named", false),
        };
        let values = match request.query {
            Query::Value(remote) => {
                return match lane.get(&remote.asked_by(namespace), max_age).await {
                    Ok(Told::Found(value)) => Answer::Value(value),
                    Ok(Told::Absent(_)) => Answer::Absent,
                    Err(error) => self.unread_value(object, request, &error),
                };
            }
            Query::Map(remote) => lane.get_map(&remote.asked_by(namespace), max_age).await,
            Query::Find(find) => match find.asked() {
                Ok(find) => lane.find(&find, max_age).await,
                Err(error) => Err(error),
            },
            Query::Generate => return failed("a store generates nothing", true),
        };
        match values {
            Ok(Told::Found(values)) => Answer::Values(values),
            Ok(Told::Absent(_)) => Answer::Absent,
            Err(error) => self.unread_value(object, request, &error),
        }
    }

    fn unread_value(
        &self,
        object: &ExternalSecret,
        request: &Request<'_>,
        error: &StoreError,
    ) -> Answer {
        tracing::warn!(
            namespace = object.namespace(),
            name = object.name(),
            entry = ?request.entry,
            error = %error,
            "cannot read a value"
        );
        Answer::Failed(Failure {
            public: error.public_detail().map(str::to_owned),
            definite: !error.trouble().is_passing(),
        })
    }
}
