#!/usr/bin/env python3
"""Compares `grpo verify` with the PyPI package math-verify, side by side in one run, and prints a Markdown table.

  scripts/bench_verifier.py [--golds data/math_test.jsonl ...] [--table rows.jsonl ...] [--mutations N] [--disagreements out.jsonl]

Tables hold rows with "gold", "pred" and "expect" (true/false, or "right"/"wrong"); rows without a text and rows with
"debatable": true are left out; tests/data/verifier_cases.jsonl is always one. --mutations N adds N changed and respelled
answers of scripts/mutate_verifier.py. From each file of --golds (rows with "answer") every gold answer is judged against
itself, and against the answer of another row, where an acceptance is listed for a reader to judge. Every pair on which the
two disagree is counted and, with --disagreements, written. math-verify is installed into a virtual environment of its own in
the cache (GRPO_CACHE). Exit 1 when math-verify is ahead on any figure.
"""
import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from mutate_verifier import lines_of, sampled_pairs  # noqa: E402

PACKAGE = "math-verify[antlr4_13_2]==0.9.0"
ALARM_S = 5  # math-verify's own default for one parse or one comparison


def peer_worker():
    """Runs inside the peer's environment: pairs on stdin, verdicts and seconds on stdout."""
    import logging

    logging.disable(logging.CRITICAL)
    from math_verify import parse, verify

    for line in sys.stdin:
        row = json.loads(line)
        start = time.perf_counter()
        try:
            gold = row["gold"] if "\\boxed" in row["gold"] or "$" in row["gold"] else "$" + row["gold"] + "$"
            correct = bool(verify(parse(gold), parse(row["pred"])))
        except Exception:  # what a trainer would count as 0
            correct = False
        print(json.dumps({"correct": correct, "seconds": time.perf_counter() - start}), flush=True)


