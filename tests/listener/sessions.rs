//! Sessions: what a resumed handshake rests on is asked again, and none crosses from one profile to another.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use portcullis::identity::TrustDomain;
use portcullis::listener::{ClientPolicy, Settings, Sources, TrustBundle, WhenExpired};
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::{NamedGroup, SupportedProtocolVersion};

use crate::certificates::{Ca, DAY, Identity, NOW, set_dates};
use crate::support::{Client, Exchange, House, Running, bundle, bundle_from};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// What the service hears of a connection: the client, and whether the session was resumed.
async fn visit(running: &Running, client: &Client, name: &str) -> Result<(String, bool), String> {
    let answer = running.ask(client, name).await?;
    let field = |name| answer.headers()[name].to_str().unwrap();
    Ok((field("x-peer").to_owned(), field("x-resumed") == "true"))
}

async fn expect(running: &Running, client: &Client, peer: &str, resumed: bool) {
    assert_eq!(visit(running, client, "edge.test").await.unwrap(), (peer.to_owned(), resumed));
}

fn client(identity: &Identity, version: &'static SupportedProtocolVersion) -> Client {
    Client::built(Some(identity), &["http/1.1"], &[version])
}

/// Puts other trust in force, as a reload does.
fn reload(running: &mut Running, client: ClientPolicy) {
    running.house.tls().client = client;
    let settings: Vec<Settings> = vec![running.house.settings.clone()];
    running.workers.reload(&settings, &[]).unwrap();
}

fn revoking(folder: &tempfile::TempDir, ca: &Ca, revoked: &[&Identity]) -> Arc<TrustBundle> {
    let sources = Sources {
        authorities: vec![ca.write(folder.path(), "corp")],
        revocation_lists: vec![ca.write_list(folder.path(), "corp", revoked)],
        when_expired: WhenExpired::Deny,
        ..Sources::default()
    };
    bundle_from("corp", &sources)
}

#[tokio::test]
async fn a_session_is_resumed_with_the_identity_that_made_it() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let running = House::new(ClientPolicy::Optional(vec![bundle(folder.path(), "corp", &ca)])).run();
    for version in VERSIONS {
        let member = client(&ca.client(|_| {}), version);
        for resumed in [false, true, true] {
            expect(&running, &member, "verified corp", resumed).await;
        }
    }
}

#[tokio::test]
async fn without_resumption_every_connection_proves_its_key() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let mut house = House::new(ClientPolicy::Optional(vec![bundle(folder.path(), "corp", &ca)]));
    house.tls().resumption = false;
    let running = house.run();
    for version in VERSIONS {
        let member = client(&ca.client(|_| {}), version);
        for _ in 0..3 {
            expect(&running, &member, "verified corp", false).await;
        }
    }
}

#[tokio::test]
async fn a_refused_certificate_leaves_nothing_to_resume() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let running = House::new(ClientPolicy::Optional(vec![bundle(folder.path(), "corp", &ca)])).run();
    for version in VERSIONS {
        let stranger = client(&Ca::new("rogue").client(|_| {}), version);
        for _ in 0..3 {
            expect(&running, &stranger, "refused unknown-issuer", false).await;
        }
    }
}

#[tokio::test]
async fn a_session_ends_with_the_certificate_it_rests_on() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    for version in VERSIONS {
        let running = House::new(ClientPolicy::Optional(vec![bundle(folder.path(), "corp", &ca)])).run();
        let member = client(&ca.client(|params| set_dates(params, NOW - DAY, NOW + 600)), version);
        expect(&running, &member, "verified corp", false).await;
        running.house.clock.set(Timestamp::from_second(NOW + 599).unwrap());
        expect(&running, &member, "verified corp", true).await;
        // The last moment of a certificate is its own; from the next one on it has expired.
        running.house.clock.set(Timestamp::from_second(NOW + 601).unwrap());
        expect(&running, &member, "refused expired", false).await;
    }
}

#[tokio::test]
async fn a_session_is_not_renewed_for_ever() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    for version in VERSIONS {
        let running = House::new(ClientPolicy::Optional(vec![bundle(folder.path(), "corp", &ca)])).run();
        let member = client(&ca.client(|_| {}), version);
        let mut hours = Vec::new();
        for hour in 0..30 {
            running.house.clock.set(Timestamp::from_second(NOW + hour * 3600).unwrap());
            if !visit(&running, &member, "edge.test").await.unwrap().1 {
                hours.push(hour);
            }
        }
        assert_eq!(hours, [0, 12, 24]);
    }
}

