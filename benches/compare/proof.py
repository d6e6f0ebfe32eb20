"""Shows that a proxy does the work of the comparison before it is measured."""

import subprocess

# What to ask, and the answers that are right. For another audience Envoy says 403; a method that no route has is 405.
GOOD = [
    (dict(), (200,)),
    (dict(method="PUT", path="/api/up"), (200,)),
]
GOOD_TOKENS = [
    (dict(token="token.es256"), (200,)),
]
REFUSED = [
    (dict(token=None), (401,)),
    (dict(token="token.forged"), (401,)),
    (dict(token="token.expired"), (401,)),
    (dict(token="token.other-audience"), (401, 403)),
    (dict(token="token.other-group"), (403,)),
    (dict(token="token.opaque-unknown"), (401,)),
    (dict(path="/other"), (403,)),
    (dict(method="DELETE"), (403, 405)),
]


def prove_same_work(entry, place):
    """A proxy that admits what it should refuse, or refuses what it should admit, is not measured."""
    asked = GOOD + (GOOD_TOKENS + REFUSED if entry.peer.authenticates else [])
    if entry.peer.introspects:
        asked = [*asked, (dict(token="token.opaque"), (200,))]
    for what, expected in asked:
        status = ask(entry, place, **what)
        if status not in expected:
            entry.fail(f"{what} gave {status}, expected {expected}")
    # nginx shakes hands first and then answers 400.
    if ask(entry, place, certificate=False) not in (0, 400):
        entry.fail("answers a client without certificate")


def ask(entry, place, token="token", path="/api/orders", method="GET", certificate=True):
    """The status of one request by curl; 0 when there is no answer."""
    c = place.folder / "c"
    command = ["curl", "-q", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*", "--max-time", "10", "--cacert", c / "ca.pem", "-X", method]
    if method == "PUT":
        command += ["--data-binary", "a body"]
    if certificate:
        command += ["--cert", c / "client.pem", "--key", c / "client.key"]
    if token:
        command += ["-H", f"Authorization: Bearer {(c / token).read_text()}"]
    told = subprocess.run([*command, f"https://localhost:{entry.port}{path}"], capture_output=True, text=True)
    return int(told.stdout or 0)
