//! Ordering a token by hand, good or wrong in one stated way: for the tour and for tests.

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::keys::{Keys, Signing};
use super::register::{Client, PEOPLE_CLIENT, Person};
use super::{Shared, lock};

/// How long tokens are valid.
pub(super) const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// The audience of tokens unless another is asked for.
pub(super) const AUDIENCE: &str = "payments-api";

/// A token in the making. Starts as a good RFC 9068 access token; every call changes one thing.
pub struct Order<'a> {
    shared: &'a Shared,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signing: Signing,
    forged: bool,
}

impl<'a> Order<'a> {
    pub(super) fn for_person(shared: &'a Shared, person: &Person) -> Self {
        let mut order = Self::new(shared, person.name, PEOPLE_CLIENT, person.scopes);
        let signed_in = shared.clock.now() - person.signed_in;
        order.put("groups", json!(person.groups));
        order.put("acr", json!(person.acr));
        order.put("amr", json!(person.amr));
        order.put("auth_time", json!(signed_in.as_second()));
        order.put("account_status", json!(person.account_status));
        order
    }

    pub(super) fn for_client(shared: &'a Shared, client: &Client) -> Self {
        Self::new(shared, client.id, client.id, client.scopes)
    }

    /// A token for anybody, with no claims but those of RFC 9068 section 2.2.
    pub(super) fn new(shared: &'a Shared, subject: &str, client: &str, scopes: &[&str]) -> Self {
        let now = shared.clock.now();
        let claims = json!({
            "iss": shared.issuer,
            "sub": subject,
            "aud": AUDIENCE,
            "client_id": client,
            "scope": scopes.join(" "),
            "iat": now.as_second(),
            "exp": (now + LIFETIME).as_second(),
            "jti": super::register::random_text(),
        });
        let (header, claims) = (Map::new(), into_object(claims));
        let order = Self { shared, header, claims, signing: Signing::Es256, forged: false };
        order.header("typ", "at+jwt")
    }

    /// For another audience.
    #[must_use]
    pub fn audience(self, audience: &str) -> Self {
        self.claim("aud", audience)
    }

    /// With these scopes, separated by spaces.
    #[must_use]
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// Ends after this span; a negative one is a token that has ended already.
    #[must_use]
    pub fn expires_in(self, span: SignedDuration) -> Self {
        let end = (self.shared.clock.now() + span).as_second();
        self.claim("exp", end)
    }

    /// Sets a claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.put(name, value.into());
        self
    }

    /// Leaves a claim out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a member of the JOSE header. `alg` and `kid` stand as they are set here, whatever signs.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// Signs with another algorithm.
    #[must_use]
    pub const fn signing(mut self, signing: Signing) -> Self {
        self.signing = signing;
        self
    }

    /// Signs with a key that is not the provider's, under the `kid` of one that is.
    #[must_use]
    pub const fn forged(mut self) -> Self {
        self.forged = true;
        self
    }

    /// The token as a JWT (RFC 7519). The provider knows it afterwards, unless it is forged.
    pub fn jwt(mut self) -> String {
        let keys = lock(&self.shared.keys).current.clone();
        self.header.entry("alg").or_insert_with(|| json!(self.signing.name()));
        self.header.entry("kid").or_insert_with(|| json!(keys.id(self.signing)));
        if self.forged {
            return Keys::generate()
                .map(|forger| forger.sign(self.signing, &self.header, &self.claims))
                .unwrap_or_default();
        }
        let token = keys.sign(self.signing, &self.header, &self.claims);
        lock(&self.shared.issued).remember(&token, self.claims);
        token
    }

    /// The token as an opaque one: a prefix and 256 random bits, which mean something to the provider alone.
    pub fn opaque(self) -> String {
        let Some(random) = super::register::random_text() else { return String::new() };
        let token = format!("{}{random}", super::OPAQUE_PREFIX);
        lock(&self.shared.issued).remember(&token, self.claims);
        token
    }

    fn put(&mut self, name: &str, value: Value) {
        self.claims.insert(name.into(), value);
    }
}

fn into_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