#[tokio::test]
async fn a_reload_that_revokes_or_distrusts_ends_sessions_and_open_connections() {
    let (ca, other, folder) = (Ca::new("clients"), Ca::new("other"), tempfile::tempdir().unwrap());
    for version in VERSIONS {
        for revoke in [true, false] {
            let identity = ca.client(|_| {});
            let before = vec![revoking(&folder, &ca, &[])];
            let mut running = House::new(ClientPolicy::Optional(before)).run();
            let member = client(&identity, version);
            expect(&running, &member, "verified corp", false).await;
            expect(&running, &member, "verified corp", true).await;
            let stream = running.connect(&member, "edge.test").await.unwrap();
            let mut open = Exchange::over(stream).await.unwrap();
            assert_eq!(open.ask("edge.test").await.unwrap().headers()["x-peer"], "verified corp");

            let (trust, reason) = if revoke {
                (revoking(&folder, &ca, &[&identity]), "refused revoked")
            } else {
                (bundle(folder.path(), "corp", &other), "refused unknown-issuer")
            };
            reload(&mut running, ClientPolicy::Optional(vec![trust]));
            expect(&running, &member, reason, false).await;
            assert_eq!(open.ask("edge.test").await.unwrap().headers()["x-peer"], reason, "on the open connection");
        }
    }
}

/// A chain, or a list that speaks for it, ends `NOW + 600` by whatever of it ends first; `reason` says how.
async fn ends(trust: Arc<TrustBundle>, identity: &Identity, reason: &str) {
    let running = House::new(ClientPolicy::Optional(vec![trust])).run();
    let at = |second| running.house.clock.set(Timestamp::from_second(second).unwrap());
    for version in VERSIONS {
        at(NOW);
        let stream = running.connect(&client(identity, version), "edge.test").await.unwrap();
        let mut open = Exchange::over(stream).await.unwrap();
        for (second, peer) in [(NOW, "verified corp"), (NOW + 599, "verified corp"), (NOW + 600, reason)] {
            at(second);
            assert_eq!(
                open.ask("edge.test").await.unwrap().headers()["x-peer"],
                peer,
                "{second} on the open connection"
            );
            assert_eq!(running.peer(&client(identity, version)).await.as_deref(), Ok(peer), "{second} on a new one");
        }
    }
}

#[tokio::test]
async fn a_connection_counts_no_longer_than_any_part_of_its_chain() {
    let (root, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let short = |params: &mut rcgen::CertificateParams| set_dates(params, NOW - DAY, NOW + 600);
    let team = root.below("team", short);
    ends(bundle(folder.path(), "corp", &root), &team.client(|_| {}), "refused expired").await;
    let root = Ca::with_key("clients", rcgen::KeyPair::generate().unwrap(), short);
    ends(bundle(folder.path(), "corp", &root), &root.client(|_| {}), "refused expired").await;
}

#[tokio::test]
async fn a_connection_counts_no_longer_than_the_list_that_speaks_for_it() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let list = folder.path().join("corp.crl");
    std::fs::write(&list, ca.list(NOW - DAY, NOW + 600, &[])).unwrap();
    let sources = Sources {
        authorities: vec![ca.write(folder.path(), "corp")],
        revocation_lists: vec![list],
        when_expired: WhenExpired::Deny,
        ..Sources::default()
    };
    ends(bundle_from("corp", &sources), &ca.client(|_| {}), "refused revocation-unknown").await;
}

/// Where a certificate is required, what is said of one that was seen before ends the handshake itself.
#[tokio::test]
async fn a_chain_that_was_seen_before_is_asked_about_in_every_handshake() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    for version in VERSIONS {
        let mut house = House::new(ClientPolicy::Required(vec![bundle(folder.path(), "corp", &ca)]));
        house.tls().resumption = false;
        let running = house.run();
        let member = client(&ca.client(|params| set_dates(params, NOW - DAY, NOW + 600)), version);
        for _ in 0..2 {
            expect(&running, &member, "verified corp", false).await;
        }
        running.house.clock.set(Timestamp::from_second(NOW + 601).unwrap());
        let refused = visit(&running, &member, "edge.test").await.unwrap_err();
        assert!(refused.contains("CertificateExpired"), "{refused}");
    }
}

#[tokio::test]
async fn a_reload_that_names_another_trust_domain_ends_those_of_the_first() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let authorities = vec![ca.write(folder.path(), "corp")];
    let standing_for = |domain: &str| {
        let spiffe_trust_domain = Some(TrustDomain::parse(domain).unwrap());
        bundle_from("corp", &Sources { authorities: authorities.clone(), spiffe_trust_domain, ..Sources::default() })
    };
    for version in VERSIONS {
        let mut running = House::new(ClientPolicy::Optional(vec![standing_for("corp.example")])).run();
        let member = client(&ca.svid("spiffe://corp.example/api"), version);
        let stream = running.connect(&member, "edge.test").await.unwrap();
        let mut open = Exchange::over(stream).await.unwrap();
        assert_eq!(open.ask("edge.test").await.unwrap().headers()["x-peer"], "verified corp");
        reload(&mut running, ClientPolicy::Optional(vec![standing_for("other.example")]));
        expect(&running, &member, "refused spiffe-id", false).await;
        assert_eq!(open.ask("edge.test").await.unwrap().headers()["x-peer"], "refused spiffe-id");
    }
}

