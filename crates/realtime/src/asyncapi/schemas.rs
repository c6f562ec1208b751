//! The schemas of the document: those of the types, as AsyncAPI wants them.

use groundwork_core::{Error, Result};
use groundwork_web::openapi::{describe::OperationDoc, schema};
use serde_json::{Map, Value as Json, json};
use utoipa::openapi::Components;

/// All schemas, by name.
pub(super) struct Schemas(pub Map<String, Json>);

impl Schemas {
    pub fn new(doc: OperationDoc) -> Result<Self> {
        let mut components = Components::new();
        components.schemas.extend(doc.schemas);
        let mut components = serde_json::to_value(components).map_err(Error::internal)?;
        schema::write_out(&mut components, &mut Json::Null);
        let mut schemas = components.get_mut("schemas").map(Json::take).unwrap_or_default();
        if let Some(schemas) = schemas.as_object_mut() {
            schemas.values_mut().for_each(tidy);
        }
        match schemas {
            Json::Object(schemas) => Ok(Self(schemas)),
            _ => Err(Error::internal("the schemas of the frames are not an object")),
        }
    }

    /// Takes a schema out: it has a place of its own in the document.
    pub fn take(&mut self, name: &str) -> Result<Json> {
        self.0.remove(name).ok_or_else(|| Error::internal(format!("there is no schema {name}")))
    }

    pub fn target(&self, schema: &Json) -> Option<&Json> {
        self.0.get(schema.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")?)
    }

    /// The variants of a tagged enum, each as one object with its `type`.
    pub fn variants(&mut self, name: &str) -> Result<Vec<(String, Json)>> {
        let whole = self.take(name)?;
        let parts = whole.get("oneOf").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let variant = |part: &Json| {
            let mut one = self.flat(part);
            let place = one.pointer_mut("/properties/type")?;
            let kind = place.pointer("/enum/0")?.as_str()?.to_owned();
            *place = json!({"const": kind, "type": "string"});
            Some((kind, one))
        };
        let variants: Option<Vec<_>> = parts.iter().map(variant).collect();
        let variants = variants.filter(|variants| !variants.is_empty());
        variants.ok_or_else(|| Error::internal(format!("{name} is not an enum tagged by \"type\"")))
    }

    /// The schema of an object with the members of all of its parts.
    pub fn flat(&self, schema: &Json) -> Json {
        let mut flat = Flat::default();
        self.add(schema, &mut flat);
        // Fields whose type carries no example have one in the example of the whole.
        for (name, example) in flat.examples {
            if let Some(field) = flat.properties.get_mut(&name).and_then(Json::as_object_mut) {
                field.entry("examples").or_insert_with(|| json!([example]));
            }
        }
        let mut object = json!({"type": "object", "properties": flat.properties});
        if let Some(object) = object.as_object_mut() {
            if !flat.required.is_empty() {
                object.insert("required".to_owned(), json!(flat.required));
            }
            if flat.is_closed {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            if let Some(description) = flat.description {
                object.insert("description".to_owned(), description);
            }
        }
        object
    }

    fn add(&self, schema: &Json, flat: &mut Flat) {
        if let Some(description) = schema.get("description") {
            flat.description.get_or_insert_with(|| description.clone());
        }
        if let Some(target) = self.target(schema) {
            self.add(target, flat);
        }
        for part in schema.get("allOf").and_then(Json::as_array).into_iter().flatten() {
            self.add(part, flat);
        }
        let properties = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
        flat.properties.extend(properties.map(|(name, field)| (name.clone(), field.clone())));
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
        flat.required.extend(required.filter_map(Json::as_str).map(str::to_owned));
        let example = schema.pointer("/examples/0").and_then(Json::as_object).into_iter().flatten();
        flat.examples.extend(example.map(|(name, value)| (name.clone(), value.clone())));
        flat.is_closed |= schema.get("additionalProperties") == Some(&json!(false));
    }
}

#[derive(Default)]
struct Flat {
    properties: Map<String, Json>,
    required: std::collections::BTreeSet<String>,
    examples: Map<String, Json>,
    is_closed: bool,
    description: Option<Json>,
}

/// Writes a schema as JSON Schema draft 7, which AsyncAPI uses: `example` is `examples`.
fn tidy(schema: &mut Json) {
    match schema {
        Json::Object(members) => {
            if let Some(example) = members.remove("example") {
                members.insert("examples".to_owned(), json!([example]));
            }
            for (name, member) in members.iter_mut() {
                match (name.as_str(), member) {
                    ("properties", Json::Object(fields)) => fields.values_mut().for_each(tidy),
                    ("examples" | "enum" | "default" | "const", _) => {}
                    (_, member) => tidy(member),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
