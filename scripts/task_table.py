#!/usr/bin/env python3
"""Held-out figures of runs before and after they learnt, from their metrics and evaluations. Arguments: run folders. Prints two Markdown tables: figures with 95 %
intervals over problems, and what one problem of each set was answered, by sample 0, at the start and at the end."""
import json
import re
import sys
from pathlib import Path

SHOWN = 3  # problems of each set in the second table


def metrics_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def evaluations(lines):
    """The first and the last line with an evaluation."""
    with_one = [line for line in lines if any(name.endswith("/ci_low") for name in line)]
    return with_one[0], with_one[-1]


def sets_of(line):
    return sorted({name.split("/")[1] for name in line if name.endswith("/ci_low")})


def right(line, what):
    name, low, high = (next(key for key in line if key.startswith(f"eval/{what}/{figure}")) for figure in ("mean@", "ci_low", "ci_high"))
    return f"{100 * line[name]:.1f} % [{100 * line[low]:.1f}, {100 * line[high]:.1f}]"


def value(line, what):
    """What a grader gave; a term that only says right and wrong has none."""
    name = f"eval/{what}/value"
    return "–" if name not in line else f"{line[name]:.3f} [{line[name + '_ci_low']:.3f}, {line[name + '_ci_high']:.3f}]"


def figures_table(runs):
    print("| run | steps | rollouts | training time | processor time | held-out set | right | mean value |\n|---|---:|---:|---:|---:|---|---|---|")
    for run in runs:
        lines = metrics_of(run)
        first, last = evaluations(lines)
        steps = [line for line in lines if "rollouts" in line]
        for what in sets_of(last):
            time, computed = (sum(line[name] for line in steps) for name in ("time/train", "time/cpu"))
            print(f"| {run.name} | {last['step']} | {steps[-1]['rollouts/total']:,} | {time:.0f} s | {computed:.0f} s | {what} | {right(first, what)} → {right(last, what)} | "
                  f"{value(first, what)} → {value(last, what)} |".replace("– → –", "–"))


def answers(run, step, what):
    return [json.loads(line) for line in (run / "eval" / f"step_{step:08d}_{what}.jsonl").read_text().splitlines()]


def in_cell(text):
    return re.sub(r"([|*`_])", r"\\\1", text).replace("\n", "⏎")


def shown(sample):
    text = in_cell(sample["text"].strip())
    return f"{text or '(nothing)'} ({sample['value']:.2f})" if "value" in sample else f"{text or '(nothing)'} ({sample['verdict']})"


def question(row):
    """The problem without the template around it."""
    return in_cell(row["prompt"].split("user\n")[-1].split("<|im_end|>")[0])


def rollouts_table(runs):
    print("\n| run | problem | before | after |\n|---|---|---|---|")
    for run in runs:
        first, last = (line["step"] for line in evaluations(metrics_of(run)))
        for what in sets_of(evaluations(metrics_of(run))[1]):
            for before, after in list(zip(answers(run, first, what), answers(run, last, what)))[:SHOWN]:
                print(f"| {run.name} | {question(after)} | {shown(before['samples'][0])} | {shown(after['samples'][0])} |")


def main():
    runs = [Path(name) for name in sys.argv[1:]]
    figures_table(runs)
    rollouts_table(runs)


if __name__ == "__main__":
    main()
