//! What every answer over TLS says of TLS (RFC 6797).

use std::time::Duration;

use portcullis::listener::{ClientPolicy, Hsts};

use crate::support::{Client, House, Running};

async fn said(running: &Running, alpn: &str) -> Option<String> {
    let answer = running.ask(&Client::new(None, &[alpn]), "edge.test").await.unwrap();
    answer.headers().get("strict-transport-security").map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn clients_are_told_to_stay_with_tls_where_that_is_configured() {
    let mut house = House::new(ClientPolicy::Off);
    house.tls().hsts = Some(Hsts { max_age: Duration::from_secs(86_400), subdomains: false, preload: false });
    let mut running = house.run();
    for alpn in ["http/1.1", "h2"] {
        assert_eq!(said(&running, alpn).await.as_deref(), Some("max-age=86400"));
    }
    let year = Duration::from_secs(365 * 86_400);
    for (subdomains, preload, expected) in [
        (true, false, "max-age=31536000; includeSubDomains"),
        (true, true, "max-age=31536000; includeSubDomains; preload"),
    ] {
        running.house.tls().hsts = Some(Hsts { max_age: year, subdomains, preload });
        running.workers.reload(&[running.house.settings.clone()], &[]).unwrap();
        assert_eq!(said(&running, "h2").await.as_deref(), Some(expected));
    }
    // A reload that takes it away takes back nothing from those who know, and tells nobody else.
    running.house.tls().hsts = None;
    let settings = vec![running.house.settings.clone()];
    running.workers.reload(&settings, &[]).unwrap();
    assert_eq!(said(&running, "h2").await, None);
}
