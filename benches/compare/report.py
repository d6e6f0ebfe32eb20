"""The tables of the comparison, as Markdown, and its chart."""

import statistics
from collections import Counter

import chart
import peers
import targets
from cases import CASES
from results import quartiles

# What a row may hold, its heading and how it is written.
COLUMNS = {
    "us": ("CPU us/{each}", "{:.1f}"),
    "kernel": ("kernel's part", "{:.1f}"),
    "per_cpu": ("MB per CPU second", "{:,.0f}"),
    "rate": ("{each}s/s", "{:,.0f}"),
    "p50": ("p50 ms", "{:.2f}"),
    "p99": ("p99 ms", "{:.2f}"),
    "p99.9": ("p99.9 ms", "{:.2f}"),
    "silent": ("KB each, silent", "{:.1f}"),
    "idle": ("KB each, after a request", "{:.1f}"),
    "start": ("MB at start", "{:.1f}"),
    "listens": ("ms until it listens", "{:.0f}"),
}
CHARTED = [("h1", "h1"), ("h2", "h2"), ("full", "full"), ("tokens", "rs256"), ("tokens", "es256"), ("bodies", "64k-down")]
INTRODUCTION = """\
Medians of rounds taken in turn, proxy after proxy, with the quartiles of what is compared. One worker each; TLS 1.3 with a
required client certificate; a token of the group `sre` and its policy: only GET, PUT and POST of `/api/*`; kept-alive
HTTP/1.1 to an nginx that answers 130 bytes. The figure is user and system time of the proxy's process over a round, divided
by the round's requests."""


def markdown(results):
    measured = {name: results.case(name) for name in CASES if results.case(name)}
    lines = ["# CPU time per request, side by side", "", INTRODUCTION, "", *setting(measured), ""]
    lines += ["## Targets", "", *targets.table(results), ""]
    for name, what in measured.items():
        for load, rows in what["rows"].items():
            lines += section(name, load, rows, what)
    lines += ["## What each one does and does not do", ""]
    lines += [f"- {peer.title}: {peer.note}" for peer in peers.BY_NAME.values()]
    return "\n".join(lines) + "\n"


def setting(measured):
    """The machines and versions of all cases, which may come of several runs."""
    each = measured.values()
    averages = [average for what in each for average in what["load_average"]]
    if not averages:
        return ["Nothing is measured yet."]
    days = sorted({what["begun"][:10] for what in each})
    lines = [f"Measured {' and '.join(days)} on {'; '.join(sorted({what['machine'] for what in each}))}; load average {min(averages):.1f} to {max(averages):.1f}."]
    versions = sorted({version for what in each for version in what["versions"]})
    lines += [f"Sources {', '.join(sorted({what['revision'] for what in each}))}; {', '.join(versions)}."]
    rounds = sorted({what["rounds"] for name, what in measured.items() if not CASES[name].holds})
    lines += [f"Rounds: {', '.join(map(str, rounds))}{', quick: too short to say anything' if any(what['quick'] for what in each) else ''}."]
    return lines


def section(name, load, rows, what):
    case = CASES[name]
    columns = {key: form for key, form in COLUMNS.items() if all(key in row for of in rows.values() for row in of)}
    compared = next(iter(columns))
    each = case.loads[load].each
    heads = [head.format(each=each) for head, _ in columns.values()]
    reference = "portcullis" if "portcullis" in rows else next(iter(rows))
    heads[1:1] = ["quartiles", f"{peers.BY_NAME[reference].title} / it"]
    lines = [f"## {case.loads[load].title}", "", f"| proxy | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    base = statistics.median(row[compared] for row in rows[reference])
    for peer, of in rows.items():
        cells = [form.format(statistics.median(row[key] for row in of)) for key, (_, form) in columns.items()]
        low, high = quartiles([row[compared] for row in of])
        middle = statistics.median(row[compared] for row in of)
        form = columns[compared][1]
        cells[1:1] = [f"{form.format(low)} - {form.format(high)}", f"{base / middle:.2f}" if middle else ""]
        lines.append(f"| {peers.BY_NAME[peer].title} | {' | '.join(cells)} |")
    for peer, why in case.cannot.items():
        lines.append(f"| {peers.BY_NAME[peer].title} | {why} |{' |' * (len(heads) - 1)}")
    return [*lines, "", *notes(load, rows, what)]


def notes(load, rows, what):
    """What was counted beside the figures, as proof that the work was the one that the title says."""
    lines = []
    kinds, groups = (Counter(), Counter())
    for of in rows.values():
        for row in of:
            kinds.update(row.get("kinds", {}))
            groups.update(row.get("groups", {}))
    if kinds:
        lines.append(f"Counted by the client: handshakes {in_words(kinds)}; key exchange {in_words(groups)}.")
    asked = sum(row.get("introspections", 0) for of in rows.values() for row in of)
    if any("introspections" in row for of in rows.values() for row in of):
        lines.append(f"Counted by the issuer: asked {asked} times about the token in all rounds.")
    if load.upper() in what.get("verification", {}):
        lines.append(f"The bare verification of such a signature costs {what['verification'][load.upper()]:.1f} us here.")
    return [*lines, ""] if lines else []


def in_words(counter):
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counter.items()))


def svg(results):
    groups = []
    for case, load in CHARTED:
        rows = results.rows(case, load)
        if rows:
            bars = [(peers.BY_NAME[peer].title, statistics.median(row["us"] for row in of), peer == "portcullis") for peer, of in rows.items()]
            groups.append((CASES[case].loads[load].title, bars))
    return chart.draw(groups)
