//! Reads TOML by hand, so that one pass reports every fault with its place; serde would stop at the first.
//!
//! A [`Table`] knows which keys were asked for. When it is dropped, every other key is a fault with a "did you mean":
//! a key that is accepted and ignored cannot be written by accident. Hence the rule of use: **read every key first,
//! combine afterwards**; no early return between the reads.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{At, Faults, Located, Source};

/// Parses a file and hands its root table to `read`. Syntax errors become faults, all of them.
pub fn read_document<T>(source: &Arc<Source>, faults: &Faults, read: impl FnOnce(Table<'_>) -> T) -> T {
    read(Document::parse(source, faults).root(faults))
}

/// A parsed file. Where several files speak of each other, parse all, then hold all root tables while they are read.
pub struct Document<'s> {
    source: &'s Arc<Source>,
    root: Spanned<DeTable<'s>>,
}

/// A tree, and what is wrong with its text.
type Parsed<'s> = (Spanned<DeTable<'s>>, Vec<toml::de::Error>);

impl<'s> Document<'s> {
    /// Parses a file. Syntax errors become faults, all of them; what could be read is kept.
    pub fn parse(source: &'s Arc<Source>, faults: &Faults) -> Self {
        Self::of(source, DeTable::parse_recoverable(&source.text), faults)
    }

    /// Parses several files, on a thread of their own: the trees of thousands of rules are many times larger than what is
    /// made of them, and allocators give memory back to the system when all that a thread took is free again.
    pub fn parse_all(sources: &'s [Arc<Source>], faults: &Faults) -> Vec<Self> {
        let parse = || sources.iter().map(|source| DeTable::parse_recoverable(&source.text)).collect::<Vec<_>>();
        let parsed = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("policy-files".into()).spawn_scoped(scope, parse).ok()?;
            thread.join().ok()
        });
        // Where no thread can be had, here.
        let parsed = parsed.unwrap_or_else(parse);
        sources.iter().zip(parsed).map(|(source, parsed)| Self::of(source, parsed, faults)).collect()
    }

    fn of(source: &'s Arc<Source>, (root, errors): Parsed<'s>, faults: &Faults) -> Self {
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            faults.error(&At { source: source.clone(), span }, error.message().trim(), None);
        }
        Self { source, root }
    }

    /// The root table; what is not asked of it by the time it is dropped is a fault.
    pub fn root<'a>(&'a self, faults: &'a Faults) -> Table<'a> {
        let context = Context { source: self.source, faults };
        Table::new(context, self.root.get_ref(), self.root.span(), String::from("the file"))
    }
}

#[derive(Clone, Copy)]
struct Context<'a> {
    source: &'a Arc<Source>,
    faults: &'a Faults,
}

