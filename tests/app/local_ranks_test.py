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
    found = []
    while len(found) < count:
        found += processes(process.stdout.readline())
    return found


def is_there(number):
    """A zombie that the machine's first process has yet to collect counts as gone."""
    try:
        with open(f"/proc/{number}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(number):
    with open(f"/proc/{number}/task/{number}/children", encoding="utf-8") as file:
        return file.read().split()


def wait_until(holds, seconds=30):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(holds())


def wait_until_gone(numbers, seconds=20):
    return wait_until(lambda: not any(map(is_there, numbers)), seconds)


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
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            with start("stop") as process:
                ranks = read_processes(process, 3)
                process.send_signal(number)
                self.assertEqual(process.wait(timeout=20), 3)
                self.assertTrue(wait_until_gone(ranks, 1))

    def test_a_signal_waits_until_ranks_are_ready_for_it(self):
        with start("stop_late") as process:
            ranks = read_processes(process, 3)
            process.send_signal(signal.SIGTERM)
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


class Output(unittest.TestCase):
    """What a rank writes never fills the parent's memory, and who reads it, or not, decides nothing."""

    def test_a_line_without_an_end_comes_in_pieces(self):
        # Into a file in memory, which keeps pace with 200 MB best. A writer that a busy machine holds up loses lines by design, and says how many.
        with open(os.memfd_create("lines"), "w+", encoding="utf-8") as file:
            result = subprocess.run([WORKER, "endless_line", "2"], stdout=file, stderr=subprocess.PIPE, text=True, timeout=60, env=ENVIRONMENT)
            file.seek(0)
            code, out, err = result.returncode, file.read(), result.stderr
        lost = sum(map(int, re.findall(r"error (\d+) lines could not be written to stdout", err)))
        self.assertEqual(code, 1 if lost else 0, err)
        pieces = [re.findall(rf"(?m)^\[{rank}\] (x+)$", out) for rank in range(2)]
        self.assertLessEqual(max(map(len, pieces[0] + pieces[1])), 1 << 20)
        written = [sum(map(len, of_rank)) for of_rank in pieces]
        self.assertLessEqual(max(written), 100 << 20)
        self.assertGreaterEqual(sum(written), (200 - lost) << 20)
        self.assertGreaterEqual(sum(written), 7 << 20)  # as many whole pieces may wait for a writer that is held up from the start
        # 200 MB go through; 8 MiB may wait for us and 1 MiB of each line, twice that while they grow.
        self.assertLess(max(map(int, re.findall(r"memory (\d+)", err))), 60_000)

    def test_a_slow_reader_loses_nothing(self):
        with start("some_lines", 2) as process:
            time.sleep(1.5)
            out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        for rank in range(2):
            self.assertEqual(re.findall(rf"(?m)^\[{rank}\] line (\d+) x", out), [str(number) for number in range(1000)])

    def test_a_death_is_noticed_while_another_rank_writes_without_end(self):
        code, _, err = run("flood", 2)
        self.assertEqual(code, 128 + signal.SIGKILL)
        self.assertRegex(err, r"rank 1 \(process \d+\) was killed by signal 9")

    def test_a_death_is_noticed_though_nobody_reads(self):
        # One with outputs of its own, one with both in one pipe.
        runs = [subprocess.Popen([WORKER, "flood", "2"], stdout=subprocess.PIPE, stderr=stderr, text=True, env=ENVIRONMENT)
                for stderr in (subprocess.PIPE, subprocess.STDOUT)]
        self.assertEqual([process.wait(timeout=50) for process in runs], [128 + signal.SIGKILL] * 2)
        err = runs[0].stderr.read()
        self.assertRegex(err, r"rank 1 \(process \d+\) was killed by signal 9")
        self.assertRegex(err, r"error \d+ lines could not be written to stdout")
        for stream in (runs[0].stdout, runs[0].stderr, runs[1].stdout):
            stream.close()

    def test_ranks_end_though_nobody_reads_and_a_signal_ends_the_wait(self):
        with start("many_lines", 2) as process:
            self.assertTrue(wait_until(lambda: children_of(process.pid)))
            self.assertTrue(wait_until(lambda: not children_of(process.pid)))
            self.assertIsNone(process.poll())
            process.terminate()
            self.assertEqual(process.wait(timeout=20), 1)
            self.assertRegex(process.stderr.read(), r"error \d+ lines could not be written to stdout")

    def test_a_full_disk_is_said_and_stops_no_rank(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([WORKER, "some_lines", "2"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, env=ENVIRONMENT)
        self.assertEqual(done.returncode, 1)
        self.assertIn("error 2000 lines could not be written to stdout", done.stderr)

    def test_a_pipe_that_does_not_block_loses_nothing(self):
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with subprocess.Popen([WORKER, "some_lines", "2"], stdout=writing, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
            os.close(writing)
            time.sleep(1)
            with open(reading, encoding="utf-8") as out:
                self.assertEqual(len(out.read().splitlines()), 2000)
            self.assertEqual(process.wait(timeout=20), 0)

    def test_a_reader_that_goes_stops_the_run(self):
        with start("talk", 2) as process:
            ranks = read_processes(process, 2)
            process.stdout.close()
            self.assertEqual(process.wait(timeout=20), 3)
            self.assertTrue(wait_until_gone(ranks, 1))


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
