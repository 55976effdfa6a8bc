//! Lines of the file: section headers and attributes, with comments and blanks gone and strings over several
//! lines joined. Knows no kinds of sections and does not look inside values.

use super::Notes;

/// One header or attribute; lines and columns count from 1.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u32,
    pub(super) column: u32,
    pub(super) content: Content,
}

/// What a line holds.
#[derive(Debug)]
pub(super) enum Content {
    /// `[[kind name]]`: number of brackets, and the two words; the name may be empty.
    Header { rank: usize, kind: String, name: String },
    /// `name = text`, `name := text` or a string over several lines.
    Attribute {
        path: Vec<String>,
        operator: Operator,
        text: String,
        column: u32,
    },
}

/// How an attribute's text is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// `=`
    Value,
    /// `:=`, or its older spelling `= =`
    Expression,
    /// `'''...'''` after either; the text is what is between the quotes.
    LongText,
}

const LONG_QUOTE: &str = "'''";

/// Most parts of a dotted name. Records nest as deep as names do, and must not exhaust the stack.
pub(super) const PARTS_MAX: usize = 32;

/// Highest rank of a section.
const RANK_MAX: usize = 4;

/// Splits the text; what is no line of a template becomes a problem and is left out.
pub(super) fn lines(text: &str, notes: &mut Notes) -> Vec<Line> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut source = (1..).zip(text.lines());
    let mut lines = Vec::new();
    while let Some((number, raw)) = source.next() {
        let trimmed = raw.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let column = column_of(raw, trimmed);
        let content = if trimmed.starts_with('[') {
            header(trimmed)
        } else {
            attribute(raw, trimmed).and_then(|content| join_long_text(content, &mut source))
        };
        match content {
            Ok(content) => lines.push(Line {
                number,
                column,
                content,
            }),
            Err(message) => notes.problem(number, column, message),
        }
    }
    lines
}

/// Column of a part within its line.
fn column_of(line: &str, part: &str) -> u32 {
    let offset = (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    let characters = line.get(..offset).map_or(0, |before| before.chars().count());
    u32::try_from(characters).unwrap_or(u32::MAX).saturating_add(1)
}

fn header(line: &str) -> Result<Content, String> {
    let inner = line.trim_start_matches('[');
    let rank = line.len() - inner.len();
    let words = inner.trim_end_matches(']');
    let closed = inner.len() - words.len();
    if closed != rank {
        return Err(format!(
            "the section opens with {rank} brackets and closes with {closed}"
        ));
    }
    if rank > RANK_MAX {
        return Err(format!("sections have at most {RANK_MAX} brackets"));
    }
    let words = words.trim();
    let (kind, name) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
    if kind.is_empty() {
        return Err("the section has no kind".to_owned());
    }
    Ok(Content::Header {
        rank,
        kind: kind.to_lowercase(),
        name: name.trim().to_owned(),
    })
}

fn attribute(raw: &str, line: &str) -> Result<Content, String> {
    let no_attribute = || "expected a section, an attribute (Name = value) or a comment".to_owned();
    let (before, after) = line.split_once('=').ok_or_else(no_attribute)?;
    let (name, mut operator) = match before.strip_suffix(':') {
        Some(name) => (name, Operator::Expression),
        None => (before, Operator::Value),
    };
    let path: Vec<String> = name.split('.').map(|part| part.trim().to_owned()).collect();
    if path.iter().any(String::is_empty) {
        return Err(format!("{:?} is not the name of an attribute", name.trim()));
    }
    if path.len() > PARTS_MAX {
        return Err(format!("the name of the attribute has more than {PARTS_MAX} parts"));
    }
    let mut text = after.trim();
    if let Some(expression) = text.strip_prefix('=').filter(|_| operator == Operator::Value) {
        operator = Operator::Expression;
        text = expression.trim_start();
    }
    Ok(Content::Attribute {
        path,
        operator,
        text: text.to_owned(),
        column: column_of(raw, text),
    })
}

/// Reads on to the closing quotes if the value opens a string over several lines.
fn join_long_text<'a>(content: Content, source: &mut impl Iterator<Item = (u32, &'a str)>) -> Result<Content, String> {
    let Content::Attribute {
        path,
        operator,
        text,
        column,
    } = content
    else {
        return Ok(content);
    };
    let Some(first) = text.strip_prefix(LONG_QUOTE) else {
        return Ok(Content::Attribute {
            path,
            operator,
            text,
            column,
        });
    };
    let mut parts: Vec<&str> = Vec::new();
    let mut current = first;
    let rest = loop {
        if let Some((last, rest)) = current.split_once(LONG_QUOTE) {
            parts.push(last);
            break rest;
        }
        parts.push(current);
        current = source
            .next()
            .ok_or("the string that opens here with ''' is not closed")?
            .1;
    };
    if !rest.trim().is_empty() {
        return Err("there is text after the closing '''".to_owned());
    }
    // A text that begins on its own line, as scripts do, does not begin with a line break.
    if parts.len() > 1 && parts[0].trim().is_empty() {
        parts.remove(0);
    }
    Ok(Content::Attribute {
        path,
        operator: Operator::LongText,
        text: parts.join("\n"),
        column,
    })
}
