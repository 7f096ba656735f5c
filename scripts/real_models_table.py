#!/usr/bin/env python3
"""The figures of scripts/real_models.sh. Of run folders it chooses a learning rate and keeps what the page docs/results/real_models.md is made of; of what is kept it makes the page's
tables and pictures again, without the runs.

  scripts/real_models_table.py best runs/real/sums_rates g2 1e-5 3e-5 1e-4       the smallest rate whose evaluations behind the start are best on average, to one percent
  scripts/real_models_table.py keep runs/real docs/results/data                  real_TASK.jsonl.xz of each task: configuration, starts, metrics and some answers of every finished run;
                                                                                 with --unfinished also of others, up to their last evaluation
  scripts/real_models_table.py page docs/results/data [--pictures docs/results]  prints the tables; writes real_TASK.svg, with `grpo compare`
"""
import argparse
import json
import lzma
import re
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import mean

from arm_runs import accuracies, accuracy_metric, fail, memory_mb, metrics_of, seeds_of, spread, total
from task_table import in_cell, question

# The evaluation set that is held out, and the one whose answers are kept, of problems that we wrote ourselves.
HELD_OUT = {"sums": "heldout", "sums2": "sums_heldout", "gsm8k": "gsm8k_test_200"}
OWN = {"sums": "heldout", "sums2": "sums_heldout", "gsm8k": "problems"}
SHOWN = 4  # of these
AS_GOOD = 1.0  # percent of accuracy, less than the evaluations of one run can tell apart
PARTS = (("sampling", "time/rollout"), ("judging", "time/reward"), ("update", "time/update"))


def task_of(folder):
    return folder.removesuffix("_rates")


def average_accuracy(lines, of):
    """Over the evaluations behind the start, which are evenly spaced: a run that learns sooner has more, and one that unlearns less."""
    return mean(value for _, value in accuracies(lines, of)[1:])


def best_rate(folder, arm, rates):
    """Of rates whose runs are as good as the best one's, to AS_GOOD, the smallest, since a run rather breaks at a larger one."""
    of = HELD_OUT.get(task_of(folder.name), "")
    found = {rate: mean(average_accuracy(lines, of) for lines in seeds_of(folder, f"{arm}_lr{rate}")) for rate in sorted(rates, key=float)}
    return next(rate for rate, accuracy in found.items() if accuracy >= max(found.values()) - AS_GOOD)


# Keeping.

def short(value):
    return float(f"{value:.6g}") if isinstance(value, float) else value


def answers(run, task):
    """The first sample of some problems in the first and in the last evaluation."""
    files = sorted((run / "eval").glob(f"step_*_{OWN[task]}.jsonl"))
    for file in dict.fromkeys((files[0], files[-1])) if files else ():
        for line in file.read_text(encoding="utf-8").splitlines()[:SHOWN]:
            row = json.loads(line)
            yield {"step": int(file.name.split("_")[1]), "question": question(row), "gold": row["gold"], **row["samples"][0]}


def is_finished(run):
    return (run / "finished").exists()


def lines_to_keep(run, task):
    """Of a run that goes on those up to its last evaluation, so that all of its figures are of the same steps."""
    if is_finished(run):
        return metrics_of(run)
    metrics = run / "metrics.jsonl"
    lines = metrics_of(run) if metrics.exists() and metrics.stat().st_size > 0 else []
    evaluated = [place for place, line in enumerate(lines) if f"eval/{HELD_OUT[task]}/ci_low" in line]
    return lines[:evaluated[-1] + 1] if len(evaluated) > 1 else []


def kept_rows(run, task):
    """Without what only names a place: the machine's name and numbers of processes."""
    about = json.loads((run / "run.json").read_text(encoding="utf-8"))
    about["starts"] = [{key: value for key, value in start.items() if key not in ("host", "pid")} for start in about["starts"]]
    yield {"run": run.name, "about": about, "config": (run / "config.yaml").read_text(encoding="utf-8"), "finished": is_finished(run)}
    for line in lines_to_keep(run, task):
        yield {"run": run.name, "metrics": {key: short(value) for key, value in line.items()}}
    for answer in answers(run, task):
        yield {"run": run.name, "answer": answer}


