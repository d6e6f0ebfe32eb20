#!/usr/bin/env python3
"""How a gate grows past the machine that it was measured on: a model with the measured constants, and a simulation of what
the model cannot say, the uneven share of connections that each worker gets.

    benches/compare/scaling.py            both tables, with the constants of docs/compare.md's machine
    benches/compare/scaling.py --request 25 --handshake 300 --idle 20
                                          with other constants: microseconds, and kilobytes

The kernel deals new connections to the workers by a hash of their addresses (SO_REUSEPORT), and a connection stays where
it came. With many connections every worker gets its share; with few and busy ones, as HTTP/2 has them, some get more. What
counts is the busiest worker: when it is full, its requests wait.
"""

import argparse
import random
import statistics

TRIALS = 2_000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--request", type=float, default=18, help="microseconds of a request with a known token")
    parser.add_argument("--verify", type=float, default=16, help="microseconds that an unknown RS256 token costs more")
    parser.add_argument("--handshake", type=float, default=155, help="microseconds of a full mutual handshake")
    parser.add_argument("--idle", type=float, default=14, help="kilobytes of an idle connection")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)
    model(options)
    simulate()


def model(options):
    """Cores for a load, when the busiest worker is to be full for no more than two thirds of the time."""
    print("| requests/s | new connections/s | new tokens/s | idle connections | cores of work | cores to have | memory of connections |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for requests, connections, tokens, idle in ((2_000, 20, 5, 10_000), (20_000, 200, 50, 50_000), (100_000, 1_000, 300, 100_000), (500_000, 5_000, 1_500, 500_000)):
        work = (requests * options.request + connections * options.handshake + tokens * options.verify) / 1e6
        print(f"| {requests:,} | {connections:,} | {tokens:,} | {idle:,} | {work:.2f} | {work * 1.5:.1f} | {idle * options.idle / 1e6:.2f} GB |")


def simulate():
    """The load of the busiest worker over the mean, for connections that are dealt by chance."""
    print("\n| workers | connections | equally busy: median | 95 of 100 | a tenth of them does half: median | 95 of 100 |")
    print("|--:|--:|--:|--:|--:|--:|")
    for workers in (2, 8, 32):
        for connections in (16, 100, 1_000, 10_000):
            row = [f"{figure:.2f}" for skewed in (False, True) for figure in spread(workers, connections, skewed)]
            print(f"| {workers} | {connections:,} | {' | '.join(row)} |")


def spread(workers, connections, skewed):
    """Median and 95th percentile of the busiest worker's load over the mean."""
    trials = max(20, min(TRIALS, 2_000_000 // connections))
    heavy = connections // 10 if skewed else 0
    rates = [9 if number < heavy else 1 for number in range(connections)]
    mean = sum(rates) / workers
    found = []
    for _ in range(trials):
        loads = [0] * workers
        for rate in rates:
            loads[random.randrange(workers)] += rate
        found.append(max(loads) / mean)
    return statistics.median(found), statistics.quantiles(found, n=20)[-1]


if __name__ == "__main__":
    main()