/// A TOML table being read.
pub struct Table<'a> {
    context: Context<'a>,
    entries: &'a DeTable<'a>,
    span: std::ops::Range<usize>,
    title: String,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    fn new(context: Context<'a>, entries: &'a DeTable<'a>, span: std::ops::Range<usize>, title: String) -> Self {
        Self { context, entries, span, title, asked: RefCell::default() }
    }

    /// Where the table stands.
    pub fn at(&self) -> At {
        At { source: self.context.source.clone(), span: self.span.clone() }
    }

    /// Where faults go.
    pub const fn faults(&self) -> &'a Faults {
        self.context.faults
    }

    /// Whether the table has no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `key`, when it is there.
    pub fn get(&self, key: &'static str) -> Option<Value<'a>> {
        self.asked.borrow_mut().push(key);
        self.entries.get(key).map(|item| Value { context: self.context, key, item })
    }

    /// The value of `key`; a fault when it is missing.
    pub fn require(&self, key: &'static str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.faults().error(&self.at(), format!("{} has no `{key}`", self.title), None);
        }
        value
    }

    /// Every entry, for tables whose keys are names that the user chose. No key counts as unknown afterwards.
    pub fn named_entries(&self) -> Vec<(Located<String>, Value<'a>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, item)| {
                let at = At { source: self.context.source.clone(), span: key.span() };
                let name = Located { value: key.get_ref().to_string(), at };
                (name, Value { context: self.context, key: "", item })
            })
            .inspect(|_| self.asked.borrow_mut().push(""))
            .collect()
    }

    /// The tables of `[[key]]`; none when it is absent.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        value.list().into_iter().filter_map(|item| item.table(format!("this [[{key}]]"))).collect()
    }

    /// The table of `[key]`, when it is there.
    pub fn table(&self, key: &'static str) -> Option<Table<'a>> {
        self.get(key)?.table(format!("[{key}]"))
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        let asked = self.asked.borrow();
        if asked.contains(&"") {
            return;
        }
        for (key, _) in self.entries {
            if asked.iter().any(|known| known == key.get_ref()) {
                continue;
            }
            let at = At { source: self.context.source.clone(), span: key.span() };
            let message = format!("unknown key `{}` in {}", key.get_ref(), self.title);
            let hint = closest(key.get_ref(), asked.iter().copied()).unwrap_or_else(|| {
                let mut known: Vec<_> = asked.iter().map(|key| format!("`{key}`")).collect();
                known.sort();
                known.dedup();
                format!("known here: {}", known.join(", "))
            });
            self.context.faults.error(&at, message, hint);
        }
    }
}

/// A TOML value being read. Each reader records a fault and gives `None` when the value has another type.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    context: Context<'a>,
    key: &'a str,
    item: &'a Spanned<DeValue<'a>>,
}

impl<'a> Value<'a> {
    /// Where the value stands.
    pub fn at(&self) -> At {
        At { source: self.context.source.clone(), span: self.item.span() }
    }

