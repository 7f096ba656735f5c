#!/usr/bin/env python3
"""scripts/real_models.sh in a checkout whose trainer is a stand-in, and scripts/real_models_table.py on what it leaves. Arguments: the program and the source folder."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM, SOURCE = Path(sys.argv[1]), Path(sys.argv[2])
# A run of three steps whose accuracy rises by a tenth a step, by twice that at the rate 3e-5 and on sums by a trifle more at 1e-4; it is stopped by a signal where the file "stop" is, and resumes.
TRAIN = r"""#!/usr/bin/env python3
import json, pathlib, sys
words = sys.argv[1:]
keys = dict(word.split("=", 1) for word in words if "=" in word)
run = pathlib.Path(words[words.index("--output") + 1], keys["run.name"])
task = pathlib.Path(words[words.index("--config") + 1]).stem
name = {"sums": "heldout", "gsm8k": "gsm8k_test_200"}[task]
before = json.loads((run / "run.json").read_text())["starts"] if run.exists() else []
for folder in ("eval", "checkpoints"):
    (run / folder).mkdir(parents=True, exist_ok=True)
starts = [*before, {"cores": 2, "from_step": 1 if before else None, "host": "a name", "pid": 77, "time": 1796011875 + 86400 * len(before)}]
(run / "run.json").write_text(json.dumps({"commit": "0123456789ab", "name": run.name, "starts": starts}))
(run / "config.yaml").write_text(f"run:\n  name: {run.name}\n  seed: {keys['run.seed']}\noptimizer:\n  lr: {keys['optimizer.lr']}\nrollout:\n  group_size: {keys.get('rollout.group_size', 2)}\n")
def evaluation(step):
    value = 0.2 + step * {"3e-5": 0.2, "1e-4": 0.2025 if task == "sums" else 0.1}.get(keys["optimizer.lr"], 0.1)
    answers = [{"id": "a", "prompt": "user\nWhat is 1 + 1?<|im_end|>", "gold": "2", "samples": [{"text": f"answer {step}", "answer": "2", "verdict": "right"}]}]
    shown = {"sums": "heldout", "gsm8k": "problems"}[task]
    (run / "eval" / f"step_{step:08d}_{shown}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    return {"eval/another/mean@2": 0.5, f"eval/{name}/mean@2": value, f"eval/{name}/ci_low": value - 0.1, f"eval/{name}/ci_high": value + 0.1, "time/eval": 1.0}
lines = [{"step": 0, **evaluation(0)}]
for step in range(1, 4):
    lines.append({"step": step, "rollouts": 96, "rollouts/total": 96 * step, "groups/asked": 48, "groups/live": 12, "groups/total": 48, "groups/dead_predicted": 24, "loss": 0.5, "accuracy": 0.3,
                  "length/mean": 20.0 - step, "tokens/completion": 900, "time/rollout": 2.0, "time/reward": 0.5, "time/update": 2.5, "time/train": 5.0, "time/step": 6.0, "time/cpu": 4.0,
                  "memory/peak_bytes": 2.5e9, **evaluation(step)})
    if pathlib.Path("stop").exists():
        sys.exit(3)
(run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
(run / "checkpoints" / "large").write_text("state")
"""


class RealModels(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.checkout = Path(folder.name) / "a checkout"
        (self.checkout / "scripts").mkdir(parents=True)
        for name in ("real_models.sh", "real_models_table.py", "arm_runs.py", "task_table.py"):
            shutil.copy(SOURCE / "scripts" / name, self.checkout / "scripts" / name)
        nothing = "#!/bin/sh\n"
        for name, text in (("scripts/setup.sh", nothing), ("scripts/build.sh", nothing), ("scripts/get_smollm2.sh", nothing), ("scripts/get_model.sh", nothing),
                           ("scripts/get_data.sh", "#!/bin/sh\nmkdir -p data; seq 1 300 > data/gsm8k_test.jsonl\n"), ("build/bin/grpo-train", TRAIN)):
            path = self.checkout / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def script(self, name, *args):
        return subprocess.run([self.checkout / "scripts" / name, *map(str, args)], capture_output=True, text=True, timeout=120, cwd=self.checkout)

    def trained(self, *args):
        result = self.script("real_models.sh", *args)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def rate(self, run):
        return (self.checkout / "runs" / "real" / run / "config.yaml").read_text().split("lr: ")[1].split("\n")[0]

    def test_rates_are_chosen_and_finished_runs_are_passed_over(self):
        (self.checkout / "stop").write_text("")
        self.assertEqual(self.script("real_models.sh").returncode, 3)
        (self.checkout / "stop").unlink()
        args = ("--arms", "g2 g16 extend", "--seeds", "1 2")
        self.assertIn("g16: learning rate 3e-5 of 1e-5 3e-5 1e-4", self.trained(*args))
        runs = sorted(path.parent.relative_to(self.checkout / "runs" / "real").as_posix() for path in self.checkout.glob("runs/real/*/*/finished"))
        self.assertEqual(runs, [*(f"sums/{arm}_seed{seed}" for arm in ("extend", "g16", "g2") for seed in (1, 2)),
                                *(f"sums_rates/{arm}_lr{rate}_seed100" for arm in ("g16", "g2") for rate in ("1e-4", "1e-5", "3e-5"))])
        self.assertEqual({self.rate(run) for run in runs if run.startswith("sums/")}, {"3e-5"})
        self.assertEqual(list(self.checkout.glob("runs/real/*/*/checkpoints")), [])
        (self.checkout / "build" / "bin" / "grpo-train").write_text("#!/bin/sh\nexit 1\n")
        self.trained(*args)
        self.assertEqual(self.script("real_models.sh", *args[:2], "--seeds", "3").returncode, 1)
        self.assertIn("ended at 3840 rollouts and cannot go on to 5000", self.script("real_models.sh", *args, "--rollouts", "5000").stderr)

    def test_one_rate_needs_no_choice(self):
        self.trained("--tasks", "gsm8k", "--rates", "1e-6")
        self.assertEqual([self.rate(f"gsm8k/{arm}_seed1") for arm in ("g2", "g16")], ["1e-6", "1e-6"])
        self.assertEqual(len((self.checkout / "runs/real/data/gsm8k_test_200.jsonl").read_text().splitlines()), 200)

    def test_what_it_cannot_do_is_said_before_it_begins(self):
        for args, words in ((("--tasks", "poems"), "no task is called poems"), (("--tasks", "gsm8k", "--arms", "g1"), "gsm8k has no arm g1"), (("--seeds", "one"), "is no list of numbers"),
                            (("--rates", "high"), "is no list of numbers"), (("--rollouts", "all"), "is no number"), (("--rates",), "lacks its value"), (("faster",), "no option")):
            result = self.script("real_models.sh", *args)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertIn(words, result.stderr)

    def test_the_page_is_made_of_what_is_kept(self):
        (self.checkout / "stop").write_text("")
        self.assertEqual(self.script("real_models.sh", "--rates", "1e-5", "--seeds", "1").returncode, 3)
        (self.checkout / "stop").unlink()
        self.trained("--arms", "g2 g16", "--seeds", "1 2 3", "--rates", "1e-5 3e-5")
        self.trained("--tasks", "gsm8k")
        result = self.script("real_models_table.py", "keep", "runs/real", "kept")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(path.name for path in (self.checkout / "kept").iterdir()), ["real_gsm8k.jsonl.xz", "real_sums.jsonl.xz", "real_sums_rates.jsonl.xz"])
        shutil.rmtree(self.checkout / "runs" / "real" / "sums" / "g16_seed3")
        self.script("real_models_table.py", "keep", "runs/real", "fewer")
        shutil.rmtree(self.checkout / "runs")
        self.assertIn("| `g16` (2 of 3 seeds) | 3e-05 |", self.script("real_models_table.py", "page", "fewer").stdout)
        pictures = self.checkout / "pictures"
        pictures.mkdir()
        page = self.script("real_models_table.py", "page", "kept", "--pictures", pictures, "--grpo", PROGRAM)
        self.assertEqual(page.returncode, 0, page.stderr)
        for line in ("| `g2` | 40.0 → 50.0 | 60.0 → 80.0 |",
                     "| `g16` | 3e-05 | 20.0 ± 0.0 | 40.0 ± 0.0 | 80.0 ± 0.0 |",
                     "| `g2` | 3 | 288 | 25 % | 19 → 17 | 12 ± 0 | 40 % | 10 % | 50 % | 4 | 2.5 |",
                     "| g2_seed1 | 20.0 [10.0, 30.0] → 50.0 [40.0, 60.0] | 30.0 → 30.0 |",
                     "| `g2` | What is 1 + 1? | answer 0 (right) | answer 3 (right) |",
                     "6 runs, 2026-11-30, commit 0123456789ab, on "):
            self.assertIn(line, page.stdout)
        self.assertEqual(sorted(path.name for path in pictures.iterdir()), ["real_gsm8k.svg", "real_sums.svg"])
        drawn = (pictures / "real_sums.svg").read_text()
        self.assertIn("heldout/mean@2", drawn)
        self.assertNotIn("another", drawn)

    def test_a_run_that_goes_on_is_kept_up_to_its_last_evaluation(self):
        self.trained("--tasks", "gsm8k")
        folder = self.checkout / "runs" / "real" / "gsm8k"
        (folder / "g16_seed1" / "finished").unlink()
        metrics = folder / "g16_seed1" / "metrics.jsonl"
        lines = metrics.read_text().splitlines(keepends=True)
        plain = {key: value for key, value in json.loads(lines[2]).items() if not key.startswith("eval/")}
        metrics.write_text("".join(lines[:3]) + json.dumps({**plain, "step": 3, "rollouts/total": 288}) + "\n")
        (folder / "g2_seed2").mkdir()
        (folder / "g2_seed2" / "run.json").write_text("{}")
        for more, runs in ((), 1), (("--unfinished",), 2):
            kept = self.script("real_models_table.py", "keep", "runs/real", "kept", *more)
            self.assertIn(f"{runs} runs,", kept.stdout, kept.stderr)
        page = self.script("real_models_table.py", "page", "kept").stdout
        self.assertIn("| `g16` | 2 | 192 |", page)
        self.assertIn("Not at their end: g16_seed1 at step 2.", page)

    def test_a_resumed_run_is_named(self):
        (self.checkout / "stop").write_text("")
        args = ("--tasks", "gsm8k", "--arms", "g2")
        self.assertEqual(self.script("real_models.sh", *args).returncode, 3)
        (self.checkout / "stop").unlink()
        self.trained(*args)
        self.script("real_models_table.py", "keep", "runs/real", "kept")
        page = self.script("real_models_table.py", "page", "kept")
        self.assertIn("1 runs, 2026-11-30 to 2026-12-01, commit 0123456789ab", page.stdout, page.stderr)
        self.assertIn("Stopped and resumed: g2_seed1 at step 1.", page.stdout)
        self.assertNotIn("a name", page.stdout)


class Page(unittest.TestCase):
    def test_shows_the_tables_that_its_data_give(self):
        result = subprocess.run([SOURCE / "scripts" / "real_models_table.py", "page", SOURCE / "docs" / "results" / "data"], capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr)
        shown = (SOURCE / "docs" / "results" / "real_models.md").read_text().splitlines()
        tables = [line for line in result.stdout.splitlines() if line.startswith("|")]
        self.assertGreater(len(tables), 20)
        self.assertEqual([line for line in tables if line not in shown], [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
