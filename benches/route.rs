//! What it costs to take a request in and to find its route, with 10 and with 10,000 routes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark: a broken assumption should stop it")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method, Request};
use jiff::Timestamp;
use portcullis::credential::extract;
use portcullis::identity::{Name, PeerCertificate};
use portcullis::request::{
    Arrival, Body, CanonicalPath, Connection, ConnectionId, Derived, Host, HttpVersion, IntakeSettings, PathForms,
    Received,
};
use portcullis::route::{Authorization, HostPattern, Methods, PathPattern, Resolved, Route, Routes};

/// `count` routes: 10 a service, and one host for each 10 services.
fn routes(count: usize) -> Routes {
    let paths = [
        "",
        "/{id}",
        "/{id}/parts",
        "/{id}/parts/{part}",
        "/search",
        "/export",
        "/a/b/c",
        "/a/b/{x}",
        "/v2",
        "/files/{rest...}",
    ];
    let route = |number: usize| {
        let (service, host) = (number / 10, number / 100);
        let path = format!("/v1/service-{service}{}", paths[number % 10]);
        Route {
            name: Name::new(format!("route-{number}")),
            host: HostPattern::parse(&format!("h{host}.corp.example")).unwrap(),
            path: PathPattern::parse(&path).unwrap(),
            methods: Methods::These(vec![Method::GET, Method::POST]),
            headers: Vec::new(),
            upstream: Name::new("echo"),
            prefix_rewrite: None,
            tokens: vec![Name::new("corp")],
            conceal: false,
            admits: PathForms::NONE,
            authorization: Authorization::Take,
            binding: None,
            cors: None,
        }
    };
    Routes::new((0..count).map(route).collect()).unwrap()
}

fn request() -> Request<Body> {
    Request::get("/v1/service-0/4711/parts/17?view=full")
        .header("host", "h0.corp.example")
        .header("user-agent", "curl/8.5.0")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip, br")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("cookie", "session=abcdef0123456789; theme=dark")
        .header("authorization", format!("Bearer {}", "x".repeat(700)))
        .body(Body::Empty)
        .unwrap()
}

fn connection() -> Arc<Connection> {
    Arc::new(Connection {
        id: ConnectionId(1),
        listener: Name::new("edge"),
        client: ([192, 0, 2, 1], 4711).into(),
        local: ([192, 0, 2, 2], 8443).into(),
        tls: None,
        peer: PeerCertificate::Absent,
        http: HttpVersion::Http1,
        derived: Derived::default(),
    })
}

fn paths(criterion: &mut Criterion) {
    for (name, path) in [
        ("path/plain", "/v1/service-0/4711/parts/17"),
        ("path/encoded", "/v1/stra%C3%9fe/a%20b/parts/17"),
        ("path/refused", "/v1/service-0/4711/parts/..;x"),
    ] {
        criterion.bench_function(name, |bencher| bencher.iter(|| CanonicalPath::parse(black_box(path)).is_ok()));
    }
    criterion.bench_function("host/parse", |bencher| {
        bencher.iter(|| Host::parse_authority(black_box(b"payments.corp.example:8443")).is_ok());
    });
}

fn find(criterion: &mut Criterion) {
    for count in [10, 10_000] {
        let routes = routes(count);
        let paths: Vec<_> = (0..count.min(1000))
            .map(|number| {
                let number = number * (count / count.min(1000));
                let path = CanonicalPath::parse(&format!("/v1/service-{}/4711/parts/17", number / 10)).unwrap();
                (Host::parse(&format!("h{}.corp.example", number / 100)).unwrap(), path)
            })
            .collect();
        let headers = HeaderMap::new();
        let mut next = 0;
        criterion.bench_function(&format!("find/{count}"), |bencher| {
            bencher.iter(|| {
                next = (next + 1) % paths.len();
                let (host, path) = &paths[next];
                routes.find(host, path, &Method::GET, &headers).unwrap()
            });
        });
    }
    criterion.bench_function("load/10000", |bencher| bencher.iter_with_large_drop(|| routes(10_000)));
}

fn journey(criterion: &mut Criterion) {
    let (routes, connection, settings) = (routes(1000), connection(), IntakeSettings::default());
    criterion.bench_function("arrival", |bencher| {
        let request = request();
        bencher.iter(|| Arrival::of(&request, Timestamp::UNIX_EPOCH));
    });
    criterion.bench_function("intake", |bencher| {
        let arrival = Arrival::of(&request(), Timestamp::UNIX_EPOCH);
        let intake = |request| Received::intake(Box::new(request), connection.clone(), &arrival, &settings).unwrap();
        bencher.iter_batched(request, intake, BatchSize::SmallInput);
    });
    criterion.bench_function("intake, resolve and extract", |bencher| {
        let arrival = Arrival::of(&request(), Timestamp::UNIX_EPOCH);
        let walk = |request| {
            let received = Received::intake(Box::new(request), connection.clone(), &arrival, &settings).unwrap();
            match routes.resolve(received).unwrap() {
                Resolved::Route(routed) => Some(extract(routed).unwrap()),
                Resolved::Own(_) => None,
            }
        };
        bencher.iter_batched(request, walk, BatchSize::SmallInput);
    });
}

criterion_group!(benches, paths, find, journey);
criterion_main!(benches);
