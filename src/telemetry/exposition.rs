//! Writes metrics in the Prometheus text format, version 0.0.4, which `promtool check metrics` reads.

use std::fmt::Write;

use super::Histogram;

/// The text of one scrape.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// The kind of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever rises; its name ends in `_total`.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts in buckets; its unit is in the name.
    Histogram,
}

impl Exposition {
    /// The `Content-Type` of the text.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Opens a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the open family.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        self.labels(labels);
        let _ = writeln!(self.0, " {value}");
    }

    /// A family with one sample and no labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A family that is one histogram, summed over its parts.
    pub fn histogram<'h>(&mut self, name: &str, help: &str, parts: impl Iterator<Item = &'h Histogram> + Clone) {
        self.family(name, Kind::Histogram, help);
        let mut cumulative = 0;
        let bucket = format!("{name}_bucket");
        for (index, bound) in Histogram::BOUNDS.iter().enumerate() {
            cumulative += parts.clone().map(|part| part.bucket(index)).sum::<u64>();
            self.sample(&bucket, &[("le", &bound.to_string())], cumulative);
        }
        cumulative += parts.clone().map(|part| part.bucket(Histogram::BOUNDS.len())).sum::<u64>();
        self.sample(&bucket, &[("le", "+Inf")], cumulative);
        self.sample(&format!("{name}_sum"), &[], parts.map(Histogram::sum_seconds).sum::<f64>());
        self.sample(&format!("{name}_count"), &[], cumulative);
    }

    /// The finished text.
    pub fn finish(self) -> String {
        self.0
    }

    fn labels(&mut self, labels: &[(&str, &str)]) {
        for (index, (name, value)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Exposition, Histogram, Kind};

    #[test]
    fn label_values_cannot_break_out_of_their_quotes() {
        let mut text = Exposition::default();
        text.family("x_total", Kind::Counter, "Help.");
        text.sample("x_total", &[("a", "q\"u\\o\nte"), ("b", "c")], 3);
        assert_eq!(
            text.finish(),
            "# HELP x_total Help.\n# TYPE x_total counter\nx_total{a=\"q\\\"u\\\\o\\nte\",b=\"c\"} 3\n"
        );
    }

    #[test]
    fn histogram_buckets_are_cumulative_over_all_parts() {
        let parts = [Histogram::default(), Histogram::default()];
        parts[0].observe(Duration::from_micros(50));
        parts[1].observe(Duration::from_secs(3_600));
        let mut text = Exposition::default();
        text.histogram("d_seconds", "Help.", parts.iter());
        let text = text.finish();
        assert!(text.contains("d_seconds_bucket{le=\"0.0001\"} 1\n"), "{text}");
        assert!(text.contains("d_seconds_bucket{le=\"+Inf\"} 2\n"), "{text}");
        assert!(text.contains("d_seconds_count 2\n"), "{text}");
    }
}
