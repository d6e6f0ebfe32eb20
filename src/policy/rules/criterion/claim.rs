//! Any claim of the token, by path. Numbers are JSON numbers, a numeric string is none (POLICY semantics 3 and 4).

use serde_json::{Number, Value};

use super::{ListMatch, TextMatch, quoted};
use crate::identity::ClaimPath;
use crate::policy::rules::{Facts, Quantifier, Truth};

/// A question about one claim.
#[derive(Clone, Debug)]
pub struct ClaimCriterion {
    /// Where the claim lies.
    pub path: ClaimPath,
    /// What it must be.
    pub test: ClaimTest,
}

/// What a claim must be.
#[derive(Clone, Debug)]
pub enum ClaimTest {
    /// There, or not there. Always decided, as long as there is a token.
    Present(bool),
    /// A scalar equal to one of these.
    OneOf(Box<[Value]>),
    /// A scalar equal to none of these.
    NoneOf(Box<[Value]>),
    /// A list of texts.
    List(ListMatch),
    /// A text.
    Text(TextMatch),
    /// A number within bounds, both included.
    Within {
        /// `at_least`.
        least: Option<Number>,
        /// `at_most`.
        most: Option<Number>,
    },
}

impl ClaimCriterion {
    pub(super) fn truth(&self, facts: &Facts<'_>, quantifier: Quantifier) -> Truth {
        let Some(token) = facts.token else { return Truth::Missing };
        self.test.truth(token.claims.at(&self.path), quantifier)
    }

    pub(super) fn wanted(&self) -> String {
        let path = &self.path;
        let values = |values: &[Value]| values.iter().map(plain).collect::<Vec<_>>().join(" or ");
        match &self.test {
            ClaimTest::Present(true) => format!("a claim `{path}`"),
            ClaimTest::Present(false) => format!("no claim `{path}`"),
            ClaimTest::OneOf(wanted) => format!("claim `{path}` = {}", values(wanted)),
            ClaimTest::NoneOf(refused) => format!("claim `{path}` other than {}", values(refused)),
            ClaimTest::List(list) => format!("claim `{path}` with {}", list.wanted("element")),
            ClaimTest::Text(text) => format!("claim `{path}` {}", text.wanted()),
            ClaimTest::Within { least, most } => {
                let bound = |word: &str, bound: &Option<Number>| bound.as_ref().map(|n| format!("at {word} {n}"));
                let bounds: Vec<_> = [bound("least", least), bound("most", most)].into_iter().flatten().collect();
                format!("claim `{path}` {}", bounds.join(" and "))
            }
        }
    }

    pub(super) fn seen(&self, facts: &Facts<'_>) -> String {
        let Some(token) = facts.token else { return "no token".into() };
        match token.claims.at(&self.path) {
            None => "no such claim".into(),
            Some(Value::String(text)) => quoted(text),
            Some(value) => {
                let text = value.to_string();
                let cut: String = text.chars().take(200).collect();
                if cut.len() < text.len() { format!("{cut}…") } else { cut }
            }
        }
    }
}

impl ClaimTest {
    /// Whether a claim of this value passes, read for a permission.
    pub fn takes(&self, value: &Value) -> bool {
        self.truth(Some(value), Quantifier::Every) == Truth::Holds
    }

    /// Whether the first number is greater than the second.
    pub fn is_above(one: &Number, two: &Number) -> bool {
        compare(one, two).is_some_and(std::cmp::Ordering::is_gt)
    }

