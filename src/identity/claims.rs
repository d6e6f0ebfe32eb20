//! The claims of a verified token, kept as JSON, read by path.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// JSON deeper than this is refused: no issuer needs it, and recursion is memory that a stranger would spend.
const MAX_DEPTH: usize = 16;

/// A JSON object in which no member occurs twice, at any depth (RFC 8725 section 2.4 leaves duplicates to the parser;
/// here they are refused).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Parses one JSON object.
    ///
    /// # Errors
    /// [`ClaimsError`] when the text is no JSON object, repeats a member, or nests deeper than 16 levels.
    pub fn parse(json: &[u8]) -> Result<Self, ClaimsError> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let value = Strict { depth: 0 }.deserialize(&mut reader).map_err(|_| ClaimsError(()))?;
        reader.end().map_err(|_| ClaimsError(()))?;
        match value {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(ClaimsError(())),
        }
    }

    /// The member `name` of the top level.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The value at `path`, through objects only.
    pub fn at(&self, path: &ClaimPath) -> Option<&Value> {
        let (last, parents) = path.0.split_last()?;
        let mut object = &self.0;
        for step in parents {
            object = object.get(&**step)?.as_object()?;
        }
        object.get(&**last)
    }

    /// All members of the top level.
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl From<Map<String, Value>> for Claims {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

/// Where a claim lies: `realm_access.roles`, or a quoted step where a name holds a dot: `"https://corp.example/roles".list`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimPath(Vec<Box<str>>);

impl ClaimPath {
    /// Reads the dotted form. `None` when a step is empty or a quote is not closed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (step, tail) = if let Some(quoted) = rest.strip_prefix('"') {
                quoted.split_once('"')?
            } else {
                rest.split_at(rest.find('.').unwrap_or(rest.len()))
            };
            if step.is_empty() {
                return None;
            }
            steps.push(step.into());
            match tail.strip_prefix('.') {
                Some(more) => rest = more,
                None if tail.is_empty() => return Some(Self(steps)),
                None => return None,
            }
        }
    }

    /// A claim of the top level, whatever its name holds.
    pub fn top(name: &str) -> Self {
        Self(vec![name.into()])
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|step| &**step)
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            if step.contains('.') { write!(f, "{dot}\"{step}\"")? } else { write!(f, "{dot}{step}")? }
        }
        Ok(())
    }
}

/// The bytes are not one strict JSON object. Says no more, so that no part of a token can reach a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one JSON object with members that occur once")]
pub struct ClaimsError(());

/// Builds a [`Value`], refusing what `serde_json::Value` would quietly accept: repeated members.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH { Err(E::custom("too deep")) } else { Ok(Self { depth: self.depth + 1 }) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("strict JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("a member occurs twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::{ClaimPath, Claims};

    #[test]
    fn a_member_that_occurs_twice_is_refused_at_any_depth() {
        for hostile in
            [r#"{"a":1,"a":2}"#, r#"{"x":{"a":1,"a":1}}"#, r#"{"x":[{"a":1,"a":1}]}"#, r#"{"a":1,"\u0061":2}"#]
        {
            assert!(Claims::parse(hostile.as_bytes()).is_err(), "{hostile}");
        }
    }

    #[test]
    fn only_one_object_is_claims() {
        for hostile in ["", "[]", "1", "null", r#"{"a":1} {}"#, r#"{"a":1e999}"#, "{\"a\":\"\u{1}\"}"] {
            assert!(Claims::parse(hostile.as_bytes()).is_err(), "{hostile}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
        assert!(Claims::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_path_walks_objects_and_nothing_else() {
        let claims = Claims::parse(br#"{"a":{"b":["x"],"c.d":7},"l":[{"b":1}]}"#).unwrap();
        let at = |path: &str| claims.at(&ClaimPath::parse(path).unwrap()).cloned();
        assert_eq!(at("a.b"), Some(serde_json::json!(["x"])));
        assert_eq!(at(r#"a."c.d""#), Some(serde_json::json!(7)));
        assert_eq!(at("l.b"), None);
        assert_eq!(at("a.b.0"), None);
    }

    #[test]
    fn a_path_with_an_empty_step_or_an_open_quote_is_no_path() {
        for bad in ["", ".", "a.", ".a", "a..b", "\"a", "\"a\"b", "\"\""] {
            assert_eq!(ClaimPath::parse(bad), None, "{bad}");
        }
        assert_eq!(ClaimPath::parse(r#"x."y.z""#).unwrap().to_string(), r#"x."y.z""#);
    }
}
