//! The document for people, as one page of HTML without scripts.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::sample::{is_null, kind_of};

pub(super) const STYLE: &str = include_str!("page.css");

/// The channels, and the operations with the frames, in the order of the page.
const CHANNELS: [&str; 3] = ["socket", "events", "sync"];
const FRAMES: [(&str, &str); 2] = [("sendFrames", "Server to client"), ("receiveFrames", "Client to server")];

/// Returns the page of a document.
pub(super) fn html(document: &Json) -> String {
    let title = escaped(text(document, "/info/title"));
    let mut body = format!(
        "<h1 id=\"top\">{title}</h1><p class=\"soft\">Version {} · <a href=\"/asyncapi.json\">AsyncAPI document</a> · \
         <a href=\"/docs\">HTTP API</a></p>{}",
        escaped(text(document, "/info/version")),
        prose(text(document, "/info/description")),
    );
    let mut menu = link("top", "Overview");
    body.push_str("<h2 id=\"connect\">Connect</h2>");
    menu.push_str(&link("connect", "Connect"));
    for name in CHANNELS {
        let Some(channel) = document.pointer(&format!("/channels/{name}")) else { continue };
        let _ = write!(
            body,
            "<article id=\"{name}\"><h3>{}</h3><p><code>GET {}</code></p>{}</article>",
            escaped(text(channel, "/title")),
            escaped(text(channel, "/address")),
            prose(text(channel, "/description"))
        );
    }
    menu.push_str(&link("close-codes", "Close codes"));
    let mut lists = String::new();
    for (operation, heading) in FRAMES {
        let _ = write!(body, "<h2 id=\"{operation}\">{heading}</h2>");
        let _ = write!(lists, "<h2>{heading}</h2><ul>");
        let refs = document.pointer(&format!("/operations/{operation}/messages")).and_then(Json::as_array);
        for key in refs.into_iter().flatten().filter_map(|one| one.get("$ref")?.as_str()?.rsplit('/').next())
        {
            let Some(frame) = document.pointer(&format!("/components/messages/{key}")) else { continue };
            lists.push_str(&link(key, text(frame, "/name")));
            message(&mut body, key, frame);
        }
        lists.push_str("</ul>");
    }
    close_codes(&mut body, document);
    body.push_str("<h2 id=\"types\">Types</h2>");
    lists.push_str("<h2>Types</h2><ul>");
    let schemas = document.pointer("/components/schemas").and_then(Json::as_object);
    for (name, schema) in schemas.into_iter().flatten() {
        lists.push_str(&link(&format!("type.{name}"), name));
        let _ = write!(body, "<article id=\"type.{0}\"><h3>{0}</h3>", escaped(name));
        body.push_str(&prose(text(schema, "/description")));
        shape(&mut body, schema);
        body.push_str("</article>");
    }
    lists.push_str("</ul>");
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"/docs/realtime.css\"></head>\
         <body><nav aria-label=\"Contents\"><ul>{menu}</ul>{lists}</nav><main>{body}</main></body></html>\n"
    )
}

fn message(body: &mut String, key: &str, frame: &Json) {
    let _ = write!(
        body,
        "<article id=\"{0}\"><h3><code>{1}</code></h3>",
        escaped(key),
        escaped(text(frame, "/name"))
    );
    body.push_str(&prose(text(frame, "/summary")));
    if let Some(payload) = frame.get("payload") {
        fields(body, payload);
    }
    if let Some(example) = frame.pointer("/examples/0/payload") {
        let example = serde_json::to_string_pretty(example).unwrap_or_default();
        let _ = write!(
            body,
            "<details><summary>Example</summary><pre tabindex=\"0\"><code>{}</code></pre></details>",
            escaped(&example)
        );
    }
    body.push_str("</article>");
}

/// What a schema is made of: its fields, and the schemas that it contains or chooses from.
fn shape(body: &mut String, schema: &Json) {
    for (key, words) in [("allOf", "All fields of"), ("oneOf", "One of"), ("anyOf", "One of")] {
        let parts = schema.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let (references, plain): (Vec<_>, Vec<_>) = parts.iter().partition(|part| part.get("$ref").is_some());
        if !references.is_empty() {
            let names: Vec<_> = references.into_iter().map(kind).collect();
            let _ = write!(body, "<p>{words} {}</p>", names.join(", "));
        }
        for part in plain {
            shape(body, part);
        }
    }
    if schema.get("enum").is_some() || !["object", ""].contains(&kind_of(schema)) {
        let _ = write!(body, "<p>{} <span class=\"soft\">{}</span></p>", kind(schema), bounds(schema));
    }
    fields(body, schema);
}

