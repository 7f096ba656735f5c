#!/usr/bin/env python3
"""--nproc: output, exit codes, signals, and that no process is left behind. Arguments: local_ranks_worker, grpo, the sources."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

WORKER, PROGRAM, SOURCE = sys.argv[1], sys.argv[2], sys.argv[3]
RANK_VARIABLES = ("RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_STEP_NUM_TASKS", "GRPO_CORES")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in RANK_VARIABLES}


def start(scenario, count=3):
    return subprocess.Popen([WORKER, scenario, str(count)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def run(scenario, count=3):
    process = start(scenario, count)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def processes(out):
    return [int(number) for number in re.findall(r"process (\d+)", out)]


def read_processes(process, count):
    """Their numbers, once all are ready."""
    return processes("".join(process.stdout.readline() for _ in range(count)))


def is_there(number):
    """A zombie that the machine's first process has yet to collect counts as gone."""
    try:
        with open(f"/proc/{number}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(numbers, seconds=20):
    deadline = time.monotonic() + seconds
    while any(map(is_there, numbers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_there, numbers))


class LocalRanks(unittest.TestCase):
    def test_each_line_has_its_rank_and_each_rank_its_place(self):
        code, out, err = run("lines", 2)
        cores = max(1, len(os.sched_getaffinity(0)) // 2)
        self.assertEqual(code, 0, err)
        for rank in range(2):
            found = re.search(rf"(?m)^\[{rank}\] rank {rank} of 2, local {rank} of 2, cores (\d+)$", out)
            self.assertTrue(found and 1 <= int(found[1]) <= cores, out)
            self.assertRegex(out, rf"(?m)^\[{rank}\] a line without an end$")
            self.assertRegex(err, rf"(?m)^\[{rank}\] store at 127\.0\.0\.1$")
        self.assertEqual(len(out.splitlines()), 4)

    def test_one_that_fails_ends_the_others_that_do_not_listen(self):
        begin = time.monotonic()
        code, out, err = run("one_fails")
        self.assertEqual(code, 5)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertRegex(err, r"rank 1 \(process \d+\) ended with exit code 5; ending the others")
        self.assertTrue(wait_until_gone(processes(out), 1))

    def test_one_that_is_killed_gives_128_and_the_signal(self):
        code, out, err = run("one_is_killed")
        self.assertEqual(code, 128 + signal.SIGKILL)
        self.assertRegex(err, r"rank 1 \(process \d+\) was killed by signal 9")
        self.assertTrue(wait_until_gone(processes(out), 1))

    def test_signals_reach_every_rank_and_all_stopped_is_stopped(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            with start("stop") as process:
                ranks = read_processes(process, 3)
                process.send_signal(number)
                self.assertEqual(process.wait(timeout=20), 3)
                self.assertTrue(wait_until_gone(ranks, 1))

    def test_a_rank_that_stopped_is_no_failure(self):
        self.assertEqual(run("one_stops")[0], 3)

    def test_no_rank_outlives_its_parent(self):
        with start("stop") as process:
            ranks = read_processes(process, 3)
            self.assertEqual(len(ranks), 3)
            process.kill()
            process.wait(timeout=20)
            self.assertTrue(wait_until_gone(ranks))

    def test_will_not_start_ranks_inside_another_launcher(self):
        result = subprocess.run([WORKER, "lines", "2"], capture_output=True, text=True, timeout=60, env={**ENVIRONMENT, "RANK": "0"})
        self.assertEqual(result.returncode, 2)
        self.assertIn("--nproc starts the ranks itself, but RANK=0", result.stderr)


class Train(unittest.TestCase):
    def train(self, *args, variables=None):
        with tempfile.TemporaryDirectory() as folder:
            return subprocess.run([PROGRAM, "train", "--config", "quickstart_2grpo", "--output", folder, *args], capture_output=True,
                                  text=True, timeout=120, cwd=SOURCE, env={**ENVIRONMENT, **(variables or {})})

    def test_wrong_use_of_nproc_is_exit_code_2(self):
        for number in ("two", "0", "-1", "1x"):
            result = self.train("--nproc", number)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn("expected auto or a number", result.stderr)

    def test_mistakes_in_the_configuration_are_told_once(self):
        result = self.train("--nproc", "2", "optimizer.lrr=1")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stderr.count("did you mean lr?"), 1)

    def test_auto_is_one_rank_without_a_gpu(self):
        result = self.train("--nproc", "auto", "model.device=cpu", "trainer.steps=1", "rollout.prompts_per_step=2", "eval.every_steps=0")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("[0]", result.stderr)

    def test_an_incomplete_environment_names_the_variable(self):
        result = self.train(variables={"RANK": "1"})
        self.assertEqual(result.returncode, 2)
        self.assertIn("WORLD_SIZE is not set, but RANK is", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
