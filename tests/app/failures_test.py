#!/usr/bin/env python3
"""Ranks that are killed, stopped, asleep, out of disk or told to stop: the job ends in time and says where, and the next start
goes on as if nothing had happened. GRPO_DRILL rehearses the failures (docs/distributed.md). Scenarios run side by side, since
they mostly wait; each test then looks at its own. Arguments: the program and the source folder."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support import QUICKSTART, SOURCE, TRAIN, comparable, metrics

STEPS = 6
FAILS_AT = 4      # between the checkpoint of step 2, from which the next start goes on, and that of step 4
ENDS_WITHIN_S = 60.0  # the aim is 10 s; these machines also run other tests. The measured times are printed.
TIMEOUT_S = 15
LIMIT_S = 200
AT_ONCE = 6
PHASES = ("rollout", "reward", "update", "reduction", "checkpoint", "evaluation")


def command(folder, *overrides, ranks=2):
    return [TRAIN, "--config", "quickstart_2grpo", "--nproc", str(ranks), f"run.output={folder}", "run.name=run", "rollout.exact=true",
            "rollout.prompts_per_step=8", "rollout.max_sequences=4", f"trainer.steps={STEPS}", f"eval.data=[{folder}/heldout.jsonl]",
            "eval.every_steps=2", "eval.samples=1", "checkpoint.every_steps=2", "checkpoint.keep=2", "logging.tensorboard=false",
            f"distributed.timeout_s={TIMEOUT_S}", *overrides]


def new_folder(root, name):
    folder = Path(root) / name
    folder.mkdir()
    lines = (QUICKSTART / "heldout.jsonl").read_text().splitlines()
    (folder / "heldout.jsonl").write_text("\n".join(lines[:8]) + "\n")
    return folder


def environment(drill=None):
    kept = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "GRPO_DRILL")}
    return {**kept, "GRPO_DRILL": drill} if drill else kept


def start(arguments, drill=None, stderr=subprocess.PIPE):
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=stderr, text=True, cwd=SOURCE, env=environment(drill))


def run(arguments, drill=None):
    with start(arguments, drill) as process:
        try:
            _, said = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode, said


def lines(folder):
    return metrics(Path(folder) / "run")


def rollouts(folder):
    return {path.name: path.read_bytes() for path in sorted((Path(folder) / "run" / "rollouts").iterdir())}


def left_of(folder):
    """Processes that were started for this folder and are still there."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder) in (entry / "cmdline").read_text() and "grpo" in (entry / "comm").read_text():
                found.append(int(entry.name))
        except (OSError, UnicodeDecodeError):
            continue
    return found


def wait_for_steps(folder, steps, process):
    deadline = time.monotonic() + LIMIT_S
    while len(lines(folder)) < steps + 1:  # and the line of the evaluation before the first step
        if process.poll() is not None or time.monotonic() > deadline:
            return
        time.sleep(0.02)


class Rehearsal:
    """One failure and the start after it."""

    def __init__(self, root, name, drill, *overrides):
        self.name = name
        self.drill = drill
        self.folder = new_folder(root, name)
        with start(command(self.folder, *overrides), drill) as process:
            wait_for_steps(self.folder, FAILS_AT - 1, process)
            began = time.monotonic()
            _, self.said = process.communicate(timeout=LIMIT_S)
            self.seconds = time.monotonic() - began
        self.code = process.returncode
        self.left = left_of(self.folder)
        self.next_code, self.next_said = run(command(self.folder, *overrides))


def rehearsals():
    """name -> (drill, overrides)"""
    cases = {}
    for rank in (0, 1):
        for phase in PHASES:
            cases[f"kill_{rank}_{phase}"] = (f"rank={rank} step={FAILS_AT} phase={phase} action=kill", ())
        cases[f"stop_{rank}_rollout"] = (f"rank={rank} step={FAILS_AT} phase=rollout action=stop", ())
    cases["throw_1_update"] = (f"rank=1 step={FAILS_AT} phase=update action=throw", ())
    cases["throw_0_checkpoint"] = (f"rank=0 step={FAILS_AT} phase=checkpoint action=throw", ())
    cases["sleep_1_rollout"] = (f"rank=1 step={FAILS_AT} phase=rollout action=sleep", ())
    cases["sleep_0_update"] = (f"rank=0 step={FAILS_AT} phase=update action=sleep", ())
    cases["sleep_1_reduction"] = (f"rank=1 step={FAILS_AT} phase=reduction action=sleep", ("distributed.sharding=zero2",))
    return cases


