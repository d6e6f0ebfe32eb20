//! The path as a service reads it: each segment decoded once (POLICY: literals compare with the segment decoded once).
//!
//! `/%61dmin` is `/admin` to every service, so it is to every rule. What would change the structure stays encoded.

use std::borrow::Cow;

/// The path decoded once, segment by segment; `%2F`, `%5C` and `%25` stay as they are. `None` when it is no text.
pub(super) fn decoded(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        match u8::try_from(digit()? * 16 + digit()?).ok()? {
            b'/' => out.extend(b"%2F"),
            b'\\' => out.extend(b"%5C"),
            b'%' => out.extend(b"%25"),
            plain => out.push(plain),
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn spellings_of_one_path_are_one_path() {
        for (path, expected) in [
            ("/admin", Some("/admin")),
            ("/%61dmin", Some("/admin")),
            ("/%40x/%C3%A4%20b", Some("/@x/\u{e4} b")),
            ("/a%2fb%5c%25", Some("/a%2Fb%5C%25")),
            ("/a%ff", None),
            ("/a%zz", None),
            ("/a%6", None),
        ] {
            assert_eq!(decoded(path).as_deref(), expected, "{path}");
        }
    }
}
