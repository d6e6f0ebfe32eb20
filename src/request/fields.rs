//! Which header fields a request has, of those that the gateway reads: seen in one pass.
//!
//! Most of them are absent from most requests, and to look for each in turn would cost more than every check of those that
//! are there.

use http::{HeaderMap, HeaderName};

/// A field that the gateway reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Accept,
    Authorization,
    Connection,
    ContentLength,
    ContentType,
    Cookie,
    Dpop,
    Expect,
    KeepAlive,
    ProxyAuthorization,
    ProxyConnection,
    SecFetchDest,
    SecFetchMode,
    SecFetchSite,
    Te,
    TraceParent,
    TraceState,
    TransferEncoding,
    Upgrade,
}

impl Field {
    fn of(name: &HeaderName) -> Option<Self> {
        Some(match name.as_str() {
            "accept" => Self::Accept,
            "authorization" => Self::Authorization,
            "connection" => Self::Connection,
            "content-length" => Self::ContentLength,
            "content-type" => Self::ContentType,
            "cookie" => Self::Cookie,
            "dpop" => Self::Dpop,
            "expect" => Self::Expect,
            "keep-alive" => Self::KeepAlive,
            "proxy-authorization" => Self::ProxyAuthorization,
            "proxy-connection" => Self::ProxyConnection,
            "sec-fetch-dest" => Self::SecFetchDest,
            "sec-fetch-mode" => Self::SecFetchMode,
            "sec-fetch-site" => Self::SecFetchSite,
            "te" => Self::Te,
            "traceparent" => Self::TraceParent,
            "tracestate" => Self::TraceState,
            "transfer-encoding" => Self::TransferEncoding,
            "upgrade" => Self::Upgrade,
            _ => return None,
        })
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// What one pass over the fields of a request saw, as it arrived. Fields leave a request on its way and none of these but
/// `traceparent` is ever added, so what was not seen is not there later either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    seen: u32,
    /// Names and values together, a name that is repeated counted each time.
    bytes: usize,
}

impl Fields {
    /// Looks at every field once.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        headers.iter().fold(Self::default(), |all, (name, value)| Self {
            seen: all.seen | Field::of(name).map_or(0, Field::bit),
            bytes: all.bytes + name.as_str().len() + value.len(),
        })
    }

    /// Whether the field was there.
    pub(crate) const fn has(self, field: Field) -> bool {
        self.seen & field.bit() != 0
    }

    /// How long all fields are together, in bytes.
    pub(crate) const fn bytes(self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Field, Fields};

    #[test]
    fn every_field_is_seen_under_its_name_and_no_other() {
        let known = [
            (Field::Accept, "accept"),
            (Field::Authorization, "authorization"),
            (Field::Connection, "connection"),
            (Field::ContentLength, "content-length"),
            (Field::ContentType, "content-type"),
            (Field::Cookie, "cookie"),
            (Field::Dpop, "dpop"),
            (Field::Expect, "expect"),
            (Field::KeepAlive, "keep-alive"),
            (Field::ProxyAuthorization, "proxy-authorization"),
            (Field::ProxyConnection, "proxy-connection"),
            (Field::SecFetchDest, "sec-fetch-dest"),
            (Field::SecFetchMode, "sec-fetch-mode"),
            (Field::SecFetchSite, "sec-fetch-site"),
            (Field::Te, "te"),
            (Field::TraceParent, "traceparent"),
            (Field::TraceState, "tracestate"),
            (Field::TransferEncoding, "transfer-encoding"),
            (Field::Upgrade, "upgrade"),
        ];
        for (field, name) in known {
            let mut headers = HeaderMap::new();
            headers.append("x-other", HeaderValue::from_static("1"));
            for value in ["12", "345"] {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let fields = Fields::of(&headers);
            for (other, _) in known {
                assert_eq!(fields.has(other), other == field, "{other:?} in a request with {name}");
            }
            assert_eq!(fields.bytes(), 8 + 2 * name.len() + 5);
        }
        assert_eq!(Fields::of(&HeaderMap::new()), Fields::default());
    }
}
