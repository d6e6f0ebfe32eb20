//! Names of header fields as services read them: every character that is no letter or digit counts as `-`.

use http::HeaderName;

/// A set of names, by their length: most names of a request have the length of none that matters.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Vec<Box<[u8]>>>);

impl Names {
    /// The names, in whatever spelling.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut by_length: Vec<Vec<Box<[u8]>>> = Vec::new();
        for name in names {
            if by_length.len() <= name.len() {
                by_length.resize_with(name.len() + 1, Vec::new);
            }
            if let Some(same) = by_length.get_mut(name.len()) {
                same.push(name.bytes().map(folded).collect());
            }
        }
        Self(by_length)
    }

    /// Whether a service might take `name` for one of them.
    pub(super) fn hold(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        self.0.get(name.len()).is_some_and(|same| same.iter().any(|known| read_as(name, known)))
    }

    /// Whether a service might take `name` for one that begins with `family`, which is spelled with `-` alone.
    pub(super) fn begins(name: &HeaderName, family: &str) -> bool {
        name.as_str().as_bytes().get(..family.len()).is_some_and(|start| read_as(start, family.as_bytes()))
    }
}

fn read_as(name: &[u8], known: &[u8]) -> bool {
    name.iter().zip(known).all(|(byte, known)| folded(*byte) == *known)
}

/// `HeaderName` is lower case already.
const fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::Names;

    fn name(text: &'static str) -> HeaderName {
        HeaderName::from_static(text)
    }

    #[test]
    fn a_name_is_held_in_every_spelling_and_no_other_is() {
        let names = Names::of(["X-Auth-User", "te", "a_b"].into_iter());
        for held in ["x-auth-user", "x_auth_user", "x.auth-user", "te", "a-b", "a_b"] {
            assert!(names.hold(&name(held)), "{held}");
        }
        for other in ["x-auth-users", "xx-auth-user", "x-auth-use", "t-", "te-", "ab", "x-auth-usex"] {
            assert!(!names.hold(&name(other)), "{other}");
        }
        assert!(Names::begins(&name("proxy_anything"), "proxy-") && Names::begins(&name("proxy-"), "proxy-"));
        assert!(!Names::begins(&name("proxyanything"), "proxy-") && !Names::begins(&name("proxy"), "proxy-"));
        assert!(!Names::default().hold(&name("te")));
    }
}
