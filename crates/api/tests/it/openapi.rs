//! The OpenAPI document: its content and its completeness.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Map, Value};

fn document() -> Value {
    serde_json::from_str(api::app::openapi().unwrap().as_str()).unwrap()
}

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

#[test]
fn is_as_it_was_agreed() {
    insta::assert_json_snapshot!(document());
}

#[test]
fn every_operation_says_what_it_does_takes_and_refuses() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 5), "{name} has no summary");
        assert!(
            operation["description"].as_str().is_some_and(|text| text.len() > 5),
            "{name} isn't described"
        );
        let mut names = BTreeSet::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(names.insert(parameter["name"].as_str().unwrap()), "{name} has two of {parameter}");
        }
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name} has the id of another");
        let answers = operation["responses"].as_object().unwrap();
        let has = |status: &str| answers.contains_key(status);
        let is_good = |status: &String| status.starts_with('2') || status == "101";
        assert!(answers.keys().any(is_good), "{name} has no good answer");
        for (status, answer) in answers.iter().filter(|(status, _)| *status >= &"400".to_owned()) {
            let content =
                answer["content"].as_object().unwrap_or_else(|| panic!("{name} {status} has no body"));
            if let Some(problem) = content.get("application/problem+json") {
                let examples = problem["examples"].as_object().unwrap();
                assert!(!examples.is_empty(), "{name} {status} has no example");
            }
        }
        assert!(has("500") && has("503"), "{name}");
        if operation["security"][0].is_object() {
            assert!(has("401"), "{name} needs a token and says nothing of 401");
            let scopes = operation["security"][0]["oauth2"].as_array().unwrap();
            assert!(scopes.is_empty() || has("403"), "{name} needs a scope and says nothing of 403");
        }
        if operation.get("requestBody").is_some() {
            // The token endpoint refuses as RFC 6749 has it: with 400 whatever is wrong.
            let is_json = operation["requestBody"]["content"].get("application/json").is_some();
            assert!(has("400"), "{name} takes a body");
            assert!(!is_json || has("413") && has("415") && has("422"), "{name} takes a body");
        }
        if operation.get("parameters").is_some() {
            assert!(has("422"), "{name} takes parameters");
        }
    }
}

/// Every example of a refusal is one of this operation: it names its path, and the errors are of fields that it takes.
#[test]
fn examples_of_refusals_are_of_their_operation() {
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            for response in operation["responses"].as_object().unwrap().values() {
                let examples = response["content"]["application/problem+json"]["examples"].as_object();
                for (code, example) in examples.into_iter().flatten() {
                    let value = &example["value"];
                    assert_eq!(value["code"], **code, "{name}");
                    assert_eq!(value["instance"].as_str(), Some(&*filled(path, operation)), "{name}");
                    let errors = value["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
                    assert_eq!(errors.is_empty(), code != "invalid", "{name} {code}");
                    let taken = inputs(&document, operation);
                    for error in errors {
                        let field = error["field"].as_str().unwrap();
                        assert!(taken.contains(field), "{name} has no field {field}: {taken:?}");
                    }
                }
            }
        }
    }
}

/// The path with the examples of its parameters filled in.
fn filled(path: &str, operation: &Value) -> String {
    let mut path = path.to_owned();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "path" {
            let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
            path = path.replace(&name, parameter["example"].as_str().unwrap());
        }
    }
    path
}

/// The names of all parameters, and of all fields of the body.
fn inputs(document: &Value, operation: &Value) -> BTreeSet<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let mut names: BTreeSet<_> = parameters.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    for content in operation["requestBody"]["content"].as_object().into_iter().flat_map(Map::values) {
        let schema = content["schema"]["$ref"].as_str().unwrap().trim_start_matches('#');
        names.extend(document.pointer(schema).unwrap()["properties"].as_object().unwrap().keys().cloned());
    }
    names
}

/// What an answer always has is required in its schema, also where it may be null; what a request may leave out isn't.
#[test]
fn nullable_fields_are_required_in_answers_and_not_in_requests() {
    let document = document();
    let message = &document["components"]["schemas"]["Message"];
    assert!(message["required"].as_array().unwrap().contains(&"edited_at".into()));
    assert!(message["properties"]["edited_at"].to_string().contains("\"null\""));
    let patch = &document["components"]["schemas"]["UserPatch"];
    assert_eq!(patch.get("required"), None);
    let problem = document["components"]["schemas"]["Problem"]["required"].as_array().unwrap();
    assert!(!problem.contains(&"errors".into()), "it is left out where there are none");
}

/// A body may be left out where an empty object would do.
#[test]
fn bodies_are_optional_where_an_empty_object_will_do() {
    let document = document();
    // A resource's patch is empty where all of its fields may be left out.
    let own = operations(&document).filter(|(_, operation)| operation.get("x-resource").is_none());
    let bodies = own.filter(|(_, operation)| operation.get("requestBody").is_some());
    let optional = bodies.filter(|(_, operation)| operation["requestBody"]["required"] != true);
    let optional: Vec<_> = optional.map(|(name, _)| name).collect();
    assert_eq!(optional, ["post /api/v1/threads/{id}/delivered", "post /api/v1/threads/{id}/read"]);
}