fn fields(body: &mut String, schema: &Json) {
    let Some(properties) = schema.get("properties").and_then(Json::as_object).filter(|all| !all.is_empty())
    else {
        return;
    };
    let required = schema.get("required").and_then(Json::as_array);
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let mut names: Vec<_> = properties.keys().collect();
    // `type` comes first and `data` last, as in a frame.
    names.sort_by_key(|name| match name.as_str() {
        "type" => 0,
        "data" => 2,
        _ => 1,
    });
    body.push_str(
        "<div class=\"scroll\"><table><thead><tr><th>Field</th><th>Type</th><th></th></tr></thead><tbody>",
    );
    for (name, field) in names.into_iter().filter_map(|name| properties.get_key_value(name)) {
        let optional = if is_required(name) { "" } else { " <span class=\"soft\">optional</span>" };
        let _ = write!(
            body,
            "<tr><td><code>{}</code>{optional}</td><td class=\"kind\">{}</td><td>{} <span class=\"soft\">{}</span></td></tr>",
            escaped(name),
            kind(field),
            inline(text(field, "/description")),
            bounds(field)
        );
    }
    body.push_str("</tbody></table></div>");
}

/// The type of a field, with links to the types of the document.
fn kind(schema: &Json) -> String {
    if let Some(name) = schema.get("$ref").and_then(Json::as_str).and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#type.{0}\">{0}</a>", escaped(name));
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema.get(key).and_then(Json::as_array) {
            let names = parts.iter().map(|part| if is_null(part) { "null".to_owned() } else { kind(part) });
            return names.collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", escaped(&value.to_string()));
    }
    if let Some(values) = schema.get("enum").and_then(Json::as_array) {
        let values = values.iter().map(|value| format!("<code>{}</code>", escaped(&value.to_string())));
        return values.collect::<Vec<_>>().join(" ");
    }
    let name = match kind_of(schema) {
        "array" => format!("list of {}", schema.get("items").map(kind).unwrap_or_default()),
        "" => "any".to_owned(),
        name => schema.get("format").and_then(Json::as_str).unwrap_or(name).to_owned(),
    };
    let is_nullable = schema
        .get("type")
        .and_then(Json::as_array)
        .is_some_and(|kinds| kinds.iter().any(|kind| kind == "null"));
    if is_nullable { format!("{name} or null") } else { name }
}

fn bounds(schema: &Json) -> String {
    let words = [
        ("minLength", "at least", "characters"),
        ("maxLength", "at most", "characters"),
        ("minItems", "at least", "items"),
        ("maxItems", "at most", "items"),
        ("minimum", "at least", ""),
        ("maximum", "at most", ""),
        ("default", "default", ""),
    ];
    let found = words.iter().filter_map(|(key, before, after)| {
        let value = schema.get(*key).filter(|value| !value.is_null())?;
        Some(format!("{before} {value} {after}").trim_end().to_owned())
    });
    let bounds = escaped(&found.collect::<Vec<_>>().join(", "));
    if bounds.is_empty() { bounds } else { format!("({bounds})") }
}

fn close_codes(body: &mut String, document: &Json) {
    body.push_str(
        "<h2 id=\"close-codes\">Close codes</h2><div class=\"scroll\"><table><thead><tr><th>Code</th><th>Reason</th>\
         <th>Why</th><th>What to do</th></tr></thead><tbody>",
    );
    let closes = document.pointer("/channels/socket/x-close-codes").and_then(Json::as_array);
    for close in closes.into_iter().flatten() {
        let _ = write!(
            body,
            "<tr><td>{}</td><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            close.get("code").unwrap_or(&Json::Null),
            escaped(text(close, "/reason")),
            inline(text(close, "/meaning")),
            inline(text(close, "/advice"))
        );
    }
    body.push_str("</tbody></table></div>");
}

fn link(id: &str, name: &str) -> String {
    format!("<li><a href=\"#{}\">{}</a></li>", escaped(id), escaped(name))
}

fn text<'a>(value: &'a Json, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}

/// Paragraphs and lists of Markdown.
fn prose(text: &str) -> String {
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    let html = blocks.map(|block| match block.strip_prefix("- ") {
        Some(items) => {
            let items = items.split("\n- ").map(|item| format!("<li>{}</li>", inline(item)));
            format!("<ul>{}</ul>", items.collect::<String>())
        }
        None => format!("<p>{}</p>", inline(block)),
    });
    html.collect()
}

/// One line of Markdown: text and `code`.
fn inline(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        if index % 2 == 0 { escaped(part) } else { format!("<code>{}</code>", escaped(part)) }
    });
    parts.collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_text_of_the_document_becomes_html() {
        let field = json!({"type": "string", "description": "<b>`<i>`", "default": "\"><script>"});
        let schema = json!({"properties": {"<u>": field}});
        let document = json!({"info": {"title": "<script>"}, "components": {"schemas": {"A": schema}}});
        let page = html(&document);
        for element in ["<script", "<b>", "<i>", "<u>"] {
            assert!(!page.contains(element), "{element} in {page}");
        }
    }
}
