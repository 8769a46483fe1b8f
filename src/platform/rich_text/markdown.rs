//! Markdown (`CommonMark` with tables, task lists and strikethrough).

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd, TextMergeStream, html};

use super::{Part, code, links};

/// Deeper elements lose their formatting: the time for sanitizing grows with the square of the nesting.
const DEEPEST: usize = 20;

/// Renders Markdown. HTML in it is shown as text, a picture as a link to it, and a line break stays one.
pub fn render(content: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS | Options::ENABLE_STRIKETHROUGH;
    let mut events = Vec::new();
    let mut depth = 0;
    let mut links_open = 0;
    let mut block: Option<(String, String)> = None;
    for event in TextMergeStream::new(Parser::new_ext(content, options)) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => {
                        info.split([' ', ',']).next().unwrap_or_default().to_owned()
                    }
                    CodeBlockKind::Indented => String::new(),
                };
                block = Some((language, String::new()));
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some((language, code)) = block.take() {
                    events.push(Event::Html(code::block(&language, &code).into()));
                }
            }
            Event::Text(text) if block.is_some() => {
                if let Some((_, code)) = &mut block {
                    code.push_str(&text);
                }
            }
            Event::Start(tag) => {
                let tag = match tag {
                    Tag::Image { dest_url, title, id, .. } => {
                        Tag::Link { link_type: LinkType::Inline, dest_url, title, id }
                    }
                    tag => tag,
                };
                depth += 1;
                links_open += usize::from(matches!(tag, Tag::Link { .. }));
                // HTML knows no link within a link: a picture within one is its text.
                let nested = links_open > 1 && matches!(tag, Tag::Link { .. });
                if depth <= DEEPEST && !nested && !matches!(tag, Tag::HtmlBlock) {
                    events.push(Event::Start(tag));
                }
            }
            Event::End(tag) => {
                let tag = if tag == TagEnd::Image { TagEnd::Link } else { tag };
                let nested = links_open > 1 && tag == TagEnd::Link;
                if depth <= DEEPEST && !nested && tag != TagEnd::HtmlBlock {
                    events.push(Event::End(tag));
                }
                depth -= 1;
                links_open -= usize::from(tag == TagEnd::Link);
            }
            Event::Html(text) | Event::InlineHtml(text) => events.push(Event::Text(text)),
            Event::SoftBreak => events.push(Event::HardBreak),
            Event::TaskListMarker(done) => events.push(Event::Text(if done { "☑ " } else { "☐ " }.into())),
            Event::Text(text) if links_open == 0 => push_linked(&mut events, &text),
            event => events.push(event),
        }
    }
    let mut out = String::with_capacity(content.len() * 2);
    html::push_html(&mut out, events.into_iter());
    out
}

/// Adds text, with the URLs in it as links.
fn push_linked(events: &mut Vec<Event<'_>>, text: &str) {
    for part in links(text) {
        match part {
            Part::Text(text) => events.push(Event::Text(text.to_owned().into())),
            Part::Link { url, text } => {
                let (title, id) = ("".into(), "".into());
                events.push(Event::Start(Tag::Link {
                    link_type: LinkType::Autolink,
                    dest_url: url.into(),
                    title,
                    id,
                }));
                events.push(Event::Text(text.to_owned().into()));
                events.push(Event::End(TagEnd::Link));
            }
        }
    }
}
