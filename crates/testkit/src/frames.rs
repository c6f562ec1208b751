//! Checks the frames of a server against its AsyncAPI document.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use jsonschema::Validator;
use serde_json::Value;

/// What a document says of the frames of the server.
#[derive(Debug)]
pub struct Frames {
    by_type: BTreeMap<String, Validator>,
}

/// The documents read so far, by the base URL of the server.
static KNOWN: LazyLock<Mutex<HashMap<String, Option<Arc<Frames>>>>> = LazyLock::new(Mutex::default);

/// Forgets the document of a server: another one is going to use its address.
pub(crate) fn forget(base: &str) {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).remove(base);
}

impl Frames {
    /// Returns what a server declares, or `None` if it serves no document. Reads it once for each server.
    pub(crate) async fn of(base: &str) -> Option<Arc<Self>> {
        if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(base) {
            return known.clone();
        }
        let document = read(&format!("{base}/asyncapi.json")).await;
        let frames = document.map(|document| Arc::new(Self::new(&document, "server")));
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(base.to_owned(), frames.clone());
        frames
    }

    /// Returns the frames of one side in a document: `server` or `client`.
    ///
    /// # Panics
    ///
    /// If a schema is not valid.
    pub fn new(document: &Value, side: &str) -> Self {
        let messages = document["components"]["messages"].as_object().into_iter().flatten();
        let of_side = messages.filter_map(|(key, message)| {
            let kind = key.strip_prefix(side)?.strip_prefix('.')?;
            let schema = serde_json::json!({
                "$schema": "http://json-schema.org/draft-07/schema#",
                "allOf": [message["payload"]],
                "components": document["components"],
            });
            let validator = jsonschema::draft7::options().should_validate_formats(true).build(&schema);
            Some((kind.to_owned(), validator.unwrap_or_else(|error| panic!("{key}: {error}"))))
        });
        Self { by_type: of_side.collect() }
    }

    /// Returns the types, in order.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.by_type.keys().map(String::as_str)
    }

    /// Returns what is wrong with a frame: the document does not declare its type, or it does not match the schema.
    pub fn errors(&self, frame: &Value) -> Vec<String> {
        let kind = frame["type"].as_str().unwrap_or_default();
        let Some(validator) = self.by_type.get(kind) else {
            return vec![format!("the document has no frame of type \"{kind}\"")];
        };
        validator.iter_errors(frame).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// Checks a frame.
    ///
    /// # Panics
    ///
    /// If it has [errors](Self::errors).
    pub fn check(&self, frame: &Value) {
        let errors = self.errors(frame);
        assert!(errors.is_empty(), "{errors:#?} in {frame:#}");
    }
}

async fn read(url: &str) -> Option<Value> {
    let client = reqwest::Client::builder().no_proxy().build().ok()?;
    client.get(url).send().await.ok()?.error_for_status().ok()?.json().await.ok()
}
