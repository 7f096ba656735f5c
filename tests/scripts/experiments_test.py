#!/usr/bin/env python3
"""scripts/quickstart.sh, reproduce_small.sh and compare_methods.sh in a checkout whose program is a stand-in; and that all of scripts/*.sh
are sound. Argument: the source folder."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(sys.argv[1])
# A run has an evaluation before and behind a step; its accuracy is a tenth of its seed.
TRAIN = r"""#!/usr/bin/env python3
import json, pathlib, sys
words = sys.argv[1:]
keys = dict(word.split("=", 1) for word in words if "=" in word)
output = words[words.index("--output") + 1] if "--output" in words else keys.get("run.output", "runs")
run = pathlib.Path(output, keys.get("run.name", words[words.index("--config") + 1]))
run.mkdir(parents=True, exist_ok=True)
step = {"step": 1, "rollouts": 512, "rollouts/total": 512, "groups/asked": 4, "groups/live": 2, "groups/dead_predicted": 1, "loss": 0.5, "time/train": 3.0, "memory/peak_bytes": 2e8}
lines = [{"step": 0, "eval/heldout/mean@2": 0.1}, {**step, "eval/heldout/mean@2": int(keys.get("run.seed", "1")) / 10}]
(run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
"""
GRPO = r"""#!/usr/bin/env python3
import pathlib, sys
*runs, _, report = sys.argv[2:]
for run in runs:
    assert pathlib.Path(run, "metrics.jsonl").exists(), run
pathlib.Path(report).write_text("page")
pathlib.Path(report).with_suffix(".md").write_text("table of " + " ".join(runs) + "\n")
"""


class Experiments(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.checkout = Path(folder.name) / "a checkout"
        (self.checkout / "scripts").mkdir(parents=True)
        for name in ("quickstart.sh", "reproduce_small.sh", "compare_methods.sh", "budget_table.py", "arm_runs.py"):
            shutil.copy(SOURCE / "scripts" / name, self.checkout / "scripts" / name)
        for name, text in (("scripts/setup.sh", "#!/bin/sh\n"), ("scripts/build.sh", "#!/bin/sh\n"), ("build/bin/grpo-train", TRAIN), ("build/bin/grpo", GRPO)):
            path = self.checkout / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def run_script(self, name, *args, cwd=None):
        return subprocess.run([self.checkout / "scripts" / name, *args], capture_output=True, text=True, timeout=60, cwd=cwd or self.checkout,
                              env={**os.environ, "GIT_CEILING_DIRECTORIES": str(self.checkout.parent)})

    def test_the_comparison_of_methods_is_of_the_seeds_asked_for(self):
        args = ("--arms", "g2 g16", "--rollouts", "512")
        for seeds in ("1 2 3", "3 4"):
            result = self.run_script("compare_methods.sh", *args, "--seeds", seeds)
            self.assertEqual(result.returncode, 0, result.stderr)
        page = (self.checkout / "runs" / "methods" / "methods.md").read_text()
        self.assertIn("\n    scripts/compare_methods.sh --arms 'g2 g16' --rollouts 512 --seeds '3 4'\n", page)
        self.assertIn("over 2 seeds", page)
        self.assertIn("| `g2` | 35.0 ± ", page)

    def test_a_folder_is_meant_where_one_stands(self):
        for name, args, page in (("compare_methods.sh", ("--arms", "g2"), "methods.md"), ("reproduce_small.sh", ("--steps", "32"), "report.md")):
            elsewhere = self.checkout.parent / name
            elsewhere.mkdir()
            result = self.run_script(name, *args, "--seeds", "1", "--output", "here", cwd=elsewhere)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertTrue((elsewhere / "here" / page).exists())

    def test_the_quickstart_compares_the_runs_that_it_made(self):
        result = self.run_script("quickstart.sh", "run.output=else where")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue((self.checkout / "else where" / "quickstart_report.html").exists())
        self.assertEqual(self.run_script("quickstart.sh", "run.name=one").returncode, 2)

    def test_scripts_are_sound(self):
        scripts = sorted((SOURCE / "scripts").glob("*.sh"))
        for script in scripts:
            self.assertEqual(subprocess.run(["bash", "-n", script]).returncode, 0, script)
        if not shutil.which("shellcheck"):
            self.skipTest("shellcheck is not installed (scripts/setup.sh --tests)")
        result = subprocess.run(["shellcheck", "--severity=warning", *scripts], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_mistakes_are_named_before_anything_runs(self):
        for name in ("compare_methods.sh", "reproduce_small.sh"):
            for args, words in ((("--seeds",), "--seeds lacks its value"), (("--seeds", "1,2"), '--seeds "1,2" is no list of numbers'), (("--sed",), "--sed is no option")):
                result = self.run_script(name, *args)
                self.assertEqual(result.returncode, 2)
                self.assertIn(words, result.stderr)
        self.assertIn("no arm is called g3; there are g1 g1_filtered g2", self.run_script("compare_methods.sh", "--arms", "g3").stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
