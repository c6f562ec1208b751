//! The messenger's page: a client in the browser, at `/`. It uses the public API only.
//!
//! The files are part of the binary. `PAGE=false` or `serve --no-page` leaves the page out.

use actix_web::{
    HttpRequest, HttpResponse, guard,
    http::header::{self, EntityTag, Header, IfNoneMatch},
    web,
};

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// The path of its URL.
    pub path: &'static str,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The content.
    pub text: &'static str,
}

macro_rules! assets {
    ($($path:literal, $kind:ident, $file:literal;)*) => {
        &[$(Asset { path: $path, content_type: $kind, text: include_str!(concat!("../page/", $file)) }),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The files of the page.
pub const ASSETS: &[Asset] = assets! {
    "/", HTML, "index.html";
    "/app/style.css", CSS, "style.css";
    "/app/dialogs.css", CSS, "dialogs.css";
    "/app/messages.css", CSS, "messages.css";
    "/app/icon.svg", SVG, "icon.svg";
    "/app/api.js", JS, "api.js";
    "/app/app.js", JS, "app.js";
    "/app/auth-view.js", JS, "auth-view.js";
    "/app/avatar.js", JS, "avatar.js";
    "/app/composer.js", JS, "composer.js";
    "/app/details-view.js", JS, "details-view.js";
    "/app/dom.js", JS, "dom.js";
    "/app/events.js", JS, "events.js";
    "/app/format.js", JS, "format.js";
    "/app/icons.js", JS, "icons.js";
    "/app/list-view.js", JS, "list-view.js";
    "/app/loader.js", JS, "loader.js";
    "/app/log-view.js", JS, "log-view.js";
    "/app/message-view.js", JS, "message-view.js";
    "/app/messenger.js", JS, "messenger.js";
    "/app/notify.js", JS, "notify.js";
    "/app/outbox.js", JS, "outbox.js";
    "/app/people-view.js", JS, "people-view.js";
    "/app/receipts.js", JS, "receipts.js";
    "/app/session.js", JS, "session.js";
    "/app/settings-view.js", JS, "settings-view.js";
    "/app/shared.js", JS, "shared.js";
    "/app/snapshot.js", JS, "snapshot.js";
    "/app/socket.js", JS, "socket.js";
    "/app/status.js", JS, "status.js";
    "/app/store.js", JS, "store.js";
    "/app/theme.js", JS, "theme.js";
    "/app/thread-view.js", JS, "thread-view.js";
};

/// Only files of this server are loaded, nothing inline is run, and no text becomes HTML.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
];

/// Adds the page to an app.
pub fn mount(config: &mut web::ServiceConfig) {
    for asset in ASSETS {
        let tag = tag_of(asset);
        let handler = move |request: HttpRequest| {
            let response = serve(&request, *asset, &tag);
            async { response }
        };
        let get = guard::Any(guard::Get()).or(guard::Head());
        config.service(web::resource(asset.path).route(web::route().guard(get).to(handler)));
    }
}

/// Answers with the file, or 304 if the caller has it. The browser asks each time, so that the files of two versions are
/// never mixed.
fn serve(request: &HttpRequest, asset: Asset, tag: &EntityTag) -> HttpResponse {
    let known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|one| one.weak_eq(tag)),
        Err(_) => false,
    };
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    for header in HEADERS {
        response.insert_header(header);
    }
    response
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::ETAG, tag.to_string()));
    if known { response.finish() } else { response.content_type(asset.content_type).body(asset.text) }
}

/// The tag is weak, as the same file is also sent compressed.
fn tag_of(asset: &Asset) -> EntityTag {
    // FNV-1a: the tag must only differ from that of the same file in another version.
    let hash = asset.text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    EntityTag::new_weak(format!("{hash:016x}"))
}
