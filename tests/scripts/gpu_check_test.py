#!/usr/bin/env python3
"""scripts/gpu_check.sh in a checkout whose programs, GPU and tools are stand-ins, and with the program itself.
Usage: gpu_check_test.py PROGRAM SOURCE_FOLDER"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM, SOURCE = Path(sys.argv[1]), Path(sys.argv[2])

GRPO = """#!/bin/sh
echo "cuda kernels   usable; 1 devices"
"""
# Says what a run of the embedded model would, step by step.
TRAIN = """#!/bin/sh
for argument; do
  case $argument in run.output=*) output=${argument#*=} ;; run.name=*) name=${argument#*=} ;; trainer.steps=*) steps=${argument#*=} ;; esac
done
mkdir -p "$output/$name/rollouts"
sample=12
echo "{\\"ids\\": [$sample]}" >"$output/$name/rollouts/step_00000001.jsonl"
for step in $(seq 0 "$steps"); do
  [ "$step" != 0 ] || { echo '{"step": 0, "eval/heldout/mean@4": 0.5}'; continue; }
  echo "{\\"step\\": $step, \\"reward/mean\\": 0.5, \\"grad_norm\\": 1.0, \\"eval/heldout/mean@4\\": 0.5}"
done >"$output/$name/metrics.jsonl"
"""
BENCH = """#!/bin/sh
echo '{"bench": "decode", "model": "1.5b", "step_ms": 1.5}'
"""


def test_program(behaviour):
    """A program of two tests."""
    return f"""#!/bin/sh
case "$*" in
  *--gtest_list_tests*) printf 'GpuThing.\\n  Works\\nGpu/Other.\\n  Works/cuda  # GetParam() = 1\\n' ;;
  *) {behaviour} ;;
