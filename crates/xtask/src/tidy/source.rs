//! Just enough reading of Rust for the checks: comments and literals blanked out, tests cut off, words.
//!
//! Not a parser. It keeps every newline, so line numbers hold.

/// `text` with the contents of comments, strings and character literals replaced by spaces.
pub(crate) fn blank_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut blanked = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = at + literal_or_comment_length(&text[at..], bytes[..at].last().copied());
        if end > at {
            blanked.extend(
                text[at..end]
                    .chars()
                    .map(|character| if character == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        } else {
            let character = text[at..].chars().next().unwrap_or(' ');
            blanked.push(character);
            at += character.len_utf8();
        }
    }
    blanked
}

/// Length in bytes of the comment or literal that begins here; 0 when none does.
fn literal_or_comment_length(rest: &str, before: Option<u8>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    if rest.starts_with('"') {
        return quoted_length(rest);
    }
    if rest.starts_with('r') && !before.is_some_and(is_word_byte_but_b) {
        return raw_string_length(rest);
    }
    if rest.starts_with('\'') {
        return character_length(rest);
    }
    0
}

/// An `r` after a word character is the end of an identifier; after `b` it may be a raw byte string.
fn is_word_byte_but_b(byte: u8) -> bool {
    byte != b'b' && (byte == b'_' || byte.is_ascii_alphanumeric())
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string_length(rest: &str) -> usize {
    let hashes = rest.bytes().skip(1).take_while(|byte| *byte == b'#').count();
    if rest.as_bytes().get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let start = hashes + 2;
    let closing = format!("\"{}", "#".repeat(hashes));
    rest[start..]
        .find(&closing)
        .map_or(rest.len(), |at| start + at + closing.len())
}

/// A quote begins a character literal or a lifetime; only the first closes again.
fn character_length(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(0, |at| 3 + at + 1),
        Some((at, first)) if rest[at + first.len_utf8()..].starts_with('\'') => at + first.len_utf8() + 1,
        _ => 0,
    }
}

/// The part of a source file before its unit tests, which stand at the end.
pub(crate) fn without_unit_tests(text: &str) -> &str {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim() == "#[cfg(test)]" {
            return &text[..at];
        }
        at += line.len();
    }
    text
}

/// Identifiers and punctuation with the line (from 1) each stands on; `::` is one token.
pub(crate) fn tokens(blanked: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in blanked.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = token_length(rest, first);
            found.push((number + 1, &rest[..length]));
            rest = rest[length..].trim_start();
        }
    }
    found
}

fn token_length(rest: &str, first: char) -> usize {
    if rest.starts_with("::") {
        return 2;
    }
    let word = rest
        .find(|character: char| !(character == '_' || character.is_alphanumeric()))
        .unwrap_or(rest.len());
    if word > 0 { word } else { first.len_utf8() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(blank_comments_and_literals(text), expected);
    }

    #[test]
    fn comments_are_blanked_and_lines_kept() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */\n d */ e", "a             \n      e");
    }

    #[test]
    fn strings_are_blanked() {
        check(r#"a("b\"c", d)"#, r#"a(      , d)"#);
        check(r##"a(r#"b"c"#, d)"##, "a(        , d)");
        check("number(\"b\")", "number(   )");
    }

    #[test]
    fn lifetimes_stay_and_characters_go() {
        check(
            "fn f<'a>(x: &'a str) { '\"'; '\\n'; }",
            "fn f<'a>(x: &'a str) {    ;     ; }",
        );
    }

    #[test]
    fn words_beyond_ascii_do_not_confuse_the_positions() {
        check("é(\"é\") // ü\nf", "é(   )     \nf");
    }

    #[test]
    fn unit_tests_are_cut_off() {
        assert_eq!(
            without_unit_tests("fn a() {}\n#[cfg(test)]\nmod tests {}\n"),
            "fn a() {}\n"
        );
    }

    #[test]
    fn tokens_know_their_line() {
        let expected = [
            (1, "use"),
            (1, "a"),
            (1, "::"),
            (1, "{"),
            (2, "b_c"),
            (2, "}"),
            (2, ";"),
        ];
        assert_eq!(tokens("use a::{\n  b_c};"), expected);
    }
}
