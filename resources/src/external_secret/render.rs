//! Templates of ExternalSecrets and PushSecrets: what they see, where they stand in the spec, and what becomes of their output.

mod secret_path;

use std::collections::BTreeMap;
use std::fmt;

use sealwright_crypto::secret::SecretBytes;
use sealwright_template::yaml::Node;
use sealwright_template::{Budget, Cause, Context, Delimiters, Dialect, MissingKey, Template};
use thiserror::Error;

use super::destination::{Destination, Step};
use super::remote_ref::DecodingStrategy;
use super::template_spec::{Scope, TargetTemplate, TemplateFrom, TemplateRef};
use super::values::{Values, decode};
use crate::manifest;

/// How templates are spelled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The marks around actions.
    pub delimiters: Delimiters,
}

/// What templates are rendered with, beside the values.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The objects that templates are read from.
    pub sources: &'a Sources,
    /// How templates are spelled.
    pub options: &'a Options,
    /// What the object may still use.
    pub budget: &'a Budget,
}

/// Where a template stands in the spec; names of keys appear only where they stand literally in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `template.data`.
    Data,
    /// `template.metadata.labels`.
    Labels,
    /// `template.metadata.annotations`.
    Annotations,
    /// `template.templateFrom[i].target`.
    Target(usize),
    /// `template.templateFrom[i].literal`.
    Literal(usize),
    /// `template.templateFrom[i].configMap`.
    ConfigMap(usize),
    /// `template.templateFrom[i].configMap.items[j]`.
    ConfigMapItem(usize, usize),
    /// `template.templateFrom[i].secret`.
    Secret(usize),
    /// `template.templateFrom[i].secret.items[j]`.
    SecretItem(usize, usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data => f.write_str("template.data"),
            Self::Labels => f.write_str("template.metadata.labels"),
            Self::Annotations => f.write_str("template.metadata.annotations"),
            Self::Target(from) => write!(f, "template.templateFrom[{from}].target"),
            Self::Literal(from) => write!(f, "template.templateFrom[{from}].literal"),
            Self::ConfigMap(from) => write!(f, "template.templateFrom[{from}].configMap"),
            Self::ConfigMapItem(from, item) => {
                write!(f, "template.templateFrom[{from}].configMap.items[{item}]")
            }
            Self::Secret(from) => write!(f, "template.templateFrom[{from}].secret"),
            Self::SecretItem(from, item) => {
                write!(f, "template.templateFrom[{from}].secret.items[{item}]")
            }
        }
    }
}

/// A template that did not make what it should. The text is public: it names the place, never source, value or made key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct RenderError {
    /// Where the template stands.
    pub place: Place,
    /// What is wrong.
    pub problem: RenderProblem,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RenderProblem {
    /// It does not parse.
    #[error("the template cannot be parsed{}", in_line(*.line))]
    Parse {
        /// The line, from 1, where it is known.
        line: Option<usize>,
    },
    /// It does not run.
    #[error("the template cannot be executed{}", in_line(*.line))]
    Execute {
        /// The line, from 1, where it is known.
        line: Option<usize>,
    },
    /// It needs more time or memory than the templates of an object may take together.
    #[error("the template exceeds its budget of time and memory{}", in_line(*.line))]
    Budget {
        /// The line, from 1, where it is known.
        line: Option<usize>,
    },
    /// Its output is no YAML of keys and texts.
    #[error("what the template makes is no YAML map of keys and values")]
    Yaml,
    /// A value that it made cannot be decoded.
    #[error("a value that the template makes cannot be decoded")]
    Decoding,
    /// A label or annotation that it made is no text.
    #[error("a value that the template makes is not UTF-8")]
    NotText,
    /// The object that holds the template is not there.
    #[error("the object with the template does not exist")]
    NoObject,
    /// The key that holds the template is not there.
    #[error("the key of the template does not exist")]
    NoKey,
    /// The target is none of a Secret's.
    #[error("the target is neither Data nor Labels nor Annotations")]
    Target,
    /// The target is no path, or leads through something else than maps and lists.
    #[error("the target is no path into the object")]
    Path,
    /// Its output is no YAML.
    #[error("what the template makes is no YAML")]
    Document,
    /// Its output is of another type than the field of the target.
    #[error("what the template makes does not fit the field of the target")]
    Field,
}

