//! What a server's OpenAPI document promises, held against what the server answers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use reqwest::{Client, Method, Url};
use serde_json::Value;

use crate::Answer;

/// The refusals by which a path or a method is told not to be there.
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
    /// The codes of each status; none for a status that is not a refusal.
    statuses: BTreeMap<u16, BTreeSet<String>>,
}

/// The contracts that were read, by the address of their server.
static KNOWN: LazyLock<Mutex<HashMap<String, Option<Arc<Contract>>>>> = LazyLock::new(Mutex::default);

/// Forgets the contract of a server, as another one is going to use its address.
pub(crate) fn forget(base: &str) {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).remove(base);
}

impl Contract {
    /// The contract of the server at this address; `None` where it serves no document. Read once for each server.
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

    /// Panics where the document does not declare the answer's status or code for its operation, or `/problems` does
    /// not list the code. A path or a method that the document doesn't have may only be refused as such.
    pub(crate) fn check(&self, method: &Method, url: &Url, answer: &Answer) {
        // An answer to HEAD has the status of that to GET, and nothing else.
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let is_refusal = answer.status >= 400;
        let code = answer.body["code"].as_str().filter(|_| is_refusal);
        if let Some(code) = code {
            assert!(self.problems.contains(code), "{}: /problems doesn't list {code}", answer.request);
        }
        let Some(operation) = self.find(method, url.path()) else {
            let expected = code.is_none_or(|code| NOT_AN_OPERATION.contains(&code));
            assert!(
                expected || method == "OPTIONS",
                "{}: refused with {code:?}, and is not in the document",
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

    /// The operation of a request. A path without variables comes before one with some.
    fn find(&self, method: &str, path: &str) -> Option<&Operation> {
        let fitting = self.operations.iter().filter(|operation| fits(&operation.path, path));
        let nearest = fitting.min_by_key(|operation| operation.path.matches('{').count())?;
        let same_path = self.operations.iter().filter(|operation| operation.path == nearest.path);
        same_path.into_iter().find(|operation| operation.method == method)
    }
}

/// Whether a path of the document is that of a request; empty segments don't count.
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
