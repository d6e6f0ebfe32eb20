//! Names of header fields, as the service behind may read them.
//!
//! CGI, and many servers after it, turn every character of a name that is no letter or digit into one and the same
//! (RFC 3875 section 4.1.18), so `X_Env` reaches the service as `X-Env` does. What a rule says of a field it says of every
//! spelling of its name.

use http::{HeaderMap, HeaderValue};

/// Whether a service may take one name for the other: letters without case, every other character alike.
pub fn is_same_field(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}

/// Every value under every spelling of a name. The spellings of a name are equally long, so nearly all other fields are
/// passed over without a look at their letters.
pub fn occurrences<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h HeaderValue> {
    headers.iter().filter(move |(known, _)| is_same_field(known.as_str(), name)).map(|(_, value)| value)
}

/// The spelling in which names are listed: lower case, with hyphens.
pub fn plain_field(name: &str) -> String {
    name.bytes().map(|byte| char::from(plain(byte))).collect()
}

const fn plain(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{is_same_field, occurrences, plain_field};

    #[test]
    fn every_spelling_is_one_name() {
        for other in ["x-env", "X_Env", "x.env", "X!ENV"] {
            assert!(is_same_field("X-Env", other), "{other}");
            assert_eq!(plain_field(other), "x-env");
        }
        for other in ["xenv", "x-en", "x-envs", "x--env", "x-enw", ""] {
            assert!(!is_same_field("X-Env", other), "{other}");
        }
    }

    #[test]
    fn occurrences_are_those_of_all_spellings() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-env", "1"), ("x_env", "2"), ("x-env", "3"), ("x-enw", "4"), ("x.env", "5")] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let mut found: Vec<_> = occurrences(&headers, "X-Env").collect();
        found.sort();
        assert_eq!(found, ["1", "2", "3", "5"]);
        assert_eq!(occurrences(&headers, "x-other").count(), 0);
    }
}
