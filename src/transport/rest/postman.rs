//! The Postman collection (format 2.1), generated from the OpenAPI document: each operation and each event as a request that
//! can be sent after the folder "Start here" has filled in the variables.

use serde_json::{Map, Value, json};

/// The version of the format.
const FORMAT: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

/// Nesting of an example at most.
const DEEPEST: usize = 6;

/// Returns the collection for the server at this URL.
pub fn collection(openapi: &Value, url: &str) -> Value {
    let mut folders: Map<String, Value> = Map::new();
    for (path, methods) in openapi["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            if operation["responses"].is_null() {
                continue;
            }
            let folder = operation["tags"][0].as_str().unwrap_or("other").to_owned();
            let item = item(openapi, path, method, operation);
            if let Some(items) = folders.entry(folder).or_insert_with(|| json!([])).as_array_mut() {
                items.push(item);
            }
        }
    }
    let mut items = vec![start()];
    for tag in openapi["tags"].as_array().into_iter().flatten() {
        let name = tag["name"].as_str().unwrap_or_default();
        if let Some(list) = folders.remove(name) {
            items.push(json!({"name": name, "description": tag["description"], "item": list}));
        }
    }
    json!({
        "info": {
            "name": openapi["info"]["title"],
            "description": "Send the requests of \"Start here\" in order; they fill in the variables of all others. Each request in \"events\" \
                can also be sent as a Socket.IO event: connect to {{url}} with the path /ws/socket.io and the handshake token {{token}}, \
                and emit its name with its body as the payload and an acknowledgement.",
            "schema": FORMAT,
        },
        "item": items,
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "event": [script(&["pm.test('the server has no error', () => pm.expect(pm.response.code).to.be.below(500));"])],
        "variable": [
            {"key": "url", "value": url},
            {"key": "username", "value": "postman"},
            {"key": "password", "value": "ripe-mango-tree"},
            {"key": "token", "value": ""},
            {"key": "refresh_token", "value": ""},
            {"key": "user_id", "value": "1"},
            {"key": "chat_id", "value": "1"},
            {"key": "message_id", "value": "1"},
        ],
    })
}

/// Returns the requests that fill in the variables.
fn start() -> Value {
    let set = |name: &str, value: &str| {
        format!("pm.collectionVariables.set('{name}', pm.response.json().{value});")
    };
    let step = |name: &str, path: &str, body: Value, lines: Vec<String>| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        json!({
            "name": name,
            "event": [script(&lines)],
            "request": request("post", path, Some(&body), &[]),
        })
    };
    let register = json!({"username": "{{username}}", "password": "{{password}}"});
    let chat = json!({"chat": {"name": "Postman", "is_group": true, "members_array": []}});
    let message = json!({"message": {"chat_id": "{{chat_id}}", "content": "Hello from Postman", "message_type": "text"}});
    let mut steps = vec![
        step(
            "Register",
            "/user",
            register.clone(),
            vec![
                "if (pm.response.code === 201) pm.collectionVariables.set('user_id', pm.response.json().id);"
                    .to_owned(),
            ],
        ),
        step(
            "Log in",
            "/auth/login",
            register,
            vec![set("token", "access_token"), set("refresh_token", "refresh_token")],
        ),
        step("Create a chat", "/events/create_chat", chat, vec![set("chat_id", "chat.id")]),
        step("Send a message", "/events/send_message", message, vec![set("message_id", "message.id")]),
    ];
    for step in steps.iter_mut().take(2) {
        step["request"]["auth"] = json!({"type": "noauth"});
    }
    json!({"name": "Start here", "description": "Registers a user, logs in, creates a chat and sends a message.", "item": steps})
}

fn script(lines: &[&str]) -> Value {
    json!({"listen": "test", "script": {"type": "text/javascript", "exec": lines}})
}

fn item(openapi: &Value, path: &str, method: &str, operation: &Value) -> Value {
    let content = &operation["requestBody"]["content"];
    let body = content.get("application/json").map(|body| example(openapi, &body["schema"], "", 0));
    let required: Vec<&Value> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|it| it["in"] == "query" && it["required"] == json!(true))
        .collect();
    let mut request = request(method, path, body.as_ref(), &required);
    request["description"] = operation["description"].clone();
    if operation["security"].is_null() {
        request["auth"] = json!({"type": "noauth"});
    }
    let name = match path.strip_prefix("/events/") {
        Some(event) => event.to_owned(),
        None => operation["summary"].as_str().unwrap_or(path).trim_end_matches('.').to_owned(),
    };
    json!({ "name": name, "request": request })
}

