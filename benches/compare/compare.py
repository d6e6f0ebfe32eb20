"""Measures CPU time per request of several proxies that do the same work, round by round in turn.

One worker each; TLS 1.3 with a required client certificate, key exchange X25519 without session resumption where the
proxy can be told so; an RS256 token for the group `sre`; only GET /api/* is admitted; kept-alive HTTP/1.1 to an nginx
that answers 130 bytes. The figure is user + system time of the proxy's process over a run, divided by its requests.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import chart
import peers

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target/tools/bin"
TICK = os.sysconf("SC_CLK_TCK")

# name: (title, what oha is told, requests a round, requests a quick round, path)
CASES = {
    "h1": ("HTTP/1.1 keep-alive, token cached", ["-c", "32"], 40_000, 6_000, "/api/orders"),
    "h2": ("HTTP/2, token cached", ["--http2", "-c", "8", "-p", "16"], 40_000, 6_000, "/api/orders"),
    "connections": ("new mTLS connection per request (Portcullis resumes sessions, the others make each anew: not the same work)", ["--disable-keepalive", "-c", "16"], 4_000, 600, "/api/orders"),
    "64k": ("64 KB answers, HTTP/1.1", ["-c", "8"], 8_000, 800, "/api/64k"),
    "16m": ("16 MB answers, HTTP/1.1", ["-c", "4"], 80, 16, "/api/16m"),
}
USUAL = ["h1", "h2"]


def main():
    options = arguments()
    work = ROOT / "target/compare"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    subprocess.run([ROOT / "target/dist/floor", "material", work / "c"], check=True)
    place = peers.Place(root=ROOT, tools=TOOLS, folder=work, upstream=peers.free_port())
    lineup = [peer for peer in peers.LINEUP + peers.VARIANTS if peer.name in (options.peers or peers.USUAL)]
    running = []
    try:
        running.append(peers.Upstream().start(place))
        for peer in lineup:
            running.append(peer.start(place))
        for entry in running[1:]:
            prove_same_work(entry, place)
        results = measure(running[1:], place, options)
        memory = {entry.peer.name: (entry.resident_at_start, resident(entry.pid), entry.milliseconds_to_listen) for entry in running[1:]}
    finally:
        for entry in running:
            entry.stop()
    report = render(lineup, results, memory, options)
    print(report)
    if options.markdown:
        Path(options.markdown).write_text(report)
    if options.svg:
        Path(options.svg).write_text(chart.draw([(CASES[case][0], bars(lineup, by_peer)) for case, by_peer in results.items()]))


def arguments():
    parser = argparse.ArgumentParser(prog="benches/compare/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--rounds", type=int, help="rounds (7, or 2 when quick)")
    parser.add_argument("--cases", type=lambda text: text.split(","), default=USUAL, help=f"{','.join(CASES)}; without this {','.join(USUAL)}")
    parser.add_argument("--peers", type=lambda text: text.split(","), help=",".join(peer.name for peer in peers.LINEUP + peers.VARIANTS))
    parser.add_argument("--markdown", help="write the tables to this file, too")
    parser.add_argument("--svg", help="write a chart to this file")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 7)
    return options


def prove_same_work(entry, place):
    """A proxy that admits what it should refuse, or refuses what it should admit, is not measured."""
    good = [((200,), dict(token="token"))]
    # For another audience Envoy says 403.
    bad = [((401,), dict(token=None)), ((401, 403), dict(token="token.other-audience")), ((403,), dict(token="token.other-group")), ((403,), dict(path="/other"))]
    for expected, how in good + (bad if entry.peer.authenticates else []):
        status = ask(entry, place, **how)
        if status not in expected:
            entry.last_words()
            sys.exit(f"{entry.peer.name}: {how} gave {status}, expected {expected}")
    # nginx shakes hands first and then answers 400.
    if ask(entry, place, certificate=False) not in (0, 400):
        sys.exit(f"{entry.peer.name} answers a client without certificate")


def ask(entry, place, token="token", path="/api/orders", certificate=True):
    """The status of one request by curl; 0 when there is no answer."""
    c = place.folder / "c"
    command = ["curl", "-q", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*", "--max-time", "10", "--cacert", c / "ca.pem"]
    if certificate:
        command += ["--cert", c / "client.pem", "--key", c / "client.key"]
    if token:
        command += ["-H", f"Authorization: Bearer {(c / token).read_text()}"]
    told = subprocess.run([*command, f"https://localhost:{entry.port}{path}"], capture_output=True, text=True)
    return int(told.stdout or 0)


def measure(running, place, options):
    """{case: {peer: [(CPU us/request, requests/s, p50 ms, p99 ms, kernel us/request), ...]}}, one entry a round."""
    results = {case: {entry.peer.name: [] for entry in running} for case in options.cases}
    for case in options.cases:
        _, how, full, quick, path = CASES[case]
        count = quick if options.quick else full
        for entry in running:
            load(entry, place, how, count // 4, path)
        for number in range(options.rounds):
            for entry in running:
                before, started = cpu(entry.pid), time.monotonic()
                told = load(entry, place, how, count, path)
                used, kernel = (now - then for now, then in zip(cpu(entry.pid), before))
                row = (used * 1e6 / count, count / (time.monotonic() - started), told["p50"], told["p99"], kernel * 1e6 / count)
                results[case][entry.peer.name].append(row)
                print(f"{case} round {number + 1}/{options.rounds} {entry.peer.name}: {row[0]:.1f} us", file=sys.stderr, flush=True)
    return results


def load(entry, place, how, count, path="/api/orders"):
    """Runs oha; every request must be answered with 200."""
    c = place.folder / "c"
    command = [TOOLS / "oha", "--no-tui", "--output-format", "json", "-n", str(count), *how, "--cacert", c / "ca.pem", "--cert", c / "client.pem",
               "--key", c / "client.key", "-H", f"Authorization: Bearer {(c / 'token').read_text()}", f"https://localhost:{entry.port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"oha: {done.stderr}")
    told = json.loads(done.stdout)
    if told["statusCodeDistribution"] != {"200": count}:
        entry.last_words()
        sys.exit(f"{entry.peer.name}: {told['statusCodeDistribution']} {told['errorDistribution']}")
    return {name: told["latencyPercentiles"][name] * 1000 for name in ("p50", "p99")}


def cpu(pid):
    """Seconds of user and system time of a process, and of system time alone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK, int(fields[12]) / TICK


