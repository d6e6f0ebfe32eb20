"""What is asked of a proxy, and what it spent on it. Each load gives one row a round: what was measured, by name."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from nginx import Upstream
from peer import resident

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target/tools/bin"
TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """Seconds of user and system time of a process, and of system time alone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(processor_clock(pid)), int(fields[12]) / TICK


def processor_clock(pid):
    """The clock of a process's time on the processors, as clock_getcpuclockid(3) makes it: in nanoseconds, where
    /proc counts hundredths of a second."""
    return (~pid << 3) | 2


def load(entry, place, how, count, path="/api/orders", token="token"):
    """Runs oha; every request must be answered with 200. Milliseconds at some percentiles."""
    c = place.folder / "c"
    command = [TOOLS / "oha", "--no-tui", "--output-format", "json", "-n", str(count), *how, "--cacert", c / "ca.pem", "--cert", c / "client.pem",
               "--key", c / "client.key", "-H", f"Authorization: Bearer {(c / token).read_text()}", f"https://localhost:{entry.port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"oha: {done.stderr}")
    told = json.loads(done.stdout)
    if told["statusCodeDistribution"] != {"200": count}:
        entry.fail(f"{told['statusCodeDistribution']} {told['errorDistribution']}")
    return {name: told["latencyPercentiles"][name] * 1000 for name in ("p50", "p99", "p99.9")}


class Load:
    """`count` requests a round, `quick` when quick; `each` says what one is."""

    each = "request"

    def __init__(self, title, count, quick):
        self.title, self.count, self.quick = title, count, quick

    def prepare(self, place, total):
        """Called once, before `total` requests in all."""

    def measure(self, entry, place, count, before):
        """One row; `before` requests have been made of this proxy by this load."""
        raise NotImplementedError

    def spent(self, entry, count, work):
        """Does `work`; the row of CPU time and rate, and what the work gave."""
        before, started = cpu(entry.pid), time.monotonic()
        told = work()
        elapsed = time.monotonic() - started
        used, kernel = (now - then for now, then in zip(cpu(entry.pid), before))
        return {"us": used * 1e6 / count, "kernel": kernel * 1e6 / count, "rate": count / elapsed}, told


class Oha(Load):
    """The same request again and again."""

    def __init__(self, title, count, quick, how, path="/api/orders", token="token"):
        super().__init__(title, count, quick)
        self.how, self.path, self.token = how, path, token

    def measure(self, entry, place, count, before):
        return self.spent(entry, count, lambda: load(entry, place, self.how, count, self.path, self.token))[0]


class FixedRate(Oha):
    """So many requests a second, whether or not the last one was answered: only then percentiles say what a client
    waits. The latency counts from the moment at which the request was due."""

    def __init__(self, title, count, quick, rate, how):
        super().__init__(title, count, quick, [*how, "-q", str(rate), "--latency-correction"])

    def measure(self, entry, place, count, before):
        row, latencies = self.spent(entry, count, lambda: load(entry, place, self.how, count))
        return row | latencies


class Opaque(Oha):
    """A token that has to be asked about, and whose answer is remembered."""

    def measure(self, entry, place, count, before):
        asked = self.asked(place)
        row = super().measure(entry, place, count, before)
        if entry.peer.introspects:
            row["introspections"] = self.asked(place) - asked
            if row["introspections"] > count / 100:
                entry.fail("asks about the token again and again")
        return row

    def asked(self, place):
        return int(urllib.request.urlopen(f"http://127.0.0.1:{place.services}/introspected").read())


class Body(Oha):
    """Bodies of one size, in answers or in requests."""

    def __init__(self, title, count, quick, name, up=False):
        self.size, self.up, self.file = Upstream.SIZES[name], up, f"upstream/files/api/{name}"
        how = ["-c", "4" if self.size > 1 << 20 else "16"]
        super().__init__(title, count, quick, how, "/api/up" if up else f"/api/{name}")

    def measure(self, entry, place, count, before):
        how = [*self.how, "-m", "PUT", "-D", str(place.folder / self.file)] if self.up else self.how
        row = self.spent(entry, count, lambda: load(entry, place, how, count, self.path))[0]
        row["per_cpu"] = self.size / row["us"] if row["us"] else 0
        return row


class Generator:
    """`floor load`, which prepares, says that it is ready, and goes on when told."""

    def __init__(self, entry, place, what):
        self.entry = entry
        command = [place.floor, "load", str(entry.port), place.folder / "c", *map(str, what)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.deadline = threading.Timer(300, self.process.kill)

    def __enter__(self):
        self.deadline.start()
        return self

    def __exit__(self, *_):
        self.deadline.cancel()
        self.process.kill()
        self.process.wait()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            self.entry.fail(self.process.stderr.read())
        return line

    def ready(self):
        if self.line() != "ready\n":
            self.entry.fail("the load is not ready")

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self):
        self.go()
        return json.loads(self.line())


class Own(Load):
    """What the floor's own client does; its connections are open before the measure begins."""

    def what(self, count, before):
        raise NotImplementedError

    def measure(self, entry, place, count, before):
        return self.told(entry, place, count, before)[0]

    def told(self, entry, place, count, before):
        """The row, and what the client counted."""
        with Generator(entry, place, self.what(count, before)) as generator:
            generator.ready()
            row, told = self.spent(entry, count, generator.result)
        if told["answered"] != count:
            entry.fail(f"{told['answered']} of {count} answered")
        return row, told


class Connections(Own):
    """A connection for each request; every handshake must be of the kind and with the key exchange that is claimed."""

    each = "connection"

    def __init__(self, title, count, quick, group, kind):
        super().__init__(title, count, quick)
        self.group, self.kind = group, kind

    def what(self, count, before):
        return ["connections", count, 16, self.group, self.kind]

    def measure(self, entry, place, count, before):
        row, told = self.told(entry, place, count, before)
        if told["kinds"] != {self.kind: count} or told["groups"] != {self.group: count}:
            entry.fail(f"handshakes {told['kinds']} with {told['groups']}, not all {self.kind} with {self.group}")
        return row | {"kinds": told["kinds"], "groups": told["groups"]}


class Tokens(Own):
    """The same token each time, or each time one that was never seen before."""

    def __init__(self, title, count, quick, algorithm=None):
        super().__init__(title, count, quick)
        self.algorithm = algorithm

    def prepare(self, place, total):
        if self.algorithm:
            subprocess.run([place.floor, "tokens", place.folder / "c", self.algorithm, str(total)], check=True)

    def what(self, count, before):
        return ["requests", count, 32, f"tokens.{self.algorithm}" if self.algorithm else "token", before]


class Messages(Own):
    """Messages to and fro through exchanges that were decided once."""

    each = "message"

    def __init__(self, title, count, quick, protocol, exchanges):
        super().__init__(title, count, quick)
        self.protocol, self.exchanges = protocol, exchanges

    def what(self, count, before):
        together = 1
        for number in self.exchanges:
            together *= number
        return [self.protocol, *self.exchanges, count // together]


class Idle(Load):
    """What an open connection takes of memory: silent since its handshake, and idle after one request."""

    each = "connection"

    def measure(self, entry, place, count, before):
        row = {"start": entry.resident_at_start, "listens": entry.milliseconds_to_listen}
        with Generator(entry, place, ["idle", count]) as generator:
            generator.ready()
            empty = settled(entry.pid)
            for state in ("silent", "idle"):
                generator.go()
                generator.ready()
                row[state] = (settled(entry.pid) - empty) * 1024 / count
            told = generator.result()
        return row | {"kinds": told["kinds"], "groups": told["groups"]}


def settled(pid):
    """Resident megabytes, when they have not changed for five seconds."""
    seen = [resident(pid)]
    while len(seen) < 6 or len(set(seen[-6:])) > 1:
        time.sleep(1)
        seen.append(resident(pid))
    return seen[-1]
