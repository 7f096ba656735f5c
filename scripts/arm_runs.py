"""The runs of an arm, ARM_seedN, as budget_table.py and tradeoff_table.py read them: lines of metrics in the order in which they were made."""
import json
import re
import sys
from pathlib import Path
from statistics import mean, stdev

# Half the width of a 95 % interval in standard errors, by the number of seeds (Student's t).
T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}


def fail(message):
    sys.exit(f"{Path(sys.argv[0]).stem}: {message}")


def spread(values, digits=1):
    """Without an interval where there is one seed, or more than the table above knows."""
    if len(values) not in T:
        return f"{mean(values):.{digits}f}"
    return f"{mean(values):.{digits}f} ± {T[len(values)] * stdev(values) / len(values) ** 0.5:.{digits}f}"


def metrics_of(run):
    path = run / "metrics.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        fail(f"{path}: {error.strerror}; the run is still to come, or was interrupted at its start")
    except ValueError as error:
        fail(f"{path}: {error}; does the run still train?")
    return lines or fail(f"{path}: is empty; the run has not made a step")


def sampled_line(line):
    """A line of a run at learning rate 0, which only samples: without its updates, which change nothing, and without their time. Of the computing (time/cpu) it
    keeps the share that sampling has of the time."""
    kept = {name: value for name, value in line.items() if name not in ("loss", "grad_norm")}
    sampling = line["time/rollout"] + line["time/reward"]
    if "time/cpu" in line:
        kept["time/cpu"] = line["time/cpu"] * sampling / line["time/train"]
    return {**kept, "time/train": sampling}


def lines_of(arm):
    """The lines of one seed's folder, which holds a run or the rounds of scripts/sample_then_train.py, each a sampled and a trained run. From round to round
    rollouts/total goes on, and the evaluation with which a later round begins is left out: it is of the weights that were evaluated last."""
    if (arm / "metrics.jsonl").exists():
        return metrics_of(arm)
    lines, before = [], 0
    for number in range(1, 1 + len(list(arm.glob("round*")))):
        sampled = [{**sampled_line(line), "rollouts/total": before + line["rollouts/total"]} for line in metrics_of(arm / f"round{number}" / "sampled")]
        trained = metrics_of(arm / f"round{number}" / "trained")
        if number == 1:
            lines.append(trained[0])
        before = sampled[-1]["rollouts/total"]
        lines += sampled + [{**line, "rollouts/total": before} for line in trained[1:]]
    return lines


def folders_of(folder, arm, seeds=None):
    """Of all seeds, or of those given. (ARM_seed1.1 is none: --resume never has renamed it.)"""
    found = {int(match[1]): run for run in folder.glob(f"{arm}_seed*") if (match := re.fullmatch(r".*_seed(\d+)", run.name))}
    return [found[seed] for seed in sorted(found) if seeds is None or seed in seeds] or fail(f"{folder}: no runs {arm}_seedN" + (" of these seeds" if found else ""))


def seeds_of(folder, arm, seeds=None):
    return [lines_of(run) for run in folders_of(folder, arm, seeds)]


def accuracy_metric(lines, of=""):
    """Of the evaluation set that is called so, or of the first one."""
    return next((key for key in lines[0] if key.startswith(f"eval/{of}") and "/mean@" in key), None) or fail("a run was not evaluated before its first step (eval.every_steps)")


def accuracies(lines, of=""):
    """(rollouts, percent) of each evaluation as it is."""
    metric = accuracy_metric(lines, of)
    return [(line.get("rollouts/total", 0), 100 * line[metric]) for line in lines if metric in line]


def smooth_accuracies(lines):
    """Each is the mean of an evaluation and its neighbours, since a single one is noisy; the one before the first update stands alone."""
    points = accuracies(lines)
    values = [value for _, value in points]
    return [(rollouts, mean(values[max(i - 1, 1 if i > 0 else 0):i + 2]) if i > 0 else values[0]) for i, (rollouts, _) in enumerate(points)]


def total(lines, name):
    return sum(line.get(name, 0) for line in lines)


def memory_mb(lines):
    return max(line.get("memory/peak_bytes", 0) for line in lines) / 1e6
