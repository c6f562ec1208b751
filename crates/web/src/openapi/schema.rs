//! Checks JSON against the schema in the OpenAPI document, so that what is documented is what is enforced, and reports all
//! errors at once.
//!
//! ```
//! use groundwork_core::{FieldErrors, PageRequest};
//!
//! let schema = groundwork_web::openapi::schema::schema_of::<PageRequest>().unwrap();
//! let mut errors = FieldErrors::new();
//! schema.check(&schema.typed([("page", "0")]), &mut errors);
//! assert_eq!(errors.into_vec()[0].field, "page");
//! ```

use std::{
    any::TypeId,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use groundwork_core::{Error, FieldError, FieldErrors, Result, Timestamp, text::INLINE, validate::counted};
use jsonschema::{
    ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
    paths::LocationSegment,
};
use serde_json::{Map, Value, json};
use utoipa::{ToSchema, openapi::Components};

/// The schema of a type: a validator, and the fields at its top level with their types.
#[derive(Debug)]
pub struct TypeSchema {
    validator: Validator,
    /// The top-level fields, those of flattened parts included, each with its schema.
    pub fields: BTreeMap<String, Value>,
    /// The names of the required fields.
    pub required: BTreeSet<String>,
}

static CACHE: LazyLock<RwLock<HashMap<TypeId, Arc<TypeSchema>>>> = LazyLock::new(RwLock::default);

/// Returns the schema of `T`, which is created at first use.
pub fn schema_of<T: ToSchema + 'static>() -> Result<Arc<TypeSchema>> {
    let id = TypeId::of::<T>();
    if let Some(known) = CACHE.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
        return Ok(Arc::clone(known));
    }
    let made = Arc::new(TypeSchema::of::<T>()?);
    CACHE.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&made));
    Ok(made)
}

impl TypeSchema {
    fn of<T: ToSchema>() -> Result<Self> {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        let mut components = Components::new();
        components.schemas.extend(schemas);
        let mut root = serde_json::to_value(T::schema()).map_err(Error::internal)?;
        let mut components = serde_json::to_value(components).map_err(Error::internal)?;
        write_out(&mut components, &mut root);
        let (mut fields, mut required) = (BTreeMap::new(), BTreeSet::new());
        collect_fields(&root, &components, &mut fields, &mut required);
        if let Value::Object(root) = &mut root {
            root.insert("components".to_owned(), components);
        }
        bound_integers(&mut root);
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            // A valid value must also parse as a `Timestamp`, so that the error names the field.
            .with_format("date-time", |text: &str| text.parse::<Timestamp>().is_ok())
            .build(&root)
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self { validator, fields, required })
    }

    /// Adds all errors of `value`.
    pub fn check(&self, value: &Value, errors: &mut FieldErrors) {
        for error in self.validator.iter_errors(value) {
            note(&error, errors);
        }
        refuse_nul(value, &mut String::new(), errors);
    }

    /// Returns the errors of an invalid value of one of the fields, for an example; empty if every value is valid.
    pub(crate) fn example_errors(&self) -> Vec<FieldError> {
        self.fields.iter().find_map(|(name, field)| self.example_error(name, field)).into_iter().collect()
    }

    fn example_error(&self, name: &str, field: &Value) -> Option<FieldError> {
        let longest = field["maxLength"].as_u64().and_then(|length| usize::try_from(length).ok());
        let long = "x".repeat(longest.filter(|length| *length <= 1024).map_or(0, |length| length + 1));
        ["", "?", "0", &long, "\0"].into_iter().find_map(|text| {
            let mut errors = FieldErrors::new();
            self.check(&self.typed([(name, text)]), &mut errors);
            errors.into_vec().into_iter().find(|error| error.field == name && !error.message.is_empty())
        })
    }

    /// Returns a JSON object of the texts of a path or a query, converted to numbers and booleans as the schema requires.
    pub fn typed<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
        let mut object = Map::new();
        for (name, text) in pairs {
            let kind = self.fields.get(name).map(|field| &field["type"]);
            let is = |wanted: &str| match kind {
                Some(Value::String(kind)) => kind == wanted,
                Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == wanted),
                _ => false,
            };
            let parsed = match text {
                "true" if is("boolean") => Some(json!(true)),
                "false" if is("boolean") => Some(json!(false)),
                _ if is("integer") => text
                    .parse::<i64>()
                    .map(Value::from)
                    .or_else(|_| text.parse::<u64>().map(Value::from))
                    .ok(),
                _ => None,
            };
            object.insert(name.to_owned(), parsed.unwrap_or_else(|| text.into()));
        }
        Value::Object(object)
    }
}

