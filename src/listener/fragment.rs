//! Request lines of HTTP/1.1 whose target has a fragment: `GET /a#b HTTP/1.1`. No target has one (RFC 9112 section 3.2),
//! and the HTTP library cuts it off before anyone can refuse it. So the bytes are looked at on their way there.
//!
//! Nothing is framed here: a second framing that differs from the library's is what smuggling is made of. Wherever in the
//! stream there is such a line, it is noted; a request whose method and target are those of a noted line is one. None is
//! missed, however the bytes come in and whatever was sent before, for its line is among them. A request is taken for one
//! wrongly only when a body on its connection holds the very line: it is refused as well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::Request;

/// Longer methods are never served.
const METHOD: usize = 32;
/// Longer lines are refused by the library.
const LINE: usize = 72 * 1024;
/// Lines that are noted of one connection. With more, whatever it asks is refused.
const MOST: usize = 16;

/// The lines of one connection that have a fragment.
#[derive(Default)]
pub(super) struct Fragments {
    any: AtomicBool,
    lines: Mutex<Vec<Line>>,
}

struct Line {
    /// Ends with the method; before it may stand the end of a body.
    method: Box<[u8]>,
    /// Before the fragment.
    target: Box<[u8]>,
}

/// Looks at the bytes of one connection.
pub(super) struct Lookout {
    found: Arc<Fragments>,
    /// The end of what was seen, as far as a line may begin there.
    tail: Vec<u8>,
}

impl Fragments {
    /// Whether the request had a fragment that is gone. It may say so of others when the client sent such lines as bodies.
    pub(super) fn cut_off<B>(&self, request: &Request<B>) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let target = request.uri().path_and_query().map(|target| target.as_str().as_bytes());
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.len() >= MOST || lines.iter().any(|line| line.is_of(request.method().as_str().as_bytes(), target))
    }

    fn note(&self, line: Line) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST {
            lines.push(line);
        }
        self.any.store(true, Ordering::Relaxed);
    }
}

impl Line {
    /// A target in absolute form is compared with nothing: the method alone decides.
    fn is_of(&self, method: &[u8], target: Option<&[u8]>) -> bool {
        let same = !self.target.starts_with(b"/") || target == Some(&*self.target);
        same && self.method.ends_with(method)
    }

    /// The line whose target's first `#` is at `at`, when it is one.
    fn around(bytes: &[u8], at: usize) -> Option<Self> {
        let (before, after) = bytes.split_at_checked(at)?;
        let (before, target) = before.split_at_checked(last_break(before)? + 1)?;
        let before = before.strip_suffix(b" ")?;
        let method = before.get(before.len().saturating_sub(METHOD)..)?;
        let method = method.get(last_break(method).map_or(0, |at| at + 1)..)?;
        let version = after.get(after.iter().position(is_break)?..)?.strip_prefix(b" HTTP/1.")?;
        let ends = matches!(version, [b'0'..=b'9', b'\n', ..] | [b'0'..=b'9', b'\r', b'\n', ..]);
        (ends && !method.is_empty()).then(|| Self { method: method.into(), target: target.into() })
    }
}

impl Lookout {
    pub(super) const fn new(found: Arc<Fragments>) -> Self {
        Self { found, tail: Vec::new() }
    }

    /// These bytes came next.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        if has_hash(bytes) || has_hash(&self.tail) {
            self.tail.extend_from_slice(bytes);
            self.search();
            return self.trim();
        }
        // Most pieces need nothing of what came before, and the end of a long word may only end with a method.
        let start = unfinished(bytes);
        if start > 0 && (last_break(bytes).is_some() || last_break(&self.tail).is_none()) {
            self.tail.clear();
            self.tail.extend_from_slice(bytes.get(start..).unwrap_or_default());
        } else {
            self.tail.extend_from_slice(bytes);
            self.trim();
        }
    }

    fn search(&self) {
        let mut from = 0;
        while let Some(rest) = self.tail.get(from..)
            && let Some(at) = rest.iter().position(|byte| *byte == b'#').map(|at| from + at)
        {
            if let Some(line) = Line::around(&self.tail, at) {
                self.found.note(line);
            }
            // What follows in the same word is its fragment.
            let fragment = self.tail.get(at..).unwrap_or_default();
            from = at + fragment.iter().position(is_break).unwrap_or(fragment.len());
        }
    }

    fn trim(&mut self) {
        let start = unfinished(&self.tail);
        let start = if self.tail.len() - start > LINE { self.tail.len() - METHOD } else { start };
        self.tail.drain(..start);
        self.tail.shrink_to(4096);
    }
}

