"""Measures the data plane beside its peers: what a handshake and a large body cost, down and up.

One worker each; TLS 1.3 with a required client certificate, all keys P-256, key exchange X25519. The figures are user +
system time of the proxy's process and its resident memory, round by round in turn.
"""

import argparse
import dataclasses
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "compare"))

import compare
import lineup
import material
import peers
import sink


def main():
    parser = argparse.ArgumentParser(prog="benches/plane/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="little of everything: does it work?")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(MEASURES), help=",".join(MEASURES))
    parser.add_argument("--markdown", help="write the tables to this file, too")
    options = parser.parse_args()
    work = compare.ROOT / "target/plane"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    subprocess.run([compare.ROOT / "target/dist/floor", "material", work / "c"], check=True)
    material.write(work / "c")
    place = peers.Place(root=compare.ROOT, tools=compare.TOOLS, folder=work, upstream=peers.free_port(), patient=True)
    upstream = peers.Upstream().start(place)
    lines = ["# The data plane, side by side", "", compare.machine(), "", __doc__.split("\n\n")[1].replace("\n", " ").strip(), ""]
    try:
        for name in options.only:
            lines += [*MEASURES[name](place, options), ""]
            if options.markdown:
                Path(options.markdown).write_text("\n".join(lines))
    finally:
        upstream.stop()
    print("\n".join(lines))


class Caller:
    """A client with a certificate that never resumes a session."""

    def __init__(self, place, name="client"):
        c = place.folder / "c"
        self.context = ssl.create_default_context(cafile=c / "ca.pem")
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.load_cert_chain(c / f"{name}.pem", c / f"{name}.key")
        self.request = f"GET /api/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {(c / 'token').read_text()}\r\n\r\n".encode()

    def connect(self, entry, name="localhost"):
        plain = socket.create_connection(("127.0.0.1", entry.port), timeout=60)
        return self.context.wrap_socket(plain, server_hostname=name)

    def ask(self, connection):
        connection.sendall(self.request)
        answer = b""
        while not (b"\r\n\r\n" in answer and len(answer.split(b"\r\n\r\n", 1)[1]) >= 130):
            piece = connection.recv(4096)
            if not piece:
                sys.exit(f"half an answer: {answer!r}")
            answer += piece
        if not answer.startswith(b"HTTP/1.1 200 "):
            sys.exit(f"not served: {answer!r}")

    def shake(self, entry, name):
        """A handshake, and its end: when the proxy closes, it has seen it all. An alert raises."""
        with self.connect(entry, name) as connection:
            socket.socket.shutdown(connection, socket.SHUT_WR)
            said = connection.recv(100)
            if said:
                entry.fail(f"speaks first: {said!r}")


def running(place, entries, caller):
    started = []
    try:
        for peer in entries:
            started.append(peer.start(place))
            caller.ask(caller.connect(started[-1]))
            if compare.ask(started[-1], place, certificate=False) not in (0, 400):
                started[-1].fail("answers a client without certificate")
        return started
    except BaseException:
        stop(started)
        raise


def stop(started):
    for entry in started:
        entry.stop()


def handshakes(place, options):
    count, rounds = (100, 2) if options.quick else (1_000, 5)
    caller = Caller(place)
    started = running(place, lineup.HANDSHAKES, caller)
    spent = {entry.peer.name: [] for entry in started}
    try:
        for number in range(-1, rounds):
            for entry in started:
                # Another thousand of the hosts and of the clients in each round.
                numbers = [(number * count + step) % material.HOSTS for step in range(count)]
                names = [material.host(step) if isinstance(entry.peer, lineup.Hosts) else "localhost" for step in numbers]
                callers = [Caller(place, f"clients/{step}") for step in numbers] if isinstance(entry.peer, lineup.Strangers) else [caller] * count
                before = compare.cpu(entry.pid)[0]
                for name, who in zip(names, callers):
                    who.shake(entry, name)
                if number >= 0:
                    spent[entry.peer.name].append((compare.cpu(entry.pid)[0] - before) * 1e6 / count)
            print(f"handshakes, round {number + 1}/{rounds}", file=sys.stderr, flush=True)
        sizes = {entry.peer.name: (entry.milliseconds_to_listen, compare.resident(entry.pid)) for entry in started}
    finally:
        stop(started)
    ours = statistics.median(spent["portcullis"])
    lines = ["## Full handshakes, none resumed", "", f"Median of {rounds} rounds of {count:,}. Where certificates or clients are many, each handshake has another.", "",
             "| proxy | CPU µs each | quartiles | Portcullis / it | ms until it listens | resident MB |", "|---|--:|--:|--:|--:|--:|"]
    for peer in lineup.HANDSHAKES:
        low, high = compare.quartiles(spent[peer.name])
        middle, (start, memory) = statistics.median(spent[peer.name]), sizes[peer.name]
        lines.append(f"| {peer.title} | {middle:.0f} | {low:.0f} - {high:.0f} | {ours / middle:.2f} | {start:.0f} | {memory:.0f} |")
    return lines


def answers(place, options):
    size = length(options)
    (place.folder / "upstream/files/api/1024m").write_bytes(b"")
    os.truncate(place.folder / "upstream/files/api/1024m", size)
    return bodies(place, options, f"An answer of {size >> 20:,} MiB", ["-w", "%{size_download} %{http_code}"], "/api/1024m", f"{size} 200")


def uploads(place, options):
    """Nobody keeps a body before it is passed on: nginx is told so, the others do it by themselves."""
    size, body = length(options), place.folder / "upload"
    body.write_bytes(b"")
    os.truncate(body, size)
    service = sink.Sink()
    try:
        how = ["-T", body, "-H", "Expect:", "-w", "%{size_upload} %{http_code}"]
        lines = bodies(dataclasses.replace(place, upstream=service.port), options, f"A request of {size >> 20:,} MiB", how, "/api/up", f"{size} 200")
    finally:
        service.stop()
    wanted = rounds(options) * 2 * len(lineup.BODIES)
    if service.sizes != [size] * wanted:
        sys.exit(f"the service got {service.sizes}, not {wanted} times {size}")
    return lines


def length(options):
    return 64 << 20 if options.quick else 1 << 30


def rounds(options):
    return 1 if options.quick else 3


def bodies(place, options, title, how, path, expected):
    size, caller, c = length(options), Caller(place), place.folder / "c"
    started = running(place, lineup.BODIES, caller)
    found = {}
    try:
        for number in range(rounds(options)):
            for version in ("--http1.1", "--http2"):
                for entry in started:
                    # From here on the peak is counted anew (proc(5)).
                    Path(f"/proc/{entry.pid}/clear_refs").write_text("5")
                    held, before = compare.resident(entry.pid), compare.cpu(entry.pid)[0]
                    told = subprocess.run(["curl", "-q", "-s", "-o", "/dev/null", *how, "--noproxy", "*", version, "--cacert", c / "ca.pem", "--cert", c / "client.pem", "--key", c / "client.key",
                                           "-H", f"Authorization: Bearer {(c / 'token').read_text()}", f"https://localhost:{entry.port}{path}"], capture_output=True, text=True)
                    if told.stdout != expected:
                        entry.fail(told)
                    spent = compare.cpu(entry.pid)[0] - before
                    found.setdefault((entry.peer.name, version), []).append((size / spent / 2**20, peak(entry.pid) - held))
            print(f"{title}, round {number + 1}/{rounds(options)}", file=sys.stderr, flush=True)
    finally:
        stop(started)
    lines = [f"## {title}", "", f"Median of {rounds(options)} rounds; of the memory, the most.", "",
             "| proxy | HTTP/1.1, MiB per CPU second | more memory, MB | HTTP/2, MiB per CPU second | more memory, MB |", "|---|--:|--:|--:|--:|"]
    for peer in lineup.BODIES:
        cells = []
        for version in ("--http1.1", "--http2"):
            rows = found[peer.name, version]
            cells += [f"{statistics.median(row[0] for row in rows):,.0f}", f"{max(row[1] for row in rows):.1f}"]
        lines.append(f"| {peer.title} | {' | '.join(cells)} |")
    return lines


def peak(pid):
    """The most resident megabytes since the peak was last forgotten."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


MEASURES = {"handshakes": handshakes, "answers": answers, "uploads": uploads}

if __name__ == "__main__":
    main()
