//! Puts the document together.

use groundwork_core::{Error, Result};
use groundwork_web::openapi::About;
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

use super::{Contract, Single, reference, sample, schemas::Schemas};
use crate::{
    codes::Close,
    control::{ControlFrame, HintData, Ready},
    frame::EventFrame,
    socket::ClientFrame,
    sync::SyncPage,
};

const DESCRIPTION: &str = "Events as they happen, over three transports that share one cursor:\n\n\
    - a WebSocket at `/ws`, which also takes frames of the client;\n\
    - Server-Sent Events at `/events`, for clients that only read;\n\
    - a paged feed at `/sync`, for clients that ask from time to time.\n\n\
    Each event has an `id`, the cursor after it. A client stores the last one, and connects again with it: it gets all \
    events after it, in order, and then the live ones. Nothing is lost, but an event may come twice: drop what you have seen \
    by the subject's id and `version`. Ignore types that you do not know.\n\n\
    A cursor that is too old is refused with `cursor_expired`: load the present state by the API, and go on from a new \
    cursor.";
const SOCKET: &str = "Each frame is a text of one JSON object with a `type`.\n\n\
    Authenticate with the `Authorization` header of the request, or with `auth` as the first frame, within 10 seconds by \
    default. The token is never in the URL. The server answers with `ready`.\n\n\
    To resume, give the last cursor: as `since` in the URL, as `cursor` in `auth`, or with `resume`. Send `auth` with a \
    fresh token of the same user before `expires_at`; the connection stays open.\n\n\
    The server sends a ping each `heartbeat_seconds`. A client that sends nothing for twice that time is disconnected; \
    WebSocket libraries and browsers answer pings by themselves. A client that gets nothing for twice that time connects \
    again.";
const EVENTS: &str = "Each event has the cursor as `id`, the type as `event`, and the frame as `data`. Browsers send the last \
    cursor in `Last-Event-ID` when they connect again; `since` in the URL does the same. The access token is in the \
    `Authorization` header.";
const SYNC: &str = "Returns a page of events after `since`, at most `limit`, and the cursor for the next request. With \
    `wait`, it waits for an event if there is none.";

/// A frame in the document.
struct Message {
    kind: String,
    schema: Json,
    summary: String,
    /// Whether it occurs in Server-Sent Events as well.
    is_streamed: bool,
}

impl Message {
    fn new(kind: String, mut schema: Json) -> Self {
        let summary = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let summary = summary.as_ref().and_then(Json::as_str).unwrap_or_default().to_owned();
        let is_streamed = !["ack", "pong"].contains(&kind.as_str());
        Self { kind, schema, summary, is_streamed }
    }
}

pub(super) fn document(contract: Contract, about: &About, prefix: &str) -> Result<Json> {
    let Contract { doc, enums, events, hints, commands, results, greetings } = contract;
    let mut schemas = Schemas::new(doc)?;
    greet(&mut schemas, &greetings)?;
    let envelope = schemas.take(&EventFrame::name())?;
    let envelope = schemas.flat(&envelope);

    let mut sent = Vec::new();
    for one in enums {
        for (kind, variant) in schemas.variants(&one.name)? {
            let subject = (one.subject)(&kind);
            sent.push(Message::new(kind, event(&envelope, &variant, subject)));
        }
    }
    sent.extend(
        events.iter().map(|one| Message::new(one.kind.clone(), event(&envelope, &single(one), &one.subject))),
    );
    let mut control: Vec<_> = schemas.variants(&ControlFrame::name())?;
    for (kind, variant) in &mut control {
        if kind == "ack"
            && let Some(data) = variant.pointer_mut("/properties/data")
        {
            let results: Vec<_> = results.iter().map(|name| reference(name)).collect();
            if !results.is_empty() {
                *data = json!({"description": "The result, by the type of the frame.", "anyOf": results});
            }
        }
    }
    let mut control: Vec<_> = control.into_iter().map(|(kind, schema)| Message::new(kind, schema)).collect();
    let ready = control.remove(0);
    sent.insert(0, ready);
    sent.extend(hints.iter().map(|one| Message::new(one.kind.clone(), hint(one))));
    sent.extend(control);
    if hints.is_empty() {
        schemas.take(&HintData::name())?;
    }

    let mut taken = Vec::new();
    for name in std::iter::once(ClientFrame::name().into_owned()).chain(commands) {
        let variants = schemas.variants(&name)?;
        taken.extend(variants.into_iter().map(|(kind, schema)| Message::new(kind, schema)));
    }
    let page = page(&mut schemas, &sent)?;
    drop_unused(&mut schemas, &[&sent, &taken], &page);
    Ok(assemble(about, prefix, &schemas, &sent, &taken, page))
}

