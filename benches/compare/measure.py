"""One case: its proxies started, shown to do its work, and measured in turn."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack

import peers
from cases import CASES
from loads import ROOT, TOOLS
from proof import prove_same_work
from results import circumstances


def measure(name, folder, options):
    """All that is kept of the case: `rows` by load and proxy, and the circumstances."""
    case = CASES[name]
    rounds = 1 if case.holds else options.rounds
    lineup = [peers.BY_NAME[peer] for peer in case.peers if peer in (options.peers or case.peers)]
    place = fresh(folder, case)
    told = circumstances(ROOT) | {"rounds": rounds, "quick": options.quick, "load_average": [os.getloadavg()[0]]}
    told["versions"] = [version(place, peer) for peer in lineup if peer.tells_version]
    told["rows"] = {load: {peer.name: [] for peer in lineup} for load in case.loads}
    with ExitStack() as started:
        for peer in (peers.Upstream(), peers.Services()):
            begin(peer, place, started)
        running = [begin(peer, place, started) for peer in lineup]
        for entry in running:
            prove_same_work(entry, place)
        for number, load, entry, row in in_turn(case, running, place, rounds, options.quick):
            told["rows"][load][entry.peer.name].append(row)
            what, value = next(iter(row.items()))
            print(f"{load} round {number + 1}/{rounds} {entry.peer.name}: {what} {value:.1f}", file=sys.stderr, flush=True)
    if name == "tokens":
        verified = subprocess.run([place.floor, "verify", place.folder / "c"], check=True, capture_output=True, text=True)
        told["verification"] = json.loads(verified.stdout)
    told["load_average"].append(os.getloadavg()[0])
    return told


def fresh(folder, case):
    """New keys, and ports that nobody has."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    place = peers.Place(root=ROOT, tools=TOOLS, folder=folder, upstream=peers.free_port(), tickets=case.tickets, patient=case.holds)
    subprocess.run([place.floor, "material", folder / "c"], check=True)
    return place


def begin(peer, place, started):
    entry = peer.start(place)
    started.callback(entry.stop)
    return entry


def in_turn(case, running, place, rounds, quick):
    """Yields (round, load, proxy, row): every load of every proxy in each round, after a quarter of a round to warm up."""
    counts = {which: load.quick if quick else load.count for which, load in case.loads.items()}
    warm = {which: 0 if case.holds else count // 4 for which, count in counts.items()}
    for which, load in case.loads.items():
        load.prepare(place, warm[which] + rounds * counts[which])
        for entry in running if warm[which] else []:
            load.measure(entry, place, warm[which], 0)
    for number in range(rounds):
        for which, load in case.loads.items():
            for entry in running:
                yield number, which, entry, load.measure(entry, place, counts[which], warm[which] + number * counts[which])


def version(place, peer):
    """Name and version, as the program itself tells."""
    command, option = peer.tells_version
    told = subprocess.run([place.tools / command, option], capture_output=True, text=True)
    return f"{command} {re.search(r'[0-9]+(?:[.][0-9]+)+', told.stdout + told.stderr)[0]}"
