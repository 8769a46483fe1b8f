//! The Socket.IO transport: two paths, two namespaces with the same events, and rooms that are the publisher's.
//!
//! The engine of this server serves all transports of Engine.IO. With `FAST_PATH=off`, socketioxide does instead: it is
//! slower, and serves to tell whether a fault is the engine's.

mod admission;
mod engine;
mod stock;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use self::engine::Engine;
use self::stock::Stock;
use crate::realtime::RealtimeState;

/// Paths at which Socket.IO clients connect.
const PATHS: [&str; 2] = ["/socket.io", "/ws/socket.io"];

/// Maximum packets of one response to a polling client. python-engineio gives up a session if there are more.
const MAX_PACKETS: usize = 16;

/// Maximum packets of one request before the client has authenticated; until then it only sends CONNECT packets.
const UNAUTHENTICATED_PACKETS: usize = 8;

/// Number of refused namespaces after which a session ends.
const MAX_REFUSALS: usize = 4;

/// Maximum binary attachments of one event.
const MAX_ATTACHMENTS: usize = 64;

/// How long the parts of one event may take to arrive; checked when the next part arrives.
const PARTS_WITHIN: Duration = Duration::from_secs(10);

/// Separates the packets of a payload (Engine.IO protocol 4).
const SEPARATOR: u8 = 0x1e;

/// Content type of a response with packets.
const PACKETS: &str = "text/plain; charset=UTF-8";

/// The Socket.IO server.
pub enum SocketIo {
    /// This server's own engine.
    Engine(Arc<Engine>),
    /// socketioxide.
    Stock(Stock),
}

impl SocketIo {
    /// Creates the server that the settings ask for.
    pub fn new(realtime: &Arc<RealtimeState>) -> Self {
        if realtime.context.settings.sockets.fast_path {
            Self::Engine(Engine::new(realtime.clone()))
        } else {
            Self::Stock(Stock::new(realtime.clone()))
        }
    }

    /// Returns the routes of its HTTP requests.
    pub fn routes(&self) -> Router {
        match self {
            Self::Engine(engine) => engine.routes(),
            Self::Stock(stock) => stock.routes(),
        }
    }

    /// Ends all sessions.
    pub async fn close(&self) {
        match self {
            Self::Engine(engine) => engine.close(),
            Self::Stock(stock) => stock.close().await,
        }
    }
}

/// Splits the JSON of an event into its name and the arguments after it, `null` if there are none. The arguments are not
/// read here, but when the command is known. Of invalid JSON the name is empty, which is no event.
fn split_event(data: &str) -> (String, String) {
    let simple = || {
        let (name, rest) = data.strip_prefix("[\"")?.split_once('"')?;
        let arguments = rest.strip_suffix(']')?;
        let arguments = if arguments.is_empty() { "null" } else { arguments.strip_prefix(',')? };
        (!name.contains('\\')).then(|| (name.to_owned(), arguments.to_owned()))
    };
    simple().unwrap_or_else(|| {
        let items: Vec<&RawValue> = serde_json::from_str(data).unwrap_or_default();
        let name = items.first().and_then(|name| serde_json::from_str(name.get()).ok()).unwrap_or_default();
        let payload = items.get(1).map_or("null", |payload| payload.get());
        (name, payload.to_owned())
    })
}

/// Puts binary attachments into the arguments of an event, as data URLs in place of their placeholders. A placeholder
/// without an attachment of its own stays, and is then refused as something that is no text.
fn with_binary(arguments: String, parts: &[Bytes]) -> String {
    if parts.is_empty() {
        return arguments;
    }
    let Ok(mut values) = serde_json::from_str::<Vec<Value>>(&format!("[{arguments}]")) else {
        return arguments;
    };
    // Each part is used once: a small frame with many placeholders would otherwise become a huge one.
    let mut parts: Vec<Option<&Bytes>> = parts.iter().map(Some).collect();
    for value in &mut values {
        fill(value, &mut parts);
    }
    let texts: Vec<String> = values.iter().map(Value::to_string).collect();
    texts.join(",")
}

fn fill(value: &mut Value, parts: &mut [Option<&Bytes>]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, parts)),
        Value::Object(fields) if fields.get("_placeholder") == Some(&Value::Bool(true)) => {
            let number = fields.get("num").and_then(Value::as_u64).and_then(|it| usize::try_from(it).ok());
            if let Some(part) = number.and_then(|number| parts.get_mut(number)?.take()) {
                *value = format!("data:application/octet-stream;base64,{}", STANDARD.encode(part)).into();
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(|item| fill(item, parts)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_attachments_become_data_urls_in_their_places() {
        let parts = [Bytes::from_static(b"ab"), Bytes::from_static(b"c")];
        let arguments = r#"{"a":{"_placeholder":true,"num":1},"b":[{"_placeholder":true,"num":0}]},2"#;
        let url = |text: &str| format!("data:application/octet-stream;base64,{text}");
        let expected = format!(r#"{{"a":"{}","b":["{}"]}},2"#, url("Yw=="), url("YWI="));
        assert_eq!(with_binary(arguments.to_owned(), &parts), expected);
        for other in [r#"{"a":{"_placeholder":true,"num":9}}"#, "nonsense", r#"{"_placeholder":false}"#] {
            assert_eq!(with_binary(other.to_owned(), &parts), other);
        }
        let twice = r#"{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}"#;
        let expected = format!(r#""{}",{{"_placeholder":true,"num":1}}"#, url("Yw=="));
        assert_eq!(with_binary(twice.to_owned(), &parts), expected, "each part is used once");
        assert_eq!(with_binary(arguments.to_owned(), &[]), arguments);
    }

    #[test]
    fn an_event_is_split_into_its_name_and_its_arguments() {
        for (data, name, arguments) in [
            (r#"["a",{"b":1}]"#, "a", r#"{"b":1}"#),
            (r#"["a",{"b":1},2]"#, "a", r#"{"b":1},2"#),
            (r#"["a"]"#, "a", "null"),
            (r#" [ "a" , {} ] "#, "a", "{}"),
            (r#"["\u0061",[1],2]"#, "a", "[1]"),
            ("[]", "", "null"),
            (r#"["a",{}"#, "", "null"),
            ("{}", "", "null"),
            ("", "", "null"),
        ] {
            assert_eq!(split_event(data), (name.to_owned(), arguments.to_owned()), "{data}");
        }
    }
}