/// Where a request line that is not finished may begin: at `METHOD`, `METHOD target` or `METHOD target#fragment HTTP/1.1`.
fn unfinished(bytes: &[u8]) -> usize {
    let last = bytes.len().saturating_sub(METHOD);
    let Some(at) = last_break(bytes) else { return last };
    let before = bytes.get(..at).unwrap_or_default();
    match bytes.get(at) {
        Some(b'\r') if at + 1 == bytes.len() => unfinished(before),
        Some(b' ') => {
            let start = last_break(before);
            let word = before.get(start.map_or(0, |at| at + 1)..).unwrap_or_default();
            match start {
                Some(space) if word.contains(&b'#') => space.saturating_sub(METHOD),
                _ => at.saturating_sub(word.len().min(METHOD)),
            }
        }
        _ => last.max(at + 1),
    }
}

/// What can stand neither in a method nor in a target.
const fn is_break(byte: &u8) -> bool {
    *byte <= b' ' || *byte == 0x7f
}

/// Without a way out in the middle, so that many bytes are looked at in one step.
fn has_hash(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |any, byte| any | (*byte == b'#'))
}

fn last_break(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    for block in bytes.rchunks(64) {
        end -= block.len();
        // In one step, again.
        if block.iter().fold(false, |any, byte| any | is_break(byte)) {
            return block.iter().rposition(is_break).map(|at| end + at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;

    use super::{Fragments, LINE, Lookout, MOST};

    /// What is noted of a stream that comes in pieces of a size.
    fn seen(stream: &[u8], size: usize) -> Arc<Fragments> {
        let found = Arc::new(Fragments::default());
        let mut lookout = Lookout::new(found.clone());
        stream.chunks(size).for_each(|piece| lookout.see(piece));
        found
    }

    fn is_cut_off(stream: &[u8], size: usize, method: &str, target: &str) -> bool {
        seen(stream, size).cut_off(&Request::builder().method(method).uri(target).body(()).unwrap())
    }

    const SIZES: [usize; 9] = [1, 2, 3, 7, 16, 33, 64, 1_000, 100_000];

    #[test]
    fn a_fragment_is_seen_whatever_stands_before_it_and_however_it_comes() {
        for before in [
            "",
            "\r\n",
            "GET /first HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n a #",
            "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nGET /#",
            "POST /first HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n#\r\n0\r\n\r\n",
        ] {
            for line in [
                "GET /x#y HTTP/1.1\r\n",
                "GET /x# HTTP/1.1\n",
                "GET /x#/../../z?q#r HTTP/1.0\r\n",
                "GET http://a/x#y HTTP/1.1\r\n",
            ] {
                let stream = format!("{before}{line}Host: a\r\n\r\n");
                for size in SIZES {
                    assert!(is_cut_off(stream.as_bytes(), size, "GET", "/x"), "{stream:?} in pieces of {size}");
                }
            }
        }
    }

    #[test]
    fn long_bodies_and_long_targets_hide_nothing() {
        let target = format!("/{}", "x".repeat(60_000));
        let line = format!("GET {target}#y HTTP/1.1\r\n");
        for filling in ["x", "x y ", "#", "# ", "A #", "\u{e9}", "\n", "A /"] {
            let body = filling.repeat(2 * LINE / filling.len());
            let stream = format!("POST / HTTP/1.1\r\n\r\n{body}{line}");
            for size in [1_000, 16_384, 1_000_000] {
                // A body that ends in the middle of what could be a target is the target's beginning to the lookout.
                let found = seen(stream.as_bytes(), size);
                let request = Request::get(&target).body(()).unwrap();
                assert!(found.cut_off(&request), "{filling:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_is_no_request_line_with_a_fragment_is_not_noted() {
        for stream in [
            "GET /x HTTP/1.1\r\nReferer: /x#y\r\nX: GET /x#y\r\n\r\n",
            "GET /x%23y HTTP/1.1\r\n\r\n",
            "POST /x HTTP/1.1\r\n\r\nGET /x#y\nGET /x#y HTTP/1.1 200\nGET /x#y HTTP/2\r\n\"GET /x#y HTTP/1.1\" 200",
            "GET  /x#y HTTP/1.1\r\n",
            "GET /x #y HTTP/1.1\r\n",
            "GET\t/x#y HTTP/1.1\r\n",
        ] {
            for size in SIZES {
                assert!(!is_cut_off(stream.as_bytes(), size, "GET", "/x"), "{stream:?} in pieces of {size}");
            }
        }
        let others = b"POST /x#y HTTP/1.1\r\nGET /z#y HTTP/1.1\r\n";
        assert!(!is_cut_off(others, 100, "GET", "/x"), "another method, and another target");
    }

    #[test]
    fn whoever_sends_many_is_served_no_more() {
        let many = "GET /x#y HTTP/1.1\r\n".repeat(MOST);
        assert!(is_cut_off(many.as_bytes(), 100, "POST", "/other"));
    }
}
