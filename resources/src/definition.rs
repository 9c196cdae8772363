//! CustomResourceDefinitions of External Secrets, finished from what is derived.
//!
//! An API server writes the defaults of a schema into every object that it stores, and tools that compare objects with Git
//! would see them. So there is no default here that upstream does not have: those that serde needs are taken out, and those
//! of the contract are marked `x-default` in the types.

use kube::CustomResourceExt;
use kube::core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::AddNullable;
use serde_json::{Map, Value, json};

/// A definition on its way.
pub(crate) struct Definition {
    crd: Value,
}

/// What the older version v1beta1 of a kind lacks or has besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Older {
    /// ExternalSecrets, and those in ClusterExternalSecrets.
    ExternalSecret,
    /// Stores, with providers that v1 has no more.
    Store,
}

/// Kinds of generators that v1beta1 does not know.
const NEWER_GENERATORS: &[&str] = &[
    "BeyondtrustWorkloadCredentialsDynamicSecret",
    "CloudsmithAccessToken",
    "GitlabDeployToken",
    "MFA",
];

const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

impl Definition {
    /// Takes the derived definition of a kind.
    pub(crate) fn of<K: CustomResourceExt + JsonSchema>() -> Self {
        let mut crd = serde_json::to_value(K::crd()).expect("a definition is JSON");
        crd["metadata"]["labels"] = json!({"external-secrets.io/component": "controller"});
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
        crd["spec"]["names"]["listKind"] = json!(format!("{kind}List"));
        let version = &mut crd["spec"]["versions"][0];
        let schema = &mut version["schema"]["openAPIV3Schema"];
        *schema = derived::<K>();
        if let Some(properties) = schema["properties"].as_object_mut() {
            for (name, description) in [
                ("apiVersion", "Group and version of the object."),
                ("kind", "The kind of the object."),
            ] {
                let field = json!({"description": description, "type": "string"});
                properties.insert(name.to_owned(), field);
            }
            properties.insert("metadata".to_owned(), json!({"type": "object"}));
        }
        tidy(schema);
        mark(schema);
        join_selectors(schema);
        Self { crd }
    }

    /// Says whether an object needs a spec.
    pub(crate) fn required_spec(mut self, required: bool) -> Self {
        let schema = self.schema();
        if required {
            schema["required"] = json!(["spec"]);
        } else if let Some(schema) = schema.as_object_mut() {
            schema.remove("required");
        }
        self
    }

    /// Says whether the status is a subresource of its own.
    pub(crate) fn status_subresource(mut self, exists: bool) -> Self {
        let version = &mut self.crd["spec"]["versions"][0];
        if exists {
            version["subresources"] = json!({"status": {}});
        } else if let Some(version) = version.as_object_mut() {
            version.remove("subresources");
        }
        self
    }

    /// Puts a part of the schema in place of the derived one.
    pub(crate) fn put(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a path");
        let parent = self.schema().pointer_mut(parent);
        parent.expect("the schema has this place")[key] = value;
        self
    }

    /// Takes a part of the derived schema out.
    pub(crate) fn leave_out(mut self, pointer: &str) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a path");
        let parent = self.schema().pointer_mut(parent);
        let fields = parent.and_then(Value::as_object_mut);
        fields.expect("the schema has this place").remove(key);
        self
    }

    /// Adds the version v1beta1, which objects may still be stored as; it is served only on demand.
    pub(crate) fn older(mut self, older: Older, served: bool) -> Self {
        let mut version = self.crd["spec"]["versions"][0].clone();
        version["name"] = json!("v1beta1");
        version["served"] = json!(served);
        version["storage"] = json!(false);
        version["deprecated"] = json!(true);
        if let Some(version) = version.as_object_mut() {
            version.remove("selectableFields");
        }
        let schema = &mut version["schema"]["openAPIV3Schema"];
        match older {
            Older::ExternalSecret => {
                age(schema);
                let kind = "/properties/status/properties/conditions/items/properties/type";
                if let Some(kind) = schema.pointer_mut(kind).and_then(Value::as_object_mut) {
                    kind.remove("enum");
                }
            }
            Older::Store => age_store(schema),
        }
        strip_descriptions(schema);
        if let Some(versions) = self.crd["spec"]["versions"].as_array_mut() {
            versions.push(version);
        }
        self
    }

    /// The definition as JSON, with its fields in the order that people expect.
    pub(crate) fn finish(self) -> Value {
        let mut crd = self.crd;
        let spec = crd["spec"].take();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": crd["metadata"],
            "spec": spec,
        })
    }

    fn schema(&mut self) -> &mut Value {
        self.crd.pointer_mut(SCHEMA).expect("a derived schema")
    }
}

