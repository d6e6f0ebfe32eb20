//! Syntax to typed tree: every name is known, every operator fits its operands, or every fault is told at once.

use std::sync::Arc;

use super::collection::is_secret;
use super::error::CompileError;
use super::number::Arithmetic;
use super::schema::{Member, ROOTS, Reads, Schema, Table};
use super::syntax::{self, Operator, Span, Syntax, Word};
use super::tree::{Comparison, Form, Node};
use super::types::Type;
use super::value::{Bytes, Value};

/// The names of types, as CEL writes them.
const TYPES: [&str; 14] = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
    "net.IP",
    "net.CIDR",
];

/// Types `syntax`. `variables` are known from outside, outermost first.
pub(super) fn check(
    syntax: &Syntax,
    schema: &Schema,
    variables: Vec<(Box<str>, Type)>,
) -> Result<(Node, Reads), Vec<CompileError>> {
    let mut checker = Checker { schema, variables, reads: Reads::default(), errors: Vec::new() };
    match checker.node(syntax) {
        Some(node) if checker.errors.is_empty() => Ok((node, checker.reads)),
        _ => Err(checker.errors),
    }
}

pub(super) struct Checker<'s> {
    schema: &'s Schema,
    /// The variables of the macros around, innermost last.
    pub(super) variables: Vec<(Box<str>, Type)>,
    reads: Reads,
    errors: Vec<CompileError>,
}