fn in_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(" (line {line})"))
}

/// The objects that `templateFrom` names, as far as they exist.
#[derive(Default)]
pub struct Sources {
    /// ConfigMaps by name: their `data`.
    pub config_maps: BTreeMap<String, BTreeMap<String, String>>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Values>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("config_maps", &self.config_maps.keys())
            .field("secrets", &self.secrets.keys())
            .finish()
    }
}

/// The names of the ConfigMaps and Secrets that a template needs.
#[must_use]
pub fn sources_of(template: &TargetTemplate) -> (Vec<&str>, Vec<&str>) {
    let from = &template.template_from;
    let config_maps = from.iter().filter_map(|from| from.config_map.as_ref());
    let secrets = from.iter().filter_map(|from| from.secret.as_ref());
    let names = |list: &mut Vec<&str>| {
        list.sort_unstable();
        list.dedup();
    };
    let mut config_maps: Vec<&str> = config_maps.map(|map| map.name.as_str()).collect();
    let mut secrets: Vec<&str> = secrets.map(|secret| secret.name.as_str()).collect();
    names(&mut config_maps);
    names(&mut secrets);
    (config_maps, secrets)
}

/// What templates fill.
#[derive(Default)]
pub struct Output {
    /// Values of the Secret.
    pub data: Values,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// The labels take the place of those that are there.
    pub replaces_labels: bool,
    /// The annotations take the place of those that are there.
    pub replaces_annotations: bool,
    /// The type, if a path leads to it.
    pub kind: Option<String>,
}

/// The part of a Secret that a template fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its values.
    Data,
    /// Its labels.
    Labels,
    /// Its annotations.
    Annotations,
}

impl Part {
    /// Reads the `target` of a `templateFrom`, in any case; none is Data.
    #[must_use]
    pub fn of(target: Option<&str>) -> Option<Self> {
        let target = target.unwrap_or_default();
        [
            ("", Self::Data),
            ("data", Self::Data),
            ("labels", Self::Labels),
            ("annotations", Self::Annotations),
        ]
        .into_iter()
        .find_map(|(name, part)| target.eq_ignore_ascii_case(name).then_some(part))
    }
}

/// Checks the targets of a template whose Secret is written to the cluster: upstream refuses paths into it, which could make it
/// privileged.
///
/// # Errors
///
/// Names the first that is none of Data, Labels and Annotations.
pub(super) fn check_targets(template: &TargetTemplate) -> Result<(), RenderError> {
    let mut from = template.template_from.iter();
    match from.position(|from| Part::of(from.target.as_deref()).is_none()) {
        Some(index) => Err(RenderError {
            place: Place::Target(index),
            problem: RenderProblem::Target,
        }),
        None => Ok(()),
    }
}

/// Renders everything that a template asks for, in upstream's order: each `templateFrom` with its ConfigMap, its Secret and
/// its literal, then `data`, `labels` and `annotations`. Later results win. All of them see the same values and share the
/// budget of the object.
///
/// # Errors
///
/// Names the first template that fails.
pub fn render(
    template: &TargetTemplate,
    values: &Values,
    inputs: Inputs<'_>,
) -> Result<Output, RenderError> {
    let mut work = Work::new(values, inputs.options, inputs.budget.clone());
    for (index, from) in template.template_from.iter().enumerate() {
        work.from(index, from, inputs.sources)?;
    }
    for (place, part, pairs) in [
        (Place::Data, Part::Data, &template.data),
        (Place::Labels, Part::Labels, &template.metadata.labels),
        (
            Place::Annotations,
            Part::Annotations,
            &template.metadata.annotations,
        ),
    ] {
        for (key, text) in pairs {
            let fail = |problem| RenderError {
                place: place.clone(),
                problem,
            };
            let value = work.rendered(text).map_err(fail)?;
            work.put(part, key, value).map_err(fail)?;
        }
    }
    Ok(work.output)
}

/// The templates of one object, for targets whose parts are not those of a Secret.
pub(super) struct Rendering(Work);

