//! A reader for the protobuf text format, as far as the conformance vectors use it.

/// A message: its fields in the order of the text, repeated ones repeated.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(pub(super) Vec<(String, Field)>);

/// The value of a field.
#[derive(Clone, Debug)]
pub(super) enum Field {
    Scalar(String),
    Text(Vec<u8>),
    Message(Message),
}

impl Message {
    pub(super) fn parse(text: &str) -> Self {
        let mut reader = Reader { rest: text };
        let message = reader.fields();
        assert!(reader.rest.is_empty(), "left over: {:.40}", reader.rest);
        message
    }

    pub(super) fn all<'m>(&'m self, name: &str) -> impl Iterator<Item = &'m Field> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, field)| field)
    }

    pub(super) fn messages<'m>(&'m self, name: &str) -> impl Iterator<Item = &'m Self> {
        self.all(name).map(|field| match field {
            Field::Message(message) => message,
            other => panic!("no message: {other:?}"),
        })
    }

    pub(super) fn message(&self, name: &str) -> Option<&Self> {
        self.messages(name).next()
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.all(name).next().map(|field| match field {
            Field::Text(text) => String::from_utf8(text.clone()).unwrap(),
            other => panic!("no text: {other:?}"),
        })
    }

    /// Whether a field of one of these names stands anywhere inside.
    pub(super) fn mentions(&self, names: &[&str]) -> bool {
        self.0.iter().any(|(name, field)| {
            names.contains(&name.as_str()) || matches!(field, Field::Message(inner) if inner.mentions(names))
        })
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\n', '\r', '\t', ',', ';']);
            let Some(comment) = self.rest.strip_prefix('#') else { return };
            self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        }
    }

    fn accept(&mut self, sign: char) -> bool {
        self.blanks();
        let there = self.rest.strip_prefix(sign);
        self.rest = there.unwrap_or(self.rest);
        there.is_some()
    }

    fn fields(&mut self) -> Message {
        let mut fields = Vec::new();
        loop {
            self.blanks();
            if self.rest.is_empty() || self.rest.starts_with('}') {
                return Message(fields);
            }
            let name = self.word();
            self.accept(':');
            fields.push((name, self.field()));
        }
    }

    /// A name, a number, an enumerator, or an extension in brackets.
    fn word(&mut self) -> String {
        let end = match self.rest.strip_prefix('[') {
            Some(rest) => rest.find(']').unwrap() + 2,
            None => self.rest.find(|c: char| !c.is_alphanumeric() && !"_.+-".contains(c)).unwrap_or(self.rest.len()),
        };
        let (word, rest) = self.rest.split_at(end);
        assert!(!word.is_empty(), "no word: {:.40}", self.rest);
        self.rest = rest;
        word.to_owned()
    }

    fn field(&mut self) -> Field {
        if self.accept('{') {
            let message = self.fields();
            assert!(self.accept('}'));
            return Field::Message(message);
        }
        self.blanks();
        if !self.rest.starts_with(['"', '\'']) {
            return Field::Scalar(self.word());
        }
        let mut text = Vec::new();
        while self.rest.starts_with(['"', '\'']) {
            self.quoted(&mut text);
            self.blanks();
        }
        Field::Text(text)
    }

    fn quoted(&mut self, text: &mut Vec<u8>) {
        let mut chars = self.rest.chars();
        let quote = chars.next().unwrap();
        while let Some(c) = chars.next() {
            if c == quote {
                self.rest = chars.as_str();
                return;
            }
            if c != '\\' {
                text.extend(c.to_string().as_bytes());
                continue;
            }
            let escaped = chars.next().unwrap();
            match escaped {
                'a' => text.push(7),
                'b' => text.push(8),
                'f' => text.push(12),
                'n' => text.push(b'\n'),
                'r' => text.push(b'\r'),
                't' => text.push(b'\t'),
                'v' => text.push(11),
                'x' => text.push(u8::try_from(radix(&mut chars, "", 2, 16)).unwrap()),
                'u' => text.extend(point(radix(&mut chars, "", 4, 16))),
                'U' => text.extend(point(radix(&mut chars, "", 8, 16))),
                '0'..='3' => text.push(u8::try_from(radix(&mut chars, &escaped.to_string(), 2, 8)).unwrap()),
                plain => text.extend(plain.to_string().as_bytes()),
            }
        }
        panic!("an open quote");
    }
}

/// The number that the next characters write.
fn radix(chars: &mut std::str::Chars<'_>, first: &str, count: usize, radix: u32) -> u32 {
    let digits: String = first.chars().chain(chars.by_ref().take(count)).collect();
    u32::from_str_radix(&digits, radix).unwrap()
}

fn point(value: u32) -> Vec<u8> {
    char::from_u32(value).unwrap().to_string().into_bytes()
}