impl Checker<'_> {
    /// The typed node, or `None` after noting why there is none.
    pub(super) fn node(&mut self, syntax: &Syntax) -> Option<Node> {
        let span = syntax.span;
        let constant = |kind, value| Some(Node::new(span, kind, Form::Constant(value)));
        match &syntax.form {
            syntax::Form::Null => constant(Type::Null, Value::Null),
            syntax::Form::Bool(value) => constant(Type::Bool, Value::Bool(*value)),
            syntax::Form::Int(value) => constant(Type::Int, Value::Int(*value)),
            syntax::Form::Uint(value) => constant(Type::Uint, Value::Uint(*value)),
            syntax::Form::Double(value) => constant(Type::Double, Value::Double(*value)),
            syntax::Form::Text(text) => constant(Type::Text, Value::owned(&**text)),
            syntax::Form::Bytes(bytes) => constant(Type::Bytes, Value::Bytes(Bytes::Owned((&**bytes).into()))),
            syntax::Form::Name(name) => self.name(name, span),
            syntax::Form::Select(of, word) => self.select(of, word, span),
            syntax::Form::Index(of, key) => self.index(of, key, span),
            syntax::Form::Call(target, word, arguments) => self.call(target.as_deref(), word, arguments, span),
            syntax::Form::List(parts) => self.list(parts, span),
            syntax::Form::Map(entries) => self.map(entries, span),
            syntax::Form::Not(of) => {
                let of = self.truth(of, "`!`")?;
                Some(Node::new(span, Type::Bool, Form::Not(Box::new(of))))
            }
            syntax::Form::Negate(of) => self.negate(of, span),
            syntax::Form::And(parts) => Some(Node::new(span, Type::Bool, Form::And(self.truths(parts, "`&&`")?))),
            syntax::Form::Or(parts) => Some(Node::new(span, Type::Bool, Form::Or(self.truths(parts, "`||`")?))),
            syntax::Form::If(parts) => self.condition(parts, span),
            syntax::Form::Binary(operator, one, two) => self.binary(*operator, one, two, span),
        }
    }

    /// Notes a fault.
    pub(super) fn wrong(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        self.errors.push(CompileError::new(span, message).with_hint(hint));
    }

    /// All of the parts, so that all of their faults are told.
    pub(super) fn nodes(&mut self, parts: &[Syntax]) -> Option<Vec<Node>> {
        let nodes: Vec<_> = parts.iter().map(|part| self.node(part)).collect();
        nodes.into_iter().collect()
    }

    /// A part that must be true or false.
    pub(super) fn truth(&mut self, syntax: &Syntax, whose: &str) -> Option<Node> {
        let node = self.node(syntax)?;
        if node.kind == Type::Bool || node.kind.is_dyn() {
            return Some(node);
        }
        self.wrong(node.span, format!("{whose} needs true or false, and this is {}", node.kind), None);
        None
    }

    fn truths(&mut self, parts: &[Syntax], whose: &str) -> Option<Vec<Node>> {
        let nodes: Vec<_> = parts.iter().map(|part| self.truth(part, whose)).collect();
        nodes.into_iter().collect()
    }

    fn name(&mut self, name: &str, span: Span) -> Option<Node> {
        if let Some(place) = self.variables.iter().rposition(|(known, _)| **known == *name) {
            let kind = self.variables.get(place)?.1.clone();
            return Some(Node::new(span, kind, Form::Variable(self.variables.len() - 1 - place)));
        }
        if name == "now" {
            self.reads.now = true;
            return Some(Node::new(span, Type::Moment, Form::Now));
        }
        if let Some(known) = TYPES.into_iter().find(|known| *known == name) {
            return Some(Node::new(span, Type::Kind, Form::Constant(Value::Kind(known))));
        }
        if let Some(table) = Table::named(name) {
            let names: Vec<_> = table.members().iter().map(|member| member.name).collect();
            let hint = format!("name a member of it: {}", names.join(", "));
            self.wrong(span, format!("`{name}` is a table and no value"), Some(hint));
            return None;
        }
        let variables: Vec<_> = self.variables.iter().map(|(known, _)| known.to_string()).collect();
        let hint = closest(name, ROOTS.into_iter().chain(variables.iter().map(String::as_str)));
        self.wrong(
            span,
            format!("`{name}` is not known here"),
            hint.or_else(|| Some(format!("known are {}", ROOTS.join(", ")))),
        );
        None
    }

    /// The table that `syntax` names, unless a variable has that name.
    pub(super) fn table(&mut self, syntax: &Syntax) -> Option<Table> {
        let syntax::Form::Name(name) = &syntax.form else { return None };
        let table = Table::named(name).filter(|_| !self.is_variable(name))?;
        match table {
            Table::Token => self.reads.token = true,
            Table::Peer => self.reads.peer = true,
            Table::Source => self.reads.source = true,
            Table::Request => {}
        }
        Some(table)
    }

    pub(super) fn is_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|(known, _)| **known == *name)
    }

    pub(super) fn member(&mut self, table: Table, of: &Syntax, word: &Word) -> Option<&'static Member> {
        let Some(member) = table.members().iter().find(|member| *member.name == *word.text) else {
            let name = if let syntax::Form::Name(name) = &of.form { name } else { "" };
            let hint = match (table, &*word.text) {
                (Table::Request, "params") => Some("did you mean `path_params`?".to_owned()),
                (Table::Token, "sub") => Some("did you mean `subject`?".to_owned()),
                (Table::Token, "iss") => Some("did you mean `issuer`?".to_owned()),
                (Table::Token, "aud" | "audience") => Some("did you mean `audiences`?".to_owned()),
                (Table::Token, "exp") => Some("did you mean `expires_at`?".to_owned()),
                (Table::Token, "scope") => Some("did you mean `scopes`?".to_owned()),
                _ => closest(&word.text, table.members().iter().map(|member| member.name)),
            };
            let otherwise = || {
                let claim = format!("a claim is written `token.claims.{}`", word.text);
                (table == Table::Token).then_some(claim)
            };
            self.wrong(word.span, format!("`{name}` has no member `{}`", word.text), hint.or_else(otherwise));
            return None;
        };
        match (table, member.name) {
            (Table::Request, "query" | "raw_query") => self.reads.query = true,
            (Table::Request, "headers") => self.reads.headers = true,
            (Table::Request, "path_params") => self.reads.path_params = true,
            _ => {}
        }
        Some(member)
    }

    fn select(&mut self, of: &Syntax, word: &Word, span: Span) -> Option<Node> {
        if let Some(name) = dotted(of).filter(|name| !self.is_variable(name.split('.').next().unwrap_or_default()))
            && let Some(known) = TYPES.into_iter().find(|known| *known == format!("{name}.{}", word.text))
        {
            return Some(Node::new(span, Type::Kind, Form::Constant(Value::Kind(known))));
        }
        if let Some(table) = self.table(of) {
            let member = self.member(table, of, word)?;
            return Some(Node::new(span, member.read.kind(), Form::Member(table, member)));
        }
        let of = self.node(of)?;
        self.field(of, &word.text, word.span, span)
    }

    /// `of.key`, once `of` is known.
    fn field(&mut self, of: Node, key: &str, place: Span, span: Span) -> Option<Node> {
        let Some((keys, value)) = of.kind.entries() else {
            let hint =
                matches!(of.kind, Type::List(_)).then(|| "write `.exists(x, ...)` to look into a list".to_owned());
            self.wrong(place, format!("{} has no members", of.kind), hint);
            return None;
        };
        if !keys.comparable(&Type::Text) {
            self.wrong(place, format!("the keys of this map are {keys}, not string"), None);
            return None;
        }
        self.known_key(&of, key, place)?;
        Some(Node::new(span, value, Form::Field(Box::new(of), Arc::from(key))))
    }

    /// What is known at load of the keys of some maps.
    pub(super) fn known_key(&mut self, of: &Node, key: &str, place: Span) -> Option<()> {
        let Form::Member(table, member) = &of.form else { return Some(()) };
        match (table, member.name) {
            (Table::Token, "claims") => {
                self.reads.claims.insert(key.into());
            }
            (Table::Request, "headers") if is_secret(key) => {
                let hint = "what a credential says is under `token`".to_owned();
                self.wrong(place, format!("the header `{key}` holds a secret, which no rule reads"), Some(hint));
                return None;
            }
            (Table::Request, "path_params") => {
                let known = self.schema.path_params().filter(|known| !known.contains(key));
                if let Some(known) = known {
                    let hint = closest(key, known.iter().map(|name| &**name)).or_else(|| {
                        let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                        Some(if names.is_empty() {
                            "it has none".to_owned()
                        } else {
                            format!("it has {}", names.join(", "))
                        })
                    });
                    self.wrong(place, format!("the path of the route has no parameter `{key}`"), hint);
                    return None;
                }
            }
            _ => {}
        }
        Some(())
    }

    fn index(&mut self, of: &Syntax, key: &Syntax, span: Span) -> Option<Node> {
        let (of, key) = (self.node(of), self.node(key));
        let (of, key) = (of?, key?);
        if let (Some(Value::Text(text)), false) = (key.constant(), matches!(of.kind, Type::List(_))) {
            return self.field(of, text.as_str(), key.span, span);
        }
        let kind = match &of.kind {
            Type::List(element) => {
                if key.kind != Type::Int && key.kind != Type::Uint && !key.kind.is_dyn() {
                    self.wrong(key.span, format!("the index of a list is int, and this is {}", key.kind), None);
                    return None;
                }
                (**element).clone()
            }
            other => match other.entries() {
                Some((keys, value)) if keys.comparable(&key.kind) => value,
                Some((keys, _)) => {
                    self.wrong(key.span, format!("the keys of this map are {keys}, and this is {}", key.kind), None);
                    return None;
                }
                None => {
                    self.wrong(of.span, format!("{other} cannot be indexed"), None);
                    return None;
                }
            },
        };
        Some(Node::new(span, kind, Form::Index(Box::new(of), Box::new(key))))
    }

    fn list(&mut self, parts: &[Syntax], span: Span) -> Option<Node> {
        let parts = self.nodes(parts)?;
        let of = joined(parts.iter().map(|part| &part.kind));
        Some(Node::new(span, Type::list(of), Form::List(parts)))
    }

    fn map(&mut self, entries: &[(Syntax, Syntax)], span: Span) -> Option<Node> {
        let entries: Vec<_> = entries.iter().map(|(key, value)| (self.node(key), self.node(value))).collect();
        let entries = entries.into_iter().map(|(key, value)| Some((key?, value?))).collect::<Option<Vec<_>>>()?;
        for (key, _) in &entries {
            if !matches!(key.kind, Type::Bool | Type::Int | Type::Uint | Type::Text | Type::Dyn | Type::Free) {
                self.wrong(key.span, format!("a key is bool, int, uint or string, and this is {}", key.kind), None);
                return None;
            }
        }
        let (keys, values) =
            (joined(entries.iter().map(|(key, _)| &key.kind)), joined(entries.iter().map(|(_, value)| &value.kind)));
        Some(Node::new(span, Type::map(keys, values), Form::Map(entries)))
    }

    fn negate(&mut self, of: &Syntax, span: Span) -> Option<Node> {
        let of = self.node(of)?;
        if !matches!(of.kind, Type::Int | Type::Double) && !of.kind.is_dyn() {
            self.wrong(of.span, format!("`-` needs int or double, and this is {}", of.kind), None);
            return None;
        }
        let kind = of.kind.clone();
        Some(Node::new(span, kind, Form::Negate(Box::new(of))))
    }

    fn condition(&mut self, parts: &[Syntax; 3], span: Span) -> Option<Node> {
        let [condition, yes, no] = parts;
        let (condition, yes, no) = (self.truth(condition, "`?`"), self.node(yes), self.node(no));
        let (condition, yes, no) = (condition?, yes?, no?);
        let Some(kind) = yes.kind.join(&no.kind) else {
            self.wrong(span, format!("the two outcomes are {} and {}", yes.kind, no.kind), None);
            return None;
        };
        Some(Node::new(span, kind, Form::If(Box::new([condition, yes, no]))))
    }

    fn binary(&mut self, operator: Operator, one: &Syntax, two: &Syntax, span: Span) -> Option<Node> {
        let (one, two) = (self.node(one), self.node(two));
        let (one, two) = (one?, two?);
        let Some(kind) = result(operator, &one.kind, &two.kind) else {
            let hint = mismatch(operator, &one.kind, &two.kind);
            self.wrong(span, format!("`{}` does not fit {} and {}", operator.as_str(), one.kind, two.kind), hint);
            return None;
        };
        let (one, two) = (Box::new(one), Box::new(two));
        let form = match operator {
            Operator::Equal => Form::Equal(false, one, two),
            Operator::NotEqual => Form::Equal(true, one, two),
            Operator::Less => Form::Order(Comparison::Less, one, two),
            Operator::LessOrEqual => Form::Order(Comparison::LessOrEqual, one, two),
            Operator::Greater => Form::Order(Comparison::Greater, one, two),
            Operator::GreaterOrEqual => Form::Order(Comparison::GreaterOrEqual, one, two),
            Operator::In => Form::In(one, two),
            Operator::Add => Form::Arithmetic(Arithmetic::Add, one, two),
            Operator::Subtract => Form::Arithmetic(Arithmetic::Subtract, one, two),
            Operator::Multiply => Form::Arithmetic(Arithmetic::Multiply, one, two),
            Operator::Divide => Form::Arithmetic(Arithmetic::Divide, one, two),
            Operator::Remainder => Form::Arithmetic(Arithmetic::Remainder, one, two),
        };
        Some(Node::new(span, kind, form))
    }
}

