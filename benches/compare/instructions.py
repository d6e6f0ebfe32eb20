#!/usr/bin/env python3
"""Instructions and allocations of one request on the hot path, counted by callgrind: the same on a busy machine as on an
idle one. Everything in the process counts, the audit writer included; the kernel does not.

    benches/compare/instructions.py              by part of the program
    benches/compare/instructions.py --functions  by function, the thirty dearest
    benches/compare/instructions.py --check      fails when more than 5 % above instructions.json
    benches/compare/instructions.py --keep       writes instructions.json

Needs valgrind, target/dist/portcullis and target/dist/floor (tools/install budget, and see run); HTTP/2 is counted where oha
is there (tools/install bench).
"""

import argparse
import collections
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import loads
import peers

REQUESTS = 2_000
KNOWN = Path(__file__).with_name("instructions.json")
HTTP2 = ["--http2", "-c", "2", "-p", "8"]
# The first that matches a function's name says which part of the program it is.
PARTS = [
    ("allocator", r"__rust_(alloc|dealloc|realloc)|^_?mi_|malloc|calloc|realloc|cfree|_int_free|free$|memalign|unlink_chunk|alloc_perturb|sysmalloc"),
    ("copying and comparing", r"mem(cpy|move|set|cmp|chr)|bcmp"),
    ("TLS", r"rustls|aws_lc|aesni|AES|gcm|ghash|EVP_|CRYPTO_|RAND_|rand_|ctr_drbg|webpki"),
    ("HTTP: hyper, h2, http", r"hyper|httparse|<?h2::|http::|http_body|atoi|itoa|httpdate"),
    ("audit", r"portcullis::audit|serde_json|jiff"),
    ("token", r"portcullis::(authn|credential)|jsonwebtoken|moka|quick_cache"),
    ("policy", r"portcullis::(policy|lease)"),
    ("route and intake", r"portcullis::(route|request)"),
    ("forwarding", r"portcullis::upstream"),
    ("listener and gateway", r"portcullis::"),
    ("tokio", r"tokio|mio|futures|epoll"),
]


class Counted(peers.Portcullis):
    name = "counted"
    # Without a layout by counts: what the sources alone make of it.
    program = "target/dist/portcullis"

    def command(self, place, folder, port):
        tool = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--instr-atstart=no"]
        return [*tool, *super().command(place, folder, port)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    work = loads.ROOT / "target/instructions"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    subprocess.run([loads.ROOT / "target/dist/floor", "material", work / "c"], check=True)
    place = peers.Place(root=loads.ROOT, tools=loads.TOOLS, folder=work, upstream=peers.free_port())
    upstream = peers.Upstream().start(place)
    running = None
    counted = {}
    try:
        running = Counted().start(place)
        counted["h1"] = count("HTTP/1.1", running, kept_alive(running, place), options)
        if (loads.TOOLS / "oha").exists():
            counted["h2"] = count("HTTP/2", running, multiplexed(running, place), options)
    finally:
        for entry in (running, upstream):
            if entry:
                entry.stop()
    if options.keep:
        KNOWN.write_text(json.dumps(counted, indent=2) + "\n")
    if options.check:
        sys.exit(compared(counted, json.loads(KNOWN.read_text())))


def kept_alive(running, place):
    """Counts from when the connections are open: gives what makes the requests."""
    with loads.Generator(running, place, ["requests", 400, 4, "token", 0]) as warm:
        warm.ready()
        warm.result()
    generator = loads.Generator(running, place, ["requests", REQUESTS, 4, "token", 0])
    generator.ready()
    return generator.result


def multiplexed(running, place):
    loads.load(running, place, HTTP2, 400)
    return lambda: loads.load(running, place, HTTP2, REQUESTS)


def count(title, running, requests, options):
    out = running.log.parent / "out"
    control(running, "--instr=on")
    control(running, "--zero")
    requests()
    # The audit log is written ten times a second.
    time.sleep(0.5)
    before = set(out.parent.glob("out.*"))
    control(running, "--dump")
    control(running, "--instr=off")
    (dump,) = set(out.parent.glob("out.*")) - before
    costs, allocations = read(dump)
    total = sum(costs.values())
    case = {"instructions": round(total / REQUESTS), "allocations": round(allocations / REQUESTS, 1)}
    print(f"\n{title}: {case['instructions']:,} instructions and {case['allocations']} allocations a request")
    shown = costs if options.functions else by_part(costs)
    for name, cost in shown.most_common(30):
        print(f"  {cost / REQUESTS:>9,.0f}  {100 * cost / total:4.1f} %  {name[:150]}")
    return case


def control(running, order):
    subprocess.run(["callgrind_control", order, str(running.pid)], check=True, capture_output=True, timeout=60)


def read(dump):
    """{function: its own instructions}, and how often memory was allocated."""
    names, costs, allocations = {}, collections.Counter(), 0
    function, callee, called = "", "", False
    for line in dump.open():
        found = re.match(r"(c?fn)=\((\d+)\)(?: (.*))?", line)
        if found:
            if found[3]:
                names[found[2]] = found[3].strip()
            if found[1] == "fn":
                function = names[found[2]]
            else:
                callee = names[found[2]]
        elif line.startswith("calls="):
            called = True
            if re.fullmatch(r"mi_(malloc|zalloc|realloc)_aligned", callee):
                allocations += int(line[6:].split()[0])
        elif re.match(r"[+*\-0-9]", line):
            if not called:
                costs[function] += int(line.split()[1])
            called = False
    return costs, allocations


def by_part(costs):
    parts = collections.Counter()
    for name, cost in costs.items():
        parts[next((part for part, pattern in PARTS if re.search(pattern, name)), "the rest")] += cost
    return parts


def compared(counted, known):
    worse = []
    for case, figures in known.items():
        if case not in counted:
            print(f"{case}: not counted, for oha is not installed")
            continue
        for what, before in figures.items():
            now = counted[case][what]
            verdict = "more than 5 % above" if now > before * 1.05 else "within 5 % of"
            print(f"{case}: {now:,} {what}, {verdict} {before:,}")
            worse += [case] if now > before * 1.05 else []
    return 1 if worse else 0


if __name__ == "__main__":
    main()