/// Writes out in `schema` and in the components the schemas that are marked [`INLINE`], and drops those from the
/// components.
pub fn write_out(components: &mut Value, schema: &mut Value) {
    let before = components.clone();
    inline(schema, &before);
    inline(components, &before);
    let marked =
        |name: &str| before.get("schemas").and_then(|schemas| schemas.get(name)?.get(INLINE)).is_some();
    if let Some(schemas) = components.get_mut("schemas").and_then(Value::as_object_mut) {
        schemas.retain(|name, _| !marked(name));
    }
}

fn inline(schema: &mut Value, components: &Value) {
    if let Some(target) = target_of(schema, components).filter(|target| target.get(INLINE).is_some()) {
        let mut whole = target.clone();
        merge(&mut whole, schema, &["$ref"]);
        *schema = whole;
    }
    match schema {
        Value::Object(members) => {
            members.remove(INLINE);
            members.values_mut().for_each(|member| inline(member, components));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| inline(item, components)),
        _ => {}
    }
    simplify(schema);
}

/// Simplifies `oneOf` a plain type and null to that type or null, and `allOf` with a single item to that item.
fn simplify(schema: &mut Value) {
    let parts = |key: &str| schema.get(key).and_then(Value::as_array).map(Vec::as_slice);
    let plain = |part: &Value| {
        part["type"].as_str().is_some_and(|kind| kind != "object") && part.get("enum").is_none()
    };
    let null = |part: &Value| *part == json!({"type": "null"});
    let (mut whole, key) = match (parts("oneOf"), parts("allOf")) {
        (Some([part, other]), None) if plain(part) && null(other) => {
            let mut part = part.clone();
            if let Some(kind) = part.get_mut("type") {
                *kind = json!([*kind, "null"]);
            }
            (part, "oneOf")
        }
        (None, Some([part])) if plain(part) || part.get("$ref").is_some() => (part.clone(), "allOf"),
        _ => return,
    };
    merge(&mut whole, schema, &[key]);
    *schema = whole;
}

/// Adds the members of `other` to those of `schema`, except `without`.
fn merge(schema: &mut Value, other: &Value, without: &[&str]) {
    let others = other.as_object().into_iter().flatten().filter(|(key, _)| !without.contains(&key.as_str()));
    if let Value::Object(members) = schema {
        members.extend(others.map(|(key, value)| (key.clone(), value.clone())));
    }
}

/// Adds the bounds of each integer format to the schema, as the format alone does not enforce them.
fn bound_integers(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let bounds = match fields.get("format").and_then(Value::as_str) {
                Some("int64") => Some((i64::MIN, i64::MAX)),
                Some("int32") => Some((i32::MIN.into(), i32::MAX.into())),
                _ => None,
            };
            if let Some((min, max)) = bounds {
                fields.entry("minimum").or_insert(min.into());
                fields.entry("maximum").or_insert(max.into());
            }
            fields.values_mut().for_each(bound_integers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        _ => {}
    }
}

fn collect_fields(
    schema: &Value,
    components: &Value,
    fields: &mut BTreeMap<String, Value>,
    required: &mut BTreeSet<String>,
) {
    if let Some(part) = target_of(schema, components) {
        collect_fields(part, components, fields, required);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        collect_fields(part, components, fields, required);
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        fields.insert(name.clone(), resolved(field, components));
    }
    let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    required.extend(names.map(str::to_owned));
}

