#!/usr/bin/env python3
"""Groups that adapt are the same on any number of ranks, and go on after a kill as if nothing had happened. Arguments: the program and the source folder."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from support import MEASURED, SOURCE, TRAIN, comparable, metrics

STEPS = 6
FORMS = {
    "resample": ("rollout.resample.max_rollouts=200",),
    "extend": ("rollout.adaptive.mode=extend",),
    "scarce": ("rollout.adaptive.mode=extend", "rollout.adaptive.max_rollouts=100"),
    "predict": ("rollout.adaptive.mode=predict", "rollout.adaptive.choices=[2,4]", "data.order=uncertain"),
    "single": ("rollout.group_size=1", "rollout.prompts_per_step=64"),
}


def command(folder, name, ranks, *overrides):
    return [TRAIN, "--config", "quickstart_2grpo", "--nproc", str(ranks), f"run.output={folder}", f"run.name={name}", "rollout.prompts_per_step=24", f"trainer.steps={STEPS}",
            "rollout.exact=true", "eval.every_steps=0", "checkpoint.every_steps=1", "checkpoint.keep=9", "logging.rollouts_per_step=10000", *overrides]


def run(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=240, cwd=SOURCE)


def sampled(folder, name):
    """Of each step the prompt, the ids and the advantage of every rollout, in order."""
    steps = []
    for step in range(1, STEPS + 1):
        rows = [json.loads(line) for line in (Path(folder) / name / "rollouts" / f"step_{step:08d}.jsonl").read_text().splitlines()]
        steps.append([(row["prompt_id"], row["ids"], row["advantage"]) for row in rows])
    return steps


class Groups(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()

    def tearDown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run_form(self, form, name, ranks, *overrides):
        result = run(self.folder, name, ranks, *FORMS[form], *overrides)
        self.assertEqual(result.returncode, 0, result.stderr)

    def expect_same(self, one, other):
        for a, b in zip(metrics(Path(self.folder) / one), metrics(Path(self.folder) / other), strict=True):
            for key in a:
                if key.startswith(("groups/", "rollouts", "reward/mean", "accuracy")):
                    self.assertEqual(a[key], b[key], (other, a["step"], key))
        self.assertEqual(sampled(self.folder, one), sampled(self.folder, other), other)

    # Prompts from a common queue and fresh ones from a common number, or equal shares and rounds.
    def test_are_those_of_one_process(self):
        for form in FORMS:
            with self.subTest(form=form):
                self.run_form(form, f"{form}_1", 1)
                for name, ranks, steal in ((f"{form}_queue", 2, "auto"), (f"{form}_rounds", 3, "never")):
                    self.run_form(form, name, ranks, f"distributed.steal_prompts={steal}")
                    self.expect_same(f"{form}_1", name)
                line = metrics(Path(self.folder) / f"{form}_1")[-1]
                self.assertEqual(line["groups/asked"], line["groups/total"])
                self.assertTrue({"resample": line["groups/replaced"] > 0, "extend": line["groups/extended"] > 0, "scarce": line["rollouts"] <= 100}.get(form, True), line)

    def test_go_on_after_a_kill_as_if_nothing_had_happened(self):
        for form, ranks in (("resample", 2), ("extend", 2), ("scarce", 1)):
            with self.subTest(form=form, ranks=ranks):
                whole, killed = f"{form}_whole", f"{form}_killed"
                self.run_form(form, whole, ranks)
                for _ in range(2):
                    self.kill_somewhere(command(self.folder, killed, ranks, *FORMS[form]), Path(self.folder) / killed)
                self.run_form(form, killed, ranks)
                self.expect_same(whole, killed)
                if ranks == 1:
                    self.assertEqual(comparable(metrics(Path(self.folder) / whole)), comparable(metrics(Path(self.folder) / killed)))

    def kill_somewhere(self, arguments, folder):
        """Kills a run and its ranks at some moment within its next step or two."""
        before = len(metrics(folder)) if (folder / "metrics.jsonl").exists() else 0
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=SOURCE, start_new_session=True)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not ((folder / "metrics.jsonl").exists() and len(metrics(folder)) > before):
            time.sleep(0.01)
        time.sleep(random.uniform(0.0, 0.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
