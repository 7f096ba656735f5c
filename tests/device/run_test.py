#!/usr/bin/env python3
"""Whole runs of the embedded model with model.device=cuda on the host device: what the CPU trains, also killed and resumed, with the
optimizer's state in host memory, with an update beside the rollout, and as several ranks over NCCL.

run_test.py PROGRAM PRELOAD NCCL SOURCE_DIR [STEPS [PROMPTS]]
ONLY=Runs.NAME of the environment: that test alone. 60 steps, as in docs/benchmarks/README.md, take minutes.
"""
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM, PRELOAD, NCCL, SOURCE = sys.argv[1:5]
STEPS = int(sys.argv[5]) if len(sys.argv) > 5 else 4
PROMPTS = int(sys.argv[6]) if len(sys.argv) > 6 else 4
MEASURED = ("time", "speed/", "memory/")
FEW_PROBLEMS = 8  # of an evaluation
EARLY = 20  # steps; later differences have been amplified by as many updates
SHORT_OF_MEMORY = 36_000_000  # bytes: enough for sampling, too little for 120 rollouts in one micro-batch


def start(folder, name, device, *overrides, resume="never", ranks=1, seed=0, memory=80_000_000_000, fault=""):
    # Its kernels take one thread, beside which LibTorch's other ones would spin.
    environment = dict(os.environ, OMP_NUM_THREADS="1", GRPO_HOST_DEVICE_SEED=str(seed), GRPO_HOST_DEVICE_COUNT=str(ranks), GRPO_HOST_DEVICE_MEMORY=str(memory),
                       GRPO_HOST_DEVICE_FAULT=fault)
    if device == "cuda":
        runtime, operators = PRELOAD.split(":")
        environment["LD_PRELOAD"] = ":".join([runtime, NCCL, operators] if ranks > 1 else [runtime, operators])
    half = STEPS // 2
    arguments = ["--config", os.path.join(SOURCE, "configs/quickstart_2grpo.yaml"), "--resume", resume, f"run.output={folder}", f"run.name={name}",
                 f"model.device={device}", f"trainer.steps={STEPS}", f"rollout.prompts_per_step={PROMPTS}", "rollout.exact=true",
                 f"checkpoint.every_steps={half}", "checkpoint.keep=9", f"eval.every_steps={half}", f"eval.data=[{folder}/heldout.jsonl]",
                 "eval.samples=1", "optimizer.lr=3e-4", "logging.console=plain", "logging.rollouts_per_step=128", *overrides]
    if ranks > 1:
        arguments = ["--nproc", str(ranks), *arguments]
    return subprocess.Popen([PROGRAM, "train", *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process, allowed=None):
    """Its output. The host device says of each thing that CUDA forbids; `allowed` may be among them."""
    output, _ = process.communicate(timeout=3000)
    assert process.returncode == 0, output[-4000:]
    said = [line for line in output.splitlines() if "host device:" in line and (allowed is None or allowed not in line)]
    assert not said, said
    return output


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def completions(run):
    return {path.name: [json.loads(line)["ids"] for line in path.read_text().splitlines()] for path in sorted((run / "rollouts").iterdir())}


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        heldout = Path(SOURCE, "configs/quickstart/heldout.jsonl").read_text().splitlines(keepends=True)
        (cls.folder / "heldout.jsonl").write_text("".join(heldout[:FEW_PROBLEMS]))
        finish(start(cls.folder, "whole", "cuda"))

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def expect_the_whole_run(self, name, tolerance):
        """Completions token for token, metrics within the tolerance: of 1, or relative to what is larger. 0: the same bits."""
        self.expect_equal_runs(name, "whole", tolerance)

    def expect_equal_runs(self, name, other, tolerance):
        run, whole = self.folder / name, self.folder / other
        self.assertEqual(completions(run), completions(whole))
        self.assertEqual([line["step"] for line in metrics(run)], [line["step"] for line in metrics(whole)])
        largest, latest = (0.0, "none"), (0.0, "none")
        for found, expected in zip(metrics(run), metrics(whole)):
            for key, value in expected.items():
                if key.startswith(MEASURED) or not isinstance(value, (int, float)):
                    continue
                difference = abs(found[key] - value) / max(1.0, abs(value))
                self.assertTrue(math.isfinite(difference), (name, expected["step"], key))
                seen = difference, f"{key} of step {expected['step']}: {found[key]} and {value}"
                largest, latest = (max(largest, seen), latest) if expected["step"] <= EARLY else (largest, max(latest, seen))
        print(f"{name} and {other}: largest difference {largest[0]:.2g} ({largest[1]}), after step {EARLY} {latest[0]:.2g} ({latest[1]})", flush=True)
        self.assertLessEqual(largest[0], tolerance, (name, other, largest))
        self.assertLessEqual(latest[0], 10 * tolerance, (name, other, latest))

    # fp32 sums in another order (1e-5 in a step's gradient: golden/README.md), which updates amplify.
    def test_train_what_the_cpu_trains(self):
        finish(start(self.folder, "cpu", "cpu"))
        self.expect_the_whole_run("cpu", 1e-4)

    # In other orders of execution, and with the optimizer's state in page-locked memory, the bits are the same.
    def test_go_on_where_they_were_killed(self):
        offload = "trainer.offload_optimizer=true"
        process = start(self.folder, "killed", "cuda", offload, seed=3)
        while not (self.folder / f"killed/checkpoints/step_{STEPS // 2:08d}").exists():
            self.assertIsNone(process.poll(), "it ended before it was killed")
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        finish(start(self.folder, "killed", "cuda", offload, resume="auto", seed=4))
        self.expect_the_whole_run("killed", 0.0)

    def test_may_update_beside_the_rollout(self):
        finish(start(self.folder, "streamed", "cuda", "trainer.stream_update=true", "rollout.exact=false", seed=5))
        self.expect_the_whole_run("streamed", 1e-4)

    def test_may_have_several_ranks(self):
        for ranks, sharding in itertools.product((2, 4), ("zero1", "zero2", "zero3")):
            with self.subTest(ranks=ranks, sharding=sharding):
                name = f"{sharding}_{ranks}"
                finish(start(self.folder, name, "cuda", f"distributed.sharding={sharding}", "distributed.backend=nccl", ranks=ranks, seed=6))
                self.expect_the_whole_run(name, 1e-4)

    # Streams that wait for none: a collective takes gradients that are not there yet, and its result is read too early.
    def test_need_the_waits_for_their_collectives(self):
        for sharding in ("zero1", "zero3"):
            with self.subTest(sharding=sharding):
                process = start(self.folder, f"unwaited_{sharding}", "cuda", f"distributed.sharding={sharding}", "distributed.backend=nccl",
                                ranks=2, seed=6, fault="stream_waits")
                process.communicate(timeout=3000)
                if process.returncode != 0:
                    continue  # found at once: a norm that is not finite, say
                with self.assertRaises(AssertionError):
                    self.expect_the_whole_run(f"unwaited_{sharding}", 1e-4)

    # The CPU's numbers all the same, in smaller micro-batches.
    def test_start_an_update_over_when_memory_runs_out(self):
        sizes = ["rollout.prompts_per_step=16", "rollout.group_size=8", "rollout.max_new_tokens=12", "rollout.exact=false", "trainer.steps=1",
                 "trainer.micro_batch_tokens=100000", "rollout.kv_memory_gb=0.005", "algorithm.entropy_coef=0.01"]
        output = finish(start(self.folder, "short_of_memory", "cuda", *sizes, memory=SHORT_OF_MEMORY), allowed="out of memory")
        self.assertIn("the update starts over with micro-batches of at most", output)
        finish(start(self.folder, "enough_memory", "cpu", *sizes))
        self.expect_equal_runs("short_of_memory", "enough_memory", 1e-4)


unittest.main(argv=sys.argv[:1] + os.environ.get("ONLY", "").split())