/// The type of an operator's result, when it fits its operands.
fn result(operator: Operator, one: &Type, two: &Type) -> Option<Type> {
    let fits = match operator {
        Operator::Equal | Operator::NotEqual => one.comparable(two),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            one.is_ordered() && two.is_ordered() && one.comparable(two)
        }
        Operator::In => match two {
            Type::List(of) => one.comparable(of),
            other => other.entries().is_some_and(|(keys, _)| one.comparable(&keys)),
        },
        _ => return sum(operator, one, two),
    };
    fits.then_some(Type::Bool)
}

fn sum(operator: Operator, one: &Type, two: &Type) -> Option<Type> {
    if one.is_dyn() || two.is_dyn() {
        let other = if one.is_dyn() { two } else { one };
        let known = other.is_dyn() || sum(operator, other, other).is_some();
        return (known || matches!(other, Type::Moment | Type::Duration)).then_some(Type::Dyn);
    }
    match (operator, one, two) {
        (Operator::Remainder, Type::Double, _) => None,
        (_, Type::Int | Type::Uint | Type::Double, _) => (one == two).then(|| one.clone()),
        (Operator::Add, Type::Text | Type::Bytes, _) => (one == two).then(|| one.clone()),
        (Operator::Add, Type::List(left), Type::List(right)) => Some(Type::list(left.join(right).unwrap_or(Type::Dyn))),
        (Operator::Add, Type::Moment, Type::Duration) | (Operator::Add, Type::Duration, Type::Moment) => {
            Some(Type::Moment)
        }
        (Operator::Add | Operator::Subtract, Type::Duration, Type::Duration) => Some(Type::Duration),
        (Operator::Subtract, Type::Moment, Type::Duration) => Some(Type::Moment),
        (Operator::Subtract, Type::Moment, Type::Moment) => Some(Type::Duration),
        _ => None,
    }
}

