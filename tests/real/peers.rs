//! The components themselves, before anything stands between them: a fault here is not the proxy's.

use crate::support::{Curl, Ground, IdentityProvider, Nginx, Tools};

#[test]
fn the_identity_provider_issues_what_it_is_asked_for() {
    let Some(Ground { authority, mut provider, folder: _folder, .. }) = Ground::lay() else { return };
    for resource in ["rs256", "ps256", "es256", "eddsa", "elsewhere"] {
        assert_eq!(provider.token("sre", resource).split('.').count(), 3, "{resource}");
    }
    let opaque = provider.token("contractor", "opaque");
    assert!(!opaque.contains('.'));

    let introspect = |token: &str| {
        let user = format!("portcullis:{}", IdentityProvider::secret("portcullis"));
        let curl = Curl::trusting(&authority.file).with(&["--user", &user, "--data", &format!("token={token}")]);
        curl.get(&format!("{}/token/introspection", provider.issuer)).unwrap().json()
    };
    let told = introspect(&opaque);
    assert_eq!((told["active"].as_bool(), told["sub"].as_str()), (Some(true), Some("contractor")));
    assert_eq!(told["groups"][0], "contractors");
    provider.revoke("contractor", &opaque);
    assert_eq!(introspect(&opaque)["active"], false);

    let client = authority.client("client", "spiffe://corp.example/client");
    assert_eq!(provider.bound_token("sre-bound", "es256", &client).split('.').count(), 3);

    let keys = |provider: &IdentityProvider| {
        Curl::trusting(&authority.file).get(&format!("{}/jwks", provider.issuer)).unwrap().json()
    };
    let before = keys(&provider);
    provider.stop();
    provider.start_again();
    assert_eq!(keys(&provider), before, "the keys outlive a restart");
    provider.stop();
    provider.forget_keys();
    provider.start_again();
    assert_ne!(keys(&provider), before);
}

#[test]
fn nginx_shows_what_it_received() {
    let Some(tools) = Tools::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(&tools, folder.path());
    let ask = |target: &str| {
        let curl = Curl::trusting(std::path::Path::new("/dev/null")).header("X-Probe: one");
        curl.get(&format!("http://{}{target}", nginx.address)).unwrap()
    };
    assert_eq!(ask("/api/orders").body.len(), 130);
    assert_eq!(ask("/status/503").status, 503);
    let seen = ask("/seen/a?b=c").json();
    assert_eq!(
        (&seen["target"], &seen["x_probe"], &seen["authorization"]),
        (&"/seen/a?b=c".into(), &"one".into(), &"".into())
    );
    let large = vec![b'x'; 3 << 20];
    nginx.serve("large", &large);
    assert_eq!(ask("/files/large").body, large);
    assert_eq!(nginx.log().first().unwrap(), "GET /api/orders 200");
}