class Stop:
    """Signals to a run whose rank 1 sleeps in a phase of step 3, when steps are known to take a fraction of a second."""

    def __init__(self, root, name, phase, *overrides, signals=1, ranks=2, to_rank=None):
        self.folder = new_folder(root, name)
        drill = f"rank={ranks - 1} step=3 phase={phase} action=sleep seconds=8"
        arguments = command(self.folder, "eval.every_steps=0", *overrides, ranks=ranks)
        said = self.folder / "said"
        log = said if ranks == 1 else self.folder / "run" / "logs" / "rank_00001.log"
        with open(said, "w", encoding="utf-8") as output, start(arguments, drill, output) as process:
            deadline = time.monotonic() + LIMIT_S
            while not (log.exists() and "GRPO_DRILL: sleep" in log.read_text()) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            receiver = process.pid
            if to_rank is not None:
                receiver = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[to_rank])
            for number in range(signals):
                if number > 0:
                    time.sleep(1.5)
                os.kill(receiver, signal.SIGTERM if number == 0 else signal.SIGUSR1)
            self.code = process.wait(timeout=LIMIT_S)
        self.said = said.read_text()
        self.steps = [line["step"] for line in lines(self.folder)]
        self.left = left_of(self.folder)
        self.next_code, self.next_said = run(command(self.folder, "eval.every_steps=0", *overrides, ranks=ranks))


def disk_is_full(root):
    """A run folder of its own in a private mount namespace, first too small, then large enough. None where that is forbidden."""
    for namespace in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        if shutil.which("unshare") and subprocess.run([*namespace, "true"], capture_output=True).returncode == 0:
            break
    else:
        return None
    folder = new_folder(root, "disk")
    heldout = (folder / "heldout.jsonl").read_text()
    script = f"""
mount -t tmpfs -o size=5m none {folder} || exit 99
printf '%s' '{heldout}' > {folder}/heldout.jsonl
"$@"; code=$?
echo "code $code" >&2
mount -o remount,size=200m {folder}
"$@" || exit 98
cp -r {folder}/run {root}/disk_copy
exit $code
"""
    result = subprocess.run([*namespace, "sh", "-c", script, "sh", *command(folder)], capture_output=True, text=True, cwd=SOURCE,
                            env=environment(), timeout=LIMIT_S)
    (Path(root) / "disk_done").mkdir()
    if (Path(root) / "disk_copy").exists():
        shutil.move(Path(root) / "disk_copy", Path(root) / "disk_done" / "run")
    return result.returncode, result.stderr, Path(root) / "disk_done"