fn request(method: &str, path: &str, body: Option<&Value>, query: &[&Value]) -> Value {
    let path = of_path(path);
    let query: Vec<Value> = query
        .iter()
        .map(|it| json!({"key": it["name"], "value": "hello", "description": it["description"]}))
        .collect();
    let mut raw = format!("{{{{url}}}}{path}");
    if !query.is_empty() {
        let pairs: Vec<String> =
            query.iter().map(|it| format!("{}=hello", it["key"].as_str().unwrap_or_default())).collect();
        raw = format!("{raw}?{}", pairs.join("&"));
    }
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let mut request = json!({
        "method": method.to_uppercase(),
        "url": {"raw": raw, "host": ["{{url}}"], "path": segments, "query": query},
        "header": [],
    });
    if let Some(body) = body {
        let text = serde_json::to_string_pretty(body).unwrap_or_default();
        // Variables stand for numbers.
        let text = text.replace("\"{{user_id}}\"", "{{user_id}}").replace("\"{{chat_id}}\"", "{{chat_id}}");
        let text = text.replace("\"{{message_id}}\"", "{{message_id}}");
        request["body"] = json!({"mode": "raw", "raw": text, "options": {"raw": {"language": "json"}}});
        request["header"] = json!([{"key": "content-type", "value": "application/json"}]);
    }
    request
}

/// Fills variables into a path.
fn of_path(path: &str) -> String {
    let id = if path.starts_with("/chat") {
        "{{chat_id}}"
    } else if path.starts_with("/message") || path.starts_with("/admin/message") {
        "{{message_id}}"
    } else if path.starts_with("/admin/chat") {
        "{{chat_id}}"
    } else if path.contains("/user") {
        "{{user_id}}"
    } else {
        "1"
    };
    let path =
        if path == "/message/{id}" { "/message/{{chat_id}}".to_owned() } else { path.replace("{id}", id) };
    path.replace("{invite}", "1")
        .replace("{token}", "0123456789abcdef0123456789abcdef")
        .replace("{photo}", "default-1")
        .replace("{file}", "100x100.webp")
        .replace("{name}", "file.txt")
}

/// Returns an example of a schema: its required fields, and none that are optional.
fn example(openapi: &Value, schema: &Value, name: &str, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = reference.trim_start_matches('#');
        let kind = reference.rsplit('/').next().unwrap_or_default();
        let id = match kind {
            "ChatId" | "ChatRef" => "{{chat_id}}",
            "UserId" | "UserRef" => "{{user_id}}",
            "MessageId" | "MessageRef" => "{{message_id}}",
            _ => "",
        };
        let found = openapi.pointer(target).unwrap_or(&Value::Null);
        let mut shown = example(openapi, found, name, depth + 1);
        if !id.is_empty() {
            match shown.as_object_mut() {
                Some(fields) if fields.contains_key("id") => drop(fields.insert("id".to_owned(), id.into())),
                _ => return id.into(),
            }
        }
        return shown;
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        let Some(list) = schema[several].as_array() else { continue };
        if several != "allOf" {
            let known = list.iter().find(|it| it["type"] != "null");
            return known.map_or(Value::Null, |it| example(openapi, it, name, depth + 1));
        }
        let mut all = Map::new();
        for part in list {
            if let Value::Object(fields) = example(openapi, part, name, depth + 1) {
                all.extend(fields);
            }
        }
        return all.into();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    };
    match kind {
        "object" => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let fields = required.iter().filter_map(|it| {
                let field = it.as_str()?;
                let shown = example(openapi, &schema["properties"][field], field, depth + 1);
                Some((field.to_owned(), shown))
            });
            fields.collect::<Map<_, _>>().into()
        }
        "array" => json!([]),
        "boolean" => json!(true),
        "integer" | "number" => match name {
            "chat_id" => "{{chat_id}}".into(),
            "message_id" => "{{message_id}}".into(),
            "user_id" | "id" => "{{user_id}}".into(),
            _ => json!(1),
        },
        _ => match name {
            "password" | "new_password" => "{{password}}",
            "username" => "{{username}}",
            "email" => "postman@example.org",
            "emoji" => "👍",
            "refresh_token" => "{{refresh_token}}",
            "token" => "{{token}}",
            "message_type" => "text",
            "role" => "member",
            _ => "hello",
        }
        .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_a_request_with_an_example() {
        let openapi = serde_json::to_value(super::super::openapi()).expect("JSON");
        let collection = collection(&openapi, "http://localhost:5000");
        let text = collection.to_string();
        for event in crate::protocol::catalogue::COMMANDS {
            assert!(text.contains(&format!("/events/{}\"", event.name)), "{}", event.name);
        }
        let operations = openapi["paths"].as_object().expect("paths").values();
        let number: usize = operations.map(|methods| methods.as_object().expect("methods").len()).sum();
        let folders = collection["item"].as_array().expect("folders");
        let requests: usize = folders.iter().map(|it| it["item"].as_array().map_or(0, Vec::len)).sum();
        // Those of "Start here" are there twice.
        assert_eq!(requests, number + 4);
        let events = folders.iter().find(|it| it["name"] == "events").expect("the events");
        for item in events["item"].as_array().expect("items") {
            let body = item["request"]["body"]["raw"].as_str().unwrap_or("{}");
            let filled =
                body.replace("{{user_id}}", "1").replace("{{chat_id}}", "1").replace("{{message_id}}", "1");
            assert!(serde_json::from_str::<Value>(&filled).is_ok(), "{}: {filled}", item["name"]);
        }
    }
}
