//! Tests of expressions over the facts of a request.

mod conformance;
mod textproto;

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;

use super::compile::Compiler;
use super::environment::{Env, FUEL, Fuel, Root};
use super::{Expression, Schema, cost, typed};
use crate::identity::{
    Audience, ClaimForm, Claims, Issuer, Name, PathParams, PeerFacts, Principal, Rendered, Scope, SpiffeId, TokenFacts,
};
use crate::policy::rules::{Facts, RequestFacts};

/// A request with everything that a request can have.
struct World {
    params: PathParams,
    headers: HeaderMap,
    query: Option<&'static str>,
    token: Option<TokenFacts>,
    peer: Option<PeerFacts>,
    source: IpAddr,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-03-14T09:26:53Z")
}

impl World {
    fn full() -> Self {
        let mut params = PathParams::default();
        params.push(Arc::from("id"), "batch-7");
        let mut headers = HeaderMap::new();
        headers.append("x-tenant", "blue".parse().unwrap());
        headers.append("x-twice", "one".parse().unwrap());
        headers.append("x-twice", "two".parse().unwrap());
        headers.append("x-bytes", http::HeaderValue::from_bytes(b"\xff").unwrap());
        headers.append("cookie", "canary=1".parse().unwrap());
        let claims = br#"{"batch":"batch-7","level":3,"ratio":0.5,"big":18446744073709551615,"none":null,
            "realm":{"roles":["admin","dev"]},"strict":true,"number":"3","https://corp.example/x":"y"}"#;
        let token = TokenFacts {
            source: Name::new("corp"),
            principal: Principal { issuer: Issuer::new("https://login.corp.example"), subject: Arc::from("u-17") },
            client_id: Some(Arc::from("cli")),
            audiences: vec![Audience::new("payments-api")],
            scopes: vec![Scope::new("payments:read"), Scope::new("payments:write")],
            groups: vec![Arc::from("dev"), Arc::from("sre")],
            groups_claim: ClaimForm::Stated,
            acr: None,
            amr: vec![Arc::from("hwk")],
            auth_time: Some(at("2026-03-14T08:00:00Z")),
            issued_at: Some(at("2026-03-14T09:00:00Z")),
            expires_at: at("2026-03-14T10:00:00Z"),
            id: None,
            confirmation: None,
            claims: Claims::parse(claims).unwrap(),
            recorded: Rendered::default(),
        };
        let peer = PeerFacts {
            trust: Name::new("corp"),
            spiffe_id: Some(SpiffeId::parse("spiffe://corp.example/device/7").unwrap()),
            subject: "CN=laptop".into(),
            issuer: "CN=ca".into(),
            dns_names: vec!["laptop.corp.example".into()],
            uris: vec![],
            emails: vec![],
            serial: "2a".into(),
            key_algorithm: "ec",
            not_before: at("2026-01-01T00:00:00Z"),
            not_after: at("2027-01-01T00:00:00Z"),
            fingerprint: [0xab; 32],
            der: Arc::from([]),
        };
        Self {
            params,
            headers,
            query: Some("account=7&tag=a&tag=b&name=J%C3%BCrgen%20B&plus=1+1"),
            token: Some(token),
            peer: Some(peer),
            source: "::ffff:10.1.2.3".parse().unwrap(),
        }
    }

    fn anonymous() -> Self {
        Self { token: None, peer: None, ..Self::full() }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            request: RequestFacts {
                method: "POST",
                host: "payments.corp.example",
                path: "/v1/payments/batch%2d7",
                query: self.query,
                params: &self.params,
                headers: &self.headers,
            },
            token: self.token.as_ref(),
            peer: self.peer.as_ref(),
            source: self.source,
        }
    }

    /// The steps that an evaluation took, and the steps that the static bound allows it.
    fn steps(&self, source: &str) -> (usize, usize) {
        let (node, _) = typed(source, &Schema::request(), Vec::new()).unwrap();
        let mut compiler = Compiler::default();
        let test = compiler.test(&node);
        let facts = self.facts();
        let root = Root { facts: &facts, now: now().into(), constants: &compiler.constants, fuel: Fuel::of(FUEL) };
        let _ = test(&Env::outermost(&root));
        ((FUEL - root.fuel.left()) as usize, cost::bound(&node, &mut Vec::new()).0)
    }

    fn ask(&self, source: &str) -> Result<bool, String> {
        let expression =
            Expression::compile(source, &Schema::request()).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
        expression.evaluate(&self.facts(), now()).map_err(|error| error.to_string())
    }
}

