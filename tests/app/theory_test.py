"""grpo theory and grpo replay as programs call them, against numbers that are computed here.

Usage: theory_test.py PROGRAM SOURCE_FOLDER"""
import itertools
import json
import math
import subprocess
import sys
import unittest
from collections import defaultdict

from support import PROGRAM, SOURCE, TRAIN, InFolder, metrics


def output_of(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=True, cwd=SOURCE).stdout


def facts_of(*arguments):
    return json.loads(output_of(*arguments, "--json"))


class Propositions(unittest.TestCase):
    def test_numbers_are_those_of_all_groups(self):
        facts = facts_of("theory", "--p", "0.3", "--group-sizes", "2,5", "--gain", "0.1", "--rounds", "3")
        for size in (2, 5):
            right = 0.0
            for others in itertools.product((0, 1), repeat=size - 1):
                mean = (1 + sum(others)) / size
                deviation = math.sqrt(mean * (1 - mean))
                chance = math.prod(0.3 if one else 0.7 for one in others)
                right += chance * (1 - mean) / (deviation + 1e-6) if deviation else 0.0
            self.assertAlmostEqual(facts["advantage"][0]["expected"][str(size)][0], right, places=9)
            self.assertAlmostEqual(facts["tied"][0]["tied"][str(size)], 0.3**size + 0.7**size, places=12)
        third = facts["rounds"]["by_rounds"][2]
        self.assertAlmostEqual(third["in_rounds"], 1 - (0.7 * 0.6 * 0.5) ** 2, places=12)
        self.assertAlmostEqual(third["at_once"], 1 - 0.7**6, places=12)
        self.assertAlmostEqual(third["simulated"], third["in_rounds"], delta=5 * math.sqrt(0.25 / facts["rounds"]["trials"]))


class Recorded(InFolder):
    def train(self, name, *overrides):
        subprocess.run([TRAIN, "--config", "quickstart_2grpo", "--output", self.path("runs"), f"run.name={name}", "eval.every_steps=0",
                        "logging.console=quiet", "logging.rollouts_per_step=100000", *overrides], check=True, capture_output=True, cwd=SOURCE)
        return self.folder / "runs" / name

    def rollouts(self, run):
        return [json.loads(line) for file in sorted((run / "rollouts").iterdir()) for line in file.read_text().splitlines()]

    def test_replay_has_the_norm_that_the_run_had(self):
        run = self.train("run", "trainer.steps=3", "checkpoint.every_steps=1", "checkpoint.keep=3")
        steps = facts_of("replay", str(run), "--step", "all", "--threads", "1")["steps"]
        self.assertEqual([step["step"] for step in steps], [1, 2, 3])
        for step, line in zip(steps, metrics(run)):
            self.assertAlmostEqual(step["norm"]["run"] / line["grad_norm"], 1.0, places=4)
            self.assertEqual(step["live"], line["groups/live"])
        self.assertIn("cosines, mean over 3 steps", output_of("replay", str(run), "--threads", "1"))

    def test_rounds_are_counted_from_the_rollouts(self):
        problems = [f'"{a}+{b}="' for a in range(2, 6) for b in range(2, 6)]
        data = self.write("few.jsonl", "".join(f'{{"problem": {p}, "answer": "{eval(p[1:-2])}"}}\n' for p in problems))
        few = (f"data.train=[{data}]", "rollout.prompts_per_step=16", "checkpoint.every_steps=0")
        small = self.train("small", "trainer.steps=3", *few)
        large = self.train("large", "trainer.steps=1", "rollout.group_size=8", *few)
        facts = facts_of("theory", "rounds", str(small), "--at-once", str(large), "--rounds", "3")
        visits = defaultdict(lambda: defaultdict(bool))
        for row in self.rollouts(small):
            visits[row["prompt_id"]][row["step"]] |= row["verdict"] == "right"
        right = defaultdict(int)
        for row in self.rollouts(large):
            right[row["prompt_id"]] += row["verdict"] == "right"
        self.assertEqual(facts["prompts"], 16)
        for m, row in enumerate(facts["by_rounds"], 1):
            found = sum(any(list(steps.values())[:m]) for steps in visits.values())
            self.assertAlmostEqual(row["in_rounds"], found / 16, places=12)
            at_once = sum(1 - math.comb(8 - c, 2 * m) / math.comb(8, 2 * m) for c in right.values()) / 16
            self.assertAlmostEqual(row["at_once"], at_once, places=12)

    def test_variance_is_measured_and_drawn(self):
        command = ("theory", "variance", "--config", "quickstart_2grpo", "trainer.threads=1", "--group-sizes", "2,4,8", "--rollouts", "16,32",
                   "--redraws", "16", "--plots", self.path("plots"))
        facts = facts_of(*command)
        self.assertEqual([(row["prompts"], row["group_size"]) for row in facts["steps"]],
                         [(8, 2), (4, 4), (2, 8), (16, 2), (8, 4), (4, 8)])
        self.assertEqual(facts, facts_of(*command))  # the same draws
        self.assertTrue((self.folder / "plots" / "variance.svg").read_text().startswith("<svg"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