#[test]
fn every_reference_leads_somewhere_and_every_body_has_an_example() {
    let document = document();
    let text = document.to_string();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("#/components/schemas/") {
        rest = &rest[at + "#/components/schemas/".len()..];
        let name = &rest[..rest.find('"').unwrap()];
        assert!(document["components"]["schemas"].get(name).is_some(), "there is no schema {name}");
    }
    for (name, operation) in operations(&document) {
        let Some(content) = operation["requestBody"]["content"].as_object() else {
            continue;
        };
        for body in content.values() {
            let schema = body["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            let schema = &document["components"]["schemas"][schema];
            let by_field = schema["properties"].as_object().is_some_and(|fields| {
                fields.values().any(|field| {
                    ["/example", "/$ref", "/items/$ref"].iter().any(|path| field.pointer(path).is_some())
                })
            });
            assert!(by_field || schema.get("example").is_some(), "the body of {name} has no example");
        }
    }
}

#[test]
fn every_body_refuses_fields_that_it_does_not_know() {
    let document = document();
    for (name, operation) in operations(&document) {
        let Some(schema) = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()
        else {
            continue;
        };
        let schema = &document["components"]["schemas"][schema.rsplit('/').next().unwrap()];
        assert_eq!(schema["additionalProperties"], false, "{name}");
    }
}

/// Every code that the source defines is one that an operation declares, and so one of `/problems`.
#[test]
fn every_code_is_declared() {
    let mut routes = api::routes::all();
    groundwork_web::http::app::system_routes(&mut routes);
    let declared: BTreeSet<&str> = routes.codes().iter().map(|code| code.name).collect();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut defined = BTreeSet::new();
    for member in fs::read_dir(crates).unwrap() {
        collect_codes(&member.unwrap().path().join("src"), &mut defined);
    }
    assert!(defined.contains("already_read"), "no code was found in {}", crates.display());
    let undeclared: Vec<_> = defined.iter().filter(|code| !declared.contains(code.as_str())).collect();
    assert!(undeclared.is_empty(), "no operation declares {undeclared:?}");
}

/// The names of all `const NAME: Code = Code::new("name", …)` below a folder.
fn collect_codes(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_codes(&path, codes);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = |rest: &str| rest.trim_start().strip_prefix('"')?.split('"').next().map(str::to_owned);
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let source = lines.collect::<Vec<_>>().join("\n");
            codes.extend(
                source
                    .split(": Code =")
                    .skip(1)
                    .filter_map(|rest| code(rest.trim_start().strip_prefix("Code::new(")?)),
            );
        }
    }
}

/// No parameter is there twice, what must be given is required, and each filter is a parameter of its own.
#[test]
fn parameters_are_as_they_are_read() {
    let document = document();
    for (name, operation) in operations(&document) {
        let mut seen = BTreeSet::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let (place, called) = (parameter["in"].as_str().unwrap(), parameter["name"].as_str().unwrap());
            assert!(seen.insert((place, called)), "{name} has {called} twice");
            assert!(
                !parameter["schema"].to_string().contains("\"null\""),
                "{called} of {name} is never null"
            );
        }
    }
    let parameters = |path: &str| document["paths"][path]["get"]["parameters"].as_array().unwrap().clone();
    let names = |path: &str| {
        let names =
            parameters(path).into_iter().map(|parameter| parameter["name"].as_str().unwrap().to_owned());
        names.collect::<BTreeSet<_>>()
    };
    for parameter in parameters("/api/v1/users/search") {
        assert_eq!(parameter["required"], parameter["name"] == "q", "{parameter}");
    }
    for path in ["/api/v1/threads", "/api/v1/threads/{id}/messages"] {
        assert!(names(path).contains("created_at__gte") && !names(path).contains("order_by"), "{path}");
    }
    for path in ["/api/v1/messages/inbox", "/api/v1/messages/outbox", "/api/v1/users"] {
        assert!(names(path).contains("created_at__gte") && names(path).contains("order_by"), "{path}");
    }
    let filters = parameters("/api/v1/users");
    let of = |name: &str| filters.iter().find(|parameter| parameter["name"] == name).unwrap();
    assert_eq!(of("email__isnull")["schema"]["type"], "boolean");
    assert_eq!(of("is_active")["schema"]["type"], "boolean");
    let ids = of("id__in");
    assert_eq!((&ids["schema"]["type"], &ids["explode"]), (&"array".into(), &false.into()));
}

/// A change of a field that may not be null says so, and so does the length of a text, which its type states.
#[test]
fn changes_say_what_they_take() {
    let document = document();
    let field =
        |schema: &str, name: &str| document["components"]["schemas"][schema]["properties"][name].clone();
    let username = field("UserPatch", "username");
    assert_eq!((&username["type"], &username["maxLength"]), (&"string".into(), &50.into()), "{username}");
    assert!(username["description"].is_string(), "{username}");
    let bio = field("UserPatch", "bio");
    assert_eq!(
        (bio["type"].to_string(), &bio["maxLength"]),
        (r#"["string","null"]"#.into(), &500.into()),
        "{bio}"
    );
    assert_eq!(field("UserAdminPatch", "is_active")["type"], "boolean");
    assert_eq!(field("ThreadPatch", "history")["$ref"], "#/components/schemas/History");
    assert_eq!(field("NewText", "text")["maxLength"], 4096);
    assert!(document["components"]["schemas"]["UserPatch"].get("required").is_none());
    let text = document.to_string();
    assert!(!text.contains("x-inline") && !text.contains("Change_"));
}
