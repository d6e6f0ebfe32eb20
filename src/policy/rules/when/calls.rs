//! The checker, second part: macros and function calls.

use std::sync::Arc;

use super::check::{Checker, closest, dotted};
use super::functions::{self, Function, Style};
use super::schema::ROOTS;
use super::syntax::{self, Span, Syntax, Word};
use super::tree::{Form, Loop, Mode, Node};
use super::types::Type;

/// The macros over lists and maps.
pub(super) const MACROS: [&str; 8] =
    ["all", "exists", "exists_one", "existsOne", "filter", "map", "transformList", "transformMap"];
/// The most macros that may stand inside of each other.
const MAX_NESTED: usize = 8;

impl Checker<'_> {
    /// `word(arguments)` or `target.word(arguments)`.
    pub(super) fn call(
        &mut self,
        target: Option<&Syntax>,
        word: &Word,
        arguments: &[Syntax],
        span: Span,
    ) -> Option<Node> {
        match target {
            None if &*word.text == "has" => return self.has(word, arguments, span),
            Some(over) if MACROS.contains(&&*word.text) => return self.macro_call(over, word, arguments, span),
            _ => {}
        }
        // `strings.quote(x)`: a namespace looks like a target.
        let space =
            target.and_then(dotted).filter(|name| !self.is_variable(name.split('.').next().unwrap_or_default()));
        let in_space = space.map(|space| format!("{space}.{}", word.text));
        if let Some(function) = in_space.and_then(|name| functions::named(&name, Style::Plain)) {
            let arguments = self.nodes(arguments)?;
            return self.apply(function, arguments, word, span);
        }
        let style = if target.is_some() { Style::Method } else { Style::Plain };
        let Some(function) = functions::named(&word.text, style) else {
            self.unknown_function(word, style);
            // The arguments may have faults of their own.
            let _ = self.nodes(arguments);
            return None;
        };
        let target = target.map(|target| self.node(target));
        let arguments = self.nodes(arguments);
        let mut all = Vec::new();
        if let Some(target) = target {
            all.push(target?);
        }
        all.extend(arguments?);
        self.apply(function, all, word, span)
    }

    fn unknown_function(&mut self, word: &Word, style: Style) {
        let other = if style == Style::Plain { Style::Method } else { Style::Plain };
        let hint = if functions::named(&word.text, other).is_some() {
            Some(match style {
                Style::Plain => format!("it is called on a value: `x.{}(...)`", word.text),
                Style::Method => format!("it is called with a value: `{}(x)`", word.text),
            })
        } else {
            let known = functions::all().filter(|function| function.style == style).map(|function| function.name);
            closest(&word.text, known.chain(MACROS).chain(["has"]))
        };
        self.wrong(word.span, format!("there is no function `{}`", word.text), hint);
    }

    fn apply(&mut self, function: &'static Function, arguments: Vec<Node>, word: &Word, span: Span) -> Option<Node> {
        let fitting = function.results(&arguments.iter().map(|node| &node.kind).collect::<Vec<_>>());
        let Some(first) = fitting.first() else {
            let given: Vec<_> = arguments.iter().map(|node| node.kind.to_string()).collect();
            let message = format!("`{}` does not take ({})", word.text, given.join(", "));
            self.wrong(word.span, message, Some(format!("it takes {}", signatures(function))));
            return None;
        };
        let kind = if fitting.iter().all(|kind| kind == first) { first.clone() } else { Type::Dyn };
        if function.name == "values"
            && let [fields, key] = arguments.as_slice()
            && let Some(key_text) = key.constant().and_then(|key| key.as_str())
        {
            self.known_key(fields, key_text, key.span)?;
        }
        Some(Node::new(span, kind, Form::Call(function, arguments)))
    }

    /// `has(token)`, `has(token.acr)`, `has(token.claims.department)`.
    fn has(&mut self, word: &Word, arguments: &[Syntax], span: Span) -> Option<Node> {
        let hint = || Some("write `has(token)` or `has(token.claims.department)`".to_owned());
        let [of] = arguments else {
            self.wrong(word.span, "`has` takes one name", hint());
            return None;
        };
        if let Some(table) = self.table(of) {
            return Some(Node::new(span, Type::Bool, Form::HasTable(table)));
        }
        let syntax::Form::Select(of, word) = &of.form else {
            let index = matches!(of.form, syntax::Form::Index(..)).then(|| "write `\"key\" in map`".to_owned());
            self.wrong(of.span, "`has` asks for a member by its name", index.or_else(hint));
            return None;
        };
        if let Some(table) = self.table(of) {
            let member = self.member(table, of, word)?;
            return Some(Node::new(span, Type::Bool, Form::HasMember(table, member)));
        }
        let of = self.node(of)?;
        if of.kind.entries().is_none_or(|(keys, _)| !keys.comparable(&Type::Text)) {
            self.wrong(word.span, format!("{} has no members", of.kind), None);
            return None;
        }
        self.known_key(&of, &word.text, word.span)?;
        Some(Node::new(span, Type::Bool, Form::HasField(Box::new(of), Arc::from(&*word.text))))
    }

    fn macro_call(&mut self, over: &Syntax, word: &Word, arguments: &[Syntax], span: Span) -> Option<Node> {
        let (names, parts) = split(&word.text, arguments).or_else(|| {
            let hint = format!("write `list.{}(x, ...)` with a new name before the comma", word.text);
            self.wrong(word.span, format!("`{}` has other arguments", word.text), Some(hint));
            None
        })?;
        let over = self.node(over)?;
        let (first, second) = match &over.kind {
            Type::List(of) if names.len() == 1 => ((**of).clone(), Type::Dyn),
            Type::List(of) => (Type::Int, (**of).clone()),
            other => other.entries().or_else(|| {
                self.wrong(over.span, format!("`{}` needs a list or a map, and this is {other}", word.text), None);
                None
            })?,
        };
        for name in &names {
            if ROOTS.contains(&name.0) {
                self.wrong(name.1, format!("the variable hides `{}`", name.0), Some("give it another name".to_owned()));
                return None;
            }
        }
        if self.variables.len() + names.len() > MAX_NESTED {
            self.wrong(span, format!("more than {MAX_NESTED} variables of macros inside of each other"), None);
            return None;
        }
        let outside = self.variables.len();
        let kinds = if over.kind.is_dyn() { [Type::Dyn, Type::Dyn] } else { [first, second] };
        self.variables.extend(names.iter().zip(kinds.clone()).map(|(name, kind)| (name.0.into(), kind)));
        let inner = self.macro_body(word, parts, names.len());
        self.variables.truncate(outside);
        let (mode, filter, body) = inner?;
        let body = match body {
            Some(body) => body,
            None => Node::new(over.span, kinds.first().cloned().unwrap_or(Type::Dyn), Form::Variable(0)),
        };
        let kind = match mode {
            Mode::All | Mode::Exists | Mode::ExistsOne => Type::Bool,
            Mode::Collect => Type::list(body.kind.clone()),
            Mode::Remap => Type::map(kinds.first().cloned().unwrap_or(Type::Dyn), body.kind.clone()),
        };
        let pair = names.len() == 2;
        Some(Node::new(span, kind, Form::Loop(Box::new(Loop { mode, over, pair, filter, body }))))
    }

    /// What the macro does, its filter, and its body; no body for `filter`, which keeps the elements.
    fn macro_body(
        &mut self,
        word: &Word,
        parts: &[Syntax],
        names: usize,
    ) -> Option<(Mode, Option<Node>, Option<Node>)> {
        let whose = format!("`{}`", word.text);
        let mode = match &*word.text {
            "all" => Mode::All,
            "exists" => Mode::Exists,
            "exists_one" | "existsOne" => Mode::ExistsOne,
            "transformMap" => Mode::Remap,
            _ => Mode::Collect,
        };
        match parts {
            [only] if matches!(mode, Mode::All | Mode::Exists | Mode::ExistsOne) => {
                Some((mode, None, Some(self.truth(only, &whose)?)))
            }
            [only] if &*word.text == "filter" && names == 1 => Some((mode, Some(self.truth(only, &whose)?), None)),
            [only] => Some((mode, None, Some(self.node(only)?))),
            [filter, body] => {
                let (filter, body) = (self.truth(filter, &whose), self.node(body));
                Some((mode, Some(filter?), Some(body?)))
            }
            _ => None,
        }
    }
}

