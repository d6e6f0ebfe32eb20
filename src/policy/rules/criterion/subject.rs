//! What a verified token says of its subject: groups, scopes, who, by which client, how and when they signed in.

use std::time::Duration;

use jiff::Timestamp;

use super::{ListMatch, StringSet, TextMatch, listed, quoted};
use crate::identity::{ClaimForm, Name, TokenFacts};
use crate::policy::rules::{Facts, Truth};

/// A question about the token.
#[derive(Clone, Debug)]
pub enum SubjectCriterion {
    /// `any = true`: a verified token, whichever.
    Any,
    /// `issuer`: the token source of the configuration, by name.
    Issuer(Box<[Name]>),
    /// `sub`, as that issuer writes it.
    Sub(TextMatch),
    /// `client_id`.
    ClientId(TextMatch),
    /// `groups`.
    Groups(ListMatch),
    /// `scopes`.
    Scopes(ListMatch),
    /// `acr`: one of these.
    Acr(StringSet),
    /// `amr`.
    Amr(ListMatch),
    /// `signed_in_within`: `auth_time` is not older.
    SignedInWithin(Duration),
    /// `token_age_within`: `iat` is not older.
    TokenAge(Duration),
    /// `token_lifetime_within`: from `iat` to `exp` is not longer.
    TokenLifetime(Duration),
}

impl SubjectCriterion {
    pub(super) fn truth(&self, facts: &Facts<'_>, now: Timestamp) -> Truth {
        let Some(token) = facts.token else { return Truth::Missing };
        match self {
            Self::Any => Truth::Holds,
            Self::Issuer(sources) => sources.contains(&token.source).into(),
            Self::Sub(text) => text.matches(&token.principal.subject).into(),
            Self::ClientId(text) => optional(token.client_id.as_deref(), |id| text.matches(id)),
            Self::Groups(list) => match token.groups_claim {
                ClaimForm::Stated => list.matches(token.groups.iter().map(|group| &**group)).into(),
                ClaimForm::Absent => Truth::Missing,
                ClaimForm::Other => Truth::Malformed,
            },
            Self::Scopes(list) if !token.scopes.is_empty() => {
                list.matches(token.scopes.iter().map(|scope| scope.as_str())).into()
            }
            Self::Scopes(_) => Truth::Missing,
            Self::Acr(values) => optional(token.acr.as_deref(), |acr| values.contains(acr)),
            Self::Amr(list) if !token.amr.is_empty() => list.matches(token.amr.iter().map(|method| &**method)).into(),
            Self::Amr(_) => Truth::Missing,
            Self::SignedInWithin(most) => optional(token.auth_time, |time| not_older(time, now, *most)),
            Self::TokenAge(most) => optional(token.issued_at, |time| not_older(time, now, *most)),
            Self::TokenLifetime(most) => optional(token.issued_at, |start| not_older(start, token.expires_at, *most)),
        }
    }

    pub(super) fn wanted(&self) -> String {
        match self {
            Self::Any => "a verified token".into(),
            Self::Issuer(sources) => {
                let names: Vec<_> = sources.iter().map(|name| format!("`{name}`")).collect();
                format!("a token of {}", names.join(" or "))
            }
            Self::Sub(text) => format!("subject {}", text.wanted()),
            Self::ClientId(text) => format!("client {}", text.wanted()),
            Self::Groups(list) => list.wanted("group"),
            Self::Scopes(list) => list.wanted("scope"),
            Self::Acr(values) => {
                let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
                format!("a sign-in of class {}", values.join(" or "))
            }
            Self::Amr(list) => list.wanted("sign-in method"),
            Self::SignedInWithin(most) => format!("a sign-in within {}", span(*most)),
            Self::TokenAge(most) => format!("a token issued within {}", span(*most)),
            Self::TokenLifetime(most) => format!("a token that lives no longer than {}", span(*most)),
        }
    }

    pub(super) fn seen(&self, facts: &Facts<'_>, now: Timestamp) -> String {
        let Some(token) = facts.token else { return "no token".into() };
        let absent = |name: &str| format!("no {name} in the token");
        let ago = |time: Option<Timestamp>, name: &str| time.map_or_else(|| absent(name), |time| before(time, now));
        match self {
            Self::Any | Self::Issuer(_) => format!("a token of {}", quoted(token.source.as_str())),
            Self::Sub(_) => quoted(&token.principal.subject),
            Self::ClientId(_) => token.client_id.as_deref().map_or_else(|| absent("client_id"), quoted),
            Self::Groups(_) => groups(token),
            Self::Scopes(_) => ListMatch::seen(token.scopes.iter().map(|scope| scope.as_str())),
            Self::Acr(_) => token.acr.as_deref().map_or_else(|| absent("acr"), quoted),
            Self::Amr(_) => ListMatch::seen(token.amr.iter().map(|method| &**method)),
            Self::SignedInWithin(_) => ago(token.auth_time, "auth_time"),
            Self::TokenAge(_) => ago(token.issued_at, "iat"),
            Self::TokenLifetime(_) => match token.issued_at {
                Some(start) => span(token.expires_at.duration_since(start).try_into().unwrap_or_default()),
                None => absent("iat"),
            },
        }
    }
}

fn optional<T>(value: Option<T>, holds: impl FnOnce(T) -> bool) -> Truth {
    value.map_or(Truth::Missing, |value| holds(value).into())
}

/// Whether `time` lies no further than `most` before `now`. A time in the future is not recent, it is wrong; half a minute
/// is forgiven, since two clocks never agree.
fn not_older(time: Timestamp, now: Timestamp, most: Duration) -> bool {
    const CLOCKS: i64 = 30;
    let age = now.duration_since(time);
    age.as_secs() >= -CLOCKS && age <= jiff::SignedDuration::try_from(most).unwrap_or(jiff::SignedDuration::MAX)
}

fn groups(token: &TokenFacts) -> String {
    match token.groups_claim {
        ClaimForm::Stated => listed(token.groups.iter().map(|group| &**group)),
        ClaimForm::Absent => "no groups in the token".into(),
        ClaimForm::Other => "groups in another form than the token source states".into(),
    }
}

fn before(time: Timestamp, now: Timestamp) -> String {
    match Duration::try_from(now.duration_since(time)) {
        Ok(age) => format!("{} ago", span(age)),
        Err(_) => "in the future".into(),
    }
}

/// A span of time as the policy files write it.
fn span(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{}ms", duration.as_millis()),
        seconds if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        seconds if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::not_older;

    #[test]
    fn a_time_in_the_future_is_not_recent_but_clocks_may_differ() {
        let recent = |age: i64| {
            let now = Timestamp::UNIX_EPOCH;
            not_older(Timestamp::from_second(-age).unwrap(), now, Duration::from_secs(60))
        };
        for (age, expected) in [(61, false), (60, true), (0, true), (-30, true), (-31, false), (-86_400, false)] {
            assert_eq!(recent(age), expected, "{age}");
        }
    }
}
