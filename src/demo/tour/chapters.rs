//! What the tour asks, and what must come of it.

use serde::Serialize;

use super::tokens::Tokens;

/// Several steps about one thing.
pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) steps: Vec<Step>,
}

/// What must come of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// The service answers.
    Allowed {
        /// The rule that allows it.
        rule: &'static str,
    },
    /// The gateway answers.
    Refused {
        /// The status.
        status: u16,
        /// The reason code.
        reason: &'static str,
    },
}

/// One request.
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) method: &'static str,
    /// `status` or `payments`.
    pub(super) host: &'static str,
    pub(super) path: &'static str,
    /// Which certificate the client shows.
    pub(super) certificate: Option<&'static str>,
    pub(super) token: Option<String>,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: &'static str,
    /// A token that its client revokes first.
    pub(super) revoked_before: Option<String>,
    /// A header field that the service must receive.
    pub(super) service_sees: Option<(&'static str, &'static str)>,
    pub(super) expected: Expected,
}

const STATUS_PAGE: &str = "the status page is for everybody";
const STAFF_READ: &str = "staff may read payments";
const PARTNERS_READ: &str = "partners may read payments";
const FINANCE_WRITE: &str = "finance may write payments, when strongly and recently signed in";
const SETTLE: &str = "the settlement job may settle";

/// The whole tour.
pub(super) fn all(tokens: &Tokens) -> Vec<Chapter> {
    vec![
        Chapter { title: "Closed by default", steps: closed_by_default(tokens) },
        Chapter { title: "Tokens that do not count", steps: wrong_tokens(tokens) },
        Chapter { title: "Writing: a person, a strong sign-in, a managed device", steps: writing(tokens) },
        Chapter { title: "Certificates that do not count", steps: wrong_certificates(tokens) },
        Chapter { title: "Workloads and partners", steps: workloads_and_partners(tokens) },
        Chapter { title: "Tricks", steps: tricks(tokens) },
    ]
}

fn closed_by_default(tokens: &Tokens) -> Vec<Step> {
    vec![
        get("status", "/").by("anybody looks at the status page").allowed(STATUS_PAGE),
        read().by("nobody in particular reads a payment").refused(401, "credential-missing"),
        read().by("alice, of staff, reads a payment").token(&tokens.alice).allowed(STAFF_READ),
        read().by("bob, a contractor, reads a payment").token(&tokens.bob).refused(403, "no-rule-allows"),
        read()
            .by("frank, whose account is frozen, reads a payment")
            .token(&tokens.frank)
            .refused(403, "denied-by-rule"),
    ]
}

fn wrong_tokens(tokens: &Tokens) -> Vec<Step> {
    vec![
        read().by("alice's token of an hour ago").token(&tokens.expired).refused(401, "token-expired"),
        read()
            .by("alice's token for another service")
            .token(&tokens.for_another_service)
            .refused(401, "token-audience"),
        read().by("a token that somebody else signed").token(&tokens.forged).refused(401, "token-signature"),
        read().by("an ID token, which is no access token").token(&tokens.id_token).refused(401, "token-type"),
    ]
}

fn writing(tokens: &Tokens) -> Vec<Step> {
    vec![
        write().by("alice, on laptop-7").token(&tokens.alice).showing("device").allowed(FINANCE_WRITE),
        write().by("alice, on her own computer").token(&tokens.alice).refused(403, "requirement-failed"),
        write()
            .by("carol, whose sign-in is old and weak, on laptop-7")
            .token(&tokens.carol)
            .showing("device")
            .refused(401, "step-up-required"),
    ]
}

fn wrong_certificates(tokens: &Tokens) -> Vec<Step> {
    let refused =
        |stem, title| write().by(title).token(&tokens.alice).showing(stem).refused(403, "certificate-refused");
    vec![
        refused("rogue", "alice, on a laptop-7 that a rogue CA vouches for"),
        refused("expired", "alice, on laptop-7 with a certificate that has ended"),
        refused("wrong-purpose", "alice, on laptop-7 with a certificate made for servers"),
    ]
}

fn workloads_and_partners(tokens: &Tokens) -> Vec<Step> {
    let settle = || Step::new("POST", "payments", "/v1/settlements/2026-11-22").body("{}").token(&tokens.settlement);
    vec![
        settle().by("the settlement job, by token and certificate").showing("workload").allowed(SETTLE),
        settle().by("its token alone, as if it had been stolen").refused(403, "no-rule-allows"),
        read().by("a partner with an opaque token").token(&tokens.acme).allowed(PARTNERS_READ),
        read()
            .by("the same token, once it was revoked")
            .revoking(&tokens.acme)
            .token(&tokens.acme)
            .refused(401, "token-inactive"),
    ]
}

fn tricks(tokens: &Tokens) -> Vec<Step> {
    vec![
        read()
            .by("alice says in a header that she is root")
            .token(&tokens.alice)
            .header("X-Auth-User", "root")
            .header("X_Auth_User", "root")
            .header("X-Auth-Groups", "admins")
            .service_sees("x-auth-user", "alice")
            .allowed(STAFF_READ),
        get("payments", "/v1/payments/..%2fadmin")
            .by("a path that could be read in two ways")
            .token(&tokens.alice)
            .refused(400, "path-ambiguous"),
        get("payments", "/v1/payments/7?access_token=abc")
            .by("a token in the query, where logs would keep it")
            .refused(400, "token-in-query"),
        get("payments", "/v1/admin")
            .by("an address that nobody configured")
            .token(&tokens.alice)
            .refused(404, "route-unknown"),
    ]
}

fn get(host: &'static str, path: &'static str) -> Step {
    Step::new("GET", host, path)
}

fn read() -> Step {
    get("payments", "/v1/payments/7")
}

fn write() -> Step {
    Step::new("POST", "payments", "/v1/payments/7").body(r#"{"amount": 42}"#)
}

impl Step {
    const fn new(method: &'static str, host: &'static str, path: &'static str) -> Self {
        Self {
            title: "",
            method,
            host,
            path,
            certificate: None,
            token: None,
            headers: Vec::new(),
            body: "",
            revoked_before: None,
            service_sees: None,
            expected: Expected::Refused { status: 0, reason: "" },
        }
    }

    fn by(self, title: &'static str) -> Self {
        Self { title, ..self }
    }

    fn token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    fn showing(self, stem: &'static str) -> Self {
        Self { certificate: Some(stem), ..self }
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn body(self, body: &'static str) -> Self {
        Self { body, ..self }
    }

    fn revoking(self, token: &str) -> Self {
        Self { revoked_before: Some(token.to_owned()), ..self }
    }

    fn service_sees(self, name: &'static str, value: &'static str) -> Self {
        Self { service_sees: Some((name, value)), ..self }
    }

    fn allowed(self, rule: &'static str) -> Self {
        Self { expected: Expected::Allowed { rule }, ..self }
    }

    fn refused(self, status: u16, reason: &'static str) -> Self {
        Self { expected: Expected::Refused { status, reason }, ..self }
    }
}
