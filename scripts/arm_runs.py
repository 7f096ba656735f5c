"""The runs of an arm, ARM_seedN, as budget_table.py and tradeoff_table.py read them: lines of metrics in the order in which they were made."""
import json
from statistics import mean, stdev

# Half the width of a 95 % interval in standard errors, by the number of seeds (Student's t).
T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}


def spread(values, digits=1):
    if len(values) not in T:
        return f"{mean(values):.{digits}f}"
    return f"{mean(values):.{digits}f} ± {T[len(values)] * stdev(values) / len(values) ** 0.5:.{digits}f}"


def metrics_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def sampled_line(line):
    """Of a run of rate 0 that only samples: its updates change nothing, and neither they nor their time count. Computing is divided as time is."""
    kept = {name: value for name, value in line.items() if name not in ("loss", "grad_norm")}
    sampling = line["time/rollout"] + line["time/reward"]
    if "time/cpu" in line:
        kept["time/cpu"] = line["time/cpu"] * sampling / line["time/train"]
    return {**kept, "time/train": sampling}


def lines_of(arm):
    """Of one seed's folder: a run, or rounds of sampled and trained (scripts/sample_then_train.py). Of rounds, rollouts/total goes on from one to the next, and the
    evaluation with which the next one begins, of the same weights, is left out."""
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


def seeds_of(folder, arm):
    return [lines_of(run) for run in sorted(folder.glob(f"{arm}_seed[0-9]*"))]


def accuracy_metric(lines):
    return next(key for key in lines[0] if "/mean@" in key)


def accuracies(lines):
    """(rollouts, percent) of each evaluation as it is."""
    metric = accuracy_metric(lines)
    return [(line.get("rollouts/total", 0), 100 * line[metric]) for line in lines if metric in line]


def smooth_accuracies(lines):
    """Each a mean with its neighbours, which a single evaluation's noise would hide; that before the first update stands alone."""
    points = accuracies(lines)
    values = [value for _, value in points]
    return [(rollouts, mean(values[max(i - 1, 1 if i > 0 else 0):i + 2]) if i > 0 else values[0]) for i, (rollouts, _) in enumerate(points)]


def total(lines, name):
    return sum(line.get(name, 0) for line in lines)


def memory_mb(lines):
    return max(line.get("memory/peak_bytes", 0) for line in lines) / 1e6
