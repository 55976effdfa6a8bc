//! Answers of the cloud as a small tree: names without namespaces, text, children in order.
//!
//! Knows XML and the habit of writing lists as `<thingSet><item>…</item></thingSet>`; knows no answer in particular.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Deepest nesting that is read; answers go to about ten.
const DEPTH_MAX: usize = 64;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document; answers its root.
    pub(super) fn parse(document: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(document);
        let mut open = vec![Self::default()];
        loop {
            let event = reader.read_event().map_err(|error| error.to_string())?;
            match event {
                Event::Start(start) if open.len() < DEPTH_MAX => open.push(Self::named(start.local_name().as_ref())),
                Event::Start(_) => return Err("it is nested too deeply".to_owned()),
                Event::Empty(start) => put(&mut open, Self::named(start.local_name().as_ref())),
                Event::End(_) => {
                    let done = open.pop().unwrap_or_default();
                    put(&mut open, done);
                }
                Event::Text(text) => add_text(&mut open, &text),
                Event::CData(text) => add_text(&mut open, &text),
                Event::GeneralRef(reference) => {
                    let escaped = format!("&{};", &*reference);
                    add_text(
                        &mut open,
                        &quick_xml::escape::unescape(&escaped).map_err(|error| error.to_string())?,
                    );
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        let mut document = open.pop().unwrap_or_default();
        match (open.is_empty(), document.children.pop()) {
            (true, Some(root)) => Ok(root),
            _ => Err("it ends before its root does".to_owned()),
        }
    }

    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// The first element below `path`, names from here down.
    pub(super) fn find(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| {
            element.children.iter().find(|child| child.name == *name)
        })
    }

    /// The text at `path` without white space around it; absent when there is none.
    pub(super) fn text(&self, path: &[&str]) -> Option<&str> {
        let text = self.find(path)?.text.trim();
        (!text.is_empty()).then_some(text)
    }

    /// The items of the list at `path`; none where there is no list.
    pub(super) fn items(&self, path: &[&str]) -> impl Iterator<Item = &Self> {
        let children = self.find(path).map_or(&[][..], |list| &list.children[..]);
        children.iter().filter(|child| child.name == "item")
    }
}

fn put(open: &mut [Element], child: Element) {
    if let Some(parent) = open.last_mut() {
        parent.children.push(child);
    }
}

fn add_text(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::Element;

    #[test]
    fn lists_and_texts_are_found_by_path_and_references_are_read() {
        let text = "<?xml version=\"1.0\"?><r xmlns=\"u\"><set><item><id>a</id><t>x &amp; &lt;y&#62;</t></item>\n\
                    <item><id> b </id><empty/></item></set></r>";
        let root = Element::parse(text).expect("it is well formed");
        let ids: Vec<_> = root.items(&["set"]).filter_map(|item| item.text(&["id"])).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(root.text(&["set", "item", "t"]), Some("x & <y>"));
        assert_eq!(root.text(&["set", "item", "empty"]), None);
        assert_eq!(root.items(&["no", "list"]).count(), 0);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in ["", "no answer", "<a><b></a>", "<a>", "<a>&nonsense;</a>"] {
            assert!(Element::parse(text).is_err(), "{text}");
        }
        let deep = "<a>".repeat(100_000);
        assert!(Element::parse(&deep).is_err());
    }
}
