//! The examples of docs/policy.md load, and their tests pass.

use super::{KnownNames, MAIN, Project, ROUTES};
use crate::config::fault::{Faults, Source};
use std::sync::Arc;

const BOOK: &str = include_str!("../../../../docs/policy.md");

#[test]
fn every_policy_of_the_book_loads_and_passes_its_tests() {
    let blocks: Vec<_> = BOOK.split("```toml\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert!(blocks.len() >= 5, "found only {} blocks", blocks.len());
    for block in blocks {
        let faults = Faults::default();
        let source = |name: &str, text: &str| Arc::new(Source::new(name.into(), text.into()));
        let known = KnownNames::read(&source("portcullis.toml", MAIN), &faults);
        let mut files = vec![source("book.toml", block)];
        if !block.contains("[[route]]") {
            files.push(source("routes.toml", ROUTES));
        }
        let project = Project::read(known, &files, &faults);
        let errors: Vec<_> = faults.into_sorted().into_iter().filter(|fault| !fault.warning).collect();
        let shown: Vec<_> = errors.iter().map(|fault| fault.render(false)).collect();
        let project = project.unwrap_or_else(|| panic!("{block}\n{}", shown.join("\n")));
        for trial in &project.policy.trials {
            let report = trial.run(&project.routes, &project.policy.rules);
            assert!(report.passed(), "{}: {:?}", report.name, report.differences);
        }
    }
}
