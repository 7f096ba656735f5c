#!/usr/bin/env python3
"""Learns from the policy's own completions without sampling as it learns.

  scripts/sample_then_train.py sft --rollouts 12800 --problems configs/quickstart/train.jsonl --output runs/sft data.epochs=12

A round samples with the newest policy, keeps what the method learns from (sft, rejection sampling: the right completions; dpo: of each group that
is not tied a better and a worse one) and trains on it; --rounds N divides the rollouts over N of them. key=value goes to all runs: data.epochs is
the passes over what was kept. OUTPUT/round1 has sampled (a run of learning rate 0), kept.jsonl and trained (a run); round2 goes on from there.
Interrupted, the same command goes on where it was.
"""
import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
SOURCE = SCRIPTS.parent
KEEPS = {"sft": "rollouts_to_examples.py", "dpo": "rollouts_to_pairs.py"}
# What a configuration says of sampled groups concerns the sampling alone; written texts have none, and refuse it.
WRITTEN = ["rollout.resample.max_rollouts=null", "rollout.adaptive.mode=off", "rollout.adaptive.max_rollouts=null", "rollout.adaptive.advantage_from=all",
           "rollout.overlong.buffer=0", "algorithm.truncated=train", "algorithm.negative_tokens=all"]


def run_to_its_end(command):
    """Passes signals on, so that a run which is asked to stop has the time to save; it then ends with exit code 3. Ends with the program's exit code if that is
    not 0."""
    asked, started = [], []

    def pass_on(number, _):
        asked.append(number)
        for program in started:
            program.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, pass_on)
    try:
        started.append(subprocess.Popen(command))
    except OSError as error:
        sys.exit(f"sample_then_train: cannot start {command[0]}: {error.strerror}; scripts/build.sh builds it, --program names another")
    code = started[0].wait()
    if code != 0:
        sys.exit(code if code > 0 else 128 - code)
    if asked:
        sys.exit(3)


def quoted(value):
    """As the configuration reads a text, whatever characters a path has."""
    return json.dumps(value if isinstance(value, list) else str(value), ensure_ascii=False)


def train(options, run, seed, *overrides):
    """key=value of the command come first, so that those of a round prevail."""
    run_to_its_end([options.program, "--config", options.config, *options.overrides, f"run.output={quoted(run.parent)}", f"run.name={run.name}", f"run.seed={seed}", *overrides])


def sample(options, run, seed, model):
    """Rate 0 leaves the policy as it is. Each round asks in an order of its own."""
    count = options.rollouts // options.rounds
    train(options, run, seed, *model, "optimizer.lr=0", "algorithm.method=grpo", f"data.train={quoted(options.problems)}", "data.epochs=1000000", "trainer.steps=1000000",
          f"trainer.stop_on={{metric: rollouts/total, at_least: {count}}}", "eval.every_steps=0", 'checkpoint.keep_best=""',
          "checkpoint.every_steps=1000000", "checkpoint.export_model=false", "logging.rollouts_per_step=1000000")


def keep(options, round_folder):
    rollouts = sorted((round_folder / "sampled" / "rollouts").glob("step_*.jsonl"))
    kept = round_folder / "kept.jsonl"
    run_to_its_end([sys.executable, SCRIPTS / KEEPS[options.method], *rollouts, "--problems", *options.problems, "--output", kept])
    return kept


def newest_model(run):
    return max((run / "checkpoints").glob("step_*")) / "model"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=KEEPS)
    parser.add_argument("--rollouts", type=int, required=True, help="of all rounds together")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--problems", nargs="+", required=True, help="JSON Lines with the fields problem and answer")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--config", default=str(SOURCE / "configs" / "quickstart_2grpo.yaml"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", default=str(SOURCE / "build" / "bin" / "grpo-train"))
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args()
    for problems in options.problems:
        if not Path(problems).is_file():
            parser.error(f"--problems {problems}: no such file" + ("; key=value is to stand behind another option" if "=" in problems else ""))
    if not 1 <= options.rounds <= options.rollouts:
        parser.error(f"--rounds {options.rounds} cannot share {options.rollouts} rollouts")
    model = []
    for number in range(1, options.rounds + 1):
        folder, seed = options.output / f"round{number}", options.seed + 1000 * (number - 1)
        sample(options, folder / "sampled", seed, model)
        kept = keep(options, folder)
        train(options, folder / "trained", seed, *model, *WRITTEN, f"algorithm.method={options.method}", f"data.train={quoted([str(kept)])}",
              "trainer.steps=null", "checkpoint.every_steps=1000000", "checkpoint.export_model=true")
        model = [f"model.path={quoted(newest_model(folder / 'trained'))}"]


if __name__ == "__main__":
    main()
