//! What the HTML keeps of Markdown, HTML and code; that nothing in it runs, loads or follows unsafe links; and that hostile
//! content ends soon.

use super::render;

#[test]
fn markdown_keeps_its_formatting() {
    for (content, html) in [
        ("**bold** and *italic*", "<p><strong>bold</strong> and <em>italic</em></p>\n"),
        ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
        ("~~gone~~ `x < y`", "<p><del>gone</del> <code>x &lt; y</code></p>\n"),
        ("- [x] done\n- [ ] open", "<ul>\n<li>☑ done</li>\n<li>☐ open</li>\n</ul>\n"),
        ("<b>not bold</b>", "<p>&lt;b&gt;not bold&lt;/b&gt;</p>\n"),
        ("```\na < b\n```", "<pre><code>a &lt; b\n</code></pre>\n"),
        ("```unheard-of\na\n```", "<pre><code>a\n</code></pre>\n"),
        (
            "```rust\nlet x = 1;\n```",
            "<pre><code><span class=\"hl-keyword\">let</span> x <span class=\"hl-keyword\">=</span> <span class=\"hl-number\">1</span>;\n</code></pre>\n",
        ),
    ] {
        assert_eq!(render("markdown", content), html, "{content}");
    }
    let table = render("markdown", "|a|b|\n|-|-|\n|1|2|");
    assert!(table.contains("<th>a</th>") && table.contains("<td>2</td>"), "{table}");
}

