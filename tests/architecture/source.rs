//! Reads Rust source as far as the house rules need it: tokens, what is test code, the paths spelled, the functions.
//!
//! Not a compiler: macros are read as plain tokens, so a path inside a macro call counts like any other.

/// A word or a punctuation mark; comments are gone, a string or character literal is the token `"`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path as written, resolved against the module that it stands in.
#[derive(Debug, PartialEq)]
pub(crate) struct Path {
    pub(crate) root: Root,
    /// For `Root::Crate`: the segments below the crate root, `*` for a glob. For `Root::Other`: as written.
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// Where a path begins.
#[derive(Debug, PartialEq)]
pub(crate) enum Root {
    /// `crate::`, `self::`, `super::` or the crate's own name.
    Crate,
    /// An external crate, or a name in scope.
    Other,
}

/// A function and the lines from `fn` to its last brace.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// The tokens of a file without its test code.
pub(crate) struct Production {
    pub(crate) tokens: Vec<Token>,
    /// Modules declared as `#[cfg(test)] mod name;`: their files are test code.
    pub(crate) test_modules: Vec<String>,
    /// How many lines the test code in the file takes.
    pub(crate) test_lines: usize,
}

/// Splits source into tokens.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(&here) = text.get(at) {
        let end = match here {
            '/' if text.get(at + 1) == Some(&'/') => end_of_line(&text, at),
            '/' if text.get(at + 1) == Some(&'*') => end_of_comment(&text, at),
            _ if here.is_whitespace() => at + 1,
            _ => {
                let (end, word) = token(&text, at);
                found.push(Token { text: word, line });
                end
            }
        };
        line += text[at..end].iter().filter(|mark| **mark == '\n').count();
        at = end;
    }
    found
}

fn token(text: &[char], at: usize) -> (usize, String) {
    if let Some(end) = string_literal(text, at) {
        return (end, "\"".into());
    }
    let word_from = |from: usize| (from..text.len()).find(|i| !is_word(text[*i])).unwrap_or(text.len());
    match text[at] {
        '\'' => {
            let literal = text.get(at + 1) == Some(&'\\') || text.get(at + 2) == Some(&'\'');
            if !literal {
                let end = word_from(at + 1);
                return (end, text[at..end].iter().collect());
            }
            let start = if text.get(at + 1) == Some(&'\\') { at + 3 } else { at + 2 };
            let end = (start..text.len()).find(|i| text[*i] == '\'').map_or(text.len(), |i| i + 1);
            (end, "\"".into())
        }
        'r' if text.get(at + 1) == Some(&'#') && text.get(at + 2).is_some_and(|c| is_word(*c)) => {
            let end = word_from(at + 2);
            (end, text[at + 2..end].iter().collect())
        }
        here if is_word(here) => {
            let end = word_from(at);
            (end, text[at..end].iter().collect())
        }
        ':' if text.get(at + 1) == Some(&':') => (at + 2, "::".into()),
        here => (at + 1, here.to_string()),
    }
}

fn is_word(mark: char) -> bool {
    mark.is_alphanumeric() || mark == '_'
}

fn end_of_line(text: &[char], at: usize) -> usize {
    (at..text.len()).find(|i| text[*i] == '\n').unwrap_or(text.len())
}

fn end_of_comment(text: &[char], at: usize) -> usize {
    let (mut depth, mut here) = (0, at);
    while here + 1 < text.len() {
        match (text[here], text[here + 1]) {
            ('/', '*') => (depth, here) = (depth + 1, here + 2),
            ('*', '/') => (depth, here) = (depth - 1, here + 2),
            _ => here += 1,
        }
        if depth == 0 {
            return here;
        }
    }
    text.len()
}

/// The end of a string literal that starts here: `"…"`, `r#"…"#`, with any of the prefixes `b`, `c`.
fn string_literal(text: &[char], at: usize) -> Option<usize> {
    let mut here = at;
    if matches!(text.get(here), Some('b' | 'c')) {
        here += 1;
    }
    let raw = text.get(here) == Some(&'r');
    here += usize::from(raw);
    let hashes = if raw { (here..text.len()).take_while(|i| text[*i] == '#').count() } else { 0 };
    here += hashes;
    if text.get(here) != Some(&'"') {
        return None;
    }
    here += 1;
    while let Some(mark) = text.get(here) {
        match mark {
            '\\' if !raw => here += 2,
            '"' if (1..=hashes).all(|i| text.get(here + i) == Some(&'#')) => return Some(here + 1 + hashes),
            _ => here += 1,
        }
    }
    Some(text.len())
}

/// Takes every item under `#[cfg(test)]` or `#[cfg(all(test, …))]` out.
pub(crate) fn production(all: &[Token]) -> Production {
    let mut kept = Production { tokens: Vec::new(), test_modules: Vec::new(), test_lines: 0 };
    let mut at = 0;
    while at < all.len() {
        if !is_test_attribute(&all[at..]) {
            kept.tokens.push(all[at].clone());
            at += 1;
            continue;
        }
        let end = item_end(all, at);
        let words: Vec<&str> = all[at..end].iter().map(|token| token.text.as_str()).collect();
        if let [.., "mod", name, ";"] = words.as_slice() {
            kept.test_modules.push((*name).to_owned());
        }
        kept.test_lines += all[end - 1].line - all[at].line + 1;
        at = end;
    }
    kept
}

