//! The closed list of reason codes: one word, the same in the answer, the audit record, the metric label and the docs.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// Why a request was refused or an exchange ended. `docs/reasons.md` has a section for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the journey.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code: kebab-case, never changed once published.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// One sentence that says what the code means; shown to whoever was refused, so it holds nothing secret.
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    // request: 400
    /// The request names no host, more than one, or one that is malformed.
    HostInvalid = "host-invalid",
    /// The request target has a form that is not served here.
    TargetForm = "target-form",
    /// The path could be read in more than one way.
    PathAmbiguous = "path-ambiguous",
    /// The path or query holds an invalid percent-encoding.
    EncodingInvalid = "encoding-invalid",
    /// The length of the body is stated in more than one way.
    FramingAmbiguous = "framing-ambiguous",
    /// A header field is malformed or repeated where it must occur once.
    HeaderInvalid = "header-invalid",
    /// The method is not one that is served here.
    MethodInvalid = "method-invalid",
    /// The request head is larger than is served here.
    HeadTooLarge = "head-too-large",
    // route: 404, 405, 421
    /// No route is configured for this address.
    RouteUnknown = "route-unknown",
    /// The route exists, but not for this method.
    MethodNotAllowed = "method-not-allowed",
    /// This connection was opened for another host; open a new one.
    Misdirected = "misdirected",
    // credential: 400, 401
    /// More than one credential was presented.
    CredentialAmbiguous = "credential-ambiguous",
    /// The credential is malformed.
    CredentialMalformed = "credential-malformed",
    /// A token must not be sent in the query.
    TokenInQuery = "token-in-query",
    /// The authorization scheme is not one that is accepted here.
    SchemeUnsupported = "scheme-unsupported",
    // authn: 401, 503
    /// The client certificate that was presented is not accepted.
    CertificateRefused = "certificate-refused",
    /// The token is malformed.
    TokenMalformed = "token-malformed",
    /// The token is larger than is accepted.
    TokenTooLarge = "token-too-large",
    /// The token is of a type that gives no access here.
    TokenType = "token-type",
    /// The token is signed with an algorithm that is not accepted.
    TokenAlgorithm = "token-algorithm",
    /// The token demands an extension that is not understood.
    TokenCritical = "token-critical",
    /// No source of tokens that counts here stands behind the token.
    TokenSource = "token-source",
    /// The token is signed with a key that is not known.
    TokenKeyUnknown = "token-key-unknown",
    /// The signature of the token is wrong.
    TokenSignature = "token-signature",
    /// The token was issued by somebody else.
    TokenIssuer = "token-issuer",
    /// The token was issued for another audience.
    TokenAudience = "token-audience",
    /// The token has expired.
    TokenExpired = "token-expired",
    /// The token is not valid yet.
    TokenNotYetValid = "token-not-yet-valid",
    /// The token is valid for longer than is accepted.
    TokenLifetime = "token-lifetime",
    /// A claim that the token must have is missing or malformed.
    TokenClaim = "token-claim",
    /// The token is not active.
    TokenInactive = "token-inactive",
    /// The token was revoked.
    TokenRevoked = "token-revoked",
    /// The token is bound to a key that was not shown, or must be bound and is not.
    TokenBinding = "token-binding",
    /// The DPoP proof is missing or wrong.
    DpopInvalid = "dpop-invalid",
    /// The DPoP proof was used before.
    DpopReplayed = "dpop-replayed",
    /// The DPoP proof must carry the nonce that is sent with this answer.
    DpopNonce = "dpop-nonce",
    /// Too many tokens that could not be verified came over this connection.
    TokenFlood = "token-flood",
    /// The keys of the identity provider are not at hand.
    IssuerUnavailable = "issuer-unavailable",
    /// The identity provider cannot be asked about the token.
    IntrospectionUnavailable = "introspection-unavailable",
    // policy: 401, 403
    /// No credential was presented.
    CredentialMissing = "credential-missing",
    /// No rule allows this request.
    NoRuleAllows = "no-rule-allows",
    /// A rule denies this request.
    DeniedByRule = "denied-by-rule",
    /// A requirement that holds for this address is not met.
    RequirementFailed = "requirement-failed",
    /// A stronger or more recent sign-in is needed.
    StepUpRequired = "step-up-required",
    /// The token lacks a scope that this address needs.
    ScopeInsufficient = "scope-insufficient",
    /// The rules have changed in a way that this exchange cannot be decided by; a new request can.
    PolicyChanged = "policy-changed",
    // audit: 503
    /// The request cannot be recorded, and what cannot be recorded is not forwarded.
    AuditUnavailable = "audit-unavailable",
    // upstream: 403, 408, 413, 502, 503, 504
    /// The identity cannot be written into a header for the service behind.
    IdentityNotEncodable = "identity-not-encodable",
    /// The identity provider gives no token for the service behind in exchange for the one that was presented.
    ExchangeRefused = "exchange-refused",
    /// The identity provider cannot be asked for a token for the service behind.
    ExchangeUnavailable = "exchange-unavailable",
    /// The request body is larger than is accepted.
    BodyTooLarge = "body-too-large",
    /// The request body did not arrive in time.
    BodyTimeout = "body-timeout",
    /// The service behind cannot be reached.
    UpstreamUnreachable = "upstream-unreachable",
    /// The service behind did not prove that it is the right one.
    UpstreamTls = "upstream-tls",
    /// The service behind answered something that is not HTTP.
    UpstreamProtocol = "upstream-protocol",
    /// The service behind closed the connection before it answered.
    UpstreamClosed = "upstream-closed",
    /// The service behind did not answer in time.
    UpstreamTimeout = "upstream-timeout",
    /// The service behind has no free connection.
    UpstreamBusy = "upstream-busy",
    /// This kind of protocol upgrade is not served here.
    UpgradeUnsupported = "upgrade-unsupported",
    // gateway: 500, 503
    /// Something went wrong inside the gateway; the request was not forwarded.
    InternalError = "internal-error",
    /// The gateway is at its limit.
    Overloaded = "overloaded",
    // ends that no answer tells
    /// The client went away before the end.
    ClientGone = "client-gone",
    /// The exchange was cut because the gateway had to stop.
    Drained = "drained",
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Reason;

    #[test]
    fn codes_are_distinct_kebab_case_and_summaries_are_sentences() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(reason.code().bytes().all(|c| c.is_ascii_lowercase() || c == b'-'), "{reason}");
            assert!(reason.summary().ends_with('.') && !reason.summary().starts_with(' '), "{reason}");
        }
    }
}