#[test]
fn links_lead_to_web_pages_mail_addresses_and_telephone_numbers_alone() {
    let link = |url: &str, text: &str| {
        format!("<a href=\"{url}\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">{text}</a>")
    };
    let page = link("https://example.org/a?b=1&amp;c=2", "https://example.org/a?b=1&amp;c=2");
    assert_eq!(render("text", "see https://example.org/a?b=1&c=2."), format!("<p>see {page}.</p>"));
    let mail = link("mailto:a@example.org", "a@example.org");
    assert_eq!(render("text", "a@example.org\nb"), format!("<p>{mail}<br>b</p>"));
    assert_eq!(render("text", "javascript://x ftp://x.org/"), "<p>javascript://x ftp://x.org/</p>");
    for (kind, content, expected) in [
        ("markdown", "https://example.org", Some("https://example.org")),
        ("markdown", "<https://example.org>", Some("https://example.org")),
        ("markdown", "https://example.org/~a_b/_c", Some("https://example.org/~a_b/_c")),
        ("markdown", "[x](https://example.org)", Some("https://example.org")),
        ("markdown", "![x](https://example.org/p.png)", Some("https://example.org/p.png")),
        ("markdown", "[![x](https://example.org/p.png)](https://example.org)", Some("https://example.org")),
        ("markdown", "[x](tel:+4912345)", Some("tel:+4912345")),
        ("markdown", "[x](javascript:alert(1))", None),
        ("markdown", "[x](JaVaScRiPt&colon;alert(1))", None),
        ("markdown", "[x](data:text/html;base64,PHNjcmlwdD4=)", None),
        ("markdown", "[x](/logout)", None),
        ("markdown", "[x](//example.org)", None),
        ("html", "<a href='java\nscript:alert(1)'>x</a>", None),
        ("html", "<a href=' javascript:alert(1)'>x</a>", None),
        ("html", "<a href='vbscript:x'>x</a>", None),
        (
            "html",
            "<a href='https://example.org' target='_self' rel='opener'>x</a>",
            Some("https://example.org"),
        ),
    ] {
        let html = render(kind, content);
        let found: Vec<_> = html.split("href=\"").skip(1).filter_map(|it| it.split('"').next()).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{content}: {html}");
        assert!(!html.contains("opener\"") && html.matches("<a").count() <= 1, "{html}");
    }
}

#[test]
fn nothing_runs_loads_or_looks_like_the_page() {
    for content in [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg onload=alert(1)><use href='data:x'/></svg>",
        "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
        "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
        "<style>body { display: none }</style>",
        "<p style='position:fixed' class='button' id='login' onclick='x()' data-x='1'>x</p>",
        "<form action='https://example.org'><input name=password><button>Login</button></form>",
        "<a href='https://example.org' style='x' onmouseover='y'>x</a>",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
        "<video src='https://example.org/v'></video><audio src=x></audio><embed src=x><object data=x></object>",
        "<base href='https://example.org/'><meta http-equiv=refresh content='0;url=x'><link rel=stylesheet href=x>",
        "<template><script>alert(1)</script></template><xmp><script>alert(1)</script></xmp>",
        "<!--><script>alert(1)</script>-->",
    ] {
        for kind in crate::protocol::message_type::NAMES {
            let html = render(kind, content);
            for element in [
                "script", "img", "svg", "iframe", "style", "form", "input", "video", "audio", "link", "base",
                "meta",
            ] {
                assert!(!html.contains(&format!("<{element}")), "{kind}: {content}: {html}");
            }
            let is_attribute = |name: &str| {
                html.split('<').skip(1).any(|it| it.split('>').next().is_some_and(|tag| tag.contains(name)))
            };
            for name in ["style=", "id=", "onclick=", "onmouseover=", "onerror=", "data-x"] {
                assert!(!is_attribute(name), "{kind}: {content}: {html}");
            }
            if kind == "html" {
                assert!(!is_attribute("class="), "{html}");
            }
        }
    }
}

#[test]
fn code_is_highlighted_by_its_type_and_nothing_of_it_is_lost() {
    let json = render("json", "{\"a\": [1, true]}");
    for part in ["hl-string", "hl-number", "hl-constant"] {
        assert!(json.contains(part), "{json}");
    }
    for (kind, content) in [
        ("json", "{\"a\": "),
        ("xml", "<a b='c'>d & e</a>"),
        ("svg", "<svg><script>alert(1)</script></svg>"),
        ("yaml", "a: [b, 'c']\n# d\n"),
        ("javascript", "const f = () => `${1}`; // <b>"),
        ("css", "a { color: #fff }"),
        ("json", "\u{1f96d} \"ключ\": 1"),
    ] {
        let html = render(kind, content);
        let text: String =
            html.split('<').filter_map(|it| it.split_once('>')).map(|(_, text)| text).collect();
        let text =
            text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
        assert_eq!(text.replace("&amp;", "&").trim_end(), content.trim_end(), "{html}");
    }
}

/// The deepest and the most numerous elements: it ends soon and without exhausting the stack.
#[test]
fn hostile_content_is_rendered_in_bounded_time() {
    let start = std::time::Instant::now();
    for (kind, unit) in [
        ("html", "<b>"),
        ("html", "<a href=x>"),
        ("html", "<table><td>"),
        ("html", "<p><b><i>"),
        ("html", "<ul><li>"),
        ("markdown", "> "),
        ("markdown", "- "),
        ("markdown", "[a]("),
        ("markdown", "**a *b "),
        ("markdown", "![a](b "),
        ("markdown", "|a|b|\n|-|-|\n"),
        ("json", "["),
        ("css", "a{"),
        ("javascript", "(a,"),
    ] {
        render(kind, &unit.repeat(65_536 / unit.len()));
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    let attributes = (0..4_000).map(|number| format!("<b a{number}>")).collect::<Vec<_>>().concat();
    let html = render("html", &format!("<p>{attributes}{}", "<p>x".repeat(6_000)));
    assert!(html.starts_with("<p>&lt;p&gt;"), "it would be 24 million elements");
    for language in ["rust", "c++", "php", "python", "sh", "perl", "rb", "md", "tex", "hs"] {
        for unit in ["a<(", "$(", "\"\"\"", "<?php $", "<<A ", "*_"] {
            render("markdown", &format!("```{language}\n{}\n```", unit.repeat(60_000 / unit.len())));
        }
    }
    let long = "<b>x</b>\n".repeat(10_000);
    assert!(render("html", &long).starts_with("<p>&lt;b&gt;"), "longer content is text");
}