fn is_test_attribute(rest: &[Token]) -> bool {
    let starts =
        |words: &[&str]| rest.iter().map(|token| token.text.as_str()).take(words.len()).eq(words.iter().copied());
    starts(&["#", "[", "cfg", "(", "test", ")"]) || starts(&["#", "[", "cfg", "(", "all", "(", "test"])
}

/// The end of the item that starts with an attribute at `at`.
fn item_end(all: &[Token], at: usize) -> usize {
    let mut here = at;
    while all.get(here).is_some_and(|token| token.text == "#") {
        here = group_end(all, here + 1);
    }
    let item = all.get(here).is_some_and(|token| {
        let keywords =
            ["pub", "mod", "use", "fn", "impl", "struct", "enum", "const", "static", "type", "trait", "async", "let"];
        keywords.contains(&token.text.as_str())
    });
    while let Some(token) = all.get(here) {
        match token.text.as_str() {
            ";" => return here + 1,
            "{" if item && !is_import(all, at, here) => return group_end(all, here),
            "," if !item => return here + 1,
            "}" => return here,
            "(" | "[" | "{" => here = group_end(all, here),
            _ => here += 1,
        }
    }
    all.len()
}

fn is_import(all: &[Token], from: usize, to: usize) -> bool {
    all[from..to].iter().any(|token| token.text == "use")
}

/// The end of the bracketed group that opens at `at`.
fn group_end(all: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (index, token) in all.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    all.len()
}

/// Every path in the tokens of the module `module`, those in grouped imports written out.
pub(crate) fn paths(all: &[Token], module: &[String]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut module = module.to_vec();
    let mut inline = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(token) = all.get(at) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline.last() == Some(&depth) {
                    inline.pop();
                    module.pop();
                }
            }
            "mod" if all.get(at + 2).is_some_and(|after| after.text == "{") => {
                inline.push(depth);
                module.push(all[at + 1].text.clone());
            }
            "use" => {
                let mut written = Vec::new();
                at = import(all, at + 1, &mut Vec::new(), &mut written);
                found.extend(written.into_iter().map(|(segments, line)| resolve(segments, line, &module)));
                continue;
            }
            _ if starts_path(all, at) => {
                let (end, segments) = inline_path(all, at);
                found.push(resolve(segments, token.line, &module));
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn starts_path(all: &[Token], at: usize) -> bool {
    let word = |token: &Token| token.text.chars().all(is_word);
    let separator = |token: Option<&Token>| token.is_some_and(|token| token.text == "::");
    let before = at.checked_sub(1).and_then(|index| all.get(index));
    word(&all[at]) && separator(all.get(at + 1)) && !separator(before)
}

fn inline_path(all: &[Token], at: usize) -> (usize, Vec<String>) {
    let mut segments = vec![all[at].text.clone()];
    let mut here = at + 1;
    while all.get(here).is_some_and(|token| token.text == "::") {
        match all.get(here + 1) {
            Some(next) if next.text.chars().all(is_word) => segments.push(next.text.clone()),
            _ => break,
        }
        here += 2;
    }
    (here, segments)
}

/// One branch of a `use` tree; gives the index after it.
fn import(all: &[Token], at: usize, prefix: &mut Vec<String>, found: &mut Vec<(Vec<String>, usize)>) -> usize {
    let mut here = at;
    let depth = prefix.len();
    let line = all.get(at).map_or(0, |token| token.line);
    while let Some(token) = all.get(here) {
        match token.text.as_str() {
            "::" => {}
            "{" => {
                here += 1;
                while all.get(here).is_some_and(|token| token.text != "}") {
                    here = import(all, here, prefix, found);
                    here += usize::from(all.get(here).is_some_and(|token| token.text == ","));
                }
                prefix.truncate(depth);
                here += 1;
                return here + usize::from(all.get(here).is_some_and(|token| token.text == ";"));
            }
            "as" => here += 1,
            ";" | "," | "}" => break,
            word => prefix.push(word.to_owned()),
        }
        here += 1;
    }
    found.push((prefix.clone(), line));
    prefix.truncate(depth);
    here + usize::from(all.get(here).is_some_and(|token| token.text == ";"))
}

fn resolve(written: Vec<String>, line: usize, module: &[String]) -> Path {
    let mut base = match written.first().map(String::as_str) {
        Some("crate" | "portcullis") => Vec::new(),
        Some("self") => module.to_vec(),
        Some("super") => module[..module.len().saturating_sub(1)].to_vec(),
        _ => return Path { root: Root::Other, segments: written, line },
    };
    for segment in written.into_iter().skip(1) {
        match segment.as_str() {
            "super" => drop(base.pop()),
            "self" => {}
            _ => base.push(segment),
        }
    }
    Path { root: Root::Crate, segments: base, line }
}

/// Every function with a body.
pub(crate) fn functions(all: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, token) in all.iter().enumerate().filter(|(_, token)| token.text == "fn") {
        let Some(name) = all.get(at + 1).filter(|name| name.text.chars().all(is_word)) else { continue };
        let mut here = at + 2;
        while all.get(here).is_some_and(|token| !["{", ";"].contains(&token.text.as_str())) {
            let opens = ["(", "["].contains(&all[here].text.as_str());
            here = if opens { group_end(all, here) } else { here + 1 };
        }
        if all.get(here).is_some_and(|token| token.text == "{") {
            let end = group_end(all, here);
            let lines = all[end - 1].line - token.line + 1;
            found.push(Function { name: name.text.clone(), line: token.line, lines });
        }
    }
    found
}