/// The schema of a kind, with the marks that a typed definition would drop.
fn derived<K: JsonSchema>() -> Value {
    let generator = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .into_generator();
    let mut schema = generator.into_root_schema_for::<K>().to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("title");
    }
    schema
}

/// Takes out what the generator of schemas adds. The settings of providers are upstream's field for field, and so are those
/// of their defaults that say anything.
fn tidy(schema: &mut Value) {
    for provider in [
        "/properties/spec/properties/provider",
        "/properties/spec/properties/generator/properties/vaultDynamicSecretSpec/properties/provider",
    ] {
        if let Some(provider) = schema.pointer_mut(provider) {
            mark_defaults(provider);
        }
    }
    strip(schema);
}

fn mark_defaults(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let says_something = fields.get("default").is_some_and(|default| match default {
                Value::String(text) => !text.is_empty(),
                Value::Number(_) => true,
                Value::Bool(value) => *value,
                _ => false,
            });
            if says_something && let Some(default) = fields.remove("default") {
                fields.insert("x-default".to_owned(), default);
            }
            fields.values_mut().for_each(mark_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(mark_defaults),
        _ => {}
    }
}

fn strip(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("default");
            fields.remove("nullable");
            if fields.get("format").and_then(Value::as_str) == Some("uint") {
                fields.remove("format");
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Puts in what the types ask for under names that the generator leaves alone.
fn mark(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (marked, name) in [("x-default", "default"), ("x-nullable", "nullable")] {
                if let Some(value) = fields.remove(marked) {
                    fields.insert(name.to_owned(), value);
                }
            }
            fields.values_mut().for_each(mark);
        }
        Value::Array(items) => items.iter_mut().for_each(mark),
        _ => {}
    }
}

/// A selector belongs as a whole to the last one to apply it, wherever it stands.
fn join_selectors(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_selector = fields.get("properties").is_some_and(|properties| {
                properties.get("matchLabels").is_some()
                    && properties.get("matchExpressions").is_some()
            });
            if is_selector {
                fields.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
                let expressions = &mut fields["properties"]["matchExpressions"];
                expressions["x-kubernetes-list-type"] = json!("atomic");
                expressions["items"]["properties"]["values"]["x-kubernetes-list-type"] =
                    json!("atomic");
            }
            fields.values_mut().for_each(join_selectors);
        }
        Value::Array(items) => items.iter_mut().for_each(join_selectors),
        _ => {}
    }
}

/// Makes the schema of an ExternalSecret, wherever it is, what it was in v1beta1.
fn age(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        age_properties(properties);
    }
    fields.values_mut().for_each(|value| match value {
        Value::Object(_) => age(value),
        Value::Array(items) => items.iter_mut().for_each(age),
        _ => {}
    });
}

fn age_properties(properties: &mut Map<String, Value>) {
    for newer in [
        "syncWindows",
        "manifest",
        "nullBytePolicy",
        "merge",
        "valuesDecodingStrategy",
    ] {
        properties.remove(newer);
    }
    let mut default = |name: &str, value: &str| {
        if let Some(field) = properties.get_mut(name) {
            field["default"] = json!(value);
        }
    };
    default("conversionStrategy", "Default");
    default("decodingStrategy", "None");
    default("metadataPolicy", "None");
    if let Some(values) = properties
        .get_mut("creationPolicy")
        .and_then(|policy| policy["enum"].as_array_mut())
    {
        values.retain(|value| value != "CreateOrMerge");
    }
    if properties.contains_key("literal")
        && let Some(target) = properties.get_mut("target")
    {
        target["enum"] = json!(["Data", "Annotations", "Labels"]);
    }
    if let Some(metadata) = properties
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("properties")?.as_object_mut())
    {
        metadata.remove("finalizers");
    }
    if let Some(kinds) = properties
        .get_mut("generatorRef")
        .and_then(|generator| generator["properties"]["kind"]["enum"].as_array_mut())
    {
        kinds.retain(|kind| {
            kind.as_str()
                .is_some_and(|kind| !NEWER_GENERATORS.contains(&kind))
        });
    }
}

fn age_store(schema: &mut Value) {
    let Some(spec) = schema["properties"].get_mut("spec") else {
        return;
    };
    spec["properties"]["refreshInterval"] = json!({"type": "integer"});
    spec["properties"]["provider"] = json!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "x-kubernetes-preserve-unknown-fields": true,
    });
}

fn strip_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // A property may have this name, and then it is a schema.
            if fields.get("description").is_some_and(Value::is_string) {
                fields.remove("description");
            }
            fields.values_mut().for_each(strip_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_descriptions),
        _ => {}
    }
}
