//! The query: passed on byte for byte, or refused (RFC 3986 section 3.4).

use std::borrow::Cow;

use super::path::hex_digit;

/// Why a query is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A control, a blank, `#` or a byte that is not ASCII.
    #[error("the query holds a character that must be encoded")]
    Character,
    /// `%` without two hexadecimal digits.
    #[error("the query holds an invalid percent-encoding")]
    PercentEncoding,
}

/// Checks a query, without `?`.
pub(super) fn inspect(query: Option<&str>) -> Result<(), QueryError> {
    let mut bytes = query.unwrap_or_default().bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let pair = (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit));
                if !matches!(pair, (Some(_), Some(_))) {
                    return Err(QueryError::PercentEncoding);
                }
            }
            b'#' => return Err(QueryError::Character),
            b'!'..=b'~' => {}
            _ => return Err(QueryError::Character),
        }
    }
    Ok(())
}

/// The names of a query's parameters, decoded once as forms are, whichever of `&` and `;` a server splits at.
pub(crate) fn parameter_names(query: &str) -> impl Iterator<Item = Cow<'_, str>> {
    query.split(['&', ';']).map(|pair| {
        let name = pair.split('=').next().unwrap_or(pair);
        if name.contains(['%', '+']) {
            let spaced = name.replace('+', " ");
            Cow::Owned(percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
        } else {
            Cow::Borrowed(name)
        }
    })
}
