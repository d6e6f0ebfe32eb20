//! The house rules that a compiler does not keep: who may import whom, where a crate may be named, how long a file is.
//!
//! Reads every file of `src/`. A fault names file, line and rule. Test code (`#[cfg(test)]`) may import what it likes.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test: a broken assumption should stop it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path as FilePath;

use source::{Path, Root, functions, paths, production, tokens};

#[path = "architecture/source.rs"]
mod source;

/// A module names modules to its left, never to its right.
const LINE: [&str; 20] = [
    "identity",
    "telemetry",
    "state",
    "outbound",
    "request",
    "route",
    "credential",
    "authn",
    "policy",
    "lease",
    "upstream",
    "rejection",
    "audit",
    "gateway",
    "listener",
    "admin",
    "config",
    "server",
    "demo",
    "cli",
];

/// External crates that only one part of the house may name.
const CONFINED: [(&str, &str); 4] =
    [("openidconnect", "authn/oidc"), ("oauth2", "authn/oidc"), ("toml", "config"), ("serde_spanned", "config")];

/// What the pure decision may not touch: input, output, waiting, the time of day.
const IMPURE: [&str; 9] = ["fs", "io", "env", "process", "thread", "tokio", "hyper", "SystemTime", "Instant"];

/// Lines of production code at which a file is split.
const LONGEST_FILE: usize = 500;
/// Lines at which a function is split; those over `LONG_FUNCTION` are only listed.
const LONGEST_FUNCTION: usize = 100;
const LONG_FUNCTION: usize = 60;

#[test]
fn the_house_keeps_its_rules() {
    let house = House::read(FilePath::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path());
    assert!(house.files.len() > 30, "found only {} files: the test reads the wrong place", house.files.len());
    for (file, function) in house.long_functions() {
        println!("long: src/{file}:{}: fn {} has {} lines", function.line, function.name, function.lines);
    }
    let faults = house.faults();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_rooms_stand_in_the_order_of_the_line() {
    let lib = fs::read_to_string(FilePath::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let all = tokens(&lib);
    let rooms: Vec<&str> =
        all.windows(3).filter(|t| t[0].text == "mod" && t[2].text == ";").map(|t| t[1].text.as_str()).collect();
    assert_eq!(rooms, LINE, "lib.rs lists the rooms in the order of the import line");
}

/// The source files by their path below `src/`.
struct House {
    files: BTreeMap<String, String>,
}

impl House {
    fn read(root: &FilePath) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else if entry.extension().is_some_and(|extension| extension == "rs") {
                    let name = entry.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, fs::read_to_string(&entry).unwrap());
                }
            }
        }
        Self { files }
    }

    fn faults(&self) -> Vec<String> {
        let tests = self.test_modules();
        let production = self.files.iter().filter(|(file, _)| !is_below(&module_of(file), &tests));
        production.flat_map(|(file, text)| faults_in(file, text)).collect()
    }

    fn long_functions(&self) -> Vec<(&str, source::Function)> {
        let tests = self.test_modules();
        let production = self.files.iter().filter(|(file, _)| !is_below(&module_of(file), &tests));
        let all = production.flat_map(|(file, text)| {
            functions(&source::production(&tokens(text)).tokens).into_iter().map(|function| (file.as_str(), function))
        });
        all.filter(|(_, function)| function.lines > LONG_FUNCTION).collect()
    }

    /// The modules declared as `#[cfg(test)] mod name;`.
    fn test_modules(&self) -> Vec<Vec<String>> {
        let declared = self.files.iter().flat_map(|(file, text)| {
            let names = production(&tokens(text)).test_modules;
            names.into_iter().map(|name| [module_of(file), vec![name]].concat())
        });
        declared.collect()
    }
}

