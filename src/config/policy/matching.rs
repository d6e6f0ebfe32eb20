//! Texts, lists and claims: from the short form to the table with every option.

use regex::RegexBuilder;

use super::super::fault::Located;
use super::super::reader::{Table, Value};
use super::condition::read_absent;
use super::names::Names;
use crate::identity::ClaimPath;
use crate::policy::rules::criterion::{
    ClaimCriterion, ClaimTest, DnsPattern, ListMatch, StringSet, TextMatch, TextTest,
};
use crate::policy::rules::{Absent, Condition, Criterion};

/// A pattern's compiled size, in bytes, beyond which it is refused.
const LARGEST_REGEX: usize = 1 << 20;

/// What a text must be, or whether it must be there at all.
pub(super) enum TextWanted {
    Matches(TextMatch),
    Present(bool),
}

/// One or several texts: `"x"`, `["x", "y"]` or `{ set = "NAME" }`. Nothing at all is a fault.
pub(super) fn texts(value: &Value<'_>, names: &Names<'_>) -> Vec<Located<String>> {
    if value.is_table() {
        let Some(table) = value.table("this list".into()) else { return Vec::new() };
        table.require("set").and_then(|set| names.set(&set)).unwrap_or_default()
    } else if value.is_list() {
        let texts = value.strings();
        if value.list().is_empty() {
            value.fault("an empty list matches nothing", String::from("leave the key out, or name something"));
        }
        texts
    } else {
        value.located().into_iter().collect()
    }
}

fn string_set(value: &Value<'_>, names: &Names<'_>) -> StringSet {
    StringSet::new(texts(value, names).into_iter().map(|text| text.value))
}

/// Reads what a single text must be, with what its absence means.
pub(super) fn text(value: &Value<'_>, names: &Names<'_>) -> Option<(TextWanted, Option<Absent>)> {
    if !value.is_table() {
        let set = string_set(value, names);
        let tests = Box::new([TextTest::OneOf(set)]);
        return Some((TextWanted::Matches(TextMatch { tests, ignore_case: false }), None));
    }
    let table = value.table("this comparison".into())?;
    let present = table.get("present").and_then(|value| value.bool());
    let absent = read_absent(table.get("when_absent"));
    let (tests, ignore_case) = text_tests(&table, names, true);
    match (present, tests.is_empty()) {
        (Some(present), true) => Some((TextWanted::Present(present), absent)),
        (Some(_), false) => {
            let hint = String::from("a comparison needs the value to be there anyway; leave `present` out");
            table.faults().error(&table.at(), "`present` stands beside a comparison", hint);
            None
        }
        (None, true) => {
            table.faults().error(&table.at(), "this comparison compares with nothing", String::from(TEXT_KEYS));
            None
        }
        (None, false) => Some((TextWanted::Matches(TextMatch { tests: tests.into(), ignore_case }), absent)),
    }
}

/// Like [`text`], for what a verified token or certificate always is asked for: no `present`.
pub(super) fn plain_text(value: &Value<'_>, names: &Names<'_>) -> Option<(TextMatch, Option<Absent>)> {
    match text(value, names)? {
        (TextWanted::Matches(wanted), absent) => Some((wanted, absent)),
        (TextWanted::Present(_), _) => {
            value.fault("`present` can be asked of claims, headers and query parameters only", None);
            None
        }
    }
}

const TEXT_KEYS: &str =
    "write `equals`, `one_of`, `none_of`, `starts_with`, `ends_with`, `contains`, `domain` or `regex`";

fn text_tests(table: &Table<'_>, names: &Names<'_>, exact: bool) -> (Vec<TextTest>, bool) {
    let mut tests = Vec::new();
    if exact {
        let one = table.get("equals").and_then(|value| value.string());
        tests.extend(one.map(|text| TextTest::OneOf(StringSet::new([text]))));
        tests.extend(table.get("one_of").map(|value| TextTest::OneOf(string_set(&value, names))));
        tests.extend(table.get("none_of").map(|value| TextTest::NoneOf(string_set(&value, names))));
        let set = table.get("set").and_then(|set| names.set(&set));
        tests.extend(set.map(|set| TextTest::OneOf(StringSet::new(set.into_iter().map(|text| text.value)))));
    }
    let part = |key| table.get(key).and_then(|value| not_empty(&value)).map(String::into_boxed_str);
    tests.extend(part("starts_with").map(TextTest::Prefix));
    tests.extend(part("ends_with").map(TextTest::Suffix));
    tests.extend(part("contains").map(TextTest::Contains));
    tests.extend(table.get("domain").and_then(|value| domain(&value)));
    let ignore_case = table.get("ignore_case").and_then(|value| value.bool()).unwrap_or(false);
    tests.extend(table.get("regex").and_then(|value| regex(&value, ignore_case)));
    (tests, ignore_case)
}

fn not_empty(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    if text.is_empty() {
        value.fault("an empty text is part of every text", None);
        return None;
    }
    Some(text)
}

fn domain(value: &Value<'_>) -> Option<TextTest> {
    let text = value.string()?;
    if text.contains('*') || DnsPattern::parse(&text).is_err() {
        let hint = String::from("write what follows the `@`, such as \"corp.example\"");
        value.fault(format!("`{text}` is no domain"), hint);
        return None;
    }
    Some(TextTest::Domain(text.into()))
}