class Failures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp()
        cls.pool = ThreadPoolExecutor(AT_ONCE)
        cls.whole = new_folder(cls.root, "whole")
        code, said = run(command(cls.whole))
        assert code == 0, said
        submit = cls.pool.submit
        # The longest first.
        cases = sorted(rehearsals().items(), key=lambda case: case[0].split("_")[0] not in ("sleep", "stop"))
        cls.rehearsals = {name: submit(Rehearsal, cls.root, name, drill, *overrides) for name, (drill, overrides) in cases}
        cls.disk = submit(disk_is_full, cls.root)
        cls.stops = {
            "finishes": submit(Stop, cls.root, "stop_finishes", "rollout"),
            "drops_rollout": submit(Stop, cls.root, "stop_drops_rollout", "rollout", "checkpoint.stop_within_s=0"),
            "drops_update": submit(Stop, cls.root, "stop_drops_update", "update", "checkpoint.stop_within_s=0"),
            "drops_update_zero2": submit(Stop, cls.root, "stop_drops_zero2", "update", "checkpoint.stop_within_s=0", "distributed.sharding=zero2"),
            "too_late": submit(Stop, cls.root, "stop_too_late", "reduction", "checkpoint.stop_within_s=0"),
            "twice": submit(Stop, cls.root, "stop_twice", "rollout", signals=2),
            "waiting": submit(Stop, cls.root, "stop_waiting", "rollout", "checkpoint.stop_within_s=0", to_rank=0),
            "sleeping": submit(Stop, cls.root, "stop_sleeping", "rollout", "checkpoint.stop_within_s=0", to_rank=1),
            "alone": submit(Stop, cls.root, "stop_alone", "update", "checkpoint.stop_within_s=0", ranks=1),
        }

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown(cancel_futures=True)
        shutil.rmtree(cls.root, ignore_errors=True)

    def expect_as_uninterrupted(self, folder):
        self.assertEqual([line["step"] for line in lines(folder)], list(range(STEPS + 1)))
        self.assertEqual(rollouts(folder), rollouts(self.whole))
        self.assertEqual(comparable(lines(folder)), comparable(lines(self.whole)))

    def expect_ended(self, rehearsal):
        self.assertNotIn(rehearsal.code, (0, 3), rehearsal.said)
        self.assertEqual(rehearsal.left, [])
        self.assertLess(rehearsal.seconds, ENDS_WITHIN_S, rehearsal.said)
        self.assertEqual(rehearsal.next_code, 0, rehearsal.next_said)
        self.expect_as_uninterrupted(rehearsal.folder)
        print(f"{rehearsal.drill}: ended {rehearsal.seconds:.1f} s after step {FAILS_AT - 1}, exit code {rehearsal.code}", file=sys.stderr)

    def each(self, start):
        for name, future in self.rehearsals.items():
            if name.startswith(start):
                with self.subTest(name):
                    _, rank, phase = name.split("_")
                    rehearsal = future.result()
                    self.expect_ended(rehearsal)
                    yield int(rank), phase, rehearsal

    def test_a_rank_that_is_killed(self):
        for rank, phase, rehearsal in self.each("kill"):
            self.assertEqual(rehearsal.code, 128 + signal.SIGKILL)
            self.assertRegex(rehearsal.said, rf"rank {rank} \(process \d+\) was killed by signal 9")
            self.assertRegex(rehearsal.said, rf"\[{1 - rank}\] error: rank {rank} on host \S+ stopped answering in step {FAILS_AT}, {phase} ")

    def test_a_rank_that_is_stopped(self):
        for rank, phase, rehearsal in self.each("stop"):
            self.assertRegex(rehearsal.said, rf"\[{1 - rank}\] error: rank {rank} on host \S+ stopped answering in step {FAILS_AT}, {phase} ")

    def test_a_rank_that_throws(self):
        for rank, phase, rehearsal in self.each("throw"):
            self.assertEqual(rehearsal.code, 1)
            self.assertIn(f"[{rank}] error: GRPO_DRILL asked this rank to fail", rehearsal.said)
            self.assertRegex(rehearsal.said, rf"\[{1 - rank}\] error: rank {rank} on host \S+ failed in step {FAILS_AT}, {phase}: GRPO_DRILL asked")

    def test_a_rank_that_sleeps_for_ever(self):
        waits = {"rollout": "meeting \"the other ranks' rollouts\"", "update": 'meeting "the update"', "reduction": "all_reduce_sum"}
        for rank, phase, rehearsal in self.each("sleep"):
            self.assertEqual(rehearsal.code, 1)
            where = "exchange" if phase == "rollout" else phase
            self.assertRegex(rehearsal.said, rf"rank {1 - rank}: {waits[phase]} \(collective number \d+, in step {FAILS_AT}, {where}\) waited "
                                             rf"{TIMEOUT_S} s \(distributed.timeout_s\) for rank {rank} on host \S+ \(in step {FAILS_AT}, {phase}, ")

    def test_a_disk_that_is_full(self):
        result = self.disk.result()
        if result is None:
            self.skipTest("mount namespaces are not allowed here (unshare --mount)")
        code, said, folder = result
        self.assertEqual(code, 1, said)
        self.assertIn("code 1", said)
        self.assertIn("o space left on device", said)
        self.expect_as_uninterrupted(folder)

    def expect_stopped(self, name, last_step):
        stop = self.stops[name].result()
        self.assertEqual(stop.code, 3, stop.said)
        self.assertEqual(stop.steps, list(range(1, last_step + 1)), stop.said)
        self.assertEqual(stop.left, [])
        self.assertIn(f"stopped by a signal after step {last_step}", stop.said)
        self.assertEqual(stop.next_code, 0, stop.next_said)
        self.assertEqual([line["step"] for line in lines(stop.folder)], list(range(1, STEPS + 1)))
        if name != "alone":  # one process adds gradients up in another order
            self.assertEqual(rollouts(stop.folder), rollouts(self.whole))
        return stop

    def test_a_signal_lets_the_step_end_that_can(self):
        self.assertIn("step 3 is finished first", self.expect_stopped("finishes", 3).said)

    def test_a_signal_drops_the_step_that_would_end_too_late(self):
        for name in ("drops_rollout", "drops_update", "drops_update_zero2", "waiting", "sleeping", "alone"):
            with self.subTest(name):
                self.assertIn("step 3 is dropped", self.expect_stopped(name, 2).said)

    def test_a_step_whose_gradients_are_being_reduced_is_finished(self):
        self.expect_stopped("too_late", 3)

    def test_a_second_signal_drops_the_step(self):
        self.assertIn("step 3 is dropped", self.expect_stopped("twice", 2).said)

    def test_a_malformed_drill_is_wrong_usage(self):
        code, said = run(command(new_folder(self.root, "malformed")), "rank=1 step=3 phase=updating action=kill")
        self.assertEqual(code, 2, said)
        self.assertIn("phase=updating is none of start, rollout, reward, exchange, update", said)

    def test_ranks_take_the_prompts_of_one_that_is_slow(self):
        found = {}
        for steal in ("auto", "never"):
            folder = new_folder(self.root, f"steal_{steal}")
            arguments = command(folder, f"distributed.steal_prompts={steal}", "eval.every_steps=0", "trainer.steps=3")
            code, said = run(arguments, "rank=1 phase=rollout action=sleep seconds=1")
            self.assertEqual(code, 0, said)
            found[steal] = folder
        self.assertEqual(rollouts(found["auto"]), rollouts(found["never"]))
        self.assertEqual({(line["prompts/fewest"], line["prompts/most"]) for line in lines(found["never"])}, {(4, 4)})
        self.assertEqual(min(line["prompts/fewest"] for line in lines(found["auto"])), 0)
        for line in lines(found["auto"]):
            self.assertEqual(line["prompts/fewest"] + line["prompts/most"], 8)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
