#!/usr/bin/env python3
"""scripts/gpu_check.sh in a checkout whose programs, GPU and tools are stand-ins. Argument: the source folder."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(sys.argv[1])

# A test program that passes or fails as its name says.
TEST = """#!/bin/sh
echo "[  PASSED  ] 1 test."
case $0 in *failing*) exit 1 ;; esac
"""
# A benchmark with one measurement.
BENCH = """#!/bin/sh
echo '{"bench": "decode", "model": "1.5b", "step_ms": 1.5}'
"""
SMI = """#!/bin/sh
echo "Some GPU"
"""


class Check(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(SOURCE / "scripts", self.folder / "scripts")
        self.program("tools/nvidia-smi", SMI)
        self.program("tools/compute-sanitizer", "#!/bin/sh\necho 0 errors\n")
        self.program("tools/python3", f'#!/bin/sh\ncase "$1" in -c) exit 1 ;; esac\nexec {sys.executable} "$@"\n')  # has no torch
        for name in ("grpo_gpu_rollout_bench", "grpo_gpu_update_bench", "grpo_step_bench"):
            self.program(f"build/bin/{name}", BENCH)
        self.program("build/bin/grpo_kernels_test", TEST)

    def program(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def check(self):
        environment = {**os.environ, "PATH": f"{self.folder / 'tools'}:{os.environ['PATH']}"}
        command = ["bash", str(self.folder / "scripts" / "gpu_check.sh"), "--no-build", "--quick", "--out", str(self.folder / "out")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def page(self):
        return (self.folder / "out" / "some_gpu.md").read_text()

    def test_passes_when_everything_passes(self):
        result = self.check()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("[  PASSED  ] 1 test.", self.page())

    def test_a_failing_test_fails_the_check(self):
        self.program("build/bin/grpo_failing_test", TEST)
        result = self.check()
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)

    def test_a_failing_benchmark_fails_the_check(self):
        self.program("build/bin/grpo_step_bench", "#!/bin/sh\nexit 3\n")
        self.assertEqual(self.check().returncode, 1)

    def test_what_the_sanitizer_finds_fails_the_check(self):
        self.program("tools/compute-sanitizer", "#!/bin/sh\necho 1 error\nexit 9\n")
        self.assertEqual(self.check().returncode, 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