/// A regular expression that must match from the first to the last character.
fn regex(value: &Value<'_>, ignore_case: bool) -> Option<TextTest> {
    let text = value.string()?;
    // By itself first: `a)|(b` is an expression only inside of parentheses, and then not the one that was meant.
    let alone = RegexBuilder::new(&text).size_limit(LARGEST_REGEX).build();
    let whole = alone.and_then(|_| {
        RegexBuilder::new(&format!(r"\A(?:{text})\z")).case_insensitive(ignore_case).size_limit(LARGEST_REGEX).build()
    });
    match whole {
        Ok(regex) => Some(TextTest::Regex(Box::new(regex))),
        Err(error) => {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or("it cannot be read").trim_start_matches("error: ");
            value.fault(format!("`{text}` is no regular expression: {last}"), None);
            None
        }
    }
}

/// Reads what a list must have. A lone text asks for that one element.
pub(super) fn list(value: &Value<'_>, names: &Names<'_>) -> Option<(ListMatch, Option<Absent>)> {
    if value.is_list() {
        let hint = String::from("write { any = [..] } for at least one of them, { all = [..] } for every one");
        value.fault("a list does not say whether any or all of it is needed", hint);
        return None;
    }
    if value.is_string() {
        return Some((ListMatch { any: Some(string_set(value, names)), ..ListMatch::default() }, None));
    }
    let table = value.table("this list".into())?;
    let absent = read_absent(table.get("when_absent"));
    let found = list_tests(&table, names);
    if found.is_none() {
        table.faults().error(
            &table.at(),
            "this asks nothing of the list",
            String::from("write `any`, `all` or `none`"),
        );
    }
    Some((found?, absent))
}

fn list_tests(table: &Table<'_>, names: &Names<'_>) -> Option<ListMatch> {
    let part = |key| table.get(key).map(|value| string_set(&value, names));
    let found = ListMatch { any: part("any"), all: part("all"), none: part("none") };
    (found.any.is_some() || found.all.is_some() || found.none.is_some()).then_some(found)
}

/// Reads `claims = { .. }`.
pub(super) fn claims(table: &Table<'_>, names: &Names<'_>) -> Vec<Condition> {
    let mut found = Vec::new();
    for (name, value) in table.named_entries() {
        let Some(path) = ClaimPath::parse(&name.value) else {
            let hint = String::from("write the steps with dots, and quote a step that holds one: 'a.\"b.c\"'");
            value.faults().error(&name.at, format!("`{}` is no path to a claim", name.value), hint);
            continue;
        };
        let (tests, absent) = claim_tests(&value, names);
        let criteria = tests.into_iter().map(|test| ClaimCriterion { path: path.clone(), test });
        found.extend(criteria.map(|criterion| with_absent(Criterion::Claim(criterion), absent)));
    }
    found
}

fn claim_tests(value: &Value<'_>, names: &Names<'_>) -> (Vec<ClaimTest>, Option<Absent>) {
    if !value.is_table() {
        return (scalars(value).map(ClaimTest::OneOf).into_iter().collect(), None);
    }
    let Some(table) = value.table("this comparison".into()) else { return (Vec::new(), None) };
    let absent = read_absent(table.get("when_absent"));
    let mut tests = Vec::new();
    tests.extend(table.get("present").and_then(|value| value.bool()).map(ClaimTest::Present));
    tests.extend(table.get("equals").and_then(|value| scalars(&value)).map(ClaimTest::OneOf));
    tests.extend(table.get("one_of").and_then(|value| scalars_or_set(&value, names)).map(ClaimTest::OneOf));
    tests.extend(table.get("none_of").and_then(|value| scalars_or_set(&value, names)).map(ClaimTest::NoneOf));
    tests.extend(list_tests(&table, names).map(ClaimTest::List));
    let least = table.get("at_least").and_then(|value| number(&value));
    let most = table.get("at_most").and_then(|value| number(&value));
    if least.is_some() || most.is_some() {
        tests.push(ClaimTest::Within { least, most });
    }
    let (texts, ignore_case) = text_tests(&table, names, false);
    if !texts.is_empty() {
        tests.push(ClaimTest::Text(TextMatch { tests: texts.into(), ignore_case }));
    }
    if tests.is_empty() {
        let hint = "write `equals`, `one_of`, `none_of`, `any`, `all`, `none`, `at_least`, `at_most`, `present`, \
                    `starts_with`, `ends_with`, `contains`, `domain` or `regex`";
        table.faults().error(&table.at(), "this comparison compares with nothing", String::from(hint));
    }
    (tests, absent)
}

fn scalars_or_set(value: &Value<'_>, names: &Names<'_>) -> Option<Box<[serde_json::Value]>> {
    if value.is_table() {
        return Some(texts(value, names).into_iter().map(|text| text.value.into()).collect());
    }
    scalars(value)
}

/// One scalar or a list of them.
fn scalars(value: &Value<'_>) -> Option<Box<[serde_json::Value]>> {
    let list = match value.json() {
        serde_json::Value::Array(items) => items,
        only => vec![only],
    };
    let scalar = |value: &serde_json::Value| value.is_string() || value.is_number() || value.is_boolean();
    if list.is_empty() || !list.iter().all(scalar) {
        value.fault("expected a text, a number, true or false, or a list of them", None);
        return None;
    }
    Some(list.into())
}

fn number(value: &Value<'_>) -> Option<serde_json::Number> {
    match value.json() {
        serde_json::Value::Number(number) => Some(number),
        _ => {
            value.fault("expected a number", None);
            None
        }
    }
}

/// A criterion with what absence means, when the rule says it.
pub(super) fn with_absent(criterion: Criterion, absent: Option<Absent>) -> Condition {
    let condition = Condition::Is(criterion);
    match absent {
        Some(absent) => Condition::WhenAbsent(absent, Box::new(condition)),
        None => condition,
    }
}
