//! Checks the responses of a server against its OpenAPI document.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use reqwest::{Client, Method, Url};
use serde_json::Value;

use crate::Answer;

/// The codes for a path or a method that does not exist.
const NOT_AN_OPERATION: [&str; 2] = ["not_found", "method_not_allowed"];

/// The operations of a document, and the codes of the server's `/problems`.
#[derive(Debug)]
pub(crate) struct Contract {
    operations: Vec<Operation>,
    problems: BTreeSet<String>,
}

#[derive(Debug)]
struct Operation {
    method: String,
    path: String,
    /// The codes of each status; empty for a status that is not an error.
    statuses: BTreeMap<u16, BTreeSet<String>>,
}

/// The contracts read so far, by the base URL of the server.
static KNOWN: LazyLock<Mutex<HashMap<String, Option<Arc<Contract>>>>> = LazyLock::new(Mutex::default);

/// Forgets the contract of a server: another one is going to use its address.
pub(crate) fn forget(base: &str) {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).remove(base);
}

impl Contract {
    /// Returns the contract of a server, or `None` if it serves no document. Reads it once for each server.
    pub(crate) async fn of(client: &Client, url: &Url) -> Option<Arc<Self>> {
        let base = url.origin().ascii_serialization();
        if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&base) {
            return known.clone();
        }
        let document = read(client, &format!("{base}/openapi.json")).await;
        let problems = read(client, &format!("{base}/problems")).await;
        let contract =
            document.zip(problems).map(|(document, problems)| Arc::new(Self::new(&document, &problems)));
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(base, contract.clone());
        contract
    }

    fn new(document: &Value, problems: &Value) -> Self {
        let mut operations = Vec::new();
        for (path, item) in members(&document["paths"]) {
            for (method, operation) in members(item) {
                let responses = members(&operation["responses"]);
                let statuses = responses.filter_map(|(status, response)| {
                    let examples = &response["content"]["application/problem+json"]["examples"];
                    Some((status.parse().ok()?, members(examples).map(|(code, _)| code.clone()).collect()))
                });
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    statuses: statuses.collect(),
                });
            }
        }
        let problems = problems["items"].as_array().into_iter().flatten();
        let problems = problems.filter_map(|problem| problem["code"].as_str().map(str::to_owned)).collect();
        Self { operations, problems }
    }

    /// Panics if the document does not declare the status or the code of the response for its operation, or if `/problems`
    /// does not list the code. A path or a method that is not in the document may only be refused as such.
    pub(crate) fn check(&self, method: &Method, url: &Url, answer: &Answer) {
        // A response to HEAD has the status of the response to GET, and no body.
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let is_refusal = answer.status >= 400;
        let code = answer.body["code"].as_str().filter(|_| is_refusal);
        if let Some(code) = code {
            assert!(self.problems.contains(code), "{}: /problems does not list {code}", answer.request);
        }
        let Some(operation) = self.find(method, url.path()) else {
            let expected = code.is_none_or(|code| NOT_AN_OPERATION.contains(&code));
            assert!(
                expected || method == "OPTIONS",
                "{}: refused with {code:?}, but not in the document",
                answer.request
            );
            return;
        };
        let codes = operation.statuses.get(&answer.status);
        assert!(
            codes.is_some_and(|codes| code.is_none_or(|code| codes.contains(code))),
            "{}: the document does not declare {} {} for {} {}: {:#}",
            answer.request,
            answer.status,
            code.unwrap_or_default(),
            operation.method,
            operation.path,
            answer.body
        );
    }

    /// Returns the operation of a request. A path with fewer variables takes precedence.
    fn find(&self, method: &str, path: &str) -> Option<&Operation> {
        let fitting = self.operations.iter().filter(|operation| fits(&operation.path, path));
        let nearest = fitting.min_by_key(|operation| operation.path.matches('{').count())?;
        let same_path = self.operations.iter().filter(|operation| operation.path == nearest.path);
        same_path.into_iter().find(|operation| operation.method == method)
    }
}

/// Returns whether the path of a request matches a path of the document. Empty segments are ignored.
fn fits(template: &str, path: &str) -> bool {
    let segments = |path: &'_ str| {
        path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let (template, path) = (segments(template), segments(path));
    template.len() == path.len()
        && template.iter().zip(&path).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

async fn read(client: &Client, url: &str) -> Option<Value> {
    let response = client.get(url).send().await.ok()?.error_for_status().ok()?;
    response.json().await.ok()
}
