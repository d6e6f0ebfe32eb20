//! The report that CI systems read: JUnit's XML.

use std::fmt::Write;

use crate::policy::trial::TrialReport;

/// Renders a report as one test suite.
pub(super) fn render(reports: &[TrialReport]) -> String {
    let failures = reports.iter().filter(|report| !report.passed()).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuite name=\"policy\" tests=\"{}\" failures=\"{failures}\">", reports.len());
    for report in reports {
        let (name, place) = (escaped(&report.name), escaped(&report.origin));
        let _ = write!(xml, "  <testcase name=\"{name}\" classname=\"{place}\"");
        if report.passed() {
            xml.push_str("/>\n");
            continue;
        }
        xml.push_str(">\n    <failure>");
        for difference in &report.differences {
            let text = format!("{}: expected {}, found {}\n", difference.what, difference.expected, difference.found);
            xml.push_str(&escaped(&text));
        }
        xml.push_str(&escaped(report.nearest.as_deref().unwrap_or_default()));
        xml.push_str("</failure>\n  </testcase>\n");
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Text as XML 1.0 can carry it; what it cannot carry at all becomes `?`.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' | '\r' => safe.push(character),
            control if control < ' ' || matches!(control, '\u{fffe}' | '\u{ffff}') => safe.push('?'),
            plain => safe.push(plain),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::policy::trial::{Difference, TrialReport};

    #[test]
    fn names_cannot_break_out_of_the_report() {
        let differences = vec![Difference { what: "decision", expected: "allow".into(), found: "deny".into() }];
        let report = TrialReport { name: "a\"><x & \u{1}".into(), origin: "f:1".into(), differences, nearest: None };
        let xml = render(&[report]);
        assert!(xml.contains("name=\"a&quot;&gt;&lt;x &amp; ?\""), "{xml}");
        assert!(xml.contains("<failure>decision: expected allow, found deny\n</failure>"), "{xml}");
    }
}
