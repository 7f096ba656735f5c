#!/usr/bin/env python3
"""scripts/slurm/train.sbatch with a stand-in for srun and scontrol, and the fields of scripts/kubernetes/pytorchjob.yaml.
Arguments: the program and the source folder."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM, SOURCE = sys.argv[1], Path(sys.argv[2])
TRAIN = os.path.join(os.path.dirname(PROGRAM), "grpo-train")
BATCH = SOURCE / "scripts" / "slurm" / "train.sbatch"
JOB = SOURCE / "scripts" / "kubernetes" / "pytorchjob.yaml"

# Starts two tasks with the variables that srun sets, passes signals on, and ends with the largest exit code.
SRUN = """#!{python}
import os, signal, subprocess, sys
arguments = sys.argv[1:]
while arguments and arguments[0].startswith("--"):
    arguments.pop(0)
tasks = []
for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda received, frame: [task.send_signal(received) for task in tasks])
for rank in range(2):
    step = dict(SLURM_PROCID=str(rank), SLURM_STEP_NUM_TASKS="2", SLURM_LOCALID=str(rank), SLURM_STEP_ID="0", SLURM_STEP_NODELIST="localhost")
    tasks.append(subprocess.Popen(arguments, env=dict(os.environ, **step)))
codes = [task.wait() for task in tasks]
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""
SCONTROL = """#!/bin/sh
echo "$@" >> {log}
"""


def wait_until(condition, process):
    deadline = time.monotonic() + 120
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