/// Returns the schema of a field with its references resolved, so that it can be used for a parameter.
fn resolved(field: &Value, components: &Value) -> Value {
    let Some(target) = target_of(field, components) else {
        return field.clone();
    };
    let mut whole = target.as_object().cloned().unwrap_or_default();
    let own = field.as_object().into_iter().flatten().filter(|(key, _)| *key != "$ref");
    whole.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    Value::Object(whole)
}

fn target_of<'a>(schema: &Value, components: &'a Value) -> Option<&'a Value> {
    components.pointer(schema["$ref"].as_str()?.strip_prefix("#/components")?)
}

/// Refuses NUL, which PostgreSQL cannot store in a text.
fn refuse_nul(value: &Value, path: &mut String, errors: &mut FieldErrors) {
    let mut inside = |name: &str, value: &Value, errors: &mut FieldErrors| {
        let length = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        refuse_nul(value, path, errors);
        path.truncate(length);
    };
    match value {
        Value::String(text) if text.contains('\0') => {
            errors.add(path.as_str(), "bad_value", "must not contain NUL");
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                inside(&index.to_string(), item, errors);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                inside(name, field, errors);
            }
        }
        _ => {}
    }
}

fn note(error: &ValidationError<'_>, errors: &mut FieldErrors) {
    let path = || {
        let segments = error.instance_path().into_iter().map(|segment| match segment {
            LocationSegment::Property(name) => name.to_string(),
            LocationSegment::Index(index) => index.to_string(),
        });
        segments.collect::<Vec<_>>()
    };
    let at = || path().join(".");
    let below = |name: &str| path().into_iter().chain([name.to_owned()]).collect::<Vec<_>>().join(".");
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            errors.add(below(property.as_str().unwrap_or_default()), "missing", "is required");
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                errors.add(below(name), "unknown_field", "is not a known field");
            }
        }
        ValidationErrorKind::Type { kind } => {
            errors.add(at(), "wrong_type", format!("must be {}", type_names(kind)));
        }
        ValidationErrorKind::MinLength { limit } => {
            errors.add(at(), "too_short", format!("must have at least {}", counted(*limit, "character")));
        }
        ValidationErrorKind::MaxLength { limit } => {
            errors.add(at(), "too_long", format!("must have at most {}", counted(*limit, "character")));
        }
        ValidationErrorKind::MinItems { limit } => {
            errors.add(at(), "too_few", format!("must have at least {}", counted(*limit, "item")));
        }
        ValidationErrorKind::MaxItems { limit } => {
            errors.add(at(), "too_many", format!("must have at most {}", counted(*limit, "item")));
        }
        ValidationErrorKind::Minimum { limit } => {
            errors.add(at(), "out_of_range", format!("must be at least {limit}"));
        }
        ValidationErrorKind::Maximum { limit } => {
            errors.add(at(), "out_of_range", format!("must be at most {limit}"));
        }
        ValidationErrorKind::Format { format } => {
            errors.add(at(), "bad_format", format!("must be {}", format_name(format)));
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<_> =
                options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            errors.add(at(), "unknown_value", format!("must be one of {}", options.join(", ")));
        }
        other => errors.add(at(), other.keyword(), "does not match the schema in the documentation"),
    }
}

fn type_names(kind: &TypeKind) -> String {
    let name = |kind: String| match kind.as_str() {
        "string" => "a string".to_owned(),
        "integer" => "a whole number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" | "object" => format!("an {kind}"),
        "null" => kind,
        _ => format!("a {kind}"),
    };
    match kind {
        TypeKind::Single(kind) => name(kind.to_string()),
        TypeKind::Multiple(kinds) => {
            kinds.iter().map(|kind| name(kind.to_string())).collect::<Vec<_>>().join(" or ")
        }
    }
}

fn format_name(format: &str) -> &str {
    match format {
        "uuid" => "a UUID",
        "email" => "an e-mail address",
        "date-time" => "an RFC 3339 time from the year 0000 to 9999 in UTC",
        "uri" => "a URI",
        other => other,
    }
}