/// Adds what a service adds to `ready`.
fn greet(schemas: &mut Schemas, greetings: &[String]) -> Result<()> {
    let name = Ready::name();
    let parts: Vec<Json> =
        std::iter::once(&*name).chain(greetings.iter().map(String::as_str)).map(reference).collect();
    let ready = schemas.flat(&json!({"allOf": parts}));
    for greeting in greetings {
        schemas.take(greeting)?;
    }
    schemas.0.insert(name.into_owned(), ready);
    Ok(())
}

/// The schema of an event: its envelope, the id of its subject, and its data.
fn event(envelope: &Json, variant: &Json, subject: &str) -> Json {
    let mut event = envelope.clone();
    if let Some(event) = event.as_object_mut() {
        event.insert("description".to_owned(), variant.get("description").cloned().unwrap_or_default());
    }
    name_subject(&mut event, subject);
    let properties = variant.get("properties").and_then(Json::as_object).cloned().unwrap_or_default();
    if let Some(all) = event.get_mut("properties").and_then(Json::as_object_mut) {
        all.extend(properties);
    }
    event
}

fn name_subject(frame: &mut Json, subject: &str) {
    let name = format!("{subject}_id");
    if let Some(fields) = frame.get_mut("properties").and_then(Json::as_object_mut) {
        let description = format!("The {subject}.");
        fields.insert(name.clone(), json!({"type": "string", "format": "uuid", "description": description}));
    }
    if let Some(required) = frame.get_mut("required").and_then(Json::as_array_mut) {
        required.push(json!(name));
    }
}

fn single(one: &Single) -> Json {
    let data = match one.data.as_slice() {
        [data] => reference(data),
        all => json!({"anyOf": all.iter().map(|name| reference(name)).collect::<Vec<_>>()}),
    };
    json!({
        "type": "object",
        "description": one.description,
        "properties": {"type": {"type": "string", "const": one.kind}, "data": data},
        "required": ["type", "data"],
    })
}

fn hint(one: &Single) -> Json {
    let mut hint = single(one);
    name_subject(&mut hint, &one.subject);
    hint
}

/// The answer of `/sync`, whose items are the events.
fn page(schemas: &mut Schemas, sent: &[Message]) -> Result<Json> {
    let mut page = schemas.take(&SyncPage::name())?;
    let events =
        sent.iter().filter(|message| is_event(message)).map(|message| payload(&key("server", message)));
    let events: Vec<Json> = events.collect();
    let items = page.pointer_mut("/properties/items").and_then(Json::as_object_mut);
    let items = items.ok_or_else(|| Error::internal("a page has no items"))?;
    items.insert(
        "items".to_owned(),
        if events.is_empty() { json!({"type": "object"}) } else { json!({"oneOf": events}) },
    );
    Ok(page)
}

fn is_event(message: &Message) -> bool {
    message.schema.pointer("/properties/id").is_some()
}

fn key(side: &str, message: &Message) -> String {
    format!("{side}.{}", message.kind)
}

fn payload(key: &str) -> Json {
    json!({"$ref": format!("#/components/messages/{key}/payload")})
}

/// Removes the schemas that nothing refers to: those of types that are written out elsewhere.
fn drop_unused(schemas: &mut Schemas, messages: &[&[Message]], page: &Json) {
    let mut used = std::collections::BTreeSet::new();
    let mut open: Vec<Json> =
        messages.iter().copied().flatten().map(|message| message.schema.clone()).collect();
    open.push(page.clone());
    while let Some(value) = open.pop() {
        match value {
            Json::Object(members) => {
                if let Some(name) =
                    members.get("$ref").and_then(Json::as_str).and_then(|path| path.rsplit('/').next())
                    && used.insert(name.to_owned())
                    && let Some(schema) = schemas.0.get(name)
                {
                    open.push(schema.clone());
                }
                open.extend(members.into_iter().map(|(_, member)| member));
            }
            Json::Array(items) => open.extend(items),
            _ => {}
        }
    }
    schemas.0.retain(|name, _| used.contains(name));
}

