//! Splits an expression into tokens with their positions.
//!
//! Longest symbol first: `===` before `==`, `=?=` before `=`. Knows no grammar; a single `=` is a token here
//! because records use it, and the parser refuses it elsewhere.

use super::ParseError;

/// One token and where it starts; lines and columns count from 1.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Integer(i64),
    Real(f64),
    Text(String),
    /// A bare word: a name, a keyword, a function or an operator such as `is`.
    Word(String),
    /// A name in single quotes, which is never a keyword.
    Quoted(String),
    Symbol(&'static str),
    End,
}

/// All symbols, longer ones before their prefixes.
const SYMBOLS: [&str; 29] = [
    "===", "!==", "=?=", "=!=", "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "?", ":", "+", "-", "*", "/", "%",
    "(", ")", "{", "}", "[", "]", ",", ";", ".",
];

/// Splits the text; the last token is always [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer {
        rest: text,
        line: 1,
        column: 1,
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let (line, column) = (lexer.line, lexer.column);
        let kind = lexer
            .next_kind()
            .map_err(|message| ParseError { line, column, message })?;
        let ended = kind == Kind::End;
        tokens.push(Token { kind, line, column });
        if ended {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: u32,
    column: u32,
}

impl<'a> Lexer<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.rest = &self.rest[character.len_utf8()..];
        if character == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(character)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let start = self.rest;
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
        &start[..start.len() - self.rest.len()]
    }

    fn skip_blanks(&mut self) {
        self.take_while(char::is_whitespace);
    }

    fn next_kind(&mut self) -> Result<Kind, String> {
        let Some(first) = self.peek() else {
            return Ok(Kind::End);
        };
        match first {
            '"' => self.text(),
            '\'' => self.quoted(),
            '0'..='9' => self.number(),
            _ if is_name_start(first) => Ok(Kind::Word(self.take_while(is_name_part).to_owned())),
            _ => self.symbol(first),
        }
    }

    fn symbol(&mut self, first: char) -> Result<Kind, String> {
        let known = SYMBOLS.iter().find(|symbol| self.rest.starts_with(**symbol));
        let symbol = match known {
            Some(symbol) => symbol,
            None if first == '=' => "=",
            None => return Err(format!("unexpected character {first:?}")),
        };
        for _ in symbol.chars() {
            self.bump();
        }
        Ok(Kind::Symbol(symbol))
    }

    /// Digits, then optionally a fraction and an exponent; a point without a digit after it is not ours.
    fn number(&mut self) -> Result<Kind, String> {
        let start = self.rest;
        self.take_while(|character| character.is_ascii_digit());
        let fraction = self
            .rest
            .strip_prefix('.')
            .is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit()));
        if fraction {
            self.bump();
            self.take_while(|character| character.is_ascii_digit());
        }
        let exponent = self.exponent_length();
        for _ in 0..exponent {
            self.bump();
        }
        let digits = &start[..start.len() - self.rest.len()];
        if fraction || exponent > 0 {
            let real = digits.parse::<f64>().ok().filter(|value| value.is_finite());
            return real
                .map(Kind::Real)
                .ok_or_else(|| format!("the number {digits} is out of range"));
        }
        digits
            .parse()
            .map(Kind::Integer)
            .map_err(|_| format!("the number {digits} is out of range"))
    }

    /// Length of `e10`, `E-3` and so on at this place; 0 if there is none.
    fn exponent_length(&self) -> usize {
        let Some(after) = self.rest.strip_prefix(['e', 'E']) else {
            return 0;
        };
        let sign = usize::from(after.starts_with(['+', '-']));
        let digits = after[sign..].chars().take_while(char::is_ascii_digit).count();
        if digits == 0 { 0 } else { 1 + sign + digits }
    }

    fn text(&mut self) -> Result<Kind, String> {
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump().ok_or("the string is not closed")? {
                '"' => return Ok(Kind::Text(text)),
                '\\' => text.push(unescape(self.bump().ok_or("the string is not closed")?)?),
                character => text.push(character),
            }
        }
    }

    fn quoted(&mut self) -> Result<Kind, String> {
        self.bump();
        let name = self.take_while(|character| character != '\'').to_owned();
        self.bump().ok_or("the quoted name is not closed")?;
        if name.is_empty() {
            return Err("a quoted name is empty; strings use double quotes".to_owned());
        }
        Ok(Kind::Quoted(name))
    }
}

fn unescape(character: char) -> Result<char, String> {
    match character {
        '"' | '\\' => Ok(character),
        'n' => Ok('\n'),
        't' => Ok('\t'),
        'r' => Ok('\r'),
        _ => Err(format!(
            "unknown escape \\{character} in a string; write \\\\ for a backslash"
        )),
    }
}

fn is_name_start(character: char) -> bool {
    character == '_' || character.is_alphabetic()
}

fn is_name_part(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}
