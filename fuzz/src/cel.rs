//! Expressions that are drawn from the input, and asked of another implementation of the language as well.

use std::fmt::Write;
use std::sync::Arc;

use cel::{Context, Program, Value};
use jiff::Timestamp;
use portcullis::identity::{ClaimForm, Claims, Issuer, Name, PathParams, Principal, Rendered, Scope, TokenFacts};
use portcullis::policy::rules::when::{Expression, Schema};
use portcullis::policy::rules::{Facts, RequestFacts};

/// How deep expressions are nested.
const DEEPEST: u8 = 4;

/// Where both have an answer, it is the same. True when both had one.
pub fn cel(input: &[u8]) -> bool {
    let source = Draw { bytes: input, variables: Vec::new() }.boolean(DEEPEST);
    // What is refused at load (too much work, a constant fault) has no answer here.
    let Ok(expression) = Expression::compile(&source, &Schema::request().with_path_params(["id"])) else {
        return false;
    };
    let mut params = PathParams::default();
    params.push(Arc::from("id"), "7");
    let (token, headers) = (token(), http::HeaderMap::new());
    let request = RequestFacts {
        method: "POST",
        host: "api.example",
        path: "/v1/7",
        query: None,
        params: &params,
        headers: &headers,
    };
    let facts = Facts { request, token: Some(&token), peer: None, source: [192, 0, 2, 1].into() };
    let ours = expression.evaluate(&facts, Timestamp::UNIX_EPOCH);
    let theirs = Program::compile(&source).ok().and_then(|program| program.execute(&context()).ok());
    match (ours, theirs) {
        (Ok(ours), Some(Value::Bool(theirs))) => {
            assert_eq!(ours, theirs, "{source}");
            true
        }
        _ => false,
    }
}

fn token() -> TokenFacts {
    let names = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
    let claims = br#"{"level":3,"debt":-4,"name":"b","on":true,"levels":[1,2,3],"roles":["a","b"]}"#;
    TokenFacts {
        source: Name::new("corp"),
        principal: Principal { issuer: Issuer::new("https://login.example"), subject: "u-1".into() },
        client_id: None,
        audiences: Vec::new(),
        scopes: vec![Scope::new("read"), Scope::new("write")],
        groups: names(&["a", "sre"]),
        groups_claim: ClaimForm::Stated,
        acr: Some("mfa".into()),
        amr: Vec::new(),
        auth_time: None,
        issued_at: None,
        expires_at: Timestamp::MAX,
        id: None,
        confirmation: None,
        claims: Claims::parse(claims).unwrap_or_else(|_| Claims::from(serde_json::Map::new())),
        recorded: Rendered::default(),
    }
}

/// The same facts for the other implementation.
fn context() -> Context<'static, 'static> {
    let text = |text: &str| Value::String(Arc::new(text.to_owned()));
    let texts = |all: &[&str]| Value::List(Arc::new(all.iter().map(|one| text(one)).collect()));
    let ints = |all: &[i64]| Value::List(Arc::new(all.iter().map(|one| Value::Int(*one)).collect()));
    let map = |entries: Vec<(&str, Value)>| {
        let entries = entries.into_iter().map(|(key, value)| (key.to_owned(), value));
        Value::from(entries.collect::<std::collections::HashMap<String, Value>>())
    };
    let claims = map(vec![
        ("level", Value::Int(3)),
        ("debt", Value::Int(-4)),
        ("name", text("b")),
        ("on", Value::Bool(true)),
        ("levels", ints(&[1, 2, 3])),
        ("roles", texts(&["a", "b"])),
    ]);
    let token = map(vec![
        ("subject", text("u-1")),
        ("acr", text("mfa")),
        ("groups", texts(&["a", "sre"])),
        ("scopes", texts(&["read", "write"])),
        ("claims", claims),
    ]);
    let request = map(vec![
        ("method", text("POST")),
        ("host", text("api.example")),
        ("path_params", map(vec![("id", text("7"))])),
    ]);
    let mut context = Context::default();
    context.add_variable_from_value("token", token);
    context.add_variable_from_value("request", request);
    context
}

/// Draws an expression: each byte is a choice, and when they are used up the first choice is taken.
struct Draw<'i> {
    bytes: &'i [u8],
    /// The variables of the macros around, with whether they are numbers.
    variables: Vec<(String, bool)>,
}

