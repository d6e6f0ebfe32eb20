"""What every proxy of the comparison has in common: where it finds things, how it is started and ended."""

import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Place:
    """Where things are: the repository, the tools, this run's folder, and the ports of what stands behind the proxies."""

    root: Path
    tools: Path
    folder: Path
    upstream: int
    # WebSocket echo and token introspection, and gRPC echo.
    services: int = field(default_factory=free_port)
    calls: int = field(default_factory=free_port)
    # Whether the peers let clients resume sessions. Portcullis always does: there a client that offers none decides.
    tickets: bool = False
    # Whether connections that say nothing are to be kept for minutes.
    patient: bool = False

    @property
    def floor(self):
        return self.root / "target/dist/floor"


@dataclass
class Running:
    peer: "Peer"
    process: subprocess.Popen
    port: int
    log: Path
    resident_at_start: float = field(default=0.0)
    milliseconds_to_listen: float = field(default=0.0)

    @property
    def pid(self):
        return self.process.pid

    def last_words(self):
        print(self.log.read_text()[-3000:], file=sys.stderr)

    def fail(self, why):
        self.last_words()
        sys.exit(f"{self.peer.name}: {why}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Peer:
    """A proxy: `name` for the command line, `title` and `note` for the table."""

    name = title = note = ""
    # The command, and the option with which it tells its version.
    tells_version = ()
    authenticates = True
    introspects = False

    def command(self, place, folder, port):
        """Writes the configuration into `folder` and gives the command line."""
        raise NotImplementedError

    def port(self, place):
        return free_port()

    def start(self, place):
        folder = place.folder / self.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        port = self.port(place)
        log = folder / "log"
        command = self.command(place, folder, port)
        begun = time.monotonic()
        with log.open("w") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder)
        running = Running(self, process, port, log)
        deadline = time.monotonic() + 60
        while not listening(port):
            if process.poll() is not None or time.monotonic() > deadline:
                running.stop()
                running.fail("did not start")
            time.sleep(0.002)
        running.milliseconds_to_listen = (time.monotonic() - begun) * 1000
        running.resident_at_start = resident(process.pid)
        return running


def resident(pid):
    """Resident megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
