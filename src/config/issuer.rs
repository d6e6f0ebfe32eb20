//! Reads `[issuer.NAME]`: who signs tokens.

use std::path::Path;
use std::time::Duration;

use super::fault::Located;
use super::reader::{Table, Value};
use super::{outbound, secret, token};
use crate::authn::{Algorithm, Audiences, IssuerSettings, KeyOrigin, KeySet, RefreshSettings, SharedSecret, TokenType};
use crate::identity::{Issuer, Name};

const DAY: Duration = Duration::from_secs(86_400);
/// A key set is fetched again after this at the latest.
const REFRESH: Duration = Duration::from_secs(600);
const STALE_IF_ERROR: Duration = Duration::from_secs(3600);

/// Algorithms where the configuration names none: no shared secrets, nothing that is rare.
const ALGORITHMS: &[Algorithm] =
    &[Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];

/// Reads every `[issuer.NAME]` of `root`; paths count from `base`. A name without settings stands for an issuer with
/// faults, so that routes that name it are not reported as well.
pub fn read(root: &Table<'_>, base: &Path) -> Vec<(Located<Name>, Option<IssuerSettings>)> {
    let Some(issuers) = root.table("issuer") else { return Vec::new() };
    let read = |(name, value): (Located<String>, Value<'_>)| {
        let table = value.table(format!("[issuer.{}]", name.value));
        let name = Located { value: Name::new(name.value), at: name.at };
        let settings = table.and_then(|table| one(&table, &name.value, base));
        (name, settings)
    };
    issuers.named_entries().into_iter().map(read).collect()
}

fn one(table: &Table<'_>, name: &Name, base: &Path) -> Option<IssuerSettings> {
    let faults = table.faults().errors();
    let url = table.require("url").and_then(|value| Some((value, token::not_empty(&value)?)));
    let calls = outbound::read(table, base);
    let plain = outbound::plain_http(table);
    let algorithms = table.get("algorithms").map_or_else(|| ALGORITHMS.to_vec(), |value| read_algorithms(&value));
    let refresh = RefreshSettings {
        outbound: calls,
        interval: outbound::duration(table, "refresh", Duration::from_secs(30), DAY).unwrap_or(REFRESH),
        stale_if_error: outbound::duration(table, "stale_if_error", Duration::ZERO, 7 * DAY).unwrap_or(STALE_IF_ERROR),
    };
    let origins = Origins {
        file: table.get("jwks"),
        url: table.get("jwks_url"),
        secret: table.get("shared_secret"),
        hosts: table.get("jwks_hosts"),
    };
    let keys = match origins.count() {
        0 => url.as_ref().and_then(|(url, text)| {
            let issuer = outbound::endpoint_at(url, text, plain)?;
            if issuer.uri().query().is_some() {
                url.fault("an issuer's address has no query", None);
            }
            let jwks_hosts = origins.hosts.map(|hosts| hosts.strings()).unwrap_or_default();
            let jwks_hosts = jwks_hosts.into_iter().map(|host| host.value.into()).collect();
            Some(KeyOrigin::Discovery { issuer, jwks_hosts, refresh })
        }),
        1 => origins.read(&algorithms, base, |value| {
            Some(KeyOrigin::Url { url: outbound::endpoint(value, plain)?, refresh: refresh.clone() })
        }),
        _ => {
            let hint = String::from("one of `jwks`, `jwks_url` and `shared_secret`, or none for discovery");
            table.faults().error(&table.at(), format!("[issuer.{name}] has several sources of keys"), hint);
            None
        }
    };
    check_symmetry(table, &algorithms, keys.as_ref());
    let token_types = table.get("token_types").map(|value| read_token_types(&value));
    let max_lifetime = outbound::duration(table, "max_lifetime", Duration::from_secs(1), 366 * DAY).unwrap_or(DAY);
    let audiences = table.require("audiences").and_then(|value| token::audiences(&value, token::Unchecked::Refused));
    let token = token::rules(table, audiences.unwrap_or(Audiences::OneOf(Vec::new())));
    let issuer = url.map(|(_, text)| Issuer::new(text));
    if table.faults().errors() > faults {
        return None;
    }
    Some(IssuerSettings {
        name: name.clone(),
        issuer: issuer?,
        keys: keys?,
        token,
        algorithms,
        token_types: token_types.unwrap_or_else(|| vec![TokenType::named("at+jwt")]),
        max_lifetime,
    })
}

