//! Content of messages as HTML that is safe to insert into a page: no scripts, styles, forms or pictures, and links only
//! to web pages, mail addresses and telephone numbers.

mod code;
mod markdown;

use std::collections::HashMap;
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};
use linkify::{LinkFinder, LinkKind};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Longer content is shown as plain text, bytes: the time for sanitizing grows with the square of the nesting.
const MOST_BYTES: usize = 65_536;

/// Contents that are rendered at the same time.
static PLACES: Semaphore = Semaphore::const_new(2);

/// Renders content of a message type as HTML, on a thread that may block; `kind` is the name of the type.
///
/// # Errors
/// `internal` if the thread ends early.
pub async fn render_blocking(kind: &'static str, content: String) -> Result<String> {
    let place = PLACES.acquire().await.map_err(Error::internal)?;
    let work = move || {
        // Kept by the thread, which goes on if the client leaves.
        let _place = place;
        render(kind, &content)
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}

/// Renders content of a message type; `kind` is the type's name.
///
/// Markdown and HTML keep their formatting, code is highlighted with `span` elements of the classes `hl-*`, and every
/// other content is text with line breaks and links.
fn render(kind: &str, content: &str) -> String {
    match kind {
        _ if content.len() > MOST_BYTES || (kind == "html" && grows(content)) => text(content),
        "markdown" => sanitize(&markdown::render(content), &OWN),
        "html" => sanitize(content, &FOREIGN),
        "json" | "xml" | "yaml" | "javascript" | "css" | "svg" => sanitize(&code::block(kind, content), &OWN),
        _ => text(content),
    }
}

/// Elements that a parser opens again in each paragraph after they were left open: up to three with the same attributes
/// (HTML standard, section 13.2.4.3). Of `a` and `nobr` only one is open at a time.
const REOPENED: [&str; 12] =
    ["b", "big", "code", "em", "font", "i", "s", "small", "strike", "strong", "tt", "u"];

/// The most elements that may result from opening them again.
const MOST_REOPENED: usize = 500_000;

/// Whether parsing this HTML may create far more elements than it has tags.
fn grows(html: &str) -> bool {
    let mut same: HashMap<&str, usize> = HashMap::new();
    let (mut all, mut reopened) = (0_usize, 0_usize);
    for tag in html.split('<').skip(1) {
        all += 1;
        let end = tag.find(|sign: char| !sign.is_ascii_alphanumeric()).unwrap_or(tag.len());
        if !REOPENED.iter().any(|name| tag[..end].eq_ignore_ascii_case(name)) {
            continue;
        }
        // A tag that a quote may continue is counted, because its attributes are not known here.
        let whole = tag.split_once('>').map(|(tag, _)| tag).filter(|tag| !tag.contains(['"', '\'']));
        let count = whole.map_or(0, |tag| {
            let count = same.entry(tag).or_default();
            *count += 1;
            *count
        });
        reopened += usize::from(count <= 3);
    }
    all.saturating_mul(reopened) > MOST_REOPENED
}

/// HTML of users: no class, so that it cannot take the look of a page's own elements.
static FOREIGN: LazyLock<Builder<'static>> = LazyLock::new(builder);

/// HTML that this module wrote.
static OWN: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = builder();
    builder.add_tag_attributes("span", ["class"]).add_tag_attributes("code", ["class"]);
    builder
});

fn builder() -> Builder<'static> {
    let mut builder = Builder::default();
    builder
        // A picture would tell its server who reads the message, and when.
        .rm_tags(["img"])
        .url_schemes(["http", "https", "mailto", "tel"].into())
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank");
    builder
}

fn sanitize(html: &str, builder: &Builder<'_>) -> String {
    builder.clean(html).to_string()
}

/// Plain text with line breaks and links.
fn text(content: &str) -> String {
    let mut html = String::with_capacity(content.len() + 64);
    html.push_str("<p>");
    for part in links(content) {
        match part {
            Part::Text(text) => html.push_str(&escape(text).replace("\r\n", "\n").replace('\n', "<br>")),
            Part::Link { url, text } => {
                let (url, text) = (escape(&url), escape(text));
                for part in ["<a href=\"", &url, "\" ", LINK_ATTRIBUTES, ">", &text, "</a>"] {
                    html.push_str(part);
                }
            }
        }
    }
    html.push_str("</p>");
    html
}

/// What the sanitizer adds to links.
const LINK_ATTRIBUTES: &str = "target=\"_blank\" rel=\"noopener noreferrer nofollow\"";

/// A part of plain text.
enum Part<'a> {
    Text(&'a str),
    Link { url: String, text: &'a str },
}

/// Splits plain text at the URLs and mail addresses in it.
fn links(text: &str) -> impl Iterator<Item = Part<'_>> {
    static FINDER: LazyLock<LinkFinder> = LazyLock::new(LinkFinder::new);
    FINDER.spans(text).map(|span| {
        let text = span.as_str();
        let is_web = || ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
        match span.kind() {
            Some(LinkKind::Email) => Part::Link { url: format!("mailto:{text}"), text },
            Some(LinkKind::Url) if is_web() => Part::Link { url: text.to_owned(), text },
            _ => Part::Text(text),
        }
    })
}

/// Escapes text for content and quoted attributes of HTML.
fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            sign => html.push(sign),
        }
    }
    html
}

#[cfg(test)]
mod tests;
