//! Examples of values, made from their schemas.

use serde_json::{Map, Value as Json, json};

use super::schemas::Schemas;

const UUID: &str = "0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11";
const TIME: &str = "2026-03-01T09:30:00Z";
/// Schemas that contain themselves end here.
const MAX_DEPTH: usize = 20;

/// Returns a value of the schema.
pub(super) fn of(schema: &Json, schemas: &Schemas) -> Json {
    at(schema, schemas, 0)
}

fn at(schema: &Json, schemas: &Schemas, depth: usize) -> Json {
    if depth > MAX_DEPTH {
        return Json::Null;
    }
    let own = ["const", "default"].iter().find_map(|key| schema.get(*key).filter(|value| !value.is_null()));
    let listed = ["examples", "enum"].iter().find_map(|key| schema.get(*key)?.get(0));
    if let Some(value) = listed.or(own) {
        return value.clone();
    }
    if let Some(target) = schemas.target(schema) {
        return at(target, schemas, depth + 1);
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(first) =
            schema.get(key).and_then(|parts| parts.as_array()?.iter().find(|part| !is_null(part)))
        {
            return at(first, schemas, depth + 1);
        }
    }
    if schema.get("allOf").is_some() {
        return at(&schemas.flat(schema), schemas, depth + 1);
    }
    match kind_of(schema) {
        "object" => object(schema, schemas, depth),
        "array" => json!([at(schema.get("items").unwrap_or(&Json::Null), schemas, depth + 1)]),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
        "boolean" => json!(true),
        "string" => match schema.get("format").and_then(Json::as_str) {
            Some("uuid") => json!(UUID),
            Some("date-time") => json!(TIME),
            _ => json!("text"),
        },
        _ => Json::Null,
    }
}

fn object(schema: &Json, schemas: &Schemas, depth: usize) -> Json {
    let fields = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
    let fields = fields.map(|(name, field)| (name.clone(), at(field, schemas, depth + 1)));
    Json::Object(fields.collect::<Map<_, _>>())
}

/// The type of a schema, without null.
pub(super) fn kind_of(schema: &Json) -> &str {
    match schema.get("type") {
        Some(Json::String(kind)) => kind,
        Some(Json::Array(kinds)) => {
            kinds.iter().filter_map(Json::as_str).find(|kind| *kind != "null").unwrap_or_default()
        }
        _ => "",
    }
}

pub(super) fn is_null(schema: &Json) -> bool {
    schema.get("type").and_then(Json::as_str) == Some("null")
}
