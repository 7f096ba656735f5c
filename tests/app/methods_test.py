#!/usr/bin/env python3
"""Every method with every number of ranks, dtype and kind of weights that are trained: it trains, the ranks agree with one process,
and a run that goes on is bit-equal to one that was not interrupted. Or it is refused in a sentence that docs/algorithm.md lists.
Usage: methods_test.py PROGRAM SOURCE_FOLDER"""
import itertools
import math
import os
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

from support import SOURCE, TRAIN, InFolder, comparable, metrics

METHODS = {
    "grpo": (),
    "pair": ("algorithm.loss=pair",),
    "pair_logistic": ("algorithm.loss=pair_logistic", "rollout.group_size=4"),
    "online_dpo": ("algorithm.method=online_dpo",),
    "ppo": ("algorithm.method=ppo", "rollout.group_size=1"),
    "sft": ("algorithm.method=sft",),
    "dpo": ("algorithm.method=dpo",),
}
WEIGHTS = {"all": (), "adapters": ("model.lora.rank=2", "optimizer.lr=1e-3")}
DTYPES = ("float32", "bfloat16")
REFUSED = {}  # (method, weights): a part of the sentence


class Methods(InFolder):
    def setUp(self):
        super().setUp()
        rows = [{"prompt": f"{a}+{b}=", "chosen": str(a + b), "rejected": str(a + b + 1)} for a in range(2, 9) for b in range(2, 9)]
        self.pairs = self.write_rows("pairs.jsonl", rows)
        self.sums = self.write_rows("sums.jsonl", [{"problem": row["prompt"], "answer": row["chosen"]} for row in rows])

    def start(self, name, method, weights, dtype, ranks, steps):
        data = {"dpo": [f"data.train=[{self.pairs}]"], "sft": [f"data.train=[{self.sums}]"]}.get(method, [])
        command = [TRAIN, "--config", "quickstart_2grpo", "--nproc", str(ranks), f"run.output={self.folder}", f"run.name={name}", f"trainer.steps={steps}",
                   f"model.dtype={dtype}", "rollout.prompts_per_step=8", "optimizer.warmup_steps=0", "eval.every_steps=0", "checkpoint.every_steps=2", "checkpoint.keep=9",
                   "logging.tensorboard=false", "logging.console=plain", *data, *METHODS[method], *WEIGHTS[weights]]
        # The reference's log-probs of dpo are kept in files by their contents, which runs at the same time would share.
        environment = {**os.environ, "GRPO_CACHE": self.path(f"cache_{name}")}
        return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=SOURCE, env=environment)

    def files(self, name):
        checkpoint = self.folder / name / "checkpoints" / "step_00000003"
        return {str(path.relative_to(checkpoint)): path.read_bytes() for path in checkpoint.rglob("*.safetensors")}

    def cell(self, method, weights, dtype, ranks):
        """What is wrong; empty when nothing is."""
        name = f"{method}_{weights}_{dtype}_{ranks}"
        result = self.start(name, method, weights, dtype, ranks, 3)
        expected = REFUSED.get((method, weights))
        if expected:
            return "" if result.returncode == 2 and expected in result.stderr else f"{name}: not refused: {result.stderr[-500:]}"
        if result.returncode != 0:
            return f"{name}: {result.stderr[-500:]}"
        for steps in (2, 3):
            result = self.start(name + "_parts", method, weights, dtype, ranks, steps)
            if result.returncode != 0:
                return f"{name} in parts, step {steps}: {result.stderr[-500:]}"
        whole, parts = (comparable(metrics(self.folder / run)) for run in (name, name + "_parts"))
        if whole != parts:
            return f"{name}: goes on otherwise: {whole[-1]} {parts[-1]}"
        return "" if self.files(name) == self.files(name + "_parts") else f"{name}: other weights after going on"

    def test_every_cell_trains_and_goes_on(self):
        cells = list(itertools.product(METHODS, WEIGHTS, DTYPES, (1, 2)))
        with ThreadPoolExecutor(2) as pool:
            wrong = [text for text in pool.map(lambda cell: self.cell(*cell), cells) if text]
        self.assertEqual(wrong, [], "\n".join(wrong))
        for method, weights, dtype in itertools.product(METHODS, WEIGHTS, DTYPES):
            if (method, weights) in REFUSED:
                continue
            one, two = (metrics(self.folder / f"{method}_{weights}_{dtype}_{ranks}")[0] for ranks in (1, 2))
            for key in ("loss", "grad_norm", "value/loss"):  # sums in another order, and bf16 rounds them
                close = {"rel_tol": 2e-3, "abs_tol": 1e-5} if dtype == "float32" else {"rel_tol": 0.1, "abs_tol": 5e-3}
                if key in one:
                    self.assertTrue(math.isclose(one[key], two[key], **close), (method, weights, dtype, key, one[key], two[key]))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
