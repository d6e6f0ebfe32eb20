//! Text that says what facts say, written once and kept beside them: every record of a connection or a token repeats it.

use std::fmt;
use std::sync::OnceLock;

/// Text beside the facts that it was rendered from. It is no fact itself: a copy of the facts, which may be changed, begins
/// without it, and facts are equal whether theirs were rendered yet or not.
#[derive(Default)]
pub struct Rendered(OnceLock<Box<str>>);

impl Rendered {
    /// The text; the first call makes it.
    pub fn or_render(&self, render: impl FnOnce() -> Box<str>) -> &str {
        self.0.get_or_init(render)
    }
}

impl Clone for Rendered {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Rendered {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Rendered {}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rendered")
    }
}

#[cfg(test)]
mod tests {
    use super::Rendered;

    #[test]
    fn a_text_is_rendered_once_and_never_copied() {
        let rendered = Rendered::default();
        assert_eq!(rendered.or_render(|| "one".into()), "one");
        assert_eq!(rendered.or_render(|| "two".into()), "one");
        assert_eq!(rendered.clone().or_render(|| "two".into()), "two");
        assert_eq!(rendered, Rendered::default());
    }
}