/// The keys of which at most one may be there.
struct Origins<'a> {
    file: Option<Value<'a>>,
    url: Option<Value<'a>>,
    secret: Option<Value<'a>>,
    hosts: Option<Value<'a>>,
}

impl Origins<'_> {
    fn count(&self) -> usize {
        let stated = [self.file.is_some(), self.url.is_some(), self.secret.is_some()];
        if let Some(hosts) = self.hosts.filter(|_| stated.contains(&true)) {
            hosts.fault("`jwks_hosts` is for discovery only", None);
        }
        stated.iter().filter(|stated| **stated).count()
    }

    fn read(
        &self,
        algorithms: &[Algorithm],
        base: &Path,
        at_url: impl FnOnce(&Value<'_>) -> Option<KeyOrigin>,
    ) -> Option<KeyOrigin> {
        if let Some(url) = &self.url {
            return at_url(url);
        }
        if let Some(value) = &self.secret {
            let secret = secret::read(value, base)?;
            let short = |algorithm: &&Algorithm| secret.expose().len() < algorithm.least_secret();
            if let Some(algorithm) = algorithms.iter().find(short) {
                let least = algorithm.least_secret();
                value.fault(format!("a shared secret for {algorithm} has at least {least} bytes"), None);
            }
            return Some(KeyOrigin::Secret(SharedSecret::new(secret.expose().clone())));
        }
        let file = self.file?;
        let path = file.path(base)?;
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| file.faults().unreadable(Some(&file.at()), &path, &error)).ok()?;
        match KeySet::parse(text.as_bytes(), algorithms) {
            Err(error) => file.fault(format!("`{}`: {error}", path.display()), None),
            Ok(keys) if keys.is_empty() => {
                let hint = String::from(
                    "public keys with `use` \"sig\", RSA of 2048 bits or more, of a type that `algorithms` allows",
                );
                file.fault(format!("`{}` holds no key that can verify a token", path.display()), hint);
            }
            Ok(_) => {}
        }
        Some(KeyOrigin::Document(text.into()))
    }
}

/// HS algorithms go with a shared secret and with nothing else: a public key must never become an HMAC key.
fn check_symmetry(table: &Table<'_>, algorithms: &[Algorithm], keys: Option<&KeyOrigin>) {
    let Some(keys) = keys else { return };
    let secret = matches!(keys, KeyOrigin::Secret(_));
    if algorithms.iter().any(|algorithm| algorithm.is_symmetric() != secret) {
        let hint = "HS256, HS384 and HS512 need `shared_secret`; every other algorithm needs public keys";
        let at = table.get("algorithms").map_or_else(|| table.at(), |value| value.at());
        table.faults().error(&at, "the algorithms do not fit the source of keys", String::from(hint));
    }
}

fn read_algorithms(value: &Value<'_>) -> Vec<Algorithm> {
    let choices: Vec<_> = Algorithm::ALL.iter().map(|algorithm| (algorithm.name(), *algorithm)).collect();
    let algorithms: Vec<_> = value.list().iter().filter_map(|item| item.choice(&choices)).collect();
    if value.is_list() && value.list().is_empty() {
        value.fault("`algorithms` is empty: no token could be verified", None);
    }
    algorithms
}

fn read_token_types(value: &Value<'_>) -> Vec<TokenType> {
    let read = |text: Located<String>| match text.value.as_str() {
        "absent" => TokenType::Absent,
        text => TokenType::named(text),
    };
    let types: Vec<_> = value.strings().into_iter().map(read).collect();
    let never = ["dpop+jwt", "logout+jwt", "secevent+jwt", "token-introspection+jwt", "jwe", ""].map(TokenType::named);
    if let Some(TokenType::Named(name)) = types.iter().find(|kind| never.contains(kind)) {
        value.fault(format!("a token of type `{name}` is never an access token"), None);
    }
    if value.is_list() && types.is_empty() {
        value.fault("`token_types` is empty: no token could be verified", None);
    }
    types
}

#[cfg(test)]
mod tests;
