#!/usr/bin/env python3
"""Accuracy by rollouts spent, from the metrics of several seeds of each arm. Arguments: the folder of the runs ARM_seedN, then the arms. Prints two Markdown tables."""
import json
import sys
from pathlib import Path
from statistics import mean, stdev

# Half the width of a 95 % interval in standard errors, by the number of seeds (Student's t).
T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}
BUDGETS = (512, 1600, 5120, 12800, 25600, 51200, 102400)


def lines_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def spread(values, digits=1):
    if len(values) not in T:
        return f"{mean(values):.{digits}f}"
    return f"{mean(values):.{digits}f} ± {T[len(values)] * stdev(values) / len(values) ** 0.5:.{digits}f}"


def accuracy_at(lines, budget, metric):
    """Of the evaluation nearest to so many rollouts, in percent; a mean with its neighbours, which a single evaluation's noise would hide. None beyond the run's end."""
    points = [(line.get("rollouts/total", 0), 100 * line[metric]) for line in lines if metric in line]
    if points[-1][0] < 0.98 * budget:
        return None
    nearest = min(range(len(points)), key=lambda i: abs(points[i][0] - budget))
    near = points[max(nearest - 1, 1 if nearest > 0 else 0):nearest + 2]
    return mean(value for _, value in near)


def main():
    folder, arms = Path(sys.argv[1]), sys.argv[2:]
    runs = {arm: [lines_of(run) for run in sorted(folder.glob(f"{arm}_seed[0-9]*"))] for arm in arms}
    metric = next(key for key in runs[arms[0]][0][0] if "/mean@" in key)
    budgets = [budget for budget in BUDGETS if all(accuracy_at(lines, budget, metric) is not None for seeds in runs.values() for lines in seeds)]
    print(f"Held-out accuracy ({metric}, percent) after so many rollouts; mean and 95 % interval over {len(runs[arms[0]])} seeds:\n")
    print("| arm | " + " | ".join(f"{budget:,}" for budget in budgets) + " |\n|---|" + "---:|" * len(budgets))
    for arm, seeds in runs.items():
        print(f"| `{arm}` | " + " | ".join(spread([accuracy_at(lines, budget, metric) for lines in seeds]) for budget in budgets) + " |")
    print("\n| arm | rollouts a step | live groups of those asked | predicted | updates | training time, s |\n|---|---:|---:|---:|---:|---:|")
    for arm, seeds in runs.items():
        trained = [[line for line in lines if "loss" in line] for lines in seeds]
        total = lambda name: [sum(line[name] for line in lines) for lines in trained]
        asked, live, dead = total("groups/asked"), total("groups/live"), total("groups/dead_predicted")
        print(f"| `{arm}` | {mean(sum(line['rollouts'] for line in lines) / len(lines) for lines in trained):.0f} | "
              f"{100 * mean(a / b for a, b in zip(live, asked)):.0f} % | {100 * mean(1 - a / b for a, b in zip(dead, asked)):.0f} % | "
              f"{mean(len(lines) for lines in trained):.0f} | {spread(total('time/train'), 0)} |")


if __name__ == "__main__":
    main()