/// A variable's name and where it stands.
type Name<'s> = (&'s str, Span);

/// The variables of a macro and the expressions after them, when there are as many as there should be.
fn split<'s>(name: &str, arguments: &'s [Syntax]) -> Option<(Vec<Name<'s>>, &'s [Syntax])> {
    let variables = match (name, arguments.len()) {
        ("all" | "exists" | "exists_one" | "existsOne" | "filter" | "map", 2) | ("map", 3) => 1,
        ("all" | "exists" | "exists_one" | "existsOne", 3) | ("transformList" | "transformMap", 3 | 4) => 2,
        _ => return None,
    };
    let (variables, parts) = arguments.split_at_checked(variables)?;
    let named = |syntax: &'s Syntax| match &syntax.form {
        syntax::Form::Name(name) => Some((&**name, syntax.span)),
        _ => None,
    };
    let variables = variables.iter().map(named).collect::<Option<Vec<_>>>()?;
    let repeated = matches!(variables.as_slice(), [one, two] if one.0 == two.0);
    (!repeated).then_some((variables, parts))
}

/// `(string) or (string, int)`
fn signatures(function: &Function) -> String {
    let one = |takes: &[functions::Takes]| {
        let takes: Vec<_> = takes.iter().map(|takes| takes.as_str()).collect();
        format!("({})", takes.join(", "))
    };
    let all: Vec<_> = function.overloads.iter().map(|(takes, _)| one(takes)).collect();
    all.join(" or ")
}
