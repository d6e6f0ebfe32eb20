//! A share of subjects that a rule reaches first: stable by subject, the same on every proxy and after every restart.

use super::{Effect, Facts, Rule};

/// `rollout = 10`: the percentage of subjects that a rule reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// 0 to 100.
    pub percent: u8,
    /// `rollout_denies = true`: denials and requirements, too, reach only the share. Without it they hold for all.
    pub denies: bool,
}

impl Rollout {
    /// Whether the rule reaches whoever asks. Nobody known is in no share.
    pub fn reaches(self, rule: &Rule, facts: &Facts<'_>) -> bool {
        if rule.effect != Effect::Allow && !self.denies {
            return true;
        }
        let inside = |hash: u64| hash % 100 < u64::from(self.percent);
        match (facts.token, facts.peer) {
            (Some(token), _) => {
                let principal = &token.principal;
                inside(share(&[rule.name.as_str(), principal.issuer.as_str(), &principal.subject].map(str::as_bytes)))
            }
            (None, Some(peer)) => match &peer.spiffe_id {
                Some(id) => inside(share(&[rule.name.as_str(), id.as_str()].map(str::as_bytes))),
                None => inside(share(&[rule.name.as_str().as_bytes(), peer.fingerprint.as_slice()])),
            },
            // A denial that cannot tell holds; a permission does not.
            (None, None) => rule.effect != Effect::Allow,
        }
    }
}

/// FNV-1a with lengths between the parts and a final mix. Not for secrets: it only has to be even and never to change.
fn share(parts: &[&[u8]]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut feed = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for part in parts {
        part.len().to_le_bytes().into_iter().for_each(&mut feed);
        part.iter().copied().for_each(&mut feed);
    }
    hash ^= hash >> 32;
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_are_even_and_never_change() {
        let tenth = (0..10_000).filter(|n| share(&[b"rule", format!("u-{n}").as_bytes()]) % 100 < 10).count();
        assert!((900..1100).contains(&tenth), "{tenth}");
        assert_eq!(share(&[b"a", b"b"]), share(&[b"a", b"b"]));
        assert_ne!(share(&[b"ab", b"c"]), share(&[b"a", b"bc"]));
    }
}
