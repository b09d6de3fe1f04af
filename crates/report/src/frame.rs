//! The frame of every page: head, bar with links, sections, foot; and the last step of any page, which replaces
//! characters that deceive.

use maud::{Markup, PreEscaped, html};

use crate::pictures::PictureStore;

/// Forbids the page every access to the network: what is not in the file cannot be loaded, even if a reference slipped
/// into it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A part of a page with a heading that the bar links to.
pub(crate) struct Section {
    pub(crate) id: &'static str,
    pub(crate) heading: &'static str,
    pub(crate) body: Markup,
}

/// A whole page of some `kind`: what heads it, then its sections.
///
/// `pictures` are those that head and sections show. The same arguments always give the same text.
pub(crate) fn document(
    title: &str,
    kind: &str,
    head: Markup,
    sections: &[Section],
    pictures: &PictureStore<'_>,
) -> String {
    let page = html! {
        (PreEscaped("<!doctype html>\n"))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "Kinsight " (VERSION) };
                title { (title) " – Kinsight " (kind) }
                link rel="icon" href="data:,";
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                a.skip href="#main" { "Skip to the " (kind) }
                div.bar {
                    div.inner {
                        span.brand { (PreEscaped(LOGO)) "Kinsight" }
                        nav aria-label="Sections" {
                            ul { @for section in sections { li { a href={ "#" (section.id) } { (section.heading) } } } }
                        }
                        button.icon #theme type="button" hidden { (PreEscaped(THEME_ICON)) }
                    }
                }
                main #main {
                    (head)
                    @for section in sections {
                        section aria-labelledby=(section.id) { h2 id=(section.id) { (section.heading) } (section.body) }
                    }
                }
                footer.end {
                    p {
                        "Made by Kinsight " (VERSION) ". This file is complete in itself: it loads nothing from the network, so it "
                        "can be kept, mailed and printed as it is."
                    }
                }
                (PreEscaped(include_str!("fixtures.html")))
                script { (PreEscaped(include_str!("script.js"))) }
                (pictures.store())
            }
        }
    };
    without_deceivers(page.into_string())
}

/// The title of a page, what it is about and how it was made.
pub(crate) fn intro(title: &str, lead: &str, made: &str) -> Markup {
    html! {
        header.intro {
            h1 { (title) }
            @if !lead.is_empty() { p.lead { (lead) } }
            @if !made.is_empty() { p.quiet { (made) } }
        }
    }
}

/// A table that scrolls sideways on a narrow screen, named by the heading with `id`.
pub(crate) fn scrolling(id: &str, table: &Markup) -> Markup {
    html! { div.scroll role="region" aria-labelledby=(id) tabindex="0" { (table) } }
}

/// Sentences, one below the other.
pub(crate) fn notes(sentences: &[String]) -> Markup {
    html! { @if !sentences.is_empty() { ul.notes { @for sentence in sentences { li { (sentence) } } } } }
}

/// Replaces control characters, which HTML forbids, and the bidirectional overrides, with which a class or file name
/// could change how the text around it reads. Done on the whole page, so that no string can be forgotten.
fn without_deceivers(page: String) -> String {
    if !page.contains(deceives) {
        return page;
    }
    page.chars().map(|character| if deceives(character) { '\u{fffd}' } else { character }).collect()
}

fn deceives(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\t')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Three points, two of them near each other: kin in sight.
const LOGO: &str = r#"<svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true"><circle cx="10" cy="10" r="9" fill="none" stroke="currentColor" stroke-width="1.5"/><circle cx="8" cy="11.5" r="2.4" fill="currentColor"/><circle cx="12.8" cy="8" r="1.7" fill="currentColor"/></svg>"#;

const THEME_ICON: &str = r#"<svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><circle cx="10" cy="10" r="7.25" fill="none" stroke="currentColor" stroke-width="1.5"/><path d="M10 2.75a7.25 7.25 0 0 1 0 14.5z" fill="currentColor"/></svg>"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text_and_deceivers_are_replaced() {
        let name = "a\0b\u{1b}\u{85}\r\n<b onclick=\"x('1')\">&amp; cat\u{202e}gpj.exe\u{2066} Zürich 東京 שלום 👩‍🔬";
        let page = document(name, "report", html! { p title=(name) { (name) } }, &[], &PictureStore::default());
        let text = "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\n&lt;b onclick=&quot;x('1')&quot;&gt;&amp;amp; cat\u{fffd}gpj.exe\u{fffd} \
                    Zürich 東京 שלום 👩‍🔬";
        assert!(page.contains(&format!("<title>{text} – Kinsight report</title>")), "{page}");
        assert!(page.contains(&format!("<p title=\"{text}\">{text}</p>")), "{page}");
        assert!(!page.contains(deceives));
    }
}