impl Rendering {
    pub(super) fn new(values: &Values, inputs: Inputs<'_>) -> Self {
        Self(Work::new(values, inputs.options, inputs.budget.clone()))
    }

    /// Renders one template.
    pub(super) fn text(&self, source: &str) -> Result<SecretBytes, RenderProblem> {
        self.0.rendered(source)
    }

    /// Renders the ConfigMap and the Secret of a `templateFrom`.
    pub(super) fn objects(
        &mut self,
        index: usize,
        from: &TemplateFrom,
        sources: &Sources,
    ) -> Result<Values, RenderError> {
        let objects = TemplateFrom {
            literal: None,
            target: None,
            ..from.clone()
        };
        self.0.from(index, &objects, sources)?;
        Ok(std::mem::take(&mut self.0.output).data)
    }
}

struct Work {
    context: Context,
    options: sealwright_template::Options,
    /// What all templates of the object may take together.
    budget: Budget,
    output: Output,
}

impl Work {
    fn new(values: &Values, options: &Options, budget: Budget) -> Self {
        let mut context = Context::default();
        for (key, value) in values {
            context.insert(key, value.expose());
        }
        Self {
            context,
            options: sealwright_template::Options::of(Dialect::ExternalSecrets)
                .with_delimiters(options.delimiters.clone()),
            budget,
            output: Output::default(),
        }
    }

    fn from(
        &mut self,
        index: usize,
        from: &TemplateFrom,
        sources: &Sources,
    ) -> Result<(), RenderError> {
        let target = Destination::of(from.target.as_deref());
        let target = target.as_ref();
        let decoding = from.values_decoding_strategy.unwrap_or_default();
        let filling = (target, decoding);
        if let Some(map) = &from.config_map {
            let place = |item| match item {
                None => Place::ConfigMap(index),
                Some(at) => Place::ConfigMapItem(index, at),
            };
            let object = sources.config_maps.get(&map.name);
            self.items(filling, map, object, |text| Ok(text.as_str()), place)?;
        }
        if let Some(secret) = &from.secret {
            let place = |item| match item {
                None => Place::Secret(index),
                Some(at) => Place::SecretItem(index, at),
            };
            let object = sources.secrets.get(&secret.name);
            let no_text = |_| RenderProblem::Parse { line: None };
            self.items(
                filling,
                secret,
                object,
                |value| std::str::from_utf8(value.expose()).map_err(no_text),
                place,
            )?;
        }
        if let Some(text) = from.literal.as_deref().filter(|text| !text.is_empty()) {
            self.item(target, "", text, Scope::KeysAndValues, decoding)
                .map_err(|problem| RenderError {
                    place: Place::Literal(index),
                    problem,
                })?;
        }
        Ok(())
    }

    /// Renders the templates that an object holds; `place` is where the object stands in the spec, or one of its items.
    fn items<T>(
        &mut self,
        (target, decoding): (Option<&Destination>, DecodingStrategy),
        reference: &TemplateRef,
        object: Option<&BTreeMap<String, T>>,
        read: impl Fn(&T) -> Result<&str, RenderProblem>,
        place: impl Fn(Option<usize>) -> Place,
    ) -> Result<(), RenderError> {
        // An object that is missing is an error also where none of its keys are named.
        let object = object.ok_or_else(|| RenderError {
            place: place(None),
            problem: RenderProblem::NoObject,
        })?;
        for (at, item) in reference.items.iter().enumerate() {
            let held = object.get(&item.key).ok_or(RenderProblem::NoKey);
            held.and_then(&read)
                .and_then(|text| self.item(target, &item.key, text, item.template_as, decoding))
                .map_err(|problem| RenderError {
                    place: place(Some(at)),
                    problem,
                })?;
        }
        Ok(())
    }

