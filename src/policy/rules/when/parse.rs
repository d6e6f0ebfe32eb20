//! Tokens to a tree: a Pratt parser that bounds its own depth and the height of what it builds.

use super::error::CompileError;
use super::lexer::{self, Kind, Token};
use super::syntax::{Form, Operator, Span, Syntax, Word};

/// The longest source, in bytes.
pub(super) const MAX_SOURCE: usize = 4096;
/// The greatest height of a tree. Checking, compiling and evaluating recurse this deep and no deeper.
const MAX_HEIGHT: u8 = 32;
/// The most brackets, conditions and signs that may be open at once.
const MAX_OPEN: u8 = 40;

/// Words that CEL keeps for itself: never the name of a variable.
const RESERVED: [&str; 19] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "null",
    "return",
    "var",
    "void",
    "while",
];

/// Parses a whole source.
pub(super) fn parse(source: &str) -> Result<Syntax, CompileError> {
    if source.len() > MAX_SOURCE {
        let span = Span::new(MAX_SOURCE, source.len());
        return Err(CompileError::new(span, format!("an expression is at most {MAX_SOURCE} bytes long")));
    }
    let mut parser = Parser { tokens: lexer::tokens(source)?, at: 0, open: 0 };
    let whole = parser.expression()?;
    match parser.peek() {
        Kind::End => Ok(whole),
        Kind::Sign("{") => Err(parser.wrong("messages are not part of the language")),
        Kind::Sign(sign) => Err(parser.wrong(&format!("`{sign}` is not expected here"))),
        _ => Err(parser.wrong("an operator is missing before this")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    open: u8,
}

type Parsed<T = Syntax> = Result<T, CompileError>;

impl Parser {
    /// `or ? or : expression`
    fn expression(&mut self) -> Parsed {
        if self.open == MAX_OPEN {
            return Err(self.wrong("the expression is nested too deep"));
        }
        self.open += 1;
        let condition = self.chain("||")?;
        let whole = if self.accept("?") {
            let yes = self.chain("||")?;
            self.demand(":")?;
            let no = self.expression()?;
            let span = condition.span.to(no.span);
            let heights = [&condition, &yes, &no].map(|part| part.height);
            build(span, heights, Form::If(Box::new([condition, yes, no])))?
        } else {
            condition
        };
        self.open -= 1;
        Ok(whole)
    }

    /// Operands between `||`, or between `&&`: one level however many there are.
    fn chain(&mut self, sign: &'static str) -> Parsed {
        let operand = |parser: &mut Self| if sign == "||" { parser.chain("&&") } else { parser.binary(0) };
        let first = operand(self)?;
        let mut operands = vec![first];
        while self.accept(sign) {
            operands.push(operand(self)?);
        }
        if operands.len() == 1
            && let Some(only) = operands.pop()
        {
            return Ok(only);
        }
        let span = operands.first().map_or_else(Span::default, |part| part.span);
        let span = operands.last().map_or(span, |part| span.to(part.span));
        let heights: Vec<u8> = operands.iter().map(|part| part.height).collect();
        build(span, heights, if sign == "||" { Form::Or(operands) } else { Form::And(operands) })
    }

    /// Operators that bind at least as tight as `floor`, from the left.
    fn binary(&mut self, floor: u8) -> Parsed {
        let mut left = self.unary()?;
        while let Some((operator, strength)) = operator(self.peek()).filter(|(_, strength)| *strength >= floor) {
            self.at += 1;
            let right = self.binary(strength + 1)?;
            let (span, heights) = (left.span.to(right.span), [left.height, right.height]);
            left = build(span, heights, Form::Binary(operator, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    /// `!` or `-`, any number of one of them.
    fn unary(&mut self) -> Parsed {
        let start = self.span();
        for (sign, form) in [("!", Form::Not as fn(Box<Syntax>) -> Form), ("-", Form::Negate)] {
            let mut count = 0_usize;
            while self.accept(sign) {
                count += 1;
            }
            if count == 0 {
                continue;
            }
            // The last minus belongs to the literal: the smallest integer has no positive twin.
            let negative = if sign == "-" { self.negative_literal(start)? } else { None };
            let (mut whole, left) = match negative {
                Some(literal) => (self.member(literal)?, count - 1),
                None => {
                    let primary = self.primary()?;
                    (self.member(primary)?, count)
                }
            };
            // Two equal signs undo each other; one pair stays, so that the operand's type still matters.
            for _ in 0..if left > 2 { 2 - left % 2 } else { left } {
                let (span, height) = (start.to(whole.span), whole.height);
                whole = build(span, [height], form(Box::new(whole)))?;
            }
            return Ok(whole);
        }
        let primary = self.primary()?;
        self.member(primary)
    }

    /// The number after a minus.
    fn negative_literal(&mut self, start: Span) -> Parsed<Option<Syntax>> {
        let span = start.to(self.span());
        let form = match *self.peek() {
            Kind::Int(magnitude) => {
                let value = 0_i64.checked_sub_unsigned(magnitude);
                Form::Int(value.ok_or_else(|| self.wrong("the number does not fit in 64 bits"))?)
            }
            Kind::Double(magnitude) => Form::Double(-magnitude),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(Syntax { span, height: 1, form }))
    }

    /// `.name`, `.name(arguments)` and `[index]`, any number of them.
    fn member(&mut self, mut whole: Syntax) -> Parsed {
        loop {
            if self.accept(".") {
                let word = self.word()?;
                if self.accept("(") {
                    let arguments = self.list(")")?;
                    whole = self.call(Some(whole), word, arguments)?;
                } else {
                    let (span, height) = (whole.span.to(word.span), whole.height);
                    whole = build(span, [height], Form::Select(Box::new(whole), word))?;
                }
            } else if self.accept("[") {
                let key = self.expression()?;
                let end = self.demand("]")?;
                let (span, heights) = (whole.span.to(end), [whole.height, key.height]);
                whole = build(span, heights, Form::Index(Box::new(whole), Box::new(key)))?;
            } else {
                return Ok(whole);
            }
        }
    }

    /// A literal, a name, a call, or anything in brackets.
    fn primary(&mut self) -> Parsed {
        let span = self.span();
        let form = match self.peek().clone() {
            Kind::Int(value) => {
                Form::Int(i64::try_from(value).map_err(|_| self.wrong("the number does not fit in 64 bits"))?)
            }
            Kind::Uint(value) => Form::Uint(value),
            Kind::Double(value) => Form::Double(value),
            Kind::Text(text) => Form::Text(text),
            Kind::Bytes(bytes) => Form::Bytes(bytes),
            Kind::Word(word) => return self.named(word),
            Kind::Sign("(") => {
                self.at += 1;
                let mut inner = self.expression()?;
                inner.span = span.to(self.demand(")")?);
                return Ok(inner);
            }
            Kind::Sign("[") => {
                self.at += 1;
                let parts = self.list("]")?;
                let heights: Vec<u8> = parts.iter().map(|part| part.height).collect();
                return build(span.to(self.previous()), heights, Form::List(parts));
            }
            Kind::Sign("{") => return self.map(),
            Kind::Sign(sign) => return Err(self.wrong(&format!("a value is expected here, not `{sign}`"))),
            Kind::End => return Err(self.wrong("the expression ends where a value is expected")),
        };
        self.at += 1;
        Ok(Syntax { span, height: 1, form })
    }

    fn named(&mut self, word: Box<str>) -> Parsed {
        let span = self.span();
        let form = match &*word {
            "true" => Form::Bool(true),
            "false" => Form::Bool(false),
            "null" => Form::Null,
            reserved if RESERVED.contains(&reserved) => {
                let error = self.wrong(&format!("`{reserved}` is a reserved word"));
                let hint = matches!(reserved, "if" | "else").then(|| "write `condition ? yes : no`".to_owned());
                return Err(error.with_hint(hint));
            }
            _ => Form::Name(word.clone()),
        };
        self.at += 1;
        if matches!(form, Form::Name(_)) && self.accept("(") {
            let arguments = self.list(")")?;
            return self.call(None, Word { text: word, span }, arguments);
        }
        Ok(Syntax { span, height: 1, form })
    }

    fn call(&self, target: Option<Syntax>, word: Word, arguments: Vec<Syntax>) -> Parsed {
        let start = target.as_ref().map_or(word.span, |target| target.span);
        let heights: Vec<u8> = target.iter().chain(&arguments).map(|part| part.height).collect();
        build(start.to(self.previous()), heights, Form::Call(target.map(Box::new), word, arguments))
    }

    /// Expressions between commas up to `end`; a last comma is allowed in a list and not in a call.
    fn list(&mut self, end: &'static str) -> Parsed<Vec<Syntax>> {
        let mut parts = Vec::new();
        while !self.accept(end) {
            parts.push(self.expression()?);
            if !self.accept(",") {
                self.demand(end)?;
                break;
            }
            if end == ")" && *self.peek() == Kind::Sign(")") {
                return Err(self.wrong("a value is expected after the comma"));
            }
        }
        Ok(parts)
    }

    fn map(&mut self) -> Parsed {
        let start = self.span();
        self.demand("{")?;
        let mut entries = Vec::new();
        while !self.accept("}") {
            let key = self.expression()?;
            self.demand(":")?;
            entries.push((key, self.expression()?));
            if !self.accept(",") {
                self.demand("}")?;
                break;
            }
        }
        let heights: Vec<u8> = entries.iter().map(|(key, value)| key.height.max(value.height)).collect();
        build(start.to(self.previous()), heights, Form::Map(entries))
    }

    /// A name after a dot, where reserved words are names too.
    fn word(&mut self) -> Parsed<Word> {
        let span = self.span();
        let Kind::Word(text) = self.peek().clone() else {
            return Err(self.wrong("a name is expected after the dot"));
        };
        if matches!(&*text, "in" | "true" | "false" | "null") {
            return Err(self
                .wrong(&format!("`{text}` cannot be a name"))
                .with_hint(Some(format!("write [\"{text}\"]"))));
        }
        self.at += 1;
        Ok(Word { text, span })
    }

    fn peek(&self) -> &Kind {
        self.tokens.get(self.at).map_or(&Kind::End, |token| &token.kind)
    }

    /// Where the next token stands.
    fn span(&self) -> Span {
        self.tokens.get(self.at).or_else(|| self.tokens.last()).map_or_else(Span::default, |token| token.span)
    }

    /// Where the token before the next one stands.
    fn previous(&self) -> Span {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or_else(Span::default, |token| token.span)
    }

    fn accept(&mut self, sign: &'static str) -> bool {
        let there = *self.peek() == Kind::Sign(sign);
        self.at += usize::from(there);
        there
    }

    fn demand(&mut self, sign: &'static str) -> Parsed<Span> {
        let span = self.span();
        if self.accept(sign) { Ok(span) } else { Err(self.wrong(&format!("`{sign}` is expected here"))) }
    }

    fn wrong(&self, message: &str) -> CompileError {
        CompileError::new(self.span(), message)
    }
}

/// A node one level above its parts, unless that is too high.
fn build(span: Span, heights: impl IntoIterator<Item = u8>, form: Form) -> Parsed {
    let height = heights.into_iter().max().unwrap_or(0) + 1;
    if height > MAX_HEIGHT {
        let error = CompileError::new(span, format!("the expression is nested more than {MAX_HEIGHT} levels deep"));
        return Err(error.with_hint(Some("split the rule, or name a condition of its own".to_owned())));
    }
    Ok(Syntax { span, height, form })
}

fn operator(kind: &Kind) -> Option<(Operator, u8)> {
    Some(match kind {
        Kind::Sign("==") => (Operator::Equal, 0),
        Kind::Sign("!=") => (Operator::NotEqual, 0),
        Kind::Sign("<") => (Operator::Less, 0),
        Kind::Sign("<=") => (Operator::LessOrEqual, 0),
        Kind::Sign(">") => (Operator::Greater, 0),
        Kind::Sign(">=") => (Operator::GreaterOrEqual, 0),
        Kind::Word(word) if &**word == "in" => (Operator::In, 0),
        Kind::Sign("+") => (Operator::Add, 1),
        Kind::Sign("-") => (Operator::Subtract, 1),
        Kind::Sign("*") => (Operator::Multiply, 2),
        Kind::Sign("/") => (Operator::Divide, 2),
        Kind::Sign("%") => (Operator::Remainder, 2),
        _ => return None,
    })
}
