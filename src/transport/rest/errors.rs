//! The page that the `type` of a problem points to.

use std::fmt::Write;

use axum::response::Html;

use crate::error::Code;
use crate::transport::http::problem::{Kind, kind};

/// Returns the page with every code, its status and its explanation.
pub async fn page() -> Html<String> {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Mango Chat: errors</title>\
         <style>body{max-width:46rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;\
         color-scheme:light dark}code{font-size:.95em}dt{margin-top:1.2rem}dd{margin:0}:target{background:#fd06}\
         </style><h1>Errors</h1>\
         <p>Every failed request and event names one of these codes. REST answers them as problems \
         (<code>application/problem+json</code>), sockets in the ack's <code>error</code>.</p><dl>",
    );
    for code in Code::ALL {
        let (name, Kind { status, title, about }) = (code.as_str(), kind(code));
        let _ = write!(
            page,
            "<dt id=\"{name}\"><code>{name}</code> · {} · {title}</dt><dd>{}</dd>",
            status.as_u16(),
            marked_up(about),
        );
    }
    page.push_str("</dl></html>");
    Html(page)
}

/// Converts one of the server's own texts to HTML; text between backquotes becomes code.
fn marked_up(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut parts = escaped.split('`');
    let mut html = parts.next().unwrap_or_default().to_owned();
    for (number, part) in parts.enumerate() {
        html.push_str(if number % 2 == 0 { "<code>" } else { "</code>" });
        html.push_str(part);
    }
    html
}
