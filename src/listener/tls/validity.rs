//! For how long a server certificate can be shown: as long as it and every certificate of its chain is valid (RFC 5280
//! section 6.1.3). In come the chain and the time, out goes what an operator should know before clients refuse it.

use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long before its end a certificate is spoken of: time enough to renew it by hand. One that lives for days is renewed
/// by a program, and is late in its last third.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
const LAST_PART: i32 = 3;

/// From when until when a chain is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// When the last of its certificates begins.
    pub not_before: Timestamp,
    /// When the first of them ends.
    pub not_after: Timestamp,
}

/// What is wrong with a certificate's time, or will be soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untimely {
    /// It has ended.
    Ended,
    /// It is not valid yet.
    NotYet,
    /// It ends within fourteen days, and within the last third of its time.
    EndsSoon,
}

impl Validity {
    /// A certificate whose dates cannot be read bounds nothing: it was shown before anybody asked for its end, and goes on.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Self {
        let mut all = Self { not_before: Timestamp::MIN, not_after: Timestamp::MAX };
        for certificate in chain {
            let Ok((_, facts)) = X509Certificate::from_der(certificate) else { continue };
            let moment = |seconds, beyond| Timestamp::from_second(seconds).unwrap_or(beyond);
            let validity = facts.validity();
            all.not_before = all.not_before.max(moment(validity.not_before.timestamp(), Timestamp::MIN));
            all.not_after = all.not_after.min(moment(validity.not_after.timestamp(), Timestamp::MAX));
        }
        all
    }

    fn lifetime(&self) -> SignedDuration {
        self.not_after.duration_since(self.not_before)
    }

    /// What an operator should know at `now`.
    pub fn untimely(&self, now: Timestamp) -> Option<Untimely> {
        if self.not_after <= now {
            Some(Untimely::Ended)
        } else if now < self.not_before {
            Some(Untimely::NotYet)
        } else if self.not_after.duration_since(now) <= SOON.min(self.lifetime() / LAST_PART) {
            Some(Untimely::EndsSoon)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Untimely, Validity};

    #[test]
    fn what_is_untimely_is_told_to_the_second() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let validity = Validity { not_before: at("2026-01-01T00:00:00Z"), not_after: at("2026-04-01T00:00:00Z") };
        for (now, wanted) in [
            ("2025-12-31T23:59:59Z", Some(Untimely::NotYet)),
            ("2026-01-01T00:00:00Z", None),
            ("2026-03-17T23:59:59Z", None),
            ("2026-03-18T00:00:00Z", Some(Untimely::EndsSoon)),
            ("2026-03-31T23:59:59Z", Some(Untimely::EndsSoon)),
            ("2026-04-01T00:00:00Z", Some(Untimely::Ended)),
        ] {
            assert_eq!(validity.untimely(at(now)), wanted, "{now}");
        }
        let daily = Validity { not_before: at("2026-03-31T00:00:00Z"), ..validity };
        assert_eq!(daily.untimely(at("2026-03-31T15:59:59Z")), None, "it is renewed in time by what made it");
        assert_eq!(daily.untimely(at("2026-03-31T16:00:00Z")), Some(Untimely::EndsSoon));
        let never = Validity { not_before: at("2026-05-01T00:00:00Z"), ..validity };
        assert_eq!(never.untimely(at("2026-04-20T00:00:00Z")), Some(Untimely::Ended), "no waiting makes it valid");
        let unread = Validity::of(&[]);
        assert_eq!(unread.untimely(at("2026-04-20T00:00:00Z")), None, "dates that nobody can read are no news");
    }
}
