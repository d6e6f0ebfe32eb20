//! A credential as it was presented: well-formed, not verified.

use std::fmt;

use http::HeaderValue;

use super::CredentialError;

/// An access token (RFC 6750 `b64token`). Verified by nobody yet.
#[derive(Debug)]
pub struct Token(Kept);

impl Token {
    /// The text. Every call is a place where it could leak.
    pub fn expose(&self) -> &str {
        self.0.text()
    }

    /// The text as it was sent: ASCII. Every call is a place where it could leak.
    pub fn expose_bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// A DPoP proof (RFC 9449 section 4): three base64url parts. Verified by nobody yet.
#[derive(Debug)]
pub struct Proof(Kept);

impl Proof {
    /// The text.
    pub fn expose(&self) -> &str {
        self.0.text()
    }
}

/// The end of a header field, where it arrived: every copy would be one more to wipe.
struct Kept {
    field: HeaderValue,
    from: usize,
}

impl Kept {
    fn new(field: &HeaderValue, from: usize, is_well_formed: fn(&[u8]) -> bool) -> Result<Self, CredentialError> {
        let bytes = field.as_bytes().get(from..).ok_or(CredentialError::Malformed)?;
        if is_well_formed(bytes) { Ok(Self { field: field.clone(), from }) } else { Err(CredentialError::Malformed) }
    }

    fn bytes(&self) -> &[u8] {
        self.field.as_bytes().get(self.from..).unwrap_or_default()
    }

    fn text(&self) -> &str {
        // Well-formed: all of it is ASCII.
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The one credential of a request.
#[derive(Debug)]
pub enum Credential {
    /// `Authorization: Bearer`.
    Bearer(Token),
    /// `Authorization: DPoP`, with the proof beside it.
    Dpop {
        /// The access token.
        token: Token,
        /// The proof that the client holds the token's key.
        proof: Proof,
    },
}

impl Credential {
    /// Reads the fields `Authorization` and `DPoP`.
    pub fn parse(authorization: &HeaderValue, proof: Option<&HeaderValue>) -> Result<Self, CredentialError> {
        let bytes = authorization.as_bytes();
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or(CredentialError::Malformed)?;
        let (scheme, from) = (bytes.get(..space).unwrap_or_default(), space + 1);
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return match proof {
                None => Ok(Self::Bearer(Token(Kept::new(authorization, from, is_token68)?))),
                // A bound token sent as a plain bearer, or a proof without its token: not for us to choose.
                Some(_) => Err(CredentialError::Malformed),
            };
        }
        if scheme.eq_ignore_ascii_case(b"dpop") {
            let proof = proof.ok_or(CredentialError::ProofMissing)?;
            let token = Token(Kept::new(authorization, from, is_token68)?);
            return Ok(Self::Dpop { token, proof: Proof(Kept::new(proof, 0, is_compact_jws)?) });
        }
        Err(CredentialError::Scheme)
    }

    /// The access token.
    pub const fn token(&self) -> &Token {
        match self {
            Self::Bearer(token) | Self::Dpop { token, .. } => token,
        }
    }
}

/// RFC 9110 section 11.2: letters, digits and `-._~+/`, then any number of `=`.
fn is_token68(bytes: &[u8]) -> bool {
    let end = bytes.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let (body, _) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    // Without a branch for each byte many are looked at in one step; tokens are long.
    let all = body.iter().fold(true, |all, byte| {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let digit_dot_or_slash = byte.wrapping_sub(b'-') < 13;
        all & (letter | digit_dot_or_slash | (*byte == b'_') | (*byte == b'~') | (*byte == b'+'))
    });
    !body.is_empty() && all
}

fn is_compact_jws(bytes: &[u8]) -> bool {
    let is_part = |part: &[u8]| {
        !part.is_empty() && part.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_')
    };
    bytes.split(|byte| *byte == b'.').count() == 3 && bytes.split(|byte| *byte == b'.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::is_token68;

    #[test]
    fn a_token_is_made_of_exactly_these_characters() {
        for byte in 0..=u8::MAX {
            let allowed = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_token68(&[b'a', byte, b'b']), allowed, "{byte:#x} inside");
            assert_eq!(is_token68(&[byte; 100]), allowed, "{byte:#x} alone");
            assert_eq!(is_token68(&[b'a', byte]), allowed || byte == b'=', "{byte:#x} at the end");
        }
        assert!(is_token68(b"a==") && !is_token68(b"==") && !is_token68(b"") && !is_token68(b"a=b"));
    }
}
