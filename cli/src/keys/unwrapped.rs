//! What master keys unwrapped in this run.
//!
//! # Contract
//! - A call is known by its key, with all its settings, and by the wrapped text.
//! - Of several calls at the same time one asks the key, and all get its answer: a token is touched once.
//! - What was unwrapped is kept, and wiped, with the program. An answer without a key part is not kept: a later call asks
//!   again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::Shared;
use sealwright_crypto::data_key::KeyPart;
use sealwright_crypto::key_kind::{KeyFields, KeyKind};
use sealwright_crypto::master_key::{KeyError, MasterKey, Pending, Wrapped};

/// The calls of this run that have an answer, or are about to.
#[derive(Default)]
pub(super) struct Unwrapped {
    calls: Mutex<HashMap<Call, Shared<Pending<'static, Answer>>>>,
}

type Call = (KeyFields, Wrapped);
type Answer = Result<Option<Arc<KeyPart>>, KeyError>;

impl Unwrapped {
    /// Makes a key that does not unwrap the same text twice.
    pub(super) fn remember(
        self: &Arc<Self>,
        fields: KeyFields,
        key: Arc<dyn MasterKey>,
    ) -> Arc<dyn MasterKey> {
        Arc::new(Remembering {
            fields,
            key,
            unwrapped: Arc::clone(self),
        })
    }

    async fn unwrap(
        &self,
        fields: &KeyFields,
        key: &Arc<dyn MasterKey>,
        wrapped: &Wrapped,
    ) -> Answer {
        let call = (fields.clone(), wrapped.clone());
        let answer = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let known = calls.entry(call.clone()).or_insert_with(|| {
                let (key, wrapped) = (Arc::clone(key), wrapped.clone());
                let asking: Pending<'static, Answer> =
                    Box::pin(async move { Ok(key.unwrap_key(&wrapped).await?.map(Arc::new)) });
                asking.shared()
            });
            known.clone()
        };
        let result = answer.clone().await;
        if !matches!(result, Ok(Some(_))) {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            if calls.get(&call).is_some_and(|known| known.ptr_eq(&answer)) {
                calls.remove(&call);
            }
        }
        result
    }
}

struct Remembering {
    fields: KeyFields,
    key: Arc<dyn MasterKey>,
    unwrapped: Arc<Unwrapped>,
}

impl MasterKey for Remembering {
    fn kind(&self) -> &'static KeyKind {
        self.key.kind()
    }

    fn identity(&self) -> String {
        self.key.identity()
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        self.key.wrap_key(part)
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move {
            let part = self.unwrapped.unwrap(&self.fields, &self.key, wrapped);
            Ok(part.await?.map(|part| KeyPart::copy_of(part.expose())))
        })
    }

    fn not_mine(&self, wrapped: &Wrapped) -> KeyError {
        self.key.not_mine(wrapped)
    }

    fn is_far(&self) -> bool {
        self.key.is_far()
    }

    fn patience(&self) -> Duration {
        self.key.patience()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use sealwright_crypto::key_kind::AWS_KMS;

    use super::*;
    use crate::wait::block_on;

    /// A key that counts its calls, and waits in each until the gate lets it go.
    struct Counting {
        fields: KeyFields,
        calls: AtomicUsize,
        gate: Option<Barrier>,
        answer: fn() -> Result<Option<KeyPart>, KeyError>,
    }

    impl MasterKey for Counting {
        fn kind(&self) -> &'static KeyKind {
            self.fields.kind()
        }

        fn identity(&self) -> String {
            self.fields.identity()
        }

        fn wrap_key<'a>(&'a self, _: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
            unreachable!("only unwrapping is tested")
        }

        fn unwrap_key<'a>(
            &'a self,
            _: &'a Wrapped,
        ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
            Box::pin(async move {
                self.calls.fetch_add(1, Ordering::SeqCst);
                if let Some(gate) = &self.gate {
                    gate.wait();
                }
                (self.answer)()
            })
        }
    }

    fn key(
        gate: Option<Barrier>,
        answer: fn() -> Result<Option<KeyPart>, KeyError>,
    ) -> Arc<Counting> {
        Arc::new(Counting {
            fields: AWS_KMS.parse("arn:a").unwrap(),
            calls: AtomicUsize::new(0),
            gate,
            answer,
        })
    }

    fn opens() -> Result<Option<KeyPart>, KeyError> {
        Ok(Some(KeyPart::copy_of(b"part")))
    }

    #[test]
    fn calls_at_the_same_time_are_one_call() {
        let key = key(Some(Barrier::new(2)), opens);
        let unwrapped = Arc::new(Unwrapped::default());
        let wrapped = Wrapped("w".into());
        let waiting = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let asked = unwrapped.remember(key.fields.clone(), Arc::clone(&key) as _);
                    waiting.fetch_add(1, Ordering::SeqCst);
                    let part = block_on(asked.unwrap_key(&wrapped)).unwrap().unwrap();
                    assert_eq!(part.expose(), b"part");
                });
            }
            // The one call that asks is let go once all four threads are on their way to it.
            while waiting.load(Ordering::SeqCst) < 4 {
                std::thread::yield_now();
            }
            key.gate.as_ref().unwrap().wait();
        });
        assert_eq!(key.calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn another_context_or_another_text_is_another_call() {
        let key = key(None, opens);
        let unwrapped = Arc::new(Unwrapped::default());
        let ask = |fields: &KeyFields, text: &str| {
            let asked = unwrapped.remember(fields.clone(), Arc::clone(&key) as _);
            block_on(asked.unwrap_key(&Wrapped(text.into()))).unwrap();
            key.calls.load(Ordering::SeqCst)
        };
        let plain = key.fields.clone();
        let mut with_context = plain.clone();
        with_context.set_map("context", [("app", "one")]);
        assert_eq!(ask(&plain, "a"), 1);
        assert_eq!(ask(&plain, "a"), 1, "it is remembered");
        assert_eq!(ask(&with_context, "a"), 2);
        assert_eq!(ask(&plain, "b"), 3);
    }

    #[test]
    fn a_failure_is_not_remembered() {
        for answer in [(|| Ok(None)) as fn() -> _, || Err(KeyError::new("no"))] {
            let key = key(None, answer);
            let unwrapped = Arc::new(Unwrapped::default());
            for calls in 1..3 {
                let asked = unwrapped.remember(key.fields.clone(), Arc::clone(&key) as _);
                let part = block_on(asked.unwrap_key(&Wrapped("w".into())));
                assert!(!matches!(part, Ok(Some(_))));
                assert_eq!(key.calls.load(Ordering::SeqCst), calls);
            }
        }
    }
}