def keep(runs, target, unfinished):
    target.mkdir(parents=True, exist_ok=True)
    processor = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "unknown")
    for folder in sorted(runs.iterdir()):
        task = task_of(folder.name)
        if task not in HELD_OUT:
            continue
        chosen = [run.parent for run in sorted(folder.glob("*/run.json")) if is_finished(run.parent) or unfinished and lines_to_keep(run.parent, task)]
        if not chosen:
            continue
        rows = [{"processor": processor}] + [row for run in chosen for row in kept_rows(run, task)]
        path = target / f"real_{folder.name}.jsonl.xz"
        path.write_bytes(lzma.compress("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(), preset=9))
        print(f"{path}: {len(chosen)} runs, {path.stat().st_size / 1000:.0f} kB")


# The page.

class Run:
    def __init__(self, name):
        self.name, self.lines, self.answers = name, [], []
        self.arm, self.seed = re.fullmatch(r"(.*)_seed(\d+)", name).groups()


def kept(path):
    """Runs by name, and the processor they ran on."""
    runs, processor = {}, "unknown"
    for line in lzma.decompress(path.read_bytes()).decode().splitlines():
        row = json.loads(line)
        processor = row.get("processor", processor)
        if "run" not in row:
            continue
        run = runs.setdefault(row["run"], Run(row["run"]))
        if "metrics" in row:
            run.lines.append(row["metrics"])
        elif "answer" in row:
            run.answers.append(row["answer"])
        else:
            run.about, run.config, run.finished = row["about"], row["config"], row.get("finished", True)
    return list(runs.values()), processor


def by_arm(runs):
    arms = {}
    for run in runs:
        arms.setdefault(run.arm, []).append(run)
    return arms


def steps_of(run):
    return [line for line in run.lines if "rollouts" in line]


def rate(run):
    return re.search(r"^ +lr: (\S+)", run.config, re.MULTILINE)[1]


def accuracy_near(run, of, budget):
    return min(accuracies(run.lines, of), key=lambda point: abs(point[0] - budget))[1]


def evaluated_after(run, of, last):
    """About an eighth, a quarter and half of `last` rollouts, where the run was evaluated, with beginning and end."""
    points = [point for point, _ in accuracies(run.lines, of)]
    return sorted({0, last, *(min(points, key=lambda point: abs(point - last * share)) for share in (1 / 8, 1 / 4, 1 / 2))})


def rates_table(runs, task):
    """Of the runs with which the learning rates were chosen."""
    rates = sorted({run.arm.split("_lr")[1] for run in runs}, key=float)
    print(f"Held-out accuracy ({accuracy_metric(runs[0].lines, HELD_OUT[task])}, percent), mean of the evaluations behind the start → last evaluation, one seed:\n")
    print("| arm | " + " | ".join(rates) + " |\n|---|" + "---:|" * len(rates))
    found = {tuple(run.arm.split("_lr")): run for run in runs}
    for arm in dict.fromkeys(arm for arm, _ in found):
        cells = [found.get((arm, each)) for each in rates]
        print(f"| `{arm}` | " + " | ".join("–" if run is None else f"{average_accuracy(run.lines, HELD_OUT[task]):.1f} → {accuracies(run.lines, HELD_OUT[task])[-1][1]:.1f}" for run in cells) + " |")
    print()


def accuracy_table(arms, task):
    some = max(arms.values(), key=len)
    last = min(steps_of(run)[-1]["rollouts/total"] for runs in arms.values() for run in runs)
    budgets = evaluated_after(arms.get("g2", some)[0], HELD_OUT[task], last)
    print(f"Held-out accuracy ({accuracy_metric(some[0].lines, HELD_OUT[task])}, percent) in the evaluation nearest to so many rollouts"
          + (f"; mean and 95 % interval over {len(some)} seeds" if len(some) > 1 else "; one seed") + ":\n")
    print("| arm | learning rate | " + " | ".join(f"{budget:,}" for budget in budgets) + " |\n|---|---:|" + "---:|" * len(budgets))
    for arm, runs in arms.items():
        seeds = "" if len(runs) == len(some) else f" ({len(runs)} of {len(some)} seeds)"
        print(f"| `{arm}`{seeds} | {float(rate(runs[0])):.0e} | " + " | ".join(spread([accuracy_near(run, HELD_OUT[task], budget) for run in runs]) for budget in budgets) + " |")
    print()


def interval(line, of):
    """An evaluation with its interval over problems."""
    return f"{100 * line[accuracy_metric([line], of)]:.1f} [{100 * line[f'eval/{of}/ci_low']:.1f}, {100 * line[f'eval/{of}/ci_high']:.1f}]"


def problems_table(runs, task):
    """Of each run by itself, where intervals over problems say more than those over few seeds."""
    print("| run | held-out accuracy in percent, first → last evaluation, 95 % interval over problems | training accuracy, first → last eighth of the steps |\n|---|---|---|")
    for run in runs:
        evaluated = [line for line in run.lines if f"eval/{HELD_OUT[task]}/ci_low" in line]
        steps = steps_of(run)
        some = max(1, len(steps) // 8)
        trained = [100 * mean(line["accuracy"] for line in part) for part in (steps[:some], steps[-some:])]
        print(f"| {run.name} | {interval(evaluated[0], HELD_OUT[task])} → {interval(evaluated[-1], HELD_OUT[task])} | {trained[0]:.1f} → {trained[1]:.1f} |")
    print()


def cost_table(arms):
    print("| arm | steps | rollouts | live groups of those asked | tokens a completion, first → last step | processor time, s | " + " | ".join(name for name, _ in PARTS) + " | evaluation, s (clock) | memory, GB |")
    print("|---|---:|---:|---:|---:|---:|" + "---:|" * len(PARTS) + "---:|---:|")
    for arm, runs in arms.items():
        lines = [steps_of(run) for run in runs]
        clock = mean(total(each, "time/train") for each in lines)
        print(f"| `{arm}` | {mean(len(each) for each in lines):.0f} | {mean(each[-1]['rollouts/total'] for each in lines):,.0f} | "
              f"{100 * mean(total(each, 'groups/live') / total(each, 'groups/asked') for each in lines):.0f} % | "
              f"{mean(each[0]['length/mean'] for each in lines):.0f} → {mean(each[-1]['length/mean'] for each in lines):.0f} | {spread([total(each, 'time/cpu') for each in lines], 0)} | "
              + " | ".join(f"{100 * mean(total(each, name) for each in lines) / clock:.0f} %" for _, name in PARTS)
              + f" | {mean(total(run.lines, 'time/eval') for run in runs):.0f} | {max(memory_mb(each) for each in lines) / 1000:.1f} |")
    print()


def answers_table(arms):
    """Of the first run of each arm that has them: the same problems before and after."""
    print("| arm | problem | before | after |\n|---|---|---|---|")
    for arm, runs in arms.items():
        found = runs[0].answers
        steps = sorted({answer["step"] for answer in found})
        if len(steps) < 2:
            continue
        for before, after in zip((answer for answer in found if answer["step"] == steps[0]), (answer for answer in found if answer["step"] == steps[-1])):
            print(f"| `{arm}` | {before['question']} | {said(before)} | {said(after)} |")
    print()


def shortened(text):
    """Long answers without their middle."""
    return text if len(text) <= 420 else f"{text[:260]} […] {text[-140:]}"


def said(answer):
    return f"{in_cell(shortened(answer['text'].strip())) or '(nothing)'} ({answer['verdict']})"


def provenance(runs, processor):
    starts = [start for run in runs for start in run.about["starts"]]
    days = sorted({time.strftime("%Y-%m-%d", time.gmtime(start["time"])) for start in starts})
    resumed = [f"{run.name} at step {', '.join(str(start['from_step']) for start in run.about['starts'] if start['from_step'])}" for run in runs
               if any(start["from_step"] for start in run.about["starts"])]
    unfinished = [f"{run.name} at step {steps_of(run)[-1]['step']}" for run in runs if not run.finished]
    print(f"{len(runs)} runs, {' to '.join(dict.fromkeys((days[0], days[-1])))}, commit {', '.join(sorted({run.about['commit'] for run in runs}))}, on {processor}."
          + (f" Stopped and resumed: {'; '.join(resumed)}." if resumed else "") + (f" Not at their end: {'; '.join(unfinished)}." if unfinished else "") + "\n")


def only_of(line, of):
    return {key: value for key, value in line.items() if not key.startswith("eval/") or key.startswith(f"eval/{of}/")}


def picture(runs, path, program, of):
    """What `grpo compare` draws of run folders, which are made again of what is kept, with one evaluation set."""
    with tempfile.TemporaryDirectory() as work:
        folders = []
        for run in runs:
            folder = Path(work, run.name)
            folder.mkdir()
            (folder / "config.yaml").write_text(run.config, encoding="utf-8")
            (folder / "run.json").write_text(json.dumps(run.about), encoding="utf-8")
            (folder / "metrics.jsonl").write_text("".join(json.dumps(only_of(line, of)) + "\n" for line in run.lines), encoding="utf-8")
            folders.append(folder)
        done = subprocess.run([program, "compare", *folders, "--output", Path(work, "page.html")], capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"{program} compare: {done.stderr.strip()}")
        path.write_bytes(Path(work, "page.svg").read_bytes())


def page(data, pictures, program):
    for path in sorted(data.glob("real_*.jsonl.xz")):
        name = path.name.removeprefix("real_").removesuffix(".jsonl.xz")
        runs, processor = kept(path)
        task, arms = task_of(name), by_arm(runs)
        print(f"### {name}\n")
        if name.endswith("_rates"):
            rates_table(runs, task)
        else:
            accuracy_table(arms, task)
            if len(runs) <= 2 * len(arms):
                problems_table(runs, task)
            cost_table(arms)
            answers_table(arms)
            if pictures:
                picture(runs, pictures / f"real_{name}.svg", program, HELD_OUT[task])
        provenance(runs, processor)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("best")
    command.add_argument("folder", type=Path)
    command.add_argument("arm")
    command.add_argument("rates", nargs="+")
    command = commands.add_parser("keep")
    command.add_argument("runs", type=Path)
    command.add_argument("data", type=Path)
    command.add_argument("--unfinished", action="store_true", help="also runs that have not ended, up to their last evaluation")
    command = commands.add_parser("page")
    command.add_argument("data", type=Path)
    command.add_argument("--pictures", type=Path, help="folder to draw into")
    command.add_argument("--grpo", default="build/bin/grpo", help="the program that draws")
    options = parser.parse_args()
    if options.command == "best":
        print(best_rate(options.folder, options.arm, options.rates))
    elif options.command == "keep":
        keep(options.runs, options.data, options.unfinished)
    else:
        page(options.data, options.pictures, options.grpo)


if __name__ == "__main__":
    main()