/// What was probably meant.
fn mismatch(operator: Operator, one: &Type, two: &Type) -> Option<String> {
    let text = match (operator, one, two) {
        (_, Type::Null, _) | (_, _, Type::Null) => "nothing but a claim is ever null: ask `has(...)`",
        (Operator::In, _, Type::Text) => "write `text.contains(part)`",
        (Operator::Equal | Operator::NotEqual, Type::List(_), _) => "ask for one element of a list with `x in list`",
        (Operator::Equal | Operator::NotEqual, _, Type::List(_)) => "write `in` for one of several",
        (_, Type::Moment, Type::Text) | (_, Type::Text, Type::Moment) => "write `timestamp(\"2026-01-31T08:00:00Z\")`",
        (_, Type::Duration, Type::Text) | (_, Type::Text, Type::Duration) => "write `duration(\"8h\")`",
        (_, Type::Address, Type::Text) | (_, Type::Text, Type::Address) => "write `ip(\"192.0.2.1\")`",
        (Operator::In, Type::Address, _) => "write `cidr(\"192.0.2.0/24\").containsIP(source.ip)`",
        (_, Type::Text, number) | (_, number, Type::Text) if number.is_number() => {
            "a number in a string is no number: convert with `int(...)` or `string(...)`"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// The type that all are instances of.
fn joined<'t>(kinds: impl Iterator<Item = &'t Type>) -> Type {
    kinds.fold(Type::Free, |known, kind| known.join(kind).unwrap_or(Type::Dyn))
}

/// `a.b.c` as text.
pub(super) fn dotted(syntax: &Syntax) -> Option<String> {
    match &syntax.form {
        syntax::Form::Name(name) => Some(name.to_string()),
        syntax::Form::Select(of, word) => Some(format!("{}.{}", dotted(of)?, word.text)),
        _ => None,
    }
}

/// A name near enough to have been meant.
pub(super) fn closest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    let (distance, best) = known.map(|known| (strsim::damerau_levenshtein(name, known), known)).min()?;
    (distance <= 1 + name.chars().count() / 4).then(|| format!("did you mean `{best}`?"))
}