fn assemble(
    about: &About,
    prefix: &str,
    schemas: &Schemas,
    sent: &[Message],
    taken: &[Message],
    page: Json,
) -> Json {
    let mut messages = Map::new();
    for (side, all) in [("server", sent), ("client", taken)] {
        for message in all {
            messages.insert(key(side, message), described(message, schemas));
        }
    }
    let page_message = Message::new("page".to_owned(), page);
    let mut page = described(&page_message, schemas);
    let items = sent.iter().filter(|message| is_event(message)).take(1);
    let items: Vec<_> = items.map(|message| sample::of(&message.schema, schemas)).collect();
    let cursor = items
        .first()
        .and_then(|item| item.get("id"))
        .cloned()
        .unwrap_or(json!("SYEQ2k3mQ5cAAAAAAAAC6gAAAAAAAAAr"));
    if let Some(example) = page.pointer_mut("/examples/0/payload") {
        *example = json!({"items": items, "cursor": cursor, "has_more": false});
    }
    messages.insert("server.page".to_owned(), page);

    let streamed: Vec<&Message> = sent.iter().filter(|message| message.is_streamed).collect();
    let (sent, taken): (Vec<_>, Vec<_>) = (sent.iter().collect(), taken.iter().collect());
    let channel = |path: &str, title: &str, description: &str, all: &[(&str, &[&Message])]| {
        let refs = all.iter().flat_map(|(side, all)| {
            all.iter().map(|message| {
                let key = key(side, message);
                let reference = json!({"$ref": format!("#/components/messages/{key}")});
                (key, reference)
            })
        });
        json!({
            "address": format!("{prefix}{path}"),
            "title": title,
            "description": description,
            "messages": refs.collect::<Map<_, _>>(),
        })
    };
    let mut socket = channel("/ws", "WebSocket", SOCKET, &[("server", &sent), ("client", &taken)]);
    if let Some(socket) = socket.as_object_mut() {
        let since = json!({"since": {"type": "string", "description": "The last cursor. The events after it come first."}});
        let query = json!({"type": "object", "properties": since});
        socket.insert(
            "bindings".to_owned(),
            json!({"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}}),
        );
        socket.insert("x-close-codes".to_owned(), closes());
    }
    let operation =
        |action: &str, channel: &str, title: &str, summary: &str, side: &str, all: &[&Message]| {
            let refs = all.iter().map(
                |message| json!({"$ref": format!("#/channels/{channel}/messages/{}", key(side, message))}),
            );
            json!({
                "action": action,
                "channel": {"$ref": format!("#/channels/{channel}")},
                "title": title,
                "summary": summary,
                "security": [{"$ref": "#/components/securitySchemes/bearer"}],
                "messages": refs.collect::<Vec<_>>(),
            })
        };
    let page = [&page_message];
    json!({
        "asyncapi": "3.1.0",
        "id": format!("urn:{}:realtime", slug(&about.title)),
        "info": info(about),
        "defaultContentType": "application/json",
        "channels": {
            "socket": socket,
            "events": channel("/events", "Server-Sent Events", EVENTS, &[("server", &streamed)]),
            "sync": channel("/sync", "Paged feed", SYNC, &[("server", &page)]),
        },
        "operations": {
            "sendFrames": operation("send", "socket", "Frames of the server", "What the server sends on a WebSocket.", "server", &sent),
            "receiveFrames": operation("receive", "socket", "Frames of the client", "What a client may send on a WebSocket.", "client", &taken),
            "sendEvents": operation("send", "events", "Server-Sent Events", "What the server sends as Server-Sent Events.", "server", &streamed),
            "sendPage": operation("send", "sync", "Page of events", "What the paged feed returns.", "server", &page),
        },
        "components": {
            "messages": messages,
            "schemas": schemas.0,
            "securitySchemes": {"bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "An access token, as for the API. On a WebSocket also in the frame `auth`.",
            }},
        },
    })
}

fn info(about: &About) -> Json {
    let mut info = json!({
        "title": format!("{}: live events", about.title),
        "version": about.version,
        "description": DESCRIPTION,
    });
    for (name, link) in [("contact", &about.contact), ("license", &about.license)] {
        if let (Some(link), Some(info)) = (link, info.as_object_mut()) {
            let mut value = json!({"name": link.name});
            if let (Some(url), Some(value)) = (&link.url, value.as_object_mut()) {
                value.insert("url".to_owned(), json!(url));
            }
            info.insert(name.to_owned(), value);
        }
    }
    info
}

/// A message with its example.
fn described(message: &Message, schemas: &Schemas) -> Json {
    json!({
        "name": message.kind,
        "title": message.kind,
        "summary": message.summary,
        "contentType": "application/json",
        "payload": message.schema,
        "examples": [{"name": "example", "payload": sample::of(&message.schema, schemas)}],
    })
}

fn closes() -> Json {
    let closes = Close::ALL.iter().map(|close| {
        json!({"code": close.code, "reason": close.reason, "meaning": close.meaning, "advice": close.advice})
    });
    closes.collect()
}

fn slug(title: &str) -> String {
    let words = title.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}
