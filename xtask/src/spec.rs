//! The name and the fields of a new resource, parsed from the command line.

use heck::{ToSnakeCase, ToUpperCamelCase};

/// A resource to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `Note`
    pub name: String,
    /// `note`
    pub snake: String,
    /// `notes`
    pub plural: String,
    /// The fields.
    pub fields: Vec<Field>,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// `title`
    pub name: String,
    /// The type.
    pub kind: Kind,
    /// Whether null is allowed.
    pub nullable: bool,
}

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text of at most 255 characters.
    String,
    /// Text of at most 4096 characters.
    Text,
    /// True or false.
    Bool,
    /// A 64-bit integer.
    Int,
    /// A UUID.
    Uuid,
    /// A time in UTC.
    Time,
}

const KINDS: [(&str, Kind); 6] = [
    ("string", Kind::String),
    ("text", Kind::Text),
    ("bool", Kind::Bool),
    ("int", Kind::Int),
    ("uuid", Kind::Uuid),
    ("time", Kind::Time),
];

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// The fields of every resource, and the parameters of every list.
const TAKEN: &[&str] = &[
    "id",
    "created_at",
    "updated_at",
    "deleted_at",
    "owner_id",
    "page",
    "size",
    "search",
    "order_by",
    "items",
];

impl Resource {
    /// Reads a name and fields (`title:string`, `body:text?`). Errors: a sentence that names the invalid part.
    pub fn parse(name: &str, fields: &[String]) -> Result<Self, String> {
        let snake = name.to_snake_case();
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric()) && name.len() <= 40;
        if !plain || name.to_upper_camel_case() != name || !name.starts_with(|c: char| c.is_ascii_uppercase())
        {
            return Err(format!(
                "the name {name:?} must be a type name of at most 40 letters and digits, for example Note"
            ));
        }
        if KEYWORDS.contains(&snake.as_str()) {
            return Err(format!("the name {name:?} is a Rust keyword"));
        }
        let mut parsed: Vec<Field> = Vec::new();
        for field in fields {
            let field = Field::parse(field)?;
            if parsed.iter().any(|known| known.name == field.name) {
                return Err(format!("the field {:?} appears twice", field.name));
            }
            parsed.push(field);
        }
        if parsed.is_empty() {
            return Err("a resource needs at least one field, for example title:string".to_owned());
        }
        let plural = plural_of(&snake);
        Ok(Self { name: name.to_owned(), snake, plural, fields: parsed })
    }
}

impl Field {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, kind) = text
            .split_once(':')
            .ok_or_else(|| format!("the field {text:?} must be name:type, for example title:string"))?;
        let (kind, nullable) = kind.strip_suffix('?').map_or((kind, false), |kind| (kind, true));
        let words = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && !name.contains("__")
            && name.len() <= 40;
        if !words || name.to_snake_case() != name {
            return Err(format!("the field name {name:?} must be in snake_case, for example due_at"));
        }
        if KEYWORDS.contains(&name) {
            return Err(format!("the field name {name:?} is a Rust keyword"));
        }
        if TAKEN.contains(&name) {
            return Err(format!("the field name {name:?} is reserved: every resource or every list uses it"));
        }
        let known = KINDS.iter().find(|(word, _)| *word == kind);
        let (_, kind) = known.ok_or_else(|| {
            let known = KINDS.map(|(word, _)| word).join(", ");
            format!("the type {kind:?} of {name} must be one of {known}")
        })?;
        Ok(Self { name: name.to_owned(), kind: *kind, nullable })
    }

    /// Returns the Rust type.
    pub fn rust(&self) -> &'static str {
        match self.kind {
            Kind::String | Kind::Text => "String",
            Kind::Bool => "bool",
            Kind::Int => "i64",
            Kind::Uuid => "Uuid",
            Kind::Time => "Timestamp",
        }
    }

    /// Returns the maximum length of a text; `None` for other types.
    pub fn max_length(&self) -> Option<usize> {
        match self.kind {
            Kind::String => Some(255),
            Kind::Text => Some(4096),
            Kind::Bool | Kind::Int | Kind::Uuid | Kind::Time => None,
        }
    }

    /// Returns an example of its value, as JSON.
    pub fn example(&self) -> &'static str {
        match self.kind {
            Kind::String | Kind::Text => "\"text\"",
            Kind::Bool => "true",
            Kind::Int => "1",
            Kind::Uuid => "\"0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11\"",
            Kind::Time => "\"2026-01-31T09:30:00.000000Z\"",
        }
    }

    /// Returns the call of `sea_orm_migration::schema` that defines the column.
    pub fn column(&self) -> String {
        let (function, more) = match self.kind {
            Kind::String => ("string_len", ", 255"),
            Kind::Text => ("text", ""),
            Kind::Bool => ("boolean", ""),
            Kind::Int => ("big_integer", ""),
            Kind::Uuid => ("uuid", ""),
            Kind::Time => ("date_time", ""),
        };
        let null = if self.nullable { "_null" } else { "" };
        format!("{function}{null}(\"{}\"{more})", self.name)
    }
}

/// Returns the regular plural of an English word.
fn plural_of(word: &str) -> String {
    let vowel_before_y = || word.chars().rev().nth(1).is_some_and(|c| "aeiou".contains(c));
    if word.ends_with('y') && !vowel_before_y() {
        return format!("{}ies", word.trim_end_matches('y'));
    }
    let hissing = ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end));
    format!("{word}{}", if hissing { "es" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, fields: &[&str]) -> Result<Resource, String> {
        Resource::parse(name, &fields.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn reads_what_was_asked_for() {
        let note = parse("ShoppingEntry", &["title:string", "due_at:time?"]).unwrap();
        assert_eq!((note.snake.as_str(), note.plural.as_str()), ("shopping_entry", "shopping_entries"));
        assert_eq!(note.fields[1], Field { name: "due_at".into(), kind: Kind::Time, nullable: true });
        assert_eq!(plural_of("box"), "boxes");
        assert_eq!(plural_of("day"), "days");
    }

    #[test]
    fn says_what_is_wrong() {
        for (name, fields, word) in [
            ("note", &["a:string"][..], "\"note\""),
            ("My_Note", &["a:string"], "\"My_Note\""),
            ("Nöte", &["a:string"], "\"Nöte\""),
            ("Type", &["a:string"], "Rust keyword"),
            ("Note", &[], "at least one field"),
            ("Note", &["title"], "name:type"),
            ("Note", &["Title:string"], "snake_case"),
            ("Note", &["a__b:string"], "snake_case"),
            ("Note", &["type:string"], "Rust keyword"),
            ("Note", &["owner_id:uuid"], "reserved"),
            ("Note", &["a:varchar"], "one of string, text"),
            ("Note", &["a:string", "a:text"], "twice"),
        ] {
            let error = parse(name, fields).unwrap_err();
            assert!(error.contains(word), "{name} {fields:?}: {error}");
        }
    }
}