fn module_of(file: &str) -> Vec<String> {
    let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

fn is_below(module: &[String], tops: &[Vec<String>]) -> bool {
    tops.iter().any(|top| module.starts_with(top))
}

/// Every fault of one file of production code.
fn faults_in(file: &str, text: &str) -> Vec<String> {
    let kept = production(&tokens(text));
    let module = module_of(file);
    let mut faults = Vec::new();
    let mut fault = |line: usize, rule: String| faults.push(format!("src/{file}:{line}: {rule}"));
    if !text.starts_with("//!") {
        fault(1, "a file opens with `//!`: which room, what comes in, what goes out".into());
    }
    let lines = text.lines().count() - kept.test_lines;
    if lines > LONGEST_FILE {
        fault(1, format!("{lines} lines of production code, the stop is {LONGEST_FILE}"));
    }
    for function in functions(&kept.tokens).iter().filter(|function| function.lines > LONGEST_FUNCTION) {
        fault(
            function.line,
            format!("fn {} has {} lines, the stop is {LONGEST_FUNCTION}", function.name, function.lines),
        );
    }
    for pair in kept.tokens.windows(3) {
        let words = [pair[0].text.as_str(), pair[1].text.as_str(), pair[2].text.as_str()];
        if matches!(words, ["[", "path", "="] | ["include", "!", _] | ["extern", "crate", _]) {
            fault(pair[0].line, format!("`{} {}` hides where code comes from", words[0], words[1]));
        }
    }
    for path in paths(&kept.tokens, &module) {
        if let Some(rule) = import_fault(&module, &path).or_else(|| place_fault(file, &module, &path)) {
            fault(path.line, rule);
        }
    }
    if is_rules(&module) {
        let waits = kept.tokens.iter().filter(|token| ["async", "await"].contains(&token.text.as_str()));
        let mut named: Vec<(usize, &str)> = waits.map(|token| (token.line, token.text.as_str())).collect();
        let all = paths(&kept.tokens, &module);
        named.extend(all.iter().flat_map(|path| {
            path.segments.iter().filter(|name| IMPURE.contains(&name.as_str())).map(|name| (path.line, name.as_str()))
        }));
        for (line, name) in named {
            fault(line, format!("policy/rules knows no I/O and no clock, yet names `{name}`"));
        }
    }
    faults
}

fn is_rules(module: &[String]) -> bool {
    module.len() >= 2 && module[0] == "policy" && module[1] == "rules"
}

/// The import line, and that `policy/rules` imports `identity` alone.
fn import_fault(module: &[String], path: &Path) -> Option<String> {
    if path.root == Root::Other {
        return None;
    }
    let Some(target) = path.segments.first().filter(|name| *name != "*") else {
        return Some("the whole crate is named: name the room".into());
    };
    let rank = |room: &str| LINE.iter().position(|name| *name == room);
    let Some(right) = rank(target) else {
        return Some(format!("`{target}` is no room"));
    };
    let Some(room) = module.first() else {
        return (target != "cli").then(|| format!("the crate root names `{target}`: main only calls `cli`"));
    };
    let left = rank(room)?;
    if right > left {
        return Some(format!("{room} imports {target}, which stands to its right in the import line"));
    }
    let outside = is_rules(module) && target != "identity" && !is_rules(&path.segments);
    outside.then(|| format!("policy/rules imports identity alone, not {}", path.segments.join("::")))
}

/// Crates that belong to one place.
fn place_fault(file: &str, module: &[String], path: &Path) -> Option<String> {
    if path.root == Root::Crate {
        return None;
    }
    let (name, place) = CONFINED.iter().find(|(name, _)| path.segments.first().is_some_and(|first| first == name))?;
    let inside = module.join("/") == *place || module.join("/").starts_with(&format!("{place}/"));
    (!inside).then(|| format!("`{name}` is named in {file}; it belongs to {place} alone"))
}

mod the_reader_itself {
    use super::source::{Root, functions, paths, production, tokens};
    use super::{House, faults_in};

    fn internal(text: &str, module: &[&str]) -> Vec<String> {
        let module: Vec<String> = module.iter().map(|name| (*name).to_owned()).collect();
        let found = paths(&tokens(text), &module);
        found.into_iter().filter(|p| p.root == Root::Crate).map(|p| p.segments.join("::")).collect()
    }

    fn one_fault(file: &str, text: &str) -> String {
        let faults = faults_in(file, &format!("//! A room.\n{text}"));
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.into_iter().next().unwrap()
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = r####"
            // crate::a
            /* crate::b /* crate::c */ crate::d */
            let x = "crate::e \" crate::f"; let y = r#"crate::g" crate::h"#; let z = b"crate::i";
            let quote = '"'; let escaped = '\''; fn f<'a>(x: &'a str) -> crate::j::K { 'l: loop {} }
        "####;
        assert_eq!(internal(text, &[]), ["j::K"]);
    }

    #[test]
    fn grouped_imports_are_written_out() {
        let text = "use crate::{a::{self, B, c::*}, d as e};\npub(crate) use super::{f, super::g::H};\nuse self::i::J;";
        assert_eq!(internal(text, &["x", "y"]), ["a", "a::B", "a::c::*", "d", "x::f", "g::H", "x::y::i::J"]);
    }

    #[test]
    fn paths_in_bodies_and_inline_modules_count() {
        let text = "fn f() { crate::a::b::<T>(); $crate::c::d!(x); } mod inner { use super::e; fn g() { super::super::h::i() } } fn j() { super::k::l() }";
        assert_eq!(internal(text, &["x", "y"]), ["a::b", "c::d", "x::y::e", "x::h::i", "x::k::l"]);
    }

    #[test]
    fn test_code_is_left_out() {
        let text = "use crate::a;\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\n#[derive(X)]\nuse crate::{b, c};\n#[cfg(all(test, unix))]\nmod more {\n    use crate::d;\n}\nfn f() {}";
        let kept = production(&tokens(text));
        assert_eq!(kept.test_modules, ["tests"]);
        assert_eq!(kept.test_lines, 2 + 3 + 4);
        let left: Vec<&str> = kept.tokens.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(left.join(" "), "use crate :: a ; fn f ( ) { }");
    }

    #[test]
    fn the_length_of_a_function_is_counted() {
        let text = "fn short() {}\nfn long(x: [u8; 3])\nwhere\n    X: Y,\n{\n    if x {}\n}\ntrait T { fn none(); }";
        let found: Vec<(String, usize)> = functions(&tokens(text)).into_iter().map(|f| (f.name, f.lines)).collect();
        assert_eq!(found, [("short".to_owned(), 1), ("long".to_owned(), 6)]);
    }

    #[test]
    fn an_import_to_the_right_is_a_fault() {
        let told = one_fault("route/mod.rs", "use crate::{\n    request::Received,\n    policy::Allowed,\n};");
        assert_eq!(told, "src/route/mod.rs:4: route imports policy, which stands to its right in the import line");
        assert!(one_fault("route/a.rs", "fn f() { super::super::cli::main() }").contains("route imports cli"));
        assert!(one_fault("route/a.rs", "use portcullis::cli::main;").contains("route imports cli"));
        assert!(one_fault("upstream/a.rs", "use crate::config::Settings;").contains("upstream imports config"));
        assert!(one_fault("identity/name.rs", "type X = crate::request::Host;").contains("identity imports request"));
    }

    #[test]
    fn roundabout_ways_are_faults() {
        assert!(one_fault("route/a.rs", "use crate::*;").contains("name the room"));
        assert!(one_fault("route/a.rs", "use crate as house;").contains("name the room"));
        assert!(one_fault("route/mod.rs", "use super::*;").contains("name the room"));
        assert!(one_fault("route/a.rs", "use crate::prelude::X;").contains("`prelude` is no room"));
        assert!(one_fault("route/a.rs", "#[path = \"../cli/x.rs\"] mod x;").contains("`[ path`"));
        assert!(one_fault("route/a.rs", "include!(\"x.rs\");").contains("`include !`"));
        assert!(one_fault("lib.rs", "pub use crate::policy::Allowed;").contains("main only calls `cli`"));
    }

    #[test]
    fn the_rules_are_pure() {
        assert!(
            one_fault("policy/rules/a.rs", "use crate::request::Host;").contains("identity alone, not request::Host")
        );
        assert!(one_fault("policy/rules/a/b.rs", "use super::super::super::decide::D;").contains("policy::decide::D"));
        assert!(one_fault("policy/rules/a.rs", "fn f() { std::fs::read(x) }").contains("names `fs`"));
        assert!(one_fault("policy/rules/a.rs", "use std::time::Instant;").contains("names `Instant`"));
        assert!(one_fault("policy/rules/a.rs", "pub async fn f() {}").contains("names `async`"));
        let well = "//! A room.\nuse crate::identity::Name;\nuse super::facts::Facts;\nuse crate::policy::rules::when;";
        assert_eq!(faults_in("policy/rules/a.rs", well), [""; 0]);
    }

    #[test]
    fn confined_crates_stay_in_their_place() {
        assert!(one_fault("authn/jwks.rs", "use openidconnect::core::X;").contains("belongs to authn/oidc alone"));
        assert!(one_fault("authn/oidc_like.rs", "use openidconnect::X;").contains("belongs to authn/oidc alone"));
        assert!(one_fault("route/a.rs", "fn f() { toml::from_str(x) }").contains("belongs to config alone"));
        assert_eq!(faults_in("authn/oidc/a.rs", "//! A room.\nuse openidconnect::X;"), [""; 0]);
        assert_eq!(faults_in("config/a.rs", "//! A room.\nuse toml::Spanned;"), [""; 0]);
    }

    #[test]
    fn long_and_unheaded_files_are_faults() {
        assert!(faults_in("route/a.rs", "use std::fmt;")[0].contains("opens with `//!`"));
        let long = "const X: u8 = 1;\n".repeat(500);
        assert!(one_fault("route/a.rs", &long).contains("501 lines of production code"));
        let with_tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "const X: u8 = 1;\n".repeat(400), long);
        assert_eq!(faults_in("route/a.rs", &format!("//! A room.\n{with_tests}")), [""; 0]);
        let function = format!("fn f() {{\n{}}}", "    g();\n".repeat(100));
        assert!(one_fault("route/a.rs", &function).contains("fn f has 102 lines"));
    }

    #[test]
    fn only_a_declared_test_module_is_test_code() {
        let house = |declaration: &str| {
            let files =
                [("route/mod.rs", declaration), ("route/tests.rs", "use crate::cli::x;"), ("route/tests/deep.rs", "x")];
            House { files: files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect() }
        };
        assert_eq!(house("//! A room.\n#[cfg(test)]\nmod tests;").faults(), [""; 0]);
        assert_eq!(house("//! A room.\nmod tests;").faults().len(), 3);
    }
}
