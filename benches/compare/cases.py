"""The cases: which proxies do what, how often, and who cannot."""

from dataclasses import dataclass, field

from loads import Body, Connections, FixedRate, Idle, Messages, Oha, Opaque, Tokens

KEPT = ["-c", "32"]
MULTIPLEXED = ["--http2", "-c", "8", "-p", "16"]
NO_TOKENS = "verifies no token"
NO_GROUP = "its OpenSSL 3.0 has no post-quantum group"


@dataclass
class Case:
    """`loads` by name, in turn over `peers` round by round; `cannot` says why a peer is missing."""

    title: str
    peers: list
    loads: dict
    cannot: dict = field(default_factory=dict)
    # Whether sessions may be resumed, where a proxy can be told.
    tickets: bool = False
    # Whether connections are held: then there is one round, for what it takes is not given back before the next.
    holds: bool = False


CASES = {
    "h1": Case(
        "HTTP/1.1",
        ["portcullis", "nginx", "haproxy", "envoy", "envoy-log", "floor", "duties"],
        {"h1": Oha("HTTP/1.1 keep-alive, token cached", 30_000, 4_000, KEPT)},
    ),
    "h2": Case(
        "HTTP/2",
        ["portcullis", "nginx", "haproxy", "envoy", "envoy-log", "floor", "duties"],
        {"h2": Oha("HTTP/2, token cached", 30_000, 4_000, MULTIPLEXED)},
    ),
    "latency": Case(
        "Latency",
        ["portcullis", "nginx", "haproxy", "envoy", "floor"],
        {"latency": FixedRate("2,000 requests/s, HTTP/1.1 keep-alive, token cached", 10_000, 2_000, 2_000, KEPT)},
    ),
    "full": Case(
        "New connections",
        ["portcullis", "nginx", "haproxy", "envoy", "floor"],
        {"full": Connections("new mTLS connection per request, full handshake, X25519", 2_500, 300, "X25519", "full")},
    ),
    "resumed": Case(
        "Resumed connections",
        ["portcullis", "nginx", "haproxy", "envoy", "floor"],
        {"resumed": Connections("new mTLS connection per request, resumed, X25519", 4_000, 400, "X25519", "resumed")},
        tickets=True,
    ),
    "post-quantum": Case(
        "Post-quantum connections",
        ["portcullis", "envoy", "floor"],
        {"post-quantum": Connections("new mTLS connection per request, full handshake, X25519MLKEM768", 2_500, 300, "X25519MLKEM768", "full")},
        cannot={"nginx": NO_GROUP, "haproxy": NO_GROUP},
    ),
    "tokens": Case(
        "New tokens",
        ["portcullis", "haproxy", "envoy"],
        {
            "cached": Tokens("the same RS256 token each time", 10_000, 1_000),
            "rs256": Tokens("a new RS256 token each time", 10_000, 1_000, "RS256"),
            "es256": Tokens("a new ES256 token each time", 10_000, 1_000, "ES256"),
        },
        cannot={"nginx": NO_TOKENS, "floor": NO_TOKENS},
    ),
    "opaque": Case(
        "Opaque tokens",
        ["portcullis", "nginx"],
        {"opaque": Opaque("opaque token, answer of introspection cached", 20_000, 2_000, KEPT, token="token.opaque")},
        cannot={"haproxy": "asks only through a program of one's own (Lua)", "envoy": "asks only through a service of one's own (ext_authz)"},
    ),
    "bodies": Case(
        "Bodies",
        ["portcullis", "nginx", "haproxy", "envoy", "floor"],
        {
            "1k-down": Body("answers of 1 KB", 12_000, 1_000, "1k"),
            "1k-up": Body("requests of 1 KB", 12_000, 1_000, "1k", up=True),
            "64k-down": Body("answers of 64 KB", 6_000, 400, "64k"),
            "64k-up": Body("requests of 64 KB", 6_000, 400, "64k", up=True),
            "16m-down": Body("answers of 16 MB", 60, 8, "16m"),
            "16m-up": Body("requests of 16 MB", 60, 8, "16m", up=True),
        },
    ),
    "growth": Case(
        "Growth",
        ["portcullis", "routes", "two-workers"],
        {"growth": Oha("ten routes, ten thousand, and two workers: HTTP/1.1 keep-alive, token cached", 30_000, 4_000, KEPT)},
    ),
    "idle": Case(
        "Memory",
        ["portcullis", "nginx", "haproxy", "envoy", "floor"],
        {"idle": Idle("open connections that say nothing", 10_000, 400)},
        holds=True,
    ),
    "messages": Case(
        "Messages",
        ["portcullis", "nginx", "haproxy", "envoy"],
        {
            "websocket": Messages("WebSocket echo: 16 connections", 24_000, 3_200, "websocket", (16,)),
            "grpc": Messages("gRPC echo, bidirectional: 16 connections of one call", 24_000, 3_200, "grpc", (16, 1)),
            "grpc-many": Messages("gRPC echo, bidirectional: 4 connections of 8 calls", 96_000, 12_800, "grpc", (4, 8)),
        },
        cannot={"floor": "knows neither"},
    ),
}
