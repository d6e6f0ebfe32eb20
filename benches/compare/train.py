#!/usr/bin/env python3
"""The load by which the shipped build is laid out (tools/pgo): a little of every case of the comparison in which one
Portcullis works. The program that is named counts what it executes, and writes it down when it ends."""

import sys
from argparse import Namespace

import peers
from cases import CASES
from loads import ROOT
from measure import measure

LITTLE = Namespace(peers=["portcullis"], quick=True, rounds=1)
# They differ from others only in how much there is of something.
SKIPPED = {"latency", "growth", "idle"}


class Trained(peers.Portcullis):
    program = sys.argv[1]


peers.BY_NAME["portcullis"] = Trained()
for name in CASES:
    if name not in SKIPPED:
        measure(name, ROOT / "target/pgo/work", LITTLE)
