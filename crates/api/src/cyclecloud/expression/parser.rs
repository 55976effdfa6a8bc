//! The grammar: tokens to a tree.
//!
//! Operators of one level become one flat [`Node::Chain`], so that the tree is only as deep as the nesting the
//! person wrote, and that is limited. Functions and literal regular expressions are checked here, because a
//! mistake in them should be told once and not silently match nothing on every record.

use super::functions::{self, Call};
use super::lexer::{Kind, Token};
use super::value::{Value, equal_ignoring_case};
use super::{DEPTH_MAX, ParseError};

/// A piece of an expression.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Literal(Value),
    Name(String),
    List(Vec<Node>),
    Record(Vec<(String, Node)>),
    /// Prefix operators, outermost first.
    Prefix {
        operators: Vec<Prefix>,
        operand: Box<Node>,
    },
    /// Binary operators of one level, grouped to the left.
    Chain {
        first: Box<Node>,
        rest: Vec<(Binary, Node)>,
    },
    /// Members and indexes, in order.
    Postfix {
        base: Box<Node>,
        steps: Vec<Step>,
    },
    /// Condition, value if true, value if false.
    Choice(Box<[Node; 3]>),
    Call(Box<Call>),
}

/// Prefix operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    Not,
    Minus,
    Plus,
}

/// `.name` or `[index]`.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Member(String),
    Index(Node),
}

/// Binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Identical,
    NotIdentical,
    In,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Spelling, operator and level of every binary operator; a higher level binds tighter.
const OPERATORS: [(&str, Binary, u8); 20] = [
    ("||", Binary::Or, 0),
    ("&&", Binary::And, 1),
    ("==", Binary::Equal, 2),
    ("!=", Binary::NotEqual, 2),
    ("===", Binary::Identical, 2),
    ("=?=", Binary::Identical, 2),
    ("is", Binary::Identical, 2),
    ("!==", Binary::NotIdentical, 2),
    ("=!=", Binary::NotIdentical, 2),
    ("isnt", Binary::NotIdentical, 2),
    ("in", Binary::In, 2),
    ("<", Binary::Less, 3),
    ("<=", Binary::LessOrEqual, 3),
    (">", Binary::Greater, 3),
    (">=", Binary::GreaterOrEqual, 3),
    ("+", Binary::Add, 4),
    ("-", Binary::Subtract, 4),
    ("*", Binary::Multiply, 5),
    ("/", Binary::Divide, 5),
    ("%", Binary::Remainder, 5),
];

impl Binary {
    fn level(self) -> u8 {
        let entry = OPERATORS.iter().find(|(_, operator, _)| *operator == self);
        entry.map_or(0, |(_, _, level)| *level)
    }
}

impl Node {
    /// Adds the attribute names read here; see `Expression::names`.
    pub(super) fn collect_names<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Literal(_) => {}
            Self::Name(name) => names.push(name),
            Self::List(items) => items.iter().for_each(|item| item.collect_names(names)),
            Self::Record(members) => members.iter().for_each(|(_, value)| value.collect_names(names)),
            Self::Prefix { operand, .. } => operand.collect_names(names),
            Self::Chain { first, rest } => {
                first.collect_names(names);
                rest.iter().for_each(|(_, operand)| operand.collect_names(names));
            }
            Self::Postfix { base, steps } => {
                base.collect_names(names);
                for step in steps {
                    if let Step::Index(index) = step {
                        index.collect_names(names);
                    }
                }
            }
            Self::Choice(branches) => branches.iter().for_each(|branch| branch.collect_names(names)),
            Self::Call(call) => call.arguments.iter().for_each(|argument| argument.collect_names(names)),
        }
    }
}