    fn truth(&self, value: Option<&Value>, quantifier: Quantifier) -> Truth {
        match (value, self) {
            (value, Self::Present(wanted)) => (value.is_some() == *wanted).into(),
            (None | Some(Value::Null), _) => Truth::Missing,
            (Some(value), Self::OneOf(wanted)) => scalar(value, |value| wanted.iter().any(|w| equal(value, w))),
            (Some(value), Self::NoneOf(refused)) => scalar(value, |value| !refused.iter().any(|w| equal(value, w))),
            (Some(value), Self::List(list)) => elements(value, list, quantifier),
            (Some(Value::String(text)), Self::Text(wanted)) => wanted.matches(text).into(),
            (Some(_), Self::Text(_)) => Truth::Malformed,
            (Some(Value::Number(number)), Self::Within { least, most }) => {
                let above = least.as_ref().is_none_or(|least| compare(number, least).is_some_and(|o| o.is_ge()));
                let below = most.as_ref().is_none_or(|most| compare(number, most).is_some_and(|o| o.is_le()));
                (above && below).into()
            }
            (Some(_), Self::Within { .. }) => Truth::Malformed,
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| format!("`{value}`"), |text| format!("`{text}`"))
}

fn scalar(value: &Value, holds: impl Fn(&Value) -> bool) -> Truth {
    match value {
        Value::Array(_) | Value::Object(_) | Value::Null => Truth::Malformed,
        scalar => holds(scalar).into(),
    }
}

/// A list of texts. A lone text is not searched for parts; for a denial it counts as the list's only element, and what it
/// does not settle stays malformed.
fn elements(value: &Value, list: &ListMatch, quantifier: Quantifier) -> Truth {
    match value {
        Value::Array(items) if items.iter().all(Value::is_string) => {
            list.matches(items.iter().filter_map(Value::as_str)).into()
        }
        Value::String(only) if quantifier == Quantifier::One && list.matches(std::iter::once(only.as_str())) => {
            Truth::Holds
        }
        _ => Truth::Malformed,
    }
}

/// JSON equality in which 3 and 3.0 are equal and nothing is converted.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare(left, right).is_some_and(|order| order.is_eq()),
        (left, right) => left == right,
    }
}

/// The order of two JSON numbers; exact between integers of any sign, and between an integer and a fraction.
fn compare(left: &Number, right: &Number) -> Option<std::cmp::Ordering> {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (Some(left), None) => against(left, right.as_f64()?),
        (None, Some(right)) => against(right, left.as_f64()?).map(std::cmp::Ordering::reverse),
        (None, None) => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// The order of an integer of 64 bits and a fraction, without rounding the integer.
#[expect(clippy::cast_possible_truncation, reason = "the bound is tested first")]
fn against(whole: i128, fraction: f64) -> Option<std::cmp::Ordering> {
    if fraction.is_nan() {
        return None;
    }
    if fraction.abs() >= 1e30 {
        return 0.0.partial_cmp(&fraction);
    }
    let floor = fraction.floor();
    let order = whole.cmp(&(floor as i128));
    Some(if order.is_eq() && fraction > floor { std::cmp::Ordering::Less } else { order })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ListMatch, compare, elements, equal};
    use crate::policy::rules::criterion::StringSet;
    use crate::policy::rules::{Quantifier, Truth};

    #[test]
    fn numbers_are_json_numbers_and_texts_are_not() {
        assert!(equal(&json!(3), &json!(3.0)) && equal(&json!(3.5), &json!(3.5)));
        for (left, right) in [
            (json!(3), json!("3")),
            (json!(true), json!("true")),
            (json!(1), json!(true)),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0)),
            (json!(u64::MAX), json!(i64::MAX)),
        ] {
            assert!(!equal(&left, &right), "{left} {right}");
        }
    }

    #[test]
    fn integers_and_fractions_are_ordered_without_rounding() {
        let order = |left: Value, right: Value| match (left, right) {
            (Value::Number(left), Value::Number(right)) => compare(&left, &right).unwrap(),
            _ => panic!("numbers"),
        };
        assert!(order(json!(3), json!(3.5)).is_lt() && order(json!(-3), json!(-3.5)).is_gt());
        assert!(order(json!(4), json!(3.5)).is_gt() && order(json!(3.5), json!(3)).is_gt());
        assert!(order(json!(1), json!(1e300)).is_lt() && order(json!(1), json!(-1e300)).is_gt());
        assert!(order(json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0)).is_gt());
    }

    #[test]
    fn a_lone_text_is_never_searched_for_parts() {
        let list = ListMatch { any: Some(StringSet::new(["finance"])), ..ListMatch::default() };
        let lone = json!("finance");
        assert_eq!(elements(&lone, &list, Quantifier::Every), Truth::Malformed);
        assert_eq!(elements(&lone, &list, Quantifier::One), Truth::Holds);
        assert_eq!(elements(&json!("finance sre"), &list, Quantifier::One), Truth::Malformed);
        assert_eq!(elements(&json!(["sre", 7]), &list, Quantifier::One), Truth::Malformed);
        assert_eq!(elements(&json!(["sre", "finance"]), &list, Quantifier::Every), Truth::Holds);
        assert_eq!(elements(&json!([]), &list, Quantifier::Every), Truth::Fails);
    }
}
