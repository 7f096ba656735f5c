#!/usr/bin/env python3
"""model.lora, end to end: ranks train as one process does, and the commands read adapters and the model that they make.
Arguments: the program and the source folder."""
import json
import math
import shutil
import subprocess
import sys
import unittest

from support import InFolder, MODEL, PROGRAM, SOURCE, TRAIN, comparable, metrics

CLOSE = ("loss", "grad_norm", "entropy", "kl/sampler", "kl/reference", "ratio/max", "clip_fraction")


class Lora(InFolder):
    def run_program(self, name, *overrides, ranks=1):
        command = [TRAIN, "--config", "quickstart_2grpo", "--nproc", str(ranks), f"run.output={self.folder}", f"run.name={name}",
                   "model.lora.rank=4", "rollout.exact=true", "trainer.steps=4", "optimizer.lr=3e-3", "optimizer.warmup_steps=0",
                   "eval.every_steps=0", "checkpoint.every_steps=2", *overrides]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=SOURCE)

    def train(self, name, *overrides, ranks=1):
        result = self.run_program(name, *overrides, ranks=ranks)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stderr

    def call(self, *arguments):
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120)

    def done(self, *arguments):
        result = self.call(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def rows(self, command, model, row, *flags):
        """What a command that reads and writes JSONL makes of one row."""
        source, target = self.write_rows("in.jsonl", [row]), self.path("out.jsonl")
        self.done(command, "--model", str(model), "--input", source, "--output", target, *flags)
        return json.loads((self.folder / "out.jsonl").read_text())

    def scores(self, model):
        return self.rows("score", model, {"ids": [5, 9, 11, 3, 8, 12, 7]})["logprobs"]

    def test_ranks_train_as_one_process_does(self):
        kl = ("algorithm.kl.coef=0.01", "algorithm.kl.sync_every=3", "model.lora.dropout=0.1")
        self.train("one", *kl)
        for sharding in ("zero1", "zero2"):
            self.train(sharding, f"distributed.sharding={sharding}", *kl, ranks=2)
            lines = metrics(self.folder / sharding)
            for a, b in zip(comparable(metrics(self.folder / "one")), comparable(lines), strict=True):
                self.assertEqual(a.keys(), b.keys())
                for key in a:
                    if key in CLOSE:
                        self.assertTrue(math.isclose(a[key], b[key], rel_tol=1e-4, abs_tol=1e-6), (sharding, key, a[key], b[key]))
                    else:
                        self.assertEqual(a[key], b[key], (sharding, key))
        self.train("zero1", "distributed.sharding=zero1", "trainer.steps=5", *kl, ranks=1)  # at another number of ranks
        self.train("one", "trainer.steps=5", *kl)
        last = [metrics(self.folder / name)[-1] for name in ("one", "zero1")]
        self.assertTrue(math.isclose(last[0]["grad_norm"], last[1]["grad_norm"], rel_tol=1e-3), last)

    def test_the_start_says_what_is_trained(self):
        log = self.train("said", "trainer.steps=1")
        self.assertRegex(log, r"trained: \d+ elements, [\d.]+ % of the model's: adapters of rank 4, alpha 16, dropout 0 on all-linear")

    def test_commands_read_adapters_and_the_model_that_they_make(self):
        self.train("run")
        adapters, merged = self.folder / "adapters", self.folder / "merged"
        self.done("checkpoint", "export", str(self.folder / "run"), "--output", str(adapters))
        self.done("checkpoint", "export", str(self.folder / "run"), "--output", str(merged), "--merged")
        self.assertTrue((adapters / "adapter_model.safetensors").exists())
        self.assertFalse((adapters / "model.safetensors").exists())
        self.assertTrue((merged / "model.safetensors").exists())
        self.assertFalse((merged / "adapter_config.json").exists())
        base, trained, whole = self.scores(MODEL), self.scores(adapters), self.scores(merged)
        self.assertGreater(max(abs(a - b) for a, b in zip(base, trained)), 1e-3)
        self.assertLess(max(abs(a - b) for a, b in zip(whole, trained)), 1e-5)
        greedy = [self.rows("generate", model, {"prompt": "12+34="}, "--temperature", "0", "--max-new-tokens", "8")["completions"][0]
                  for model in (adapters, merged)]
        self.assertEqual(greedy[0]["ids"], greedy[1]["ids"])
        self.assertIn("text", greedy[0])
        means = [self.mean_of(model) for model in (adapters, merged)]
        self.assertEqual(means[0], means[1])

    def mean_of(self, model):
        """Of greedy answers to the first problems."""
        problems = (SOURCE / "configs/quickstart/heldout.jsonl").read_text().splitlines()[:64]
        data, out = self.write("problems.jsonl", "\n".join(problems) + "\n"), self.folder / f"eval_{model.name}"
        self.done("eval", "--model", str(model), "--data", data, "--samples", "1", "--template", "none", "--temperature", "0", "--max-new-tokens", "20",
                  "--output", str(out))
        return json.loads((out / "eval.json").read_text())["sets"][0]["mean"]

    def test_a_model_without_adapters_is_not_merged(self):
        self.train("whole", "model.lora.rank=0", "trainer.steps=1")
        result = self.call("checkpoint", "export", str(self.folder / "whole"), "--output", self.path("out"), "--merged")
        self.assertEqual(result.returncode, 2)
        self.assertIn("a whole model, with no adapters to merge", result.stderr)

    def test_adapters_whose_base_is_gone_say_so(self):
        shutil.copytree(MODEL, self.folder / "base")
        self.train("run", f"model.path={self.folder}/base", "trainer.steps=1")
        shutil.move(self.folder / "base", self.folder / "elsewhere")
        result = self.call("score", "--model", str(self.folder / "run/checkpoints/step_00000001/model"), "--input", self.write_rows("in.jsonl", [{"ids": [5, 9]}]))
        self.assertEqual(result.returncode, 2)
        self.assertIn("base_model_name_or_path", result.stderr)

    def test_the_plan_counts_adapters(self):
        def plan(*overrides):
            result = self.run_program("planned", "--dry-run", "--gpu-memory", "80", "--shape", "7b", "model.dtype=bfloat16", *overrides)
            self.assertEqual(result.returncode, 0, result.stderr)
            return result.stdout
        with_adapters, whole = plan("rollout.exact=false"), plan("rollout.exact=false", "model.lora.rank=0")
        self.assertIn("adapters of rank 4", with_adapters)
        self.assertNotIn("this does not fit", with_adapters)
        self.assertNotIn("offload:", with_adapters)
        self.assertIn("offload:", whole)  # masters and moments of all weights are more than a card holds


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