    fn item(
        &mut self,
        target: Option<&Destination>,
        key: &str,
        text: &str,
        scope: Scope,
        decoding: DecodingStrategy,
    ) -> Result<(), RenderProblem> {
        let target = target.ok_or(RenderProblem::Path)?;
        let rendered = self.rendered(text)?;
        let decoded = |value| decode(value, decoding).map_err(|_| RenderProblem::Decoding);
        let part = match target {
            Destination::Data => Part::Data,
            Destination::Metadata("labels") => Part::Labels,
            Destination::Metadata(_) => Part::Annotations,
            Destination::Path(steps) => {
                let rendered = match scope {
                    Scope::Values => decoded(rendered)?,
                    Scope::KeysAndValues => rendered,
                };
                return self.put_at(steps, &rendered, scope);
            }
        };
        match scope {
            Scope::Values => self.put(part, key, decoded(rendered)?),
            Scope::KeysAndValues => {
                let pairs = spend(&self.budget, || {
                    manifest::read_text_pairs(rendered.expose())
                })?
                .map_err(|_| RenderProblem::Yaml)?;
                take(&self.budget, manifest::weight_of_pairs(&pairs))?;
                for (key, value) in pairs {
                    self.put(part, &key, decoded(value)?)?;
                }
                Ok(())
            }
        }
    }

    /// Sets what a template makes at a path into the Secret.
    fn put_at(
        &mut self,
        steps: &[Step],
        rendered: &SecretBytes,
        scope: Scope,
    ) -> Result<(), RenderProblem> {
        take(&self.budget, rendered.len())?;
        let read = spend(&self.budget, || manifest::first_document(rendered.expose()))?;
        let document = match (read, scope) {
            (Ok(document), _) => document.unwrap_or(Node::Null),
            (Err(_), Scope::KeysAndValues) => return Err(RenderProblem::Document),
            // To upstream, a single value that is no YAML is a text.
            (Err(_), Scope::Values) => {
                let text = std::str::from_utf8(rendered.expose());
                let text = text.map_err(|_| RenderProblem::NotText)?;
                Node::text(text.to_owned())
            }
        };
        take(&self.budget, manifest::weight(&document))?;
        let is_merged = scope == Scope::KeysAndValues;
        secret_path::put(&mut self.output, steps, &document, is_merged)
    }

    fn rendered(&self, text: &str) -> Result<SecretBytes, RenderProblem> {
        execute(text, &self.context, &self.options, &self.budget)
    }

    fn put(&mut self, part: Part, key: &str, value: SecretBytes) -> Result<(), RenderProblem> {
        let texts = match part {
            Part::Data => {
                self.output.data.insert(key.to_owned(), value);
                return Ok(());
            }
            Part::Labels => &mut self.output.labels,
            Part::Annotations => &mut self.output.annotations,
        };
        let text = std::str::from_utf8(value.expose()).map_err(|_| RenderProblem::NotText)?;
        texts.insert(key.to_owned(), text.to_owned());
        Ok(())
    }
}

/// Takes memory for what a template made.
pub(super) fn take(budget: &Budget, bytes: usize) -> Result<(), RenderProblem> {
    budget
        .take(bytes)
        .ok_or(RenderProblem::Budget { line: None })
}

/// Reads what a template made, in the time of the templates.
pub(super) fn spend<T>(budget: &Budget, read: impl FnOnce() -> T) -> Result<T, RenderProblem> {
    budget
        .spend(read)
        .ok_or(RenderProblem::Budget { line: None })
}

/// The constant name of all templates: their errors point to the spec instead.
const NAME: &str = "template";

fn execute(
    text: &str,
    context: &Context,
    options: &sealwright_template::Options,
    budget: &Budget,
) -> Result<SecretBytes, RenderProblem> {
    let template = Template::parse_within(NAME, text, options, budget).map_err(|error| {
        let line = Some(error.line());
        RenderProblem::Parse { line }
    })?;
    template.render_within(context, budget).map_err(|error| {
        let line = Some(error.line());
        match error.cause() {
            Cause::Budget => RenderProblem::Budget { line },
            _ => RenderProblem::Execute { line },
        }
    })
}

/// Renders the template of a rewrite, in which the key is `.value`: delimiters and missing keys are always Go's own (T24).
///
/// # Errors
///
/// Says whether it does not parse or does not run.
pub(crate) fn transform(
    text: &str,
    key: &str,
    budget: &Budget,
) -> Result<SecretBytes, RenderProblem> {
    let mut context = Context::default();
    context.insert("value", key.as_bytes());
    let options = sealwright_template::Options::of(Dialect::ExternalSecrets)
        .with_missing_key(MissingKey::NoValue);
    execute(text, &context, &options, budget)
}