/// Parses a whole expression; `tokens` ends with [`Kind::End`].
pub(super) fn parse(tokens: Vec<Token>) -> Result<Node, ParseError> {
    let mut parser = Parser {
        tokens,
        next: 0,
        depth: 0,
    };
    let node = parser.expression()?;
    match parser.peek() {
        Kind::End => Ok(node),
        Kind::Symbol("=") => Err(parser.error_here("unexpected \"=\"; compare with \"==\" or \"===\"")),
        other => Err(parser.error_here(format!("expected an operator or the end, found {}", describe(other)))),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn token(&self) -> &Token {
        &self.tokens[self.next]
    }

    fn peek(&self) -> &Kind {
        &self.token().kind
    }

    /// Takes the token; the last one, the end, stays.
    fn advance(&mut self) -> Kind {
        let kind = self.peek().clone();
        if self.next + 1 < self.tokens.len() {
            self.next += 1;
        }
        kind
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Kind::Symbol(found) if *found == symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ParseError> {
        if self.accept(symbol) {
            return Ok(());
        }
        Err(self.error_here(format!("expected {symbol:?}, found {}", describe(self.peek()))))
    }

    fn error_here(&self, message: impl Into<String>) -> ParseError {
        error_at(self.token(), message)
    }

    fn expression(&mut self) -> Result<Node, ParseError> {
        if self.depth == DEPTH_MAX {
            return Err(self.error_here(format!("the expression is nested deeper than {DEPTH_MAX}")));
        }
        self.depth += 1;
        let condition = self.binary(0)?;
        let node = if self.accept("?") {
            let then = self.expression()?;
            self.expect(":")?;
            Node::Choice(Box::new([condition, then, self.expression()?]))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(node)
    }

    /// Operators of `level_min` and tighter. Recurses at most once per level.
    fn binary(&mut self, level_min: u8) -> Result<Node, ParseError> {
        let mut left = self.prefix()?;
        while let Some((operator, level)) = self.operator().filter(|(_, level)| *level >= level_min) {
            self.advance();
            let right = self.binary(level + 1)?;
            left = chain(left, operator, right);
        }
        Ok(left)
    }

    fn operator(&self) -> Option<(Binary, u8)> {
        let spelling = match self.peek() {
            Kind::Symbol(symbol) => *symbol,
            Kind::Word(word) => word.as_str(),
            _ => return None,
        };
        let entry = OPERATORS
            .iter()
            .find(|(name, _, _)| name.eq_ignore_ascii_case(spelling));
        entry.map(|(_, operator, level)| (*operator, *level))
    }

    fn prefix(&mut self) -> Result<Node, ParseError> {
        let mut operators = Vec::new();
        loop {
            let operator = match self.peek() {
                Kind::Symbol("!") => Prefix::Not,
                Kind::Symbol("-") => Prefix::Minus,
                Kind::Symbol("+") => Prefix::Plus,
                _ => break,
            };
            operators.push(operator);
            self.advance();
        }
        let operand = self.postfix()?;
        if operators.is_empty() {
            return Ok(operand);
        }
        Ok(Node::Prefix {
            operators,
            operand: Box::new(operand),
        })
    }

    fn postfix(&mut self) -> Result<Node, ParseError> {
        let base = self.atom()?;
        let mut steps = Vec::new();
        loop {
            if self.accept(".") {
                steps.push(Step::Member(self.name()?));
            } else if self.accept("[") {
                steps.push(Step::Index(self.expression()?));
                self.expect("]")?;
            } else if steps.is_empty() {
                return Ok(base);
            } else {
                return Ok(Node::Postfix {
                    base: Box::new(base),
                    steps,
                });
            }
        }
    }

    /// A name where nothing else can be: even a keyword is one here.
    fn name(&mut self) -> Result<String, ParseError> {
        match self.peek() {
            Kind::Word(name) | Kind::Quoted(name) => {
                let name = name.clone();
                self.advance();
                Ok(name)
            }
            other => Err(self.error_here(format!("expected a name, found {}", describe(other)))),
        }
    }

    fn atom(&mut self) -> Result<Node, ParseError> {
        let start = self.token().clone();
        match self.advance() {
            Kind::Integer(value) => Ok(Node::Literal(Value::Integer(value))),
            Kind::Real(value) => Ok(Node::Literal(Value::Real(value))),
            Kind::Text(value) => Ok(Node::Literal(Value::Text(value))),
            Kind::Quoted(name) => Ok(Node::Name(name)),
            Kind::Word(word) => self.word(&start, word),
            Kind::Symbol("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Kind::Symbol("{") => Ok(Node::List(self.expressions("}")?)),
            Kind::Symbol("[") => self.record(),
            other => Err(error_at(
                &start,
                format!("expected a value, found {}", describe(&other)),
            )),
        }
    }

    fn word(&mut self, start: &Token, word: String) -> Result<Node, ParseError> {
        if self.accept("(") {
            let arguments = self.expressions(")")?;
            let call = functions::call(&word, arguments).map_err(|message| error_at(start, message))?;
            return Ok(Node::Call(Box::new(call)));
        }
        let literal = match word.to_ascii_lowercase().as_str() {
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            "undefined" => Value::Undefined,
            "error" => Value::error("the expression says error"),
            "is" | "isnt" | "in" => {
                return Err(error_at(
                    start,
                    format!("expected a value, found the operator {word:?}"),
                ));
            }
            _ => return Ok(Node::Name(word)),
        };
        Ok(Node::Literal(literal))
    }

    /// Comma-separated expressions up to the closing symbol, which is taken.
    fn expressions(&mut self, close: &str) -> Result<Vec<Node>, ParseError> {
        let mut items = Vec::new();
        if self.accept(close) {
            return Ok(items);
        }
        loop {
            items.push(self.expression()?);
            if !self.accept(",") {
                self.expect(close)?;
                return Ok(items);
            }
        }
    }

    fn record(&mut self) -> Result<Node, ParseError> {
        let mut members: Vec<(String, Node)> = Vec::new();
        if self.accept("]") {
            return Ok(Node::Record(members));
        }
        loop {
            let start = self.token().clone();
            let name = self.name()?;
            if members.iter().any(|(known, _)| equal_ignoring_case(known, &name)) {
                return Err(error_at(&start, format!("the record has two members {name:?}")));
            }
            self.expect("=")?;
            members.push((name, self.expression()?));
            if !self.accept(";") {
                self.expect("]")?;
                return Ok(Node::Record(members));
            }
        }
    }
}

/// Joins to the chain on the left if it is of the same level. Parentheses around that chain do not matter:
/// it groups to the left anyway.
fn chain(left: Node, operator: Binary, right: Node) -> Node {
    match left {
        Node::Chain { first, mut rest } if rest[0].0.level() == operator.level() => {
            rest.push((operator, right));
            Node::Chain { first, rest }
        }
        first => Node::Chain {
            first: Box::new(first),
            rest: vec![(operator, right)],
        },
    }
}

fn error_at(token: &Token, message: impl Into<String>) -> ParseError {
    ParseError {
        line: token.line,
        column: token.column,
        message: message.into(),
    }
}

fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Integer(value) => format!("the number {value}"),
        Kind::Real(value) => format!("the number {value:?}"),
        Kind::Text(_) => "a string".to_owned(),
        Kind::Word(word) => format!("{word:?}"),
        Kind::Quoted(name) => format!("the name '{name}'"),
        Kind::Symbol(symbol) => format!("{symbol:?}"),
        Kind::End => "the end".to_owned(),
    }
}
