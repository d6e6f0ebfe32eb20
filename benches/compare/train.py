#!/usr/bin/env python3
"""train.py portcullis|floor PROGRAM: the load by which tools/pgo lays a program out, a little of every case of the
comparison that it works in. The program counts what it executes, and writes it down when it ends."""

import sys
from argparse import Namespace

import peers
from cases import CASES
from loads import ROOT
from measure import measure

# They differ from others only in how much there is of something.
SKIPPED = {"latency", "growth", "idle"}

trained, program = sys.argv[1:]
names = ["portcullis"] if trained == "portcullis" else ["floor", "duties"]
for name in names:
    peers.BY_NAME[name].program = program
for name, case in CASES.items():
    able = [peer for peer in names if peer in case.peers]
    if able and name not in SKIPPED:
        measure(name, ROOT / f"target/pgo-{trained}/work", Namespace(peers=able, quick=True, rounds=1))