class Slurm(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.log = self.folder / "scontrol.log"
        (self.folder / "bin").mkdir()
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
            path = self.folder / "bin" / name
            path.write_text(text.format(python=sys.executable, log=self.log))
            path.chmod(0o755)
        self.metrics = self.folder / "job" / "metrics.jsonl"

    def tearDown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, *arguments, **variables):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "RANK", "WORLD_SIZE", "MASTER_"))}
        environment = {**kept, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "PROGRAM": TRAIN,
                       "SLURM_JOB_ID": str(random.randrange(1, 1 << 30)), **variables}
        command = ["bash", str(BATCH), "--config", str(SOURCE / "configs" / "quickstart_2grpo.yaml"), f"run.output={self.folder}", "run.name=job", "eval.every_steps=0",
                   "rollout.prompts_per_step=4", "trainer.threads=1", "distributed.timeout_s=60", *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=environment, stderr=subprocess.PIPE, text=True)

    def end(self, process):
        _, said = process.communicate(timeout=150)
        return process.returncode, said, self.log.read_text() if self.log.exists() else ""

    def steps(self):
        return [json.loads(line)["step"] for line in self.metrics.read_text().splitlines()] if self.metrics.exists() else []

    def test_the_script_is_sound(self):
        self.assertEqual(subprocess.run(["bash", "-n", str(BATCH)]).returncode, 0)
        if not shutil.which("shellcheck"):
            self.skipTest("shellcheck is not installed (scripts/setup.sh --tests)")
        result = subprocess.run(["shellcheck", str(BATCH)], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_a_job_trains_on_its_tasks_and_is_done(self):
        code, said, asked = self.end(self.start("trainer.steps=2"))
        self.assertEqual((code, asked), (0, ""), said)
        self.assertEqual(self.steps(), [1, 2])
        self.assertIn("bytes/update", self.metrics.read_text())  # there with several ranks only

    def test_a_signal_saves_and_requeues(self):
        process = self.start("trainer.steps=5000")
        wait_until(lambda: len(self.steps()) >= 2, process)
        process.send_signal(signal.SIGUSR1)
        code, said, asked = self.end(process)
        self.assertEqual(code, 0, said)
        self.assertRegex(asked, r"^requeue \d+\n$")
        self.assertIn("stopped after saving a checkpoint; requeueing", said)
        saved = sorted(path.name for path in (self.folder / "job" / "checkpoints").iterdir())
        self.assertEqual(int(saved[-1].removeprefix("step_")), self.steps()[-1])

    def test_a_failure_requeues_a_few_times(self):
        drill = {"GRPO_DRILL": "rank=1 step=2 phase=update action=throw"}
        code, said, asked = self.end(self.start("trainer.steps=3", **drill))
        self.assertEqual(code, 0, said)
        self.assertRegex(asked, r"^requeue \d+\n$")
        self.assertIn("failed with exit code 1, attempt 1 of 4", said)

    def test_restarts_that_followed_no_failure_do_not_count(self):
        broken = self.folder / "broken"
        broken.write_text("#!/bin/sh\nexit ${CODE:-1}\n")
        broken.chmod(0o755)
        job = {"PROGRAM": str(broken), "SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "9", "MOST_FAILURES": "1"}
        for code, expected in ((1, 0), (3, 0), (1, 0), (1, 1), (1, 0)):
            self.log.unlink(missing_ok=True)
            ended, said, asked = self.end(self.start(CODE=str(code), **job))
            self.assertEqual((ended, asked), (expected, "requeue 7\n" if expected == 0 else ""), said)
        # Where nothing can be counted, no job is started again without end.
        (self.folder / "grpo-failures-7").unlink()
        (self.folder / "grpo-failures-7").mkdir()
        self.assertEqual(self.end(self.start(**job))[0], 1)

    def test_a_mistake_is_not_repeated(self):
        code, said, asked = self.end(self.start("trainer.stepss=3"))
        self.assertEqual((code, asked), (2, ""), said)
        self.assertIn("a restart would not help", said)


def stop_within_s():
    text = subprocess.run([TRAIN, "--config", "quickstart_2grpo", "--print-config"], capture_output=True, text=True, cwd=SOURCE).stdout
    return int(re.search(r"stop_within_s: (\d+)", text)[1])


class Deadlines(unittest.TestCase):
    def test_schedulers_give_a_minute_more_than_the_program_takes(self):
        batch = int(re.search(r"--signal=B:USR1@(\d+)", BATCH.read_text())[1])
        pod = int(re.search(r"terminationGracePeriodSeconds: (\d+)", JOB.read_text())[1])
        self.assertGreaterEqual(batch, stop_within_s() + 60)
        self.assertGreaterEqual(pod, stop_within_s() + 60)


class Kubernetes(unittest.TestCase):
    def setUp(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("PyYAML is not installed")
        self.job = yaml.safe_load(JOB.read_text())

    def test_the_job_has_what_the_operator_asks_for(self):
        self.assertEqual((self.job["apiVersion"], self.job["kind"]), ("kubeflow.org/v1", "PyTorchJob"))
        replicas = self.job["spec"]["pytorchReplicaSpecs"]
        self.assertEqual(set(replicas), {"Master", "Worker"})
        self.assertEqual(replicas["Master"]["replicas"], 1)
        for spec in replicas.values():
            self.assertEqual(spec["restartPolicy"], "OnFailure")
            container, = (c for c in spec["template"]["spec"]["containers"] if c["name"] == "pytorch")  # the name it looks for
            self.assertEqual([port["name"] for port in container["ports"]], ["pytorchjob-port"])
            self.assertEqual(container["resources"]["limits"]["nvidia.com/gpu"], 1)  # a rank per pod: LOCAL_RANK is not set
            volumes = {volume["name"]: volume for volume in spec["template"]["spec"]["volumes"]}
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            self.assertEqual(set(mounts.values()), set(volumes))
            self.assertEqual(volumes[mounts["/dev/shm"]]["emptyDir"]["medium"], "Memory")
            output, = (argument.split("=")[1] for argument in container["args"] if argument.startswith("run.output="))
            self.assertIn("persistentVolumeClaim", volumes[mounts[output]])

    def test_its_command_line_is_understood(self):
        container = self.job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]
        self.assertEqual(container["command"], ["grpo-train"])
        result = subprocess.run([TRAIN, *container["args"], "--print-config"], capture_output=True, text=True, cwd=SOURCE)
        self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
