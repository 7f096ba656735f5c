#!/usr/bin/env python3
"""Turns the results of a GPU check, a folder of running.Results, into a Markdown page on stdout: scripts/gpu/page.py FOLDER TITLE [LINE]."""
import json
import sys
from collections import Counter
from pathlib import Path

LONGEST_REPORT = 60  # lines of the sanitizer


def table(columns, rows):
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def records(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


def stages(folder):
    return "## Stages\n\n" + table(["stage", "outcome", "seconds"], [fields[:3] for fields in records(folder / "stages.tsv")])


def tests(folder):
    rows = records(folder / "tests.tsv")
    counts = Counter(row[0] for row in rows)
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "cut off", "not run", "skipped"))
    others = [[name, outcome, why] for outcome, _, name, why in rows if outcome != "passed"]
    return f"## Tests\n\n{said}; each in a process of its own.\n" + ("\n" + table(["test", "outcome", "why"], others) if others else "")


def sanitizer(folder):
    lines = [line for line in (folder / "log.txt").read_text().splitlines() if line.startswith(("=========", "$ compute-sanitizer"))]
    if not lines:
        return ""
    left_out = len(lines) - LONGEST_REPORT
    rest = [f"... and {left_out} lines more in log.txt"] if left_out > 0 else []
    return "## compute-sanitizer\n\n```\n" + "\n".join(lines[:LONGEST_REPORT] + rest) + "\n```\n"


def shown(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def figure_table(name, rows):
    columns = list(dict.fromkeys(column for row in rows for column in row if column != "bench"))
    return f"### {name}\n\n" + table(columns, [[shown(row.get(column, "")) for column in columns] for row in rows])


def against_peers(figures):
    """Decoding's and the step's speed over a peer's at the same size in the same run."""
    rows = []
    for peer in figures:
        for own in figures:
            if (own["bench"] + " of peers", own.get("model")) != (peer["bench"], peer.get("model")) or "skipped" in peer:
                continue
            if own["bench"] == "decode" and (own["sequences"], own["context"]) == (peer["sequences"], peer["context"]):
                rows.append({"what": f"decode, {own['sequences']} x {own['context']}", "peer": peer["peer"], "times as fast": peer["step_ms"] / own["step_ms"]})
            if own["bench"] == "grpo step":
                rows.append({"what": f"step, {own['what']}", "peer": peer["peer"], "times as fast": peer["step_s"] / own["step_s"]})
    return rows


def figures(folder):
    rows = [json.loads(line) for line in (folder / "figures.jsonl").read_text().splitlines()]
    names = list(dict.fromkeys(row["bench"] for row in rows))
    parts = [figure_table(name, [row for row in rows if row["bench"] == name]) for name in names]
    ratios = against_peers(rows)
    return "## Figures\n\n" + "\n".join(parts + ([figure_table("against peers", ratios)] if ratios else []))


def page(folder, title, lines):
    return "\n".join([f"# {title}\n", *lines, "" if lines else "", stages(folder), tests(folder), sanitizer(folder), figures(folder)])


if __name__ == "__main__":
    print(page(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
