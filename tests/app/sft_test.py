#!/usr/bin/env python3
"""algorithm.method: sft, end to end: it learns, resumes bit for bit, and several ranks train as one process does.
Arguments: the program and the source folder."""
import json
import math
import shutil
import subprocess
import sys
import unittest

from support import MODEL, PROGRAM, SOURCE, TRAIN, Trains


class Sft(Trains):
    def setUp(self):
        super().setUp()
        sums = [{"problem": f"{a}+{b}=", "answer": str(a + b)} for a in range(10, 40) for b in range(10, 40)]
        self.write_rows("train.jsonl", sums)

    def run_program(self, name, *overrides, ranks=1):
        command = [TRAIN, "--config", "quickstart_2grpo", "--nproc", str(ranks), f"run.output={self.folder}",
                   f"run.name={name}", "algorithm.method=sft", f"data.train=[{self.folder}/train.jsonl]", "trainer.steps=40", "optimizer.lr=1e-3",
                   "eval.every_steps=0", "checkpoint.every_steps=10", "checkpoint.keep=9", *overrides]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=SOURCE)

    def weights(self, name, step):
        return (self.folder / name / "checkpoints" / f"step_{step:08d}" / "model" / "model.safetensors").read_bytes()

    def test_it_learns_what_is_written(self):
        shutil.copy(self.folder / "train.jsonl", self.folder / "seen.jsonl")
        log = self.train("learns", "eval.every_steps=40", f"eval.data=[{self.folder}/seen.jsonl]", "eval.samples=1", "trainer.updates_per_step=2")
        lines = self.lines("learns")
        steps = [line for line in lines if "loss" in line]
        self.assertEqual(len(steps), 40)
        self.assertLess(steps[-1]["loss"], 0.5 * steps[0]["loss"], log)
        accuracy = [line["eval/seen/mean@1"] for line in lines if "eval/seen/mean@1" in line]
        self.assertGreater(accuracy[-1], accuracy[0])
        self.assertEqual(steps[-1]["examples/total"], 40 * 64)
        self.assertIn("loss", log)
        self.assertFalse((self.folder / "learns" / "rollouts").exists())

    def test_the_report_shows_it(self):
        self.train("shown", "trainer.steps=3")
        page = self.folder / "page.html"
        result = subprocess.run([PROGRAM, "compare", str(self.folder / "shown"), "--output", str(page)], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("loss", page.read_text())

    def test_it_resumes_bit_for_bit(self):
        self.train("whole", "trainer.steps=20")
        self.train("parts", "trainer.steps=10")
        self.train("parts", "trainer.steps=20")
        self.assertEqual(self.lines("whole"), self.lines("parts"))
        self.assertEqual(self.weights("whole", 20), self.weights("parts", 20))

    def sample_then_train(self, *overrides):
        command = [sys.executable, SOURCE / "scripts" / "sample_then_train.py", "sft", "--rollouts", "256", "--rounds", "2", "--problems", "configs/quickstart/train.jsonl",
                   "--output", self.folder / "rounds", "--program", TRAIN, "data.epochs=2", "rollout.prompts_per_step=16", "eval.every_steps=0", *overrides]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=SOURCE)

    def test_rounds_of_sampling_and_training_learn_from_the_newest_policys_right_completions(self):
        result = self.sample_then_train()
        self.assertEqual(result.returncode, 0, result.stderr)
        for number in (1, 2):
            folder = self.folder / "rounds" / f"round{number}"
            sampled = [json.loads(line) for file in sorted((folder / "sampled" / "rollouts").iterdir()) for line in file.read_text().splitlines()]
            kept = [json.loads(line) for line in (folder / "kept.jsonl").read_text().splitlines()]
            self.assertEqual(len(sampled), 128)
            self.assertEqual([(row["problem"], row["answer"]) for row in kept], [(row["prompt"], row["text"]) for row in sampled if row["verdict"] == "right" and row["finish_reason"] == "stop"])
            self.assertEqual(len(self.lines(folder / "trained")), 2 * len(kept) // 16)
            policies = [(folder / run / "config.yaml").read_text() for run in ("sampled", "trained")]
            self.assertEqual(["round1/trained/checkpoints" in yaml for yaml in policies], [number == 2] * 2)
        before = {file: file.read_bytes() for file in (self.folder / "rounds").rglob("*.jsonl")}
        self.assertEqual(self.sample_then_train().returncode, 0)
        self.assertEqual(before, {file: file.read_bytes() for file in (self.folder / "rounds").rglob("*.jsonl")})
        # A policy that is never right teaches nothing.
        self.assertIn("none of 128 completions is right", self.sample_then_train("rollout.max_new_tokens=2", "--output", str(self.folder / "never")).stderr)

    def test_ranks_train_as_one_process_does(self):
        self.train("one", "trainer.steps=5")
        for sharding in ("zero1", "zero3"):
            self.train(sharding, "trainer.steps=5", f"distributed.sharding={sharding}", ranks=2)
            for a, b in zip(self.lines("one"), self.lines(sharding), strict=True):
                self.assertEqual(a.keys(), b.keys())
                self.assertTrue(math.isclose(a["loss"], b["loss"], rel_tol=1e-4), (a["loss"], b["loss"]))
                self.assertTrue(math.isclose(a["grad_norm"], b["grad_norm"], rel_tol=1e-3), (a["grad_norm"], b["grad_norm"]))

    def test_the_plan_samples_nothing(self):
        result = self.run_program("planned", "--dry-run")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("method: sft", result.stdout)
        self.assertNotIn("advantage:", result.stdout)

    def test_muon_trains_it_too(self):
        self.train("muon", "optimizer.kind=muon", "trainer.steps=20")
        self.train("muon_parts", "optimizer.kind=muon", "trainer.steps=10")
        self.train("muon_parts", "optimizer.kind=muon", "trainer.steps=20")
        steps = self.lines("muon")
        self.assertLess(steps[-1]["loss"], 0.7 * steps[0]["loss"])
        self.assertEqual(self.weights("muon", 20), self.weights("muon_parts", 20))

    def test_it_starts_from_random_weights_without_any_in_the_folder(self):
        bare = self.folder / "bare"
        shutil.copytree(MODEL, bare, ignore=shutil.ignore_patterns("*.safetensors"))
        random = (f"model.path={bare}", "model.init=random", "trainer.steps=4", "checkpoint.every_steps=2")
        self.assertEqual(self.run_program("refused", f"model.path={bare}").returncode, 1)
        self.train("random", *random)
        self.train("again", *random, "trainer.steps=2")
        self.train("again", *random)  # resumed: the checkpoint's weights, not new ones
        self.train("other_seed", *random, "run.seed=2")
        self.train("compared", *random, "algorithm.method=grpo", "algorithm.kl.coef=0.1", "trainer.steps=2", "algorithm.entropy_coef=0.1")
        # An untrained model knows nothing: each of the 17 ids is about as likely as the others.
        self.assertAlmostEqual(self.lines("random")[0]["loss"], math.log(17), delta=0.2)
        self.assertEqual(self.weights("random", 4), self.weights("again", 4))
        self.assertNotEqual(self.weights("random", 4), self.weights("other_seed", 4))
        # The reference of the KL term is where the run started.
        self.assertEqual(self.lines("compared")[0]["kl/reference"], 0.0)

    def test_evaluations_ask_graders_with_the_whole_row(self):
        sums = [{"problem": f"{a}+{b}=", "answer": str(a + b), "nums": [a, b]} for a in range(4) for b in range(4)]
        self.write_rows("heldout.jsonl", sums)
        grader = self.folder / "grader.py"
        grader.write_text("import json, sys\n"
                          "for line in sys.stdin:\n"
                          "    call = json.loads(line)\n"
                          "    print(json.dumps({'id': call['id'], 'reward': sum(call['problem'].get('nums', []))}), flush=True)\n")
        term = json.dumps({"type": "command", "command": [sys.executable, str(grader)]})
        evaluation = ("trainer.steps=1", "eval.every_steps=1", f"eval.data=[{self.folder}/heldout.jsonl]", "eval.samples=1")
        self.train("graded", *evaluation, f"reward.terms=[{term}]")
        self.assertEqual([line["eval/heldout/value"] for line in self.lines("graded")], [3.0, 3.0])
        self.train("judged", *evaluation, "reward.terms=[{type: countdown}]")  # of the written texts none has nums

    def test_what_it_cannot_do_is_refused(self):
        result = self.run_program("streamed", "trainer.stream_update=true")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("algorithm.method: sft", result.stderr)
        (self.folder / "train.jsonl").write_text(json.dumps({"problem": "1+1=", "answer": ""}) + "\n")
        result = self.run_program("empty")
        self.assertEqual(result.returncode, 2, result.stderr)
        result = self.run_program("another", "algorithm.method=another")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("algorithm.method: unknown value another", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