/// A client cache that offers any session to any host, as an attacker would.
#[derive(Debug, Default)]
struct Greedy {
    group: Mutex<Option<NamedGroup>>,
    tls12: Mutex<Option<Tls12ClientSessionValue>>,
    tls13: Mutex<Option<Tls13ClientSessionValue>>,
}

impl ClientSessionStore for Greedy {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        *self.group.lock().unwrap() = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        *self.group.lock().unwrap()
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        *self.tls12.lock().unwrap() = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.tls12.lock().unwrap().clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        *self.tls13.lock().unwrap() = Some(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.tls13.lock().unwrap().take()
    }
}

/// Sessions are made where no certificate is asked for, and offered where one is required.
#[tokio::test]
async fn no_session_crosses_from_one_profile_to_another() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    for version in VERSIONS {
        let trust = vec![bundle(folder.path(), "corp", &ca)];
        let running = House::new(ClientPolicy::Off).host("strict.test", ClientPolicy::Required(trust)).run();
        let mut config = (*Client::built(None, &["http/1.1"], &[version]).config).clone();
        let store = Arc::new(Greedy::default());
        config.resumption = rustls::client::Resumption::store(store.clone());
        let greedy = Client { config: Arc::new(config) };
        expect(&running, &greedy, "absent", false).await;
        expect(&running, &greedy, "absent", true).await;
        visit(&running, &greedy, "strict.test").await.unwrap_err();
    }
}

#[tokio::test]
async fn the_profile_follows_the_server_name_and_serves_its_own_hosts_alone() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let trust = vec![bundle(folder.path(), "corp", &ca)];
    let running = House::new(ClientPolicy::Off)
        .host("strict.test", ClientPolicy::Required(trust.clone()))
        .host("*.soft.test", ClientPolicy::Optional(trust))
        .run();
    let member = Client::with(&ca.client(|_| {}));
    for (name, profile, peer) in [
        ("edge.test", "edge", "absent"),
        ("strict.test", "edge/strict.test", "verified corp"),
        ("a.soft.test", "edge/*.soft.test", "verified corp"),
    ] {
        let stream = running.connect(&member, name).await.unwrap();
        let mut open = Exchange::over(stream).await.unwrap();
        for host in ["edge.test", "strict.test", "a.soft.test"] {
            let answer = open.ask(host).await.unwrap();
            let (headers, own) = (answer.headers(), host == name);
            assert_eq!(
                (&headers["x-profile"], &headers["x-peer"]),
                (&profile.parse().unwrap(), &peer.parse().unwrap())
            );
            assert_eq!(headers["x-serves"], own.to_string(), "{host} over a connection for {name}");
        }
    }
    running.ask(&Client::anonymous(), "strict.test").await.unwrap_err();
}

/// Early data comes before the handshake has proved anything, and can be sent again by anybody who saw it.
#[tokio::test]
async fn a_resumed_session_takes_no_early_data() {
    let running = House::new(ClientPolicy::Off).run();
    let mut config = (*Client::built(None, &["http/1.1"], &[&rustls::version::TLS13]).config).clone();
    config.enable_early_data = true;
    let eager = Client { config: Arc::new(config) };
    expect(&running, &eager, "absent", false).await;
    expect(&running, &eager, "absent", true).await;
    let name = ServerName::try_from("edge.test").unwrap();
    let mut resuming = rustls::ClientConnection::new(eager.config.clone(), name).unwrap();
    assert!(resuming.early_data().is_none(), "the ticket must not offer any");
}

/// What a client must show does not depend on the version of HTTP that it would like to speak.
#[tokio::test]
async fn a_certificate_is_asked_for_in_every_version_of_http() {
    let (ca, folder) = (Ca::new("clients"), tempfile::tempdir().unwrap());
    let running = House::new(ClientPolicy::Required(vec![bundle(folder.path(), "corp", &ca)])).run();
    for alpn in [&["h2"][..], &["http/1.1"], &["h2", "http/1.1"], &[]] {
        let member = Client::new(Some(&ca.client(|_| {})), alpn);
        assert_eq!(running.peer(&member).await.as_deref(), Ok("verified corp"), "{alpn:?}");
        running.peer(&Client::new(None, alpn)).await.unwrap_err();
    }
}