impl Draw<'_> {
    fn choose<T: Clone>(&mut self, choices: &[T]) -> T {
        let (byte, rest) = self.bytes.split_first().map_or((0, self.bytes), |(byte, rest)| (*byte, rest));
        self.bytes = rest;
        choices[usize::from(byte) % choices.len()].clone()
    }

    fn boolean(&mut self, depth: u8) -> String {
        let Some(deeper) = depth.checked_sub(1) else {
            return self
                .choose(&["true", "false", "token.claims.on", "has(token.claims.name)", "has(token.claims.no)"])
                .into();
        };
        match self.choose(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) {
            0 => format!("({} && {})", self.boolean(deeper), self.boolean(deeper)),
            1 => format!("({} || {})", self.boolean(deeper), self.boolean(deeper)),
            2 => format!("!({})", self.boolean(deeper)),
            3 | 4 => format!("({} {} {})", self.number(deeper), self.comparison(), self.number(deeper)),
            5 => format!("({} {} {})", self.text(deeper), self.comparison(), self.text(deeper)),
            6 => format!("({} in {})", self.number(deeper), self.list(deeper, true)),
            7 => format!("({} in {})", self.text(deeper), self.list(deeper, false)),
            8 => {
                let test = self.choose(&["contains", "startsWith", "endsWith"]);
                format!("{}.{test}({})", self.text(deeper), self.text(deeper))
            }
            9 => {
                let of = self.choose(&["all", "exists", "exists_one"]);
                self.macro_over(of, deeper, Self::boolean)
            }
            10 => format!("({} ? {} : {})", self.boolean(deeper), self.boolean(deeper), self.boolean(deeper)),
            _ => {
                let numbers = self.choose(&[true, false]);
                format!("({} == {})", self.list(deeper, numbers), self.list(deeper, numbers))
            }
        }
    }

    fn comparison(&mut self) -> &'static str {
        self.choose(&["==", "!=", "<", "<=", ">", ">="])
    }

    fn number(&mut self, depth: u8) -> String {
        let Some(deeper) = depth.checked_sub(1) else { return self.variable(true) };
        match self.choose(&[0, 1, 2, 3, 4, 5]) {
            0 => self.variable(true),
            1 => self.choose(&["0", "1", "2", "-3", "7", "9223372036854775807"]).into(),
            2 => {
                let sign = self.choose(&["+", "-", "*", "/", "%"]);
                format!("({} {sign} {})", self.number(deeper), self.number(deeper))
            }
            3 => format!("size({})", self.text(deeper)),
            4 => format!("size({})", self.list(deeper, true)),
            _ => format!("({} ? {} : {})", self.boolean(deeper), self.number(deeper), self.number(deeper)),
        }
    }

    fn text(&mut self, depth: u8) -> String {
        let Some(deeper) = depth.checked_sub(1) else { return self.variable(false) };
        match self.choose(&[0, 1, 2, 3]) {
            0 => self.variable(false),
            1 => self.choose(&["''", "'a'", "'b'", "'re'", "\"sre\"", "'POST'", "'7'"]).into(),
            2 => format!("({} + {})", self.text(deeper), self.text(deeper)),
            _ => format!("({} ? {} : {})", self.boolean(deeper), self.text(deeper), self.text(deeper)),
        }
    }

    fn list(&mut self, depth: u8, numbers: bool) -> String {
        let known = if numbers { ["token.claims.levels"; 2] } else { ["token.groups", "token.scopes"] };
        let Some(deeper) = depth.checked_sub(1) else { return self.choose(&known).into() };
        match self.choose(&[0, 1, 2]) {
            0 => self.choose(&known).into(),
            1 => {
                let mut items = String::new();
                for number in 0..self.choose(&[0, 1, 2, 3]) {
                    let item = if numbers { self.number(deeper) } else { self.text(deeper) };
                    let _ = write!(items, "{}{item}", if number > 0 { ", " } else { "" });
                }
                format!("[{items}]")
            }
            _ => format!("({} + {})", self.list(deeper, numbers), self.list(deeper, numbers)),
        }
    }

    /// A macro whose body may use its variable.
    fn macro_over(&mut self, name: &str, depth: u8, body: fn(&mut Self, u8) -> String) -> String {
        let numbers = self.choose(&[true, false]);
        let list = self.list(depth, numbers);
        let variable = format!("v{}", self.variables.len());
        self.variables.push((variable.clone(), numbers));
        let body = body(self, depth);
        self.variables.pop();
        format!("{list}.{name}({variable}, {body})")
    }

    fn variable(&mut self, number: bool) -> String {
        let named: &[&str] = if number {
            &["token.claims.level", "token.claims.debt"]
        } else {
            &[
                "token.subject",
                "token.claims.name",
                "request.method",
                "request.host",
                "request.path_params.id",
                "token.acr",
            ]
        };
        let own = self.variables.iter().filter(|(_, kind)| *kind == number).map(|(name, _)| name.clone());
        let all: Vec<String> = named.iter().map(|name| (*name).to_owned()).chain(own).collect();
        self.choose(&all)
    }
}
