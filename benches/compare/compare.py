"""Measures CPU time per request of several proxies that do the same work, round by round in turn.

Each case is kept in target/compare when it is done, so a long run may be made in parts (--cases), and the tables are
written from all that is there (--tables measures nothing). Quick results are kept apart, and those of some proxies
(--peers) only until the next such run.
"""

import argparse
import resource
from pathlib import Path

import peers
import report
from cases import CASES
from loads import ROOT, TOOLS, cpu, load
from measure import measure
from peer import resident
from proof import ask
from results import Results, machine, quartiles

# The measures of benches/plane take these from here.
__all__ = ["ROOT", "TOOLS", "ask", "cpu", "load", "machine", "quartiles", "resident"]

FOLDER = ROOT / "target/compare"
FILES = 65536


def main():
    options = arguments()
    kept = Results(FOLDER / ("some" if options.peers else "quick" if options.quick else "full"))
    if not options.tables:
        allow_files()
        if options.peers:
            kept.forget()
        for name in options.cases:
            kept.keep(name, measure(name, FOLDER / "work", options))
    text = report.markdown(kept)
    print(text)
    if options.markdown:
        Path(options.markdown).write_text(text)
    if options.svg:
        Path(options.svg).write_text(report.svg(kept))


def arguments():
    parser = argparse.ArgumentParser(prog="benches/compare/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short rounds: does everything work?")
    parser.add_argument("--rounds", type=int, help="rounds (7, or 2 when quick)")
    parser.add_argument("--cases", type=lambda text: text.split(","), default=list(CASES), help=f"some of {','.join(CASES)}")
    parser.add_argument("--peers", type=lambda text: text.split(","), help=f"some of {','.join(peers.BY_NAME)}")
    parser.add_argument("--tables", action="store_true", help="measure nothing, write what was measured before")
    parser.add_argument("--markdown", help="write the tables to this file, too")
    parser.add_argument("--svg", help="write a chart to this file")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 7)
    for given, known in ((options.cases, CASES), (options.peers or [], peers.BY_NAME)):
        for name in given:
            if name not in known:
                parser.error(f"{name} is none of {','.join(known)}")
    if options.peers:
        options.cases = [name for name in options.cases if set(options.peers) & set(CASES[name].peers)]
    return options


def allow_files():
    """Ten thousand connections are as many open files in each process, and twice as many in a proxy."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(FILES, soft), max(FILES, hard)))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
