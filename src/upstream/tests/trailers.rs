//! What a client must not say in a request's head, it must not say in its trailers either; nor may a service in an answer's.

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::harness::{Gate, Who};
use super::streams::{call, client, data, fed, http2, http2_service, trailers};
use crate::upstream::settings::IdentityValue;

/// The trailers as the service sees them, sorted.
async fn arrive(sent: &'static [&'static str]) -> Vec<String> {
    let (told, mut heard) = mpsc::unbounded_channel();
    let address = http2_service(move |request: Request<Incoming>| {
        let told = told.clone();
        async move {
            told.send(request.into_body().collect().await.unwrap().trailers().cloned()).unwrap();
            let (_, body) = fed();
            http::Response::new(body)
        }
    })
    .await;
    let mut settings = http2(address);
    settings.identity.fields = vec![("x-auth-user".parse().unwrap(), IdentityValue::User)];
    settings.request_headers.set = vec![("x-set".parse().unwrap(), "1".parse().unwrap())];
    settings.request_headers.add = vec![("x-add".parse().unwrap(), "1".parse().unwrap())];
    settings.request_headers.remove = vec!["x-remove".parse().unwrap()];
    let who = Who { owned: vec!["x-tenant".parse().unwrap()], ..Who::default() };
    let gate = Gate::open_http2(vec![settings], who).await;
    let (feed, body) = fed();
    feed.send(data("body")).unwrap();
    let fields: Vec<_> = sent.iter().map(|name| (*name, "forged")).collect();
    feed.send(trailers(&fields)).unwrap();
    drop(feed);
    client(&gate).await.send_request(call(body)).await.unwrap();
    let arrived = heard.recv().await.unwrap().unwrap_or_default();
    let mut names: Vec<_> = arrived.keys().map(ToString::to_string).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "local")]
async fn what_only_the_gateway_or_a_rule_says_is_gone_from_trailers_in_every_spelling() {
    const OTHERS: &[&str] = &["grpc-status-details-bin", "x-checksum"];
    const FORGED: &[&str] = &[
        "x-auth-user",
        "x_auth_user",
        "x.auth.user",
        "x-tenant",
        "x_tenant",
        "x-set",
        "x_set",
        "x-add",
        "x.add",
        "x-remove",
        "x_remove",
        "x-forwarded-for",
        "x_forwarded_for",
        "forwarded",
        "x-real-ip",
        "x-remote-addr",
        "x_remote_addr",
        "cf-connecting-ip",
        "cf_connecting_ip",
        "fastly-client-ip",
        "true-client-ip",
        "x-rewrite-url",
        "x-rewrite-path",
        "x-original-url",
        "x-envoy-original-path",
        "x-portcullis-subject",
        "client-cert",
        "client-cert-chain",
        "x-forwarded-client-cert",
        "x-http-method-override",
        "x_http_method",
        "x-request-id",
        "x_request_id",
        "proxy-authorization",
        "authorization",
        "dpop",
        "cookie",
        "host",
        "content-type",
        "content_type",
        "traceparent",
        "expect",
    ];
    assert_eq!(arrive(FORGED).await, Vec::<String>::new());
    assert_eq!(arrive(OTHERS).await, OTHERS);
}

#[tokio::test(flavor = "local")]
async fn what_only_the_gateway_says_is_gone_from_the_trailers_of_an_answer() {
    const FORGED: &[&str] = &[
        "x-request-id",
        "x_request_id",
        "x-portcullis-reason",
        "x-forwarded-for",
        "proxy-authenticate",
        "set-cookie",
        "location",
        "cache-control",
        "www-authenticate",
        "content-type",
    ];
    let address = http2_service(|_| async {
        let (feed, body) = fed();
        feed.send(data("body")).unwrap();
        let forged = FORGED.iter().map(|name| (*name, "forged"));
        let fields: Vec<_> = forged.chain([("grpc-status", "0"), ("x-checksum", "1")]).collect();
        feed.send(trailers(&fields)).unwrap();
        http::Response::new(body)
    })
    .await;
    let gate = Gate::open_http2(vec![http2(address)], Who::default()).await;
    let answer = client(&gate).await.send_request(call(fed().1)).await.unwrap();
    let arrived = answer.into_body().collect().await.unwrap().trailers().cloned().unwrap();
    let mut names: Vec<_> = arrived.keys().map(ToString::to_string).collect();
    names.sort();
    assert_eq!(names, ["grpc-status", "x-checksum"]);
}