    /// Where faults go.
    pub const fn faults(&self) -> &'a Faults {
        self.context.faults
    }

    /// Records a fault at this value.
    pub fn fault(&self, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.faults().error(&self.at(), message, hint);
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        let found = self.item.get_ref().type_str();
        let key = if self.key.is_empty() { String::new() } else { format!("`{}`: ", self.key) };
        self.fault(format!("{key}expected {what}, found {} {found}", article(found)), None);
        None
    }

    /// A string.
    pub fn string(&self) -> Option<String> {
        match self.item.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => self.expected("a string"),
        }
    }

    /// A string and where it stands.
    pub fn located(&self) -> Option<Located<String>> {
        Some(Located { value: self.string()?, at: self.at() })
    }

    /// `true` or `false`.
    pub fn bool(&self) -> Option<bool> {
        match self.item.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.expected("true or false"),
        }
    }

    /// A whole number within bounds, both included.
    pub fn integer(&self, least: u64, most: u64) -> Option<u64> {
        let DeValue::Integer(number) = self.item.get_ref() else { return self.expected("a whole number") };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if (least..=most).contains(&value) => Some(value),
            _ => {
                self.fault(format!("`{}` must lie between {least} and {most}", self.key), None);
                None
            }
        }
    }

    /// A span of time with its unit: `"250ms"`, `"30s"`, `"5m"`, `"8h"`, `"7d"`.
    pub fn duration(&self) -> Option<Duration> {
        let text = self.string()?;
        let parsed = parse_duration(&text);
        if parsed.is_none() {
            self.fault(
                format!("`{text}` is no span of time"),
                String::from("write a number and a unit: \"250ms\", \"30s\", \"5m\", \"8h\" or \"7d\""),
            );
        }
        parsed
    }

    /// An amount of bytes: a number, or with a unit `"64KiB"`, `"16MiB"`.
    pub fn bytes(&self) -> Option<u64> {
        if let DeValue::Integer(_) = self.item.get_ref() {
            return self.integer(0, u64::MAX >> 1);
        }
        let text = self.string()?;
        let parsed = parse_bytes(&text);
        if parsed.is_none() {
            self.fault(
                format!("`{text}` is no amount of bytes"),
                String::from("write a number of bytes, or \"64KiB\", \"16MiB\", \"1GiB\""),
            );
        }
        parsed
    }

    /// One of a closed list of words.
    pub fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.string()?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let hint = closest(&text, choices.iter().map(|(word, _)| *word));
        self.fault(format!("`{}` is \"{text}\"; it can be {}", self.key, words.join(", ")), hint);
        None
    }

    /// An IP address and a port.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        let text = self.string()?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.fault(
                format!("`{text}` is no address"),
                String::from("write an IP address and a port: \"127.0.0.1:8443\" or \"[::]:8443\""),
            );
        }
        parsed
    }

    /// A network (`10.0.0.0/8`) or a single address.
    pub fn network(&self) -> Option<ipnet::IpNet> {
        let text = self.string()?;
        let parsed = text.parse().ok().or_else(|| Some(ipnet::IpNet::from(text.parse::<IpAddr>().ok()?)));
        if parsed.is_none() {
            self.fault(
                format!("`{text}` is no network"),
                String::from("write \"10.0.0.0/8\", \"2001:db8::/32\" or a single address"),
            );
        }
        parsed
    }

    /// The path of a file that the configuration is read from; a relative one counts from the directory `base`.
    pub fn path(&self, base: &std::path::Path) -> Option<PathBuf> {
        let path = self.output_path(base)?;
        self.faults().names_file(&path);
        Some(path)
    }

    /// The path of a file that is written; a relative one counts from the directory `base`.
    pub fn output_path(&self, base: &std::path::Path) -> Option<PathBuf> {
        Some(base.join(self.string()?))
    }

    /// The elements of an array.
    pub fn list(&self) -> Vec<Value<'a>> {
        match self.item.get_ref() {
            DeValue::Array(items) => {
                items.iter().map(|item| Value { context: self.context, key: self.key, item }).collect()
            }
            _ => self.expected::<()>("a list").map_or_else(Vec::new, |()| Vec::new()),
        }
    }

    /// Strings with their places.
    pub fn strings(&self) -> Vec<Located<String>> {
        self.list().iter().filter_map(Self::located).collect()
    }

    /// A table; `title` names it in faults, such as ``[issuer.corp]``.
    pub fn table(&self, title: String) -> Option<Table<'a>> {
        match self.item.get_ref() {
            DeValue::Table(entries) => Some(Table::new(self.context, entries, self.item.span(), title)),
            _ => self.expected("a table"),
        }
    }

    /// Whether the value is a string, without a fault when it is not.
    pub fn is_string(&self) -> bool {
        self.item.get_ref().is_str()
    }

    /// Whether the value is a table, without a fault when it is not.
    pub fn is_table(&self) -> bool {
        self.item.get_ref().is_table()
    }

    /// Whether the value is a list, without a fault when it is not.
    pub fn is_list(&self) -> bool {
        self.item.get_ref().is_array()
    }

    /// The value as JSON, for claims in rules and tests. Dates become strings.
    pub fn json(&self) -> serde_json::Value {
        json(self.item.get_ref())
    }
}

fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => serde_json::Value::from(text.as_ref()),
        DeValue::Integer(number) => {
            let (digits, radix) = (number.as_str(), number.radix());
            let signed = i64::from_str_radix(digits, radix).map(serde_json::Value::from);
            signed.or_else(|_| u64::from_str_radix(digits, radix).map(serde_json::Value::from)).unwrap_or_default()
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map(serde_json::Value::from).unwrap_or_default(),
        DeValue::Boolean(flag) => serde_json::Value::from(*flag),
        DeValue::Datetime(date) => serde_json::Value::from(date.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(entries) => {
            entries.iter().map(|(key, item)| (key.get_ref().to_string(), json(item.get_ref()))).collect()
        }
    }
}

/// The hint for a misspelt word: the nearest of `known`, when one is near enough.
pub fn closest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    let limit = (word.chars().count() / 3).max(1);
    known
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = digits.parse().ok()?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3_600),
        "d" => seconds(86_400),
        _ => None,
    }
}

fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let shift = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests;
