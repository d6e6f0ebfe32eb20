//! Signature algorithms, by their JOSE names (RFC 7518 section 3.1, RFC 8037, RFC 9864). `none` has no value here.

use std::fmt;

use aws_lc_rs::signature as lc;

macro_rules! algorithms {
    ($($(#[doc = $doc:literal])+ $name:ident = $jose:literal,)+) => {
        /// An algorithm that can verify a token.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Algorithm {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Algorithm {
            /// Every algorithm.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in a JOSE header; names are compared exactly.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $jose,)+ }
            }
        }
    };
}

algorithms! {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256 = "RS256",
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384 = "RS384",
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512 = "RS512",
    /// RSASSA-PSS with SHA-256.
    Ps256 = "PS256",
    /// RSASSA-PSS with SHA-384.
    Ps384 = "PS384",
    /// RSASSA-PSS with SHA-512.
    Ps512 = "PS512",
    /// ECDSA on P-256 with SHA-256.
    Es256 = "ES256",
    /// ECDSA on P-384 with SHA-384.
    Es384 = "ES384",
    /// ECDSA on P-521 with SHA-512.
    Es512 = "ES512",
    /// EdDSA; of its curves only Ed25519.
    EdDsa = "EdDSA",
    /// Ed25519 under its own name.
    Ed25519 = "Ed25519",
    /// HMAC with SHA-256, for a secret that the configuration shares with the issuer by name.
    Hs256 = "HS256",
    /// HMAC with SHA-384.
    Hs384 = "HS384",
    /// HMAC with SHA-512.
    Hs512 = "HS512",
}

/// What kind of key an algorithm needs.
pub(super) enum KeyKind {
    Rsa(&'static lc::RsaParameters),
    Ec { curve: &'static str, verification: &'static lc::EcdsaVerificationAlgorithm },
    Ed25519,
    Secret(aws_lc_rs::hmac::Algorithm),
}

impl Algorithm {
    /// The algorithm with this JOSE name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.name() == name)
    }

    /// Whether both sides hold the same secret (HMAC).
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// The shortest secret that it may use, in bytes: as long as its hash (RFC 7518 section 3.2). 0 without a secret.
    pub const fn least_secret(self) -> usize {
        match self {
            Self::Hs256 => 32,
            Self::Hs384 => 48,
            Self::Hs512 => 64,
            _ => 0,
        }
    }

    pub(super) fn key_kind(self) -> KeyKind {
        let ec = |curve, verification| KeyKind::Ec { curve, verification };
        match self {
            Self::Rs256 => KeyKind::Rsa(&lc::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => KeyKind::Rsa(&lc::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => KeyKind::Rsa(&lc::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => KeyKind::Rsa(&lc::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => KeyKind::Rsa(&lc::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => KeyKind::Rsa(&lc::RSA_PSS_2048_8192_SHA512),
            Self::Es256 => ec("P-256", &lc::ECDSA_P256_SHA256_FIXED),
            Self::Es384 => ec("P-384", &lc::ECDSA_P384_SHA384_FIXED),
            Self::Es512 => ec("P-521", &lc::ECDSA_P521_SHA512_FIXED),
            Self::EdDsa | Self::Ed25519 => KeyKind::Ed25519,
            Self::Hs256 => KeyKind::Secret(aws_lc_rs::hmac::HMAC_SHA256),
            Self::Hs384 => KeyKind::Secret(aws_lc_rs::hmac::HMAC_SHA384),
            Self::Hs512 => KeyKind::Secret(aws_lc_rs::hmac::HMAC_SHA512),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
