#!/usr/bin/env python3
"""Accuracy by rollouts spent, time and memory, from the metrics of several seeds of each arm. Prints two Markdown tables.

  scripts/budget_table.py runs/methods g2 g16 [--seeds 1 2 3]

The folder holds runs ARM_seedN; --seeds names those that count, where it holds others too.
"""
import argparse
from pathlib import Path
from statistics import mean

from arm_runs import accuracies, accuracy_metric, memory_mb, seeds_of, smooth_accuracies, spread, total

BUDGETS = (512, 1600, 5120, 12800, 25600, 51200, 102400)


def accuracy_at(lines, budget):
    """The accuracy of the evaluation nearest to so many rollouts, the last one where several are as near. None where the run ended before, and where no evaluation
    is near: rounds are evaluated only when all their rollouts are made."""
    points = smooth_accuracies(lines)
    distance = min(abs(rollouts - budget) for rollouts, _ in points)
    if points[-1][0] < 0.98 * budget or distance >= budget / 4:
        return None
    return [value for rollouts, value in points if abs(rollouts - budget) == distance][-1]


def cell(values):
    return "–" if None in values else spread(values)


def best(lines):
    return max(value for _, value in accuracies(lines))


def accuracy_table(runs):
    some = next(iter(runs.values()))
    at = {budget: {arm: [accuracy_at(lines, budget) for lines in seeds] for arm, seeds in runs.items()} for budget in BUDGETS}
    budgets = [budget for budget in BUDGETS if any(None not in values for values in at[budget].values())]
    print(f"Held-out accuracy ({accuracy_metric(some[0])}, percent) after so many rollouts, and of the best evaluation; mean and 95 % interval over {len(some)} seeds:\n")
    print("| arm | " + " | ".join(f"{budget:,}" for budget in budgets) + " | best |\n|---|" + "---:|" * (len(budgets) + 1))
    for arm, seeds in runs.items():
        print(f"| `{arm}` | " + " | ".join(cell(at[budget][arm]) for budget in budgets) + f" | {spread([best(lines) for lines in seeds])} |")


def cost_table(runs):
    print("\n| arm | rollouts a step | live groups of those asked | predicted | updates | training time, s | memory, MB |\n|---|---:|---:|---:|---:|---:|---:|")
    for arm, seeds in runs.items():
        sampled = [[line for line in lines if "rollouts" in line] for lines in seeds]
        asked, live, dead = ([total(lines, name) for lines in sampled] for name in ("groups/asked", "groups/live", "groups/dead_predicted"))
        memory, time = [memory_mb(lines) for lines in seeds], spread([total(lines, "time/train") for lines in seeds], 0)
        print(f"| `{arm}` | {mean(sum(line['rollouts'] for line in lines) / len(lines) for lines in sampled):.0f} | "
              f"{100 * mean(a / b for a, b in zip(live, asked)):.0f} % | {100 * mean(1 - a / b for a, b in zip(dead, asked)):.0f} % | "
              f"{mean(sum('loss' in line for line in lines) for lines in seeds):.0f} | {time} | {min(memory):.0f} to {max(memory):.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("arms", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, help="default: all")
    options = parser.parse_args()
    runs = {arm: seeds_of(options.folder, arm, options.seeds) for arm in options.arms}
    accuracy_table(runs)
    cost_table(runs)


if __name__ == "__main__":
    main()