const TRUTHS: &[&str] = &[
    "true",
    "request.method == 'POST' && request.host == 'payments.corp.example'",
    "request.path.startsWith('/v1/') && request.path.endsWith('-7') && request.path.contains('payments')",
    "request.path == '/v1/payments/batch-7' && request.raw_path == '/v1/payments/batch%2d7'",
    "request.path_params.id == token.claims.batch",
    "request.path_params['id'] == 'batch-7' && 'id' in request.path_params",
    "request.headers['x-tenant'] == 'blue' && request.headers['X-Tenant'] == 'blue'",
    "request.headers.values('x-twice') == ['one', 'two']",
    "request.headers.values('x-none').size() == 0",
    "'x-tenant' in request.headers && !('x-none' in request.headers)",
    "request.query.account == '7' && has(request.query.tag) && !has(request.query.nothing)",
    "request.query.values('tag').all(t, t in ['a', 'b'])",
    "request.query.name == 'J\\u00fcrgen B'",
    "request.raw_query.startsWith('account=7')",
    "'sre' in token.groups && !('ops' in token.groups)",
    "token.groups.exists(g, g == 'sre') && token.groups.exists_one(g, g.startsWith('s'))",
    "token.scopes.all(s, s.startsWith('payments:'))",
    "'payments-api' in token.audiences && token.issuer == 'https://login.corp.example'",
    "token.subject == 'u-17' && token.client_id == 'cli' && token.source == 'corp'",
    "!has(token.acr) && has(token.client_id) && has(token.amr)",
    "now - token.auth_time < duration('2h') && token.expires_at > now",
    "token.expires_at - token.issued_at <= duration('1h')",
    "now.getHours('Europe/Berlin') == 10 && now.getDayOfWeek() == 6 && now.getHours('-02:30') == 6",
    "token.claims.level == 3 && token.claims.level == 3.0 && token.claims.level + 1 == 4",
    "token.claims.ratio < 1 && token.claims.big == 18446744073709551615u && token.claims.none == null",
    "token.claims.number != 3",
    "'admin' in token.claims.realm.roles && token.claims.realm.roles[1] == 'dev'",
    "has(token.claims.realm.roles) && !has(token.claims.realm.nothing)",
    "token.claims['https://corp.example/x'] == 'y'",
    "token.claims.strict",
    "device.spiffe_id == 'spiffe://corp.example/device/7' && workload.trust_domain == 'corp.example'",
    "device.trust == 'corp' && device.key_algorithm == 'ec' && device.serial == '2a'",
    "device.fingerprint.startsWith('abab') && size(device.fingerprint) == 64",
    "device.dns_names.exists(n, n.endsWith('.corp.example')) && !has(device.emails)",
    "device.not_before < now && now < device.not_after",
    "cidr('10.0.0.0/8').containsIP(source.ip) && source.ip == ip('10.1.2.3') && source.ip.family() == 4",
    "token.groups.filter(g, g != 'dev').map(g, g.upperAscii()) == ['SRE']",
    "token.groups.map(g, g + '!').join(',') == 'dev!,sre!'",
    "request.path.split('/')[2] == 'payments'",
    "request.path.matches('^/v[0-9]+/payments/[a-z0-9-]+$')",
    "token.claims.realm.roles.exists(r, token.groups.exists(g, g == r))",
    "(request.method == 'GET' ? token.claims.nothing : 'x') == 'x'",
    "token.claims.nothing == 1 || true",
    "!(token.claims.nothing == 1 && false)",
    "type(token.claims.level) == int && type(token.claims.batch) == string",
    "request.headers.exists(n, n == 'x-tenant')",
    "token.groups.all(g, !(g in token.claims.realm.roles) || g == 'dev')",
    "request.query.values('tag').all(t, !(t in token.claims.realm.roles))",
];

