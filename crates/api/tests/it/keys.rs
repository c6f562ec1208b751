//! The keys of access tokens: replacing one signs nobody out.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use groundwork_testkit::{Client, TestServer, both_databases};
use serde_json::{Value, json};

use crate::support::App;

const ME: &str = "/api/v1/users/me";
const KEYS: &str = "/.well-known/jwks.json";

/// The key of RFC 8037, appendix A.1, its public part, and its thumbprint.
const OLD: (&str, &str, &str) = (
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g",
    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
);
/// Another one: that of RFC 8032, section 7.1, test 2.
const NEW: &str = "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7";

/// Servers over one database, each with keys of its own, as while they are being restarted.
struct Servers<'a> {
    app: &'a App,
    folder: tempfile::TempDir,
}

impl Servers<'_> {
    /// Starts a server with these keys: `secret`, `old` or `new`, separated by commas.
    fn start(&self, keys: &str) -> TestServer {
        for (name, body) in [("old", OLD.0), ("new", NEW)] {
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
            std::fs::write(self.folder.path().join(name), pem).unwrap();
        }
        let path = |key: &str| match key {
            "secret" => "secret".to_owned(),
            name => self.folder.path().join(name).to_str().unwrap().to_owned(),
        };
        let paths: Vec<_> = keys.split(',').map(path).collect();
        self.app.another_server(&[("JWT_KEYS", &paths.join(","))])
    }
}

/// The header of the client's access token.
fn header_of(client: &Client) -> Value {
    let token = client.token.as_ref().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

/// At each step of a rotation, servers before and after it accept each other's tokens. A token whose key is gone is refused, and
/// its session goes on with a refresh.
#[both_databases]
async fn a_rotation_signs_nobody_out(app: &App) {
    let servers = Servers { app, folder: tempfile::tempdir().unwrap() };
    let ada = app.user("ada").await;
    assert_eq!(header_of(&ada), json!({"typ": "JWT", "alg": "HS256"}));
    let mut all = Vec::new();
    for keys in ["secret", "secret,old", "old,secret", "old", "old,new", "new,old", "new"] {
        all.push((servers.start(keys), keys));
    }
    let mut clients = Vec::new();
    for (server, _) in &all {
        clients.push(server.client().login("ada").await);
    }
    for (index, (server, keys)) in all.iter().enumerate() {
        for (other, (client, (_, issued))) in clients.iter().zip(&all).enumerate() {
            let known = issued.split(',').next().is_some_and(|key| keys.contains(key));
            assert!(known || index.abs_diff(other) > 1, "{issued} and {keys} are neighbours");
            let here = server.client().with_token(client.token.as_ref().unwrap());
            let answer = here.get(ME).await;
            assert_eq!(answer.status, if known { 200 } else { 401 }, "{issued} at {keys}");
            if !known {
                answer.refused(401, "invalid_token");
            }
        }
    }
    let newest = all.last().unwrap().0.client();
    let body = json!({"refresh_token": clients[0].refresh_token});
    let tokens = newest.post("/api/v1/auth/refresh", &body).await.expect(200);
    newest.signed_in(&tokens).get(ME).await.expect(200);
    for (server, _) in all {
        server.stop().await;
    }
}

/// The public keys are those that verify, and the header of a token names its key. No private part and no secret is shown.
#[both_databases]
async fn the_public_keys_are_published(app: &App) {
    let servers = Servers { app, folder: tempfile::tempdir().unwrap() };
    assert_eq!(app.client().get(KEYS).await.expect(200), json!({"keys": []}));
    let server = servers.start("old,secret,new");
    let keys = server.client().get(KEYS).await.expect(200);
    let first =
        json!({"kty": "OKP", "crv": "Ed25519", "x": OLD.1, "kid": OLD.2, "alg": "EdDSA", "use": "sig"});
    assert_eq!(keys["keys"][0], first);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    let ada = server.client().register("ada").await;
    assert_eq!(header_of(&ada), json!({"typ": "JWT", "alg": "EdDSA", "kid": OLD.2}));
    server.stop().await;
}
