"""What was measured, kept as JSON, a file a case: a run may be made in parts, and its tables at any time."""

import datetime
import json
import os
import platform
import statistics
import subprocess
from pathlib import Path


class Results:
    """The cases measured so far, in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, name, measured):
        (self.folder / f"{name}.json").write_text(json.dumps(measured, indent=1) + "\n")

    def forget(self):
        for path in self.folder.glob("*.json"):
            path.unlink()

    def case(self, name):
        """What `keep` was given; `None` when the case was not measured."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def rows(self, case, load):
        """{peer: [row, ...]}, a row for each round."""
        measured = self.case(case)
        return measured["rows"].get(load, {}) if measured else {}

    def median(self, case, load, peer, name):
        """`None` when it was not measured."""
        rows = self.rows(case, load).get(peer)
        return statistics.median(row[name] for row in rows) if rows else None


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    parts = statistics.quantiles(values, n=4, method="inclusive")
    return parts[0], parts[2]


def circumstances(root):
    """Where and when, and of which sources: noted at the beginning of each case."""
    described = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {
        "machine": machine(),
        "revision": described.stdout.strip(),
        "begun": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
    }


def machine():
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in cpus if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"
