//! A strict reader of the HTML that the report writes, for its tests.
//!
//! Browsers forgive everything, so a broken page is easily overlooked. This reader forgives nothing: each element is
//! closed in order, attributes are quoted and unique, a bare `<`, `>`, `&` or quote is an error, identifiers are unique
//! and what refers to one finds it. It knows only the part of HTML that the report uses.

use std::collections::{BTreeMap, BTreeSet};

/// One element with its attributes, its ancestors' names, and all text inside it.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) ancestors: Vec<String>,
    pub(super) text: String,
}

impl Element {
    /// An attribute's value; empty if it has none.
    pub(super) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Whether the element has a CSS class.
    pub(super) fn has_class(&self, class: &str) -> bool {
        self.attribute("class").split(' ').any(|one| one == class)
    }
}

const VOID: [&str; 4] = ["meta", "link", "img", "input"];
const RAW: [&str; 2] = ["script", "style"];
const ENTITIES: [(&str, char); 5] = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&#39;", '\'')];

/// All elements of a document in order, or what is wrong with it.
pub(super) fn read(html: &str) -> Result<Vec<Element>, String> {
    let mut rest = html.strip_prefix("<!doctype html>").ok_or("no doctype")?;
    let mut elements: Vec<Element> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    while !rest.is_empty() {
        let fault = |what: &str| Err(format!("{what} at: {}", rest.chars().take(80).collect::<String>()));
        let Some(after) = rest.strip_prefix('<') else {
            let end = rest.find('<').unwrap_or(rest.len());
            let text = match unescaped(&rest[..end]) {
                Ok(text) => text,
                Err(what) => return fault(&what),
            };
            if open.is_empty() && !text.trim().is_empty() {
                return fault("text outside of the document");
            }
            for &index in &open {
                elements[index].text.push_str(&text);
            }
            rest = &rest[end..];
            continue;
        };
        let Some(end) = after.find('>') else { return fault("a tag without an end") };
        let tag = &after[..end];
        if let Some(name) = tag.strip_prefix('/') {
            match open.pop() {
                Some(index) if elements[index].name == name => {}
                Some(index) => return fault(&format!("</{name}> closes <{}>", elements[index].name)),
                None => return fault(&format!("</{name}> closes nothing")),
            }
            rest = &after[end + 1..];
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let mut element = match read_tag(tag) {
            Ok(element) => element,
            Err(what) => return fault(&what),
        };
        element.ancestors = open.iter().map(|&index| elements[index].name.clone()).collect();
        if closed && !element.ancestors.iter().any(|name| name == "svg") {
            return fault("only elements inside of svg close themselves");
        }
        rest = &after[end + 1..];
        let name = element.name.clone();
        if RAW.contains(&name.as_str()) {
            let closing = format!("</{name}>");
            let Some(end) = rest.find(&closing) else { return fault("raw text without an end") };
            rest[..end].clone_into(&mut element.text);
            rest = &rest[end + closing.len()..];
        } else if !closed && !VOID.contains(&name.as_str()) {
            open.push(elements.len());
        }
        elements.push(element);
    }
    if let Some(&index) = open.last() {
        return Err(format!("<{}> is never closed", elements[index].name));
    }
    check_references(&elements)?;
    Ok(elements)
}

fn read_tag(tag: &str) -> Result<Element, String> {
    let name_end = tag.find(' ').unwrap_or(tag.len());
    let (name, mut rest) = tag.split_at(name_end);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!("`{name}` is no name of an element"));
    }
    let mut element = Element { name: name.to_owned(), ..Element::default() };
    while let Some(after) = rest.strip_prefix(' ') {
        let key_end = after.find(['=', ' ']).unwrap_or(after.len());
        let key = &after[..key_end];
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(format!("`{key}` is no name of an attribute"));
        }
        rest = &after[key_end..];
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            let quoted = after.strip_prefix('"').ok_or_else(|| format!("the value of {key} is not quoted"))?;
            let end = quoted.find('"').ok_or_else(|| format!("the value of {key} does not end"))?;
            // Policies are written by us and quote their keywords.
            value = if key == "content" { quoted[..end].to_owned() } else { unescaped(&quoted[..end])? };
            rest = &quoted[end + 1..];
        }
        if element.attributes.insert(key.to_owned(), value).is_some() {
            return Err(format!("{key} is there twice"));
        }
    }
    if rest.is_empty() { Ok(element) } else { Err(format!("`{rest}` in a tag")) }
}

fn unescaped(raw: &str) -> Result<String, String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(character) = rest.chars().next() {
        if character == '&' {
            let (entity, meaning) =
                ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity)).ok_or("a bare ampersand")?;
            text.push(*meaning);
            rest = &rest[entity.len()..];
            continue;
        }
        if matches!(character, '<' | '>') || (character.is_control() && !matches!(character, '\n' | '\t')) {
            return Err(format!("a bare {character:?}"));
        }
        text.push(character);
        rest = &rest[character.len_utf8()..];
    }
    Ok(text)
}

fn check_references(elements: &[Element]) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    for id in elements.iter().filter_map(|element| element.attributes.get("id")) {
        if !ids.insert(id.as_str()) {
            return Err(format!("the id {id} is there twice"));
        }
    }
    for element in elements {
        let link = element.attributes.get("href").and_then(|href| href.strip_prefix('#'));
        let label = element.attributes.get("aria-labelledby").map(String::as_str);
        for wanted in [link, label].into_iter().flatten() {
            if !ids.contains(wanted) {
                return Err(format!("<{}> refers to #{wanted}, which is nowhere", element.name));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn broken_documents_are_found() {
        for (body, expected) in [
            ("<p><b>x</p></b>", "</p> closes <b>"),
            ("<p>", "<p> is never closed"),
            ("</p>", "closes nothing"),
            ("<p a=b></p>", "not quoted"),
            ("<p a=\"1\" a=\"2\"></p>", "twice"),
            ("<p>a & b</p>", "bare ampersand"),
            ("<p>a > b</p>", "bare '>'"),
            ("<p/>", "only elements inside of svg"),
            ("<p id=\"a\"></p><p id=\"a\"></p>", "the id a is there twice"),
            ("<p href=\"#a\"></p>", "nowhere"),
            ("x", "text outside"),
        ] {
            let fault = read(&format!("<!doctype html>{body}")).unwrap_err();
            assert!(fault.contains(expected), "{body}: {fault}");
        }
    }

    #[test]
    fn sound_documents_are_read() {
        let elements =
            read("<!doctype html><p id=\"a\">x &lt; <b hidden>y</b></p><svg><use href=\"#a\"/></svg>").unwrap();
        let names: Vec<&str> = elements.iter().map(|element| element.name.as_str()).collect();
        assert_eq!(names, ["p", "b", "svg", "use"]);
        assert_eq!(elements[0].text, "x < y");
    }
}