esac
"""


class Check(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(SOURCE / "scripts", self.folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        self.program("tools/nvidia-smi", "#!/bin/sh\necho Some GPU\n")
        self.program("tools/compute-sanitizer", "#!/bin/sh\necho ========= ERROR SUMMARY: 0 errors, cached: $PYTORCH_NO_CUDA_MEMORY_CACHING\n")
        self.program("tools/python3", f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # without packages: no transformers
        for name in ("grpo_gpu_rollout_bench", "grpo_gpu_update_bench", "grpo_step_bench"):
            self.program(f"build/bin/{name}", BENCH)
        self.program("build/bin/grpo", GRPO)
        self.program("build/bin/grpo-train", TRAIN)
        self.program("build/bin/grpo_kernels_test", test_program("exit 0"))

    def program(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def environment(self):
        return {**os.environ, "PATH": f"{self.folder / 'tools'}:{os.environ['PATH']}"}

    def start(self, *command):
        return subprocess.run(list(map(str, command)), env=self.environment(), capture_output=True, text=True, timeout=100)

    def check(self):
        return self.start("bash", self.folder / "scripts" / "gpu_check.sh", "--no-build", "--quick", "--out", self.folder / "out")

    def command_for(self, *options):
        return ["python3", self.folder / "scripts" / "gpu" / "check.py", "--quick", "--programs", self.folder / "build" / "bin", "--out", self.folder / "out",
                "--page", "some_gpu.md", *options]

    def check_for(self, seconds):
        return self.start(*self.command_for("--seconds", seconds))

    def expect_nothing_runs(self, command):
        def found():
            return subprocess.run(["pgrep", "-f", command], capture_output=True).stdout

        deadline = time.monotonic() + 20  # what was killed is there until a busy machine gets round to it
        while found() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(found(), b"")

    def page(self):
        return (self.folder / "out" / "some_gpu.md").read_text()

    def test_passes_when_everything_passes(self):
        result = self.check()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        page = self.page()
        self.assertIn("# Some GPU", page)
        self.assertIn("2 passed, 0 failed, 0 cut off, 0 not run, 0 skipped", page)
        self.assertIn("| embedded | passed |", page)
        self.assertIn("| peers | skipped: transformers is not installed |", page)
        self.assertIn("ERROR SUMMARY: 0 errors, cached: 1", page)
        self.assertIn("| 1.5b | 1.5 |", page)

    def test_a_failing_test_fails_the_check_and_is_named(self):
        self.program("build/bin/grpo_failing_test", test_program("case $1 in *Other*) echo 'expected 1, got 2'; exit 1 ;; esac"))
        result = self.check()
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("3 passed, 1 failed, 0 cut off, 0 not run, 0 skipped", self.page())
        self.assertIn("| Gpu/Other.Works/cuda | failed | exit code 1 |", self.page())
        self.assertIn("expected 1, got 2", (self.folder / "out" / "log.txt").read_text())

    def test_the_test_that_takes_all_memory_runs_when_the_others_have_ended(self):
        name = "IsRecordedWhereTheCacheHoldsAllMemory"
        self.program("build/bin/grpo_a_test", test_program("exit 0").replace("GpuThing.\\n  Works", f"GpuThing.\\n  {name}"))
        self.assertEqual(self.check().returncode, 0)
        last = (self.folder / "out" / "tests.tsv").read_text().splitlines()[-1]
        self.assertEqual(last.split("\t")[2], f"GpuThing.{name}")

    def test_a_test_that_crashes_fails_the_check(self):
        self.program("build/bin/grpo_crashing_test", test_program("kill -SEGV $$"))
        self.assertEqual(self.check().returncode, 1)

    def test_a_program_that_cannot_start_fails_the_check(self):
        self.program("build/bin/grpo_broken_test", "#!/bin/sh\nexit 127\n")
        self.assertEqual(self.check().returncode, 1)

    def test_tests_that_all_skip_fail_the_check(self):
        self.program("build/bin/grpo_kernels_test", test_program("printf 'a_test.cpp:12: Skipped\\nno CUDA device\\n\\n[  SKIPPED ] GpuThing.Works\\n'"))
        self.assertEqual(self.check().returncode, 1)
        self.assertIn("| GpuThing.Works | skipped | no CUDA device |", self.page())

    def test_a_failing_benchmark_fails_the_check(self):
        self.program("build/bin/grpo_step_bench", "#!/bin/sh\nexit 3\n")
        self.assertEqual(self.check().returncode, 1)
        self.assertIn("| step | failed |", self.page())

    def test_what_the_sanitizer_finds_fails_the_check(self):
        self.program("tools/compute-sanitizer", "#!/bin/sh\necho ========= Invalid read\nexit 9\n")
        self.assertEqual(self.check().returncode, 1)
        self.assertIn("========= Invalid read", self.page())

    def test_a_run_that_samples_otherwise_fails_the_check(self):
        self.program("build/bin/grpo-train", TRAIN.replace("sample=12", "sample=${name#embedded_}"))
        self.assertEqual(self.check().returncode, 1)
        self.assertIn("| embedded | failed |", self.page())

    def test_a_run_that_stops_early_fails_the_check(self):
        self.program("build/bin/grpo-train", TRAIN.replace('seq 0 "$steps"', "seq 0 3"))
        self.assertEqual(self.check().returncode, 1)
        self.assertIn("| embedded | failed |", self.page())

    def test_a_program_that_is_missing_fails_the_check(self):
        (self.folder / "build" / "bin" / "grpo-train").unlink()
        self.assertEqual(self.check().returncode, 1)
        self.assertIn("| embedded | failed |", self.page())

    def rehearse(self, *overrides):
        """With the program itself, on the CPU; the second of the embedded model's runs gets `overrides`."""
        shutil.copytree(SOURCE / "configs", self.folder / "configs", dirs_exist_ok=True)
        real = PROGRAM.parent / "grpo-train"
        self.program("build/bin/grpo-train", f'#!/bin/sh\ncase "$*" in *embedded_1*) exec {real} "$@" {" ".join(overrides)} ;; esac\nexec {real} "$@"\n')
        return self.start("bash", self.folder / "scripts" / "gpu_check.sh", "--no-build", "--rehearse", "--out", self.folder / "out")

    def share_alike(self):
        figures = [json.loads(line) for line in (self.folder / "out" / "figures.jsonl").read_text().splitlines()]
        return {row["run"]: row["first_samples_alike"] for row in figures if row["bench"] == "embedded model"}["cpu bfloat16"]

    # A stand-in says what its author believes that the program says.
    def test_reads_what_the_program_itself_writes(self):
        result = self.rehearse()
        page = (self.folder / "out" / "rehearsal.md").read_text()
        self.assertIn("| embedded | passed |", page, result.stdout[-3000:])
        self.assertIn("| cpu float32 | 4 |", page)
        self.assertGreater(self.share_alike(), 0.7)  # bf16 takes other tokens now and then

    def test_notices_where_the_program_itself_samples_otherwise(self):
        self.rehearse("run.seed=7")
        self.assertLess(self.share_alike(), 0.3)

    def test_what_is_cut_off_leaves_its_figures_and_nothing_running(self):
        mark = f"{time.time()}"[-9:]
        self.program("build/bin/grpo_gpu_rollout_bench", BENCH + f"sleep 7{mark} & wait\n")
        begin = time.monotonic()
        result = self.check_for(8)
        self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        page = self.page()
        self.assertIn("| decode | cut off |", page)
        self.assertIn("| 1.5b | 1.5 |", page)
        self.assertIn("| step | not run: the time is over |", page)
        self.expect_nothing_runs(f"sleep 7{mark}")

    # As a machine's lender does when its time is over: by SIGTERM, and without warning.
    def test_what_is_ended_from_outside_leaves_its_figures(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(number=number):
                mark = f"{time.time()}"[-9:]
                self.program("build/bin/grpo_gpu_rollout_bench", BENCH + f"sleep 7{mark} & wait\n")
                process = subprocess.Popen(list(map(str, self.command_for())), env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                figures = self.folder / "out" / "figures.jsonl"
                while not figures.exists() or '"decode"' not in figures.read_text():
                    self.assertIsNone(process.poll(), "it ended by itself")
                    time.sleep(0.02)
                process.send_signal(number)
                self.assertNotEqual(process.wait(timeout=30), 0)
                self.assertIn("| embedded | passed |", self.page())
                self.assertIn("1.5", figures.read_text())
                if number == signal.SIGTERM:
                    self.assertIn("| 1.5b | 1.5 |", self.page())
                    self.expect_nothing_runs(f"sleep 7{mark}")
                else:
                    subprocess.run(["pkill", "-f", f"sleep 7{mark}"])
                figures.unlink()

    # python3 and the tools of the machine have libraries of their own, which must not be replaced by ours.
    def test_our_libraries_are_named_to_our_programs_alone(self):
        self.program("build/bin/grpo_gpu_rollout_bench", "#!/bin/sh\necho own: $LD_LIBRARY_PATH\n")
        self.program("tools/nvidia-smi", "#!/bin/sh\necho theirs: $LD_LIBRARY_PATH\n")
        self.program("tools/compute-sanitizer", "#!/bin/sh\necho tool: $LD_LIBRARY_PATH\n")
        self.assertEqual(self.start(*self.command_for("--libraries", "/our/libraries")).returncode, 0)
        log = (self.folder / "out" / "log.txt").read_text()
        self.assertIn("own: /our/libraries\n", log)
        self.assertIn("tool: /our/libraries\n", log)
        self.assertIn("theirs:", log)
        self.assertNotIn("theirs: /our/libraries", log)

    def test_a_machine_without_a_gpu_is_told_so(self):
        self.program("build/bin/grpo", "#!/bin/sh\necho 'cuda kernels   built; this machine has no CUDA device'\n")
        result = self.check()
        self.assertEqual(result.returncode, 1)
        self.assertIn("no usable GPU", result.stderr)
        self.assertIn("this machine has no CUDA device", result.stdout)  # what the doctor says is the only clue there

    @unittest.skipUnless(shutil.which("shellcheck"), "shellcheck is not installed (scripts/setup.sh --tests)")
    def test_the_scripts_are_sound(self):
        result = self.start("shellcheck", SOURCE / "scripts" / "gpu_check.sh", SOURCE / "scripts" / "gpu_bundle.sh")
        self.assertEqual(result.returncode, 0, result.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
