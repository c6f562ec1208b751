//! The page at `/`: what is served, under which rules, and how it is left out.

use std::{collections::BTreeSet, path::Path};

use api::page::{ASSETS, CONTENT_SECURITY_POLICY};
use groundwork_testkit::{Answer, Backend, Client, Fixture, both_databases, client::send};
use reqwest::Method;

use crate::support::App;

/// A messenger without its page.
struct WithoutPage(App);

impl Fixture for WithoutPage {
    async fn set_up(backend: Backend) -> Self {
        Self(App::with_settings(backend, &[("PAGE", "false")]).await)
    }

    async fn tear_down(self) {
        self.0.tear_down().await;
    }
}

async fn get(client: &Client, path: &str) -> Answer {
    send(client.request(Method::GET, path)).await
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Every file has its type, the strict policy, and is asked for again each time.
#[both_databases]
async fn files_are_served_under_a_strict_policy(app: &App) {
    let client = app.client();
    for asset in ASSETS {
        let answer = get(&client, asset.path).await;
        assert_eq!(
            (answer.status, header(&answer, "content-type")),
            (200, asset.content_type),
            "{}",
            asset.path
        );
        for (name, value) in [
            ("content-security-policy", CONTENT_SECURITY_POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(header(&answer, name), value, "{name} of {}", asset.path);
        }
        let head = send(client.request(Method::HEAD, asset.path)).await;
        assert_eq!((head.status, header(&head, "etag")), (200, header(&answer, "etag")), "{}", asset.path);
        let post = send(client.request(Method::POST, asset.path)).await;
        assert_eq!(post.status, 405, "{}", asset.path);
    }
    let directives: BTreeSet<_> = CONTENT_SECURITY_POLICY.split(';').map(str::trim).collect();
    for needed in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(directives.contains(needed), "{needed}");
    }
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
}

/// A browser that has a file gets 304, and the policy again.
#[both_databases]
async fn a_known_file_is_not_sent_again(app: &App) {
    let client = app.client();
    let answer = get(&client, "/app/app.js").await;
    let tag = header(&answer, "etag").to_owned();
    for (known, status) in
        [(tag.as_str(), 304), ("*", 304), ("W/\"other\"", 200), (&*format!("\"x\", {tag}"), 304)]
    {
        let request = client.request(Method::GET, "/app/app.js").header("if-none-match", known);
        let answer = send(request).await;
        assert_eq!((answer.status, header(&answer, "etag")), (status, tag.as_str()), "{known}");
        assert_eq!(header(&answer, "content-security-policy"), CONTENT_SECURITY_POLICY);
    }
}

/// Without the page `/` redirects to the documentation, and no file is served.
#[both_databases]
async fn the_page_can_be_left_out(app: &WithoutPage) {
    let client = app.0.client();
    let home = get(&client, "/").await;
    assert!(home.body.as_str().unwrap().contains("swagger-ui"));
    for asset in ASSETS.iter().filter(|asset| asset.path != "/") {
        get(&client, asset.path).await.refused(404, "not_found");
    }
}

/// All files of the folder are served, and every file that one of them names.
#[test]
fn no_file_is_missing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    let files: BTreeSet<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| if name == "index.html" { "/".to_owned() } else { format!("/app/{name}") })
        .collect();
    let served: BTreeSet<_> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
    assert_eq!(files, served);
    for asset in ASSETS {
        for part in asset.text.split("from './").skip(1) {
            let name = part.split('\'').next().unwrap();
            assert!(served.contains(&format!("/app/{name}")), "{name} in {}", asset.path);
        }
        for part in asset.text.split("\"/app/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(served.contains(&format!("/app/{name}")), "{name} in {}", asset.path);
        }
    }
}

/// Nothing is inline, nothing comes from elsewhere, and no text becomes HTML or code.
#[test]
fn nothing_is_inline_and_no_text_is_html() {
    let html = ASSETS.iter().find(|asset| asset.path == "/").unwrap().text;
    for element in html.split('<').skip(1) {
        let (tag, after) = element.split_once('>').unwrap();
        assert!(!tag.contains(" style=") && !tag.contains(" on"), "{tag}");
        assert!(!tag.starts_with("style"), "{tag}");
        if tag.starts_with("script") {
            assert!(tag.contains("src=\"/app/") && after.trim().is_empty(), "{tag}");
        }
    }
    let forbidden = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "eval(",
        "new Function",
        "createContextualFragment",
        "srcdoc",
        "'style'",
        "https://",
    ];
    for asset in ASSETS {
        for word in forbidden {
            assert!(!asset.text.contains(word), "{word} in {}", asset.path);
        }
    }
}