def peer_python():
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("GRPO_CACHE") or Path(home) / "grpo-train")
    venv = cache / "bench-peers" / "math-verify-0.9.0"
    if not (venv / ".complete").exists():
        print(f"installing {PACKAGE} into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE], check=True)
        (venv / ".complete").touch()
    return venv / "bin" / "python"


def judge_peer(rows):
    text = "".join(json.dumps({"gold": row["gold"], "pred": row["pred"]}) + "\n" for row in rows)
    result = subprocess.run([peer_python(), __file__, "--peer"], input=text, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit("math-verify failed: " + result.stderr[-2000:])
    return [json.loads(line) for line in result.stdout.rstrip("\n").split("\n")]


def judge_ours(grpo, rows, threads):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.jsonl"), Path(folder, "out.jsonl")
        source.write_text("".join(json.dumps({"gold": row["gold"], "pred": row["pred"]}) + "\n" for row in rows))
        result = subprocess.run([grpo, "verify", "--input", source, "--output", target, "--threads", str(threads), "--timing"],
                                capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit("grpo verify failed: " + result.stderr)
        rate = float(result.stderr.strip().splitlines()[-1].split(";")[-1].split()[0])
        return [json.loads(line) for line in lines_of(target)], rate


def disagreements(name, rows, ours, peer):
    return [{"set": name, **row, "grpo": a["correct"], "grpo_verdict": a["verdict"], "math_verify": b["correct"]}
            for row, a, b in zip(rows, ours, peer) if a["correct"] != b["correct"]]


def disagreement_table(found):
    """Who is right where the two disagree, by set."""
    lines = ["| set | disagreements | grpo verify is right | math-verify is right | grpo verify alone accepts | math-verify alone accepts |",
             "|---|---:|---:|---:|---:|---:|"]
    for name in dict.fromkeys(row["set"] for row in found):
        rows = [row for row in found if row["set"] == name]
        known = [row for row in rows if row["expect"] is not None]
        right = sum(row["grpo"] == row["expect"] for row in known)
        ours = sum(row["grpo"] for row in rows)
        lines.append(f"| {name} | {len(rows)} | {right if known else '-'} | {len(known) - right if known else '-'} | {ours} | {len(rows) - ours} |")
    return "\n".join(lines)


def read_rows(path):
    rows = []
    for row in map(json.loads, filter(str.strip, lines_of(path))):
        expect = row["expect"]
        if "pred" in row and not row.get("debatable"):
            rows.append({"gold": row["gold"], "pred": row["pred"], "expect": expect if isinstance(expect, bool) else expect == "right",
                         "kind": row.get("kind", row.get("category", ""))})
    return rows


def gold_pairs(path, limit, rng):
    golds = [str(json.loads(line)["answer"]) for line in lines_of(path) if line.strip()]
    picked = golds if len(golds) <= limit else rng.sample(golds, limit)
    same = [{"gold": gold, "pred": "\\boxed{" + gold + "}", "expect": True} for gold in picked]
    other = []
    for gold in picked:
        different = rng.choice(golds)
        if different.strip() != gold.strip():
            other.append({"gold": gold, "pred": "\\boxed{" + different + "}", "expect": None})
    return same, other


def figures(rows, verdicts):
    known = [(row["expect"], verdict["correct"]) for row, verdict in zip(rows, verdicts) if row["expect"] is not None]
    seconds = [verdict["seconds"] for verdict in verdicts]
    return {"pairs": len(rows),
            "accuracy": sum(e == c for e, c in known) / len(known) if known else None,
            "accepted_wrong": sum(c and not e for e, c in known) if known else sum(v["correct"] for v in verdicts),
            "rejected_right": sum(e and not c for e, c in known) if known else None,
            "pairs_per_s": len(rows) / sum(seconds), "worst_s": max(seconds)}


def compare(name, rows, grpo, accepted, differing):
    print(f"{name}: {len(rows)} pairs; math-verify judges about 8 a second", file=sys.stderr, flush=True)
    alone, _ = judge_ours(grpo, rows, 1)
    _, rate_all = judge_ours(grpo, rows, 0)
    peer = judge_peer(rows)
    ours = figures(rows, alone) | {"pairs_per_s_all_cores": rate_all}
    for row, verdict in zip(rows, alone):
        if row["expect"] is None and verdict["correct"]:
            accepted.append((name, row["gold"], row["pred"]))
    differing += disagreements(name, rows, alone, peer)
    return {"name": name, "ours": ours, "math_verify": figures(rows, peer)}


def table(results):
    def share(value):
        return "-" if value is None else f"{100 * value:.2f} %"

    lines = ["| set | pairs | | accuracy | wrong accepted | right rejected | pairs/s, one thread | pairs/s, all cores | worst pair |",
             "|---|---:|---|---:|---:|---:|---:|---:|---:|"]
    for result in results:
        for label, side in (("grpo verify", result["ours"]), ("math-verify", result["math_verify"])):
            rejected = "-" if side["rejected_right"] is None else side["rejected_right"]
            all_cores = f"{side['pairs_per_s_all_cores']:,.0f}" if "pairs_per_s_all_cores" in side else "-"
            lines.append(f"| {result['name']} | {side['pairs']} | {label} | {share(side['accuracy'])} | {side['accepted_wrong']} | {rejected} | "
                         f"{side['pairs_per_s']:,.0f} | {all_cores} | {1000 * side['worst_s']:,.1f} ms |")
    return "\n".join(lines)


def is_behind(result):
    ours, peer = result["ours"], result["math_verify"]
    worse = ours["accepted_wrong"] > peer["accepted_wrong"] and ours["accuracy"] is not None
    if ours["accuracy"] is not None:
        worse = worse or ours["accuracy"] < peer["accuracy"] or ours["rejected_right"] > peer["rejected_right"]
    return worse or ours["pairs_per_s"] < 100 * peer["pairs_per_s"] or ours["worst_s"] > peer["worst_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grpo", default=ROOT / "build" / "bin" / "grpo", help="the program (default build/bin/grpo)")
    parser.add_argument("--table", nargs="*", default=[], help="further tables with gold, pred, expect")
    parser.add_argument("--golds", nargs="*", default=[], help="data sets whose answers are judged against themselves")
    parser.add_argument("--limit", type=int, default=500, help="gold answers taken from each data set (default 500)")
    parser.add_argument("--mutations", type=int, default=0, help="pairs of scripts/mutate_verifier.py besides (default 0)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--disagreements", help="write every pair on which the two disagree as JSONL")
    parser.add_argument("--json", help="write the figures here too")
    options = parser.parse_args()
    for path in filter(None, (options.disagreements, options.json)):
        if not Path(path).absolute().parent.is_dir():
            parser.error(f"{path}: no such folder")

    rng = random.Random(options.seed)
    sets = [(Path(path).stem, read_rows(path)) for path in [ROOT / "tests" / "data" / "verifier_cases.jsonl", *options.table]]
    same, other = [], []
    for path in options.golds:
        a, b = gold_pairs(path, options.limit, rng)
        same, other = same + a, other + b
    if same:
        sets += [("gold answers, each against itself", same), ("gold answers, each against another", other)]
    if options.mutations:
        sets.append(("changed and respelled answers", sampled_pairs(options.mutations, options.seed)))
    accepted, differing = [], []
    results = [compare(name, rows, options.grpo, accepted, differing) for name, rows in sets]
    print(table(results) + "\n\n" + disagreement_table(differing))
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}; math-verify 0.9.0, its own limit {ALARM_S} s a call; "
          "without truth, 'wrong accepted' counts what was accepted.")
    for name, gold, pred in accepted:
        print(f"accepted: {gold!r} for {pred!r}")
    if options.disagreements:
        Path(options.disagreements).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in differing), encoding="utf-8")
    if options.json:
        Path(options.json).write_text(json.dumps({"results": results, "accepted": accepted}, indent=1) + "\n")
    behind = [result["name"] for result in results if is_behind(result)]
    if behind:
        sys.exit("behind math-verify on: " + ", ".join(behind))


if __name__ == "__main__":
    if "--peer" in sys.argv:
        peer_worker()
    else:
        main()
