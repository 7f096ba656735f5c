#!/usr/bin/env python3
"""Sample efficiency, time, stability and complexity of methods, from runs of scripts/compare_methods.sh. Prints a Markdown table.

  scripts/tradeoff_table.py runs/methods g2 g16 ppo dpo [--target 60] [--times runs/times]

Time is what sampling and training computed (time/cpu), as a multiple of the first arm's; --times names another folder of runs of the same arms, shorter ones perhaps that were made on one day.
Runs of older versions only have what the clock says (time/train), which the table marks.
Stability: the interval of the final accuracy over seeds; how far accuracy fell below what it had been before, at most in a run; deviation of the gradient's norm over its mean, without the
first 10 updates, the warm-up. Accuracies are means with their neighbours. Lines are those of the files below that have the method's mathematics and its steps, blank ones left out; keys are the configuration's that are the method's own.
"""
import argparse
import sys
from pathlib import Path
from statistics import mean, pstdev

from arm_runs import fail, folders_of, memory_mb, seeds_of, smooth_accuracies, spread, total

SOURCE = Path(__file__).resolve().parent.parent
SAMPLES = ["src/trainer/methods/grpo", "src/trainer/grpo_step", "src/trainer/live_rollouts", "src/trainer/sample_and_score"]
GROUPS = ["src/trainer/advantages", "include/grpo/algo/advantage", "src/algo/advantage"]
CLIP = ["src/algo/clip_loss"]
PAIRS = ["src/trainer/preferences", "include/grpo/algo/preference_loss", "src/algo/preference_loss"]
WRITTEN = ["src/trainer/methods/sft"]
GROUP_KEYS = ["rollout.group_size", "algorithm.advantage", "algorithm.std", "algorithm.std_eps"]

# Of each kind of method: models in memory while it trains, files, keys.
KINDS = {
    "grpo": (["policy"], SAMPLES + GROUPS + CLIP, GROUP_KEYS),
    "pair": (["policy"], SAMPLES + GROUPS + ["src/algo/pair_loss"], GROUP_KEYS),
    "pair_logistic": (["policy"], SAMPLES + GROUPS + PAIRS, GROUP_KEYS + ["algorithm.pair_beta"]),
    "online_dpo": (["policy", "reference"], SAMPLES + GROUPS + PAIRS + ["src/trainer/reference_log_probs"], GROUP_KEYS + ["algorithm.dpo."]),
    "ppo": (["policy", "critic"], SAMPLES + CLIP + ["src/trainer/token_advantages", "include/grpo/algo/critic", "src/algo/critic"], ["algorithm.ppo."]),
    "sft": (["policy"], WRITTEN, []),
    "dpo": (["policy"], WRITTEN + PAIRS + ["src/trainer/methods/dpo", "src/trainer/reference_log_probs"], ["algorithm.dpo."]),
}


def settings_of(run):
    """Dotted keys and values of a config.yaml as the program writes it: two spaces a level."""
    settings, path = {}, []
    for line in (run / "config.yaml").read_text(encoding="utf-8").splitlines():
        key, separator, value = line.strip().partition(":")
        if separator and not key.startswith("-"):
            path = [*path[:(len(line) - len(line.lstrip())) // 2], key]
            settings[".".join(path)] = value.strip()
    return settings


def kind_of(settings):
    """Methods, and of GRPO its losses over pairs and groups."""
    loss = settings["algorithm.loss"]
    return loss if settings["algorithm.method"] == "grpo" and loss in KINDS else settings["algorithm.method"]


def files_of(stem):
    return [path for path in (SOURCE / f"{stem}.h", SOURCE / f"{stem}.cpp") if path.exists()] or fail(f"no source is called {stem} any more; KINDS is to name where it went")


def lines_of_code(stems):
    files = [path for stem in stems for path in files_of(stem)]
    return sum(bool(line.strip()) for path in files for line in path.read_text(encoding="utf-8").splitlines())


def keys_in(settings, own):
    return sum(any(key == name or (name.endswith(".") and key.startswith(name)) for name in own) for key in settings)


def rollouts_to(lines, target):
    return next((rollouts for rollouts, value in smooth_accuracies(lines) if value >= target), None)


def effort(seeds, target):
    reached = [rollouts_to(lines, target) for lines in seeds]
    if None in reached:
        return f"not by {reached.count(None)} of {len(reached)}"
    return f"{mean(reached):,.0f}"


def drop_of(lines):
    highest = drop = 0
    for _, value in smooth_accuracies(lines):
        highest = max(highest, value)
        drop = max(drop, highest - value)
    return drop


def largest_drop(seeds):
    """A run that is evaluated before and behind its training, and not within, cannot show one."""
    return f"{max(drop_of(lines) for lines in seeds):.1f}" if all(len(smooth_accuracies(lines)) > 2 for lines in seeds) else "–"


def gradient_variation(seeds):
    """A step without a live group makes no update and says 0."""
    norms = [[line["grad_norm"] for line in lines if line.get("grad_norm", 0) > 0][10:] for lines in seeds]
    return f"{mean(pstdev(each) / mean(each) for each in norms):.2f}" if all(norms) else "–"


def mean_total(folder, arm, name):
    """Over the seeds that say it: lines of older versions have no time/cpu."""
    totals = [total(lines, name) for lines in seeds_of(folder, arm)]
    return mean([value for value in totals if value] or [0])


def time_ratio(options, arm):
    """Of what both arms computed, or where one does not say so, of what a clock says."""
    for folder, name, mark in ((options.times or options.folder, "time/cpu", ""), (options.folder, "time/train", " (clock)")):
        mine, first = (mean_total(folder, which, name) for which in (arm, options.arms[0]))
        if mine and first:
            return f"{mine / first:.1f}{mark}"
    return "–"


def config_folder(folder, arm):
    """The run whose config.yaml says how the arm learns."""
    run = folders_of(folder, arm)[0]
    return run if (run / "config.yaml").exists() else run / "round1" / "trained"


def row(options, arm):
    seeds = seeds_of(options.folder, arm)
    settings = settings_of(config_folder(options.folder, arm))
    models, files, keys = KINDS[kind_of(settings)]
    final = [smooth_accuracies(lines)[-1][1] for lines in seeds]
    memory = mean(memory_mb(lines) for lines in seeds)
    return [f"`{arm}`", effort(seeds, options.target), time_ratio(options, arm), spread(final), largest_drop(seeds),
            gradient_variation(seeds), " and ".join(models), f"{memory:.0f}", str(lines_of_code(files)), str(keys_in(settings, keys))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("arms", nargs="+")
    parser.add_argument("--target", type=float, default=60, help="percent of problems that count as reached")
    parser.add_argument("--times", type=Path, help="runs whose time is compared; default: the same")
    options = parser.parse_args()
    print(f"| arm | rollouts to {options.target:.0f} % | time, × `{options.arms[0]}` | final accuracy, % | largest fall, points | variation of the gradient's norm | models in memory | memory, MB | lines | keys |")
    print("|---|---:|---:|---:|---:|---:|---|---:|---:|---:|")
    for arm in options.arms:
        print("| " + " | ".join(row(options, arm)) + " |")


if __name__ == "__main__":
    main()
