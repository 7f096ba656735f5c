#!/usr/bin/env python3
"""Learning from better and worse completions, end to end: pairs from a run's rollouts, ranks, kills and the plan. Arguments: the program and the source folder."""
import json
import math
import os
import subprocess
import sys
import unittest

from support import SOURCE, TRAIN, Trains

FORMS = {
    "pair": ("algorithm.loss=pair",),
    "pair_logistic": ("algorithm.loss=pair_logistic", "rollout.group_size=4"),
    "online_dpo": ("algorithm.method=online_dpo", "rollout.group_size=4"),
    "dpo": ("algorithm.method=dpo",),
}


class Preferences(Trains):
    def setUp(self):
        super().setUp()
        self.write_rows("pairs.jsonl", [{"prompt": f"{a}+{b}=", "chosen": str(a + b), "rejected": str(a + b + 1)} for a in range(10, 20) for b in range(10, 20)])

    def rows(self, file):
        return [json.loads(line) for line in (self.folder / file).read_text().splitlines()]

    def run_program(self, name, *overrides, ranks=1):
        data = [f"data.train=[{self.path('pairs.jsonl')}]"] if "algorithm.method=dpo" in overrides else []
        command = [TRAIN, "--config", "quickstart_2grpo", "--nproc", str(ranks), f"run.output={self.folder}", f"run.name={name}", "rollout.prompts_per_step=16",
                   "rollout.exact=true", "trainer.steps=3", "trainer.micro_batch_tokens=100", "eval.every_steps=0", "checkpoint.every_steps=1", "checkpoint.keep=9", *data, *overrides]
        environment = {**os.environ, "GRPO_CACHE": self.path("cache")}
        return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=SOURCE, env=environment)

    def test_ranks_train_as_one_process_does(self):
        for form, overrides in FORMS.items():
            with self.subTest(form):
                self.train(form, *overrides)
                self.train(f"{form}_two", *overrides, "distributed.sharding=zero3", ranks=2)
                for one, two in zip(self.lines(form), self.lines(f"{form}_two"), strict=True):
                    self.assertEqual(one.keys(), two.keys())
                    for metric in ("loss", "grad_norm", "margin/mean"):
                        if metric in one:  # sums in another order
                            self.assertTrue(math.isclose(one[metric], two[metric], rel_tol=2e-3, abs_tol=1e-5), (metric, one[metric], two[metric]))

    def test_the_reference_of_written_pairs_is_computed_by_all_ranks_and_kept(self):
        first = self.train("two", *FORMS["dpo"], ranks=2)
        self.assertIn("computing the reference's log-probs of 100 pairs", first)
        self.assertIn("are those of", self.train("again", *FORMS["dpo"]))
        self.assertEqual(len(list((self.folder / "cache" / "reference").iterdir())), 1)
        self.write_rows("pairs.jsonl", [{"prompt": "1+1=", "chosen": "2", "rejected": "3"}])
        self.assertIn("of 1 pairs", self.train("others", *FORMS["dpo"]))

    def test_rollouts_become_pairs(self):
        self.train("start", "optimizer.lr=0", "rollout.prompts_per_step=64", "logging.rollouts_per_step=1000")
        rollouts = sorted((self.folder / "start" / "rollouts").iterdir())
        problems = SOURCE / "configs" / "quickstart" / "train.jsonl"
        for extra in ([], ["--problems", str(problems)]):
            result = subprocess.run([sys.executable, SOURCE / "scripts" / "rollouts_to_pairs.py", *rollouts, *extra, "--output", self.path("pairs.jsonl")],
                                    capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 0, result.stderr)
            pairs = self.rows("pairs.jsonl")
            rows = [row for file in rollouts for row in self.rows(file)]
            rewards = {(row["prompt"], row["text"]): row["reward"] for row in rows}
            live = sum(line["groups/live"] for line in self.lines("start"))
            self.assertTrue(0 < len(pairs) <= live, (len(pairs), live))
            for pair in pairs:
                self.assertGreater(rewards[pair["prompt"], pair["chosen"]], rewards[pair["prompt"], pair["rejected"]])
        self.train("learns", *FORMS["dpo"], "rollout.prompts_per_step=4")
        none = subprocess.run([sys.executable, SOURCE / "scripts" / "rollouts_to_pairs.py", self.write("empty.jsonl", ""), "--output", self.path("none.jsonl")],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(none.returncode, 1)
        self.assertIn("none of 0 groups", none.stderr)

    def test_the_plan_says_what_is_compared(self):
        expected = {
            "pair": "loss: pair, the mean over pairs",
            "pair_logistic": "loss: pair_logistic, beta 1, log-probs a token, the mean over groups",
            "online_dpo": "reference weights",
            "dpo": "no second model is held",
        }
        for form, text in expected.items():
            result = self.run_program("planned", *FORMS[form], "--dry-run")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(text, result.stdout)
            self.assertEqual("reference weights" in result.stdout, form == "online_dpo")

    def test_other_pairs_or_another_beta_are_no_continuation(self):
        self.train("run", *FORMS["dpo"], "trainer.steps=1")
        result = self.run_program("run", *FORMS["dpo"], "algorithm.dpo.beta=0.2")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("algorithm.dpo.beta", result.stderr)
        rows = self.rows("pairs.jsonl")
        rows[7]["rejected"] = "0"
        self.write_rows("pairs.jsonl", rows)
        result = self.run_program("run", *FORMS["dpo"])
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("data.train: the content of the problems", result.stderr)

    def test_a_row_that_is_no_pair_is_named(self):
        self.write_rows("pairs.jsonl", [{"prompt": "1+1=", "chosen": "2"}])
        result = self.run_program("wrong", *FORMS["dpo"])
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("pairs.jsonl:1: no key rejected", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