#[test]
fn what_holds() {
    let world = World::full();
    for source in TRUTHS {
        assert_eq!(world.ask(source), Ok(true), "{source}");
    }
}

#[test]
fn a_groups_claim_that_is_missing_or_of_another_form_is_no_empty_list() {
    let mut world = World::full();
    for (form, there, reason) in [
        (ClaimForm::Absent, Ok(false), "it is absent"),
        (
            ClaimForm::Other,
            Err("it is not in the form that it should have".to_owned()),
            "it is not in the form that it should have",
        ),
    ] {
        let token = world.token.as_mut().unwrap();
        (token.groups, token.groups_claim) = (Vec::new(), form);
        assert_eq!(world.ask("has(token.groups)"), there);
        for source in ["!('frozen' in token.groups)", "token.groups.all(g, g != 'frozen')", "token.groups == []"] {
            assert_eq!(world.ask(source), Err(reason.to_owned()), "{source}");
        }
    }
}

#[test]
fn no_evaluation_takes_more_steps_than_the_static_bound() {
    let world = World::full();
    for source in TRUTHS {
        let (taken, bound) = world.steps(source);
        assert!(taken <= bound, "{source}: {taken} of {bound}");
    }
}

#[test]
fn what_has_no_answer() {
    let (full, anonymous) = (World::full(), World::anonymous());
    for (world, source, reason) in [
        (&anonymous, "token.subject == 'x'", "no token was presented"),
        (&anonymous, "'sre' in token.groups", "no token was presented"),
        (&anonymous, "!has(token.acr)", "no token was presented"),
        (&anonymous, "!has(token.claims.frozen)", "no token was presented"),
        (&anonymous, "device.trust != 'x'", "no client certificate was shown"),
        (&anonymous, "!has(workload.spiffe_id)", "no client certificate was shown"),
        (&full, "token.acr != 'mfa'", "it is absent"),
        (&full, "token.claims.nothing != 1", "there is nothing under that key"),
        (&full, "token.claims.level", "the types of the operands do not fit"),
        (&full, "token.claims.number < 4", "the types of the operands do not fit"),
        (&full, "token.claims.batch.startsWith(token.claims.level)", "the types of the operands do not fit"),
        (&full, "request.headers['x-twice'] != 'three'", "it occurs more than once in the request"),
        (&full, "request.headers['x-bytes'] != ''", "it is not readable text"),
        (&full, "request.query.tag == 'a'", "it occurs more than once in the request"),
        (&full, "request.query.plus == '1 1'", "it can be read in two ways"),
        (&full, "request.query.nothing == 'a'", "there is nothing under that key"),
        (&full, "token.groups[2] == 'x'", "the index is out of range"),
        (&full, "token.claims.level / 0 == 1", "division by zero"),
        (&full, "token.claims.level + 9223372036854775807 > 0", "the number is out of range"),
        (&full, "token.claims.nothing == 1 || false", "there is nothing under that key"),
    ] {
        assert_eq!(world.ask(source), Err(reason.to_owned()), "{source}");
    }
    assert_eq!(anonymous.ask("has(token) || has(device)"), Ok(false));
    assert_eq!(full.ask("has(token) && has(device) && has(workload)"), Ok(true));
}

#[test]
fn the_book_names_every_function_member_and_macro() {
    let book = include_str!("../../../../docs/policy.md");
    let section = book.split("## `when`\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut words: Vec<String> = super::functions::all().map(|function| function.name.to_owned()).collect();
    words.extend(super::calls::MACROS.map(str::to_owned));
    for table in ["request", "token", "device", "source"] {
        let members = super::schema::Table::named(table).unwrap().members();
        words.extend(members.iter().map(|member| format!("{table}.{}", member.name)));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let known: std::collections::HashSet<_> = section.split(|c: char| !is_word(c)).collect();
    let missing: Vec<_> = words.iter().filter(|word| !known.contains(word.as_str())).collect();
    let methods = |word: &str| section.contains(&format!(".{word}("));
    let missing: Vec<_> = missing.into_iter().filter(|word| !methods(word)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