def resident(pid):
    """Resident megabytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def bars(lineup, by_peer):
    """[(title, CPU us/request, whether it is ours), ...]"""
    return [(peer.title, statistics.median(row[0] for row in by_peer[peer.name]), peer.name == "portcullis") for peer in lineup]


def render(lineup, results, memory, options):
    lines = ["# CPU time per request, side by side", "", machine(), "", f"Median of {options.rounds} rounds taken in turn, with the interquartile range. " + __doc__.split("\n\n")[1].replace("\n", " ").strip(), ""]
    for case, by_peer in results.items():
        base = {name: statistics.median(row[0] for row in rows) for name, rows in by_peer.items()}
        reference = "portcullis" if "portcullis" in base else lineup[0].name
        lines += [f"## {CASES[case][0]}", "", f"| proxy | CPU us/request | quartiles | kernel's part | {reference} / it | requests/s | p50 ms | p99 ms |", "|---|--:|--:|--:|--:|--:|--:|--:|"]
        for peer in lineup:
            rows = by_peer[peer.name]
            low, high = quartiles([row[0] for row in rows])
            rate, p50, p99, kernel = (statistics.median(row[index] for row in rows) for index in (1, 2, 3, 4))
            ratio = base[reference] / base[peer.name] if base[peer.name] else float("nan")
            lines.append(f"| {peer.title} | {base[peer.name]:.1f} | {low:.1f} - {high:.1f} | {kernel:.1f} | {ratio:.2f} | {rate:,.0f} | {p50:.2f} | {p99:.2f} |")
        lines.append("")
    lines += ["## Start and memory", "", "| proxy | ms until it listens | resident MB at start | after the run |", "|---|--:|--:|--:|"]
    lines += [f"| {peer.title} | {memory[peer.name][2]:.0f} | {memory[peer.name][0]:.1f} | {memory[peer.name][1]:.1f} |" for peer in lineup]
    lines += ["", "What each one does and does not do:", ""]
    lines += [f"- {peer.title}: {peer.note}" for peer in lineup]
    return "\n".join(lines) + "\n"


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    parts = statistics.quantiles(values, n=4, method="inclusive")
    return parts[0], parts[2]


def machine():
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}."


if __name__ == "__main__":
    main()
