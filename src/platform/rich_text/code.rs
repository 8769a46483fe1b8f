//! Code, with classes for its parts.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};
use syntect::util::LinesWithEndings;

use super::escape;

/// What highlighting of one block may take; the rest of it stays plain.
const LONGEST: Duration = Duration::from_millis(200);

/// Longest line that is highlighted, bytes: the time for one line has no other limit. After a longer one, all is plain.
const LONGEST_LINE: usize = 2_000;

/// How many scopes of a part are looked at, from the innermost one.
const SCOPES: usize = 8;

static SYNTAXES: LazyLock<SyntaxSet> = LazyLock::new(SyntaxSet::load_defaults_newlines);

/// Classes by scope, the more specific ones first.
static CLASSES: LazyLock<Vec<(Scope, &'static str)>> = LazyLock::new(|| {
    let classes = [
        ("comment", "hl-comment"),
        ("string", "hl-string"),
        ("constant.numeric", "hl-number"),
        ("constant", "hl-constant"),
        ("keyword", "hl-keyword"),
        ("storage", "hl-keyword"),
        ("entity.name.tag", "hl-tag"),
        ("entity.other.attribute-name", "hl-attribute"),
        ("entity.name", "hl-name"),
        ("support", "hl-name"),
        ("variable", "hl-variable"),
        ("markup.inserted", "hl-inserted"),
        ("markup.deleted", "hl-deleted"),
    ];
    classes.into_iter().filter_map(|(scope, class)| Some((Scope::new(scope).ok()?, class))).collect()
});

/// Returns a `pre` element. `language` is a name or a file extension; code in an unknown one stays plain.
pub fn block(language: &str, code: &str) -> String {
    let inner = match syntax(language) {
        Some(syntax) => highlighted(syntax, code),
        None => escape(code),
    };
    format!("<pre><code>{inner}</code></pre>\n")
}

fn syntax(language: &str) -> Option<&'static SyntaxReference> {
    let language = match language {
        "svg" => "xml",
        // JSON with comments and TypeScript are close enough to what is known.
        "jsonc" => "json",
        "typescript" | "ts" | "jsx" | "tsx" => "js",
        language => language,
    };
    SYNTAXES.find_syntax_by_token(language).filter(|it| it.name != "Plain Text")
}

fn highlighted(syntax: &SyntaxReference, code: &str) -> String {
    let mut html = Spans { html: String::with_capacity(code.len() * 2), class: None };
    let (mut state, mut scopes) = (ParseState::new(syntax), ScopeStack::new());
    let end = Instant::now() + LONGEST;
    let mut plain = false;
    for line in LinesWithEndings::from(code) {
        plain |= line.len() > LONGEST_LINE || Instant::now() > end;
        let changes = if plain { None } else { state.parse_line(line, &SYNTAXES).ok() };
        let Some(changes) = changes else {
            plain = true;
            html.push(None, line);
            continue;
        };
        let mut from = 0;
        for (place, change) in changes {
            let place = place.clamp(from, line.len());
            html.push(class_of(&scopes), line.get(from..place).unwrap_or_default());
            from = place;
            plain |= scopes.apply(&change).is_err();
        }
        html.push(class_of(&scopes), line.get(from..).unwrap_or_default());
    }
    html.finish()
}

fn class_of(scopes: &ScopeStack) -> Option<&'static str> {
    let innermost = scopes.as_slice().iter().rev().take(SCOPES);
    innermost
        .filter_map(|scope| CLASSES.iter().find(|(prefix, _)| prefix.is_prefix_of(*scope)))
        .map(|(_, it)| *it)
        .next()
}

/// HTML of text in which neighbours of the same class share an element.
struct Spans {
    html: String,
    class: Option<&'static str>,
}

impl Spans {
    fn push(&mut self, class: Option<&'static str>, text: &str) {
        if text.is_empty() {
            return;
        }
        if class != self.class {
            self.close();
            if let Some(class) = class {
                for part in ["<span class=\"", class, "\">"] {
                    self.html.push_str(part);
                }
            }
            self.class = class;
        }
        self.html.push_str(&escape(text));
    }

    fn close(&mut self) {
        if self.class.take().is_some() {
            self.html.push_str("</span>");
        }
    }

    fn finish(mut self) -> String {
        self.close();
        self.html
    }
}
