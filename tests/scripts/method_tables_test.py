#!/usr/bin/env python3
"""The tables of runs that differ in their method, over runs whose figures are known. Argument: the source folder."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(sys.argv[1])
METRIC = "eval/heldout/mean@2"
SETTINGS = "algorithm:\n  method: {method}\n  loss: clip\n  std: population\n  ppo:\n    gamma: 1.0\n    lambda: 0.95\nrollout:\n  group_size: 2\n"


def write(run, method, lines):
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(SETTINGS.format(method=method))
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def live(step, accuracy=None, norm=1.0, updates=True):
    """A step of 128 rollouts that samples for 2 s and updates for 1."""
    line = {"step": step, "rollouts": 128, "rollouts/total": 128 * step, "groups/asked": 64, "groups/live": 32, "groups/dead_predicted": 16, "loss": 0.5, "grad_norm": norm,
            "time/rollout": 1.5, "time/reward": 0.5, "time/train": 3.0, "time/cpu": 0.3, "memory/peak_bytes": 2e8 + step * 1e6}
    return line if accuracy is None else {**line, METRIC: accuracy}


def written(step, accuracy):
    return {"step": step, "loss": 0.5, "grad_norm": 1.0, "time/train": 5.0, "time/cpu": 0.5, "memory/peak_bytes": 3e8, METRIC: accuracy}


def start(accuracy):
    return {"step": 0, METRIC: accuracy}


def table(script, *args):
    result = subprocess.run([sys.executable, SOURCE / "scripts" / script, *args], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in result.stdout.splitlines() if line.startswith("|") and "---" not in line]
    return rows


class MethodTables(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for seed, last in ((1, 0.8), (2, 0.7)):
            accuracies, norms = {4: 0.4, 8: 0.7, 13: last}, {11: 1.0, 12: 3.0}
            write(self.folder / f"g2_seed{seed}", "grpo", [start(0.25), *(live(step, accuracies.get(step), norms.get(step, 2.0)) for step in range(1, 14))])
            arm = self.folder / f"sft_seed{seed}"
            write(arm / "round1" / "sampled", "grpo", [live(step) for step in range(1, 5)])
            write(arm / "round1" / "trained", "sft", [start(0.25), written(1, 0.5), written(2, 0.7)])
            write(arm / "round2" / "sampled", "grpo", [live(step) for step in range(1, 10)])
            write(arm / "round2" / "trained", "sft", [start(0.9), written(1, 0.6), written(2, 0.5)])

    # Means with their neighbours: g2 (40 + 70)/2 at 512 and (70 + 80)/2, (70 + 70)/2 near its end at 1,664; rounds are evaluated behind 512 and 1,664.
    # The interval of 75 and 70 is 12.71 * 3.54 / sqrt(2) = 31.8.
    def test_accuracy_and_costs_by_rollouts_also_of_rounds(self):
        rows = table("budget_table.py", self.folder, "g2", "sft")
        self.assertEqual(rows[:3], [["arm", "512", "1,600", "best"],
                                    ["`g2`", "55.0 ± 0.0", "72.5 ± 31.8", "75.0 ± 63.5"],
                                    ["`sft`", "60.0 ± 0.0", "55.0 ± 0.0", "70.0 ± 0.0"]])
        # Sampling alone takes 13 * 2 s of rounds, their four updates 20 s; what sampling did at rate 0 is no update.
        self.assertEqual(rows[4:], [["`g2`", "128", "50 %", "75 %", "13", "39 ± 0", "213 to 213"],
                                    ["`sft`", "128", "50 %", "75 %", "4", "46 ± 0", "300 to 300"]])

    def test_a_budget_without_an_evaluation_near_has_no_figure(self):
        write(self.folder / "late_seed1", "grpo", [start(0.25), *(live(step) for step in range(1, 13)), live(13, 0.6)])
        rows = table("budget_table.py", self.folder, "g2", "late")
        self.assertEqual(rows[2], ["`late`", "–", "60.0", "60.0"])

    def test_runs_that_were_renamed_or_are_of_other_seeds_do_not_count(self):
        write(self.folder / "g2_seed1.1", "grpo", [start(0.25), live(13, 0.1)])
        write(self.folder / "g2_seed10", "grpo", [start(0.25), live(13, 0.1)])
        write(self.folder / "g2_fast_seed1", "grpo", [start(0.25), live(13, 0.1)])
        rows = table("budget_table.py", self.folder, "g2", "--seeds", "1", "2")
        self.assertEqual(rows[1], ["`g2`", "55.0 ± 0.0", "72.5 ± 31.8", "75.0 ± 63.5"])

    def test_runs_that_are_missing_or_half_written_are_named(self):
        write(self.folder / "empty_seed1", "grpo", [])
        write(self.folder / "half_seed1", "grpo", [start(0.25), live(13, 0.1)])
        with open(self.folder / "half_seed1" / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write('{"step": 14, "ro')
        (self.folder / "begun_seed1" / "round1" / "sampled").mkdir(parents=True)
        for arm, words in (("nowhere", "no runs nowhere_seedN"), ("empty", "metrics.jsonl: is empty"), ("half", "does the run still train?"), ("begun", "No such file or directory; the run")):
            for script in ("budget_table.py", "tradeoff_table.py"):
                result = subprocess.run([sys.executable, SOURCE / "scripts" / script, self.folder, arm], capture_output=True, text=True, timeout=60)
                self.assertEqual(result.returncode, 1)
                self.assertIn(words, result.stderr)
                self.assertNotIn("Traceback", result.stderr)

    def test_every_kind_of_method_names_sources_that_exist(self):
        sys.path.insert(0, str(SOURCE / "scripts"))
        import tradeoff_table
        for _, files, _ in tradeoff_table.KINDS.values():
            self.assertGreater(tradeoff_table.lines_of_code(files), 0)

    # 60 % is passed with 1,024 rollouts (40, 70, 80 have the mean 63.3; 40, 70, 70 exactly 60) and by rounds at 512. Norms 1, 3, 2 behind the first ten. Computing: 13 * 0.3 s
    # against 13 * 0.3 * 2/3 + 4 * 0.5.
    def test_the_table_of_what_methods_cost_and_gain(self):
        g2, sft = table("tradeoff_table.py", self.folder, "g2", "sft", "--target", "59.9")[1:]
        self.assertEqual(g2[:8], ["`g2`", "1,024", "1.0", "72.5 ± 31.8", "0.0", "0.41", "policy", "213"])
        self.assertEqual(sft[:8], ["`sft`", "512", "1.2", "55.0 ± 0.0", "5.0", "–", "policy", "300"])
        self.assertGreater(int(g2[8]), int(sft[8]))
        self.assertEqual([g2[9], sft[9]], ["2", "0"])

    def test_what_is_not_reached_or_not_known_is_said(self):
        for run in self.folder.glob("g2_seed*"):
            file = run / "metrics.jsonl"
            file.write_text(file.read_text().replace('"time/cpu"', '"time/other"'))
        write(self.folder / "ppo_seed1", "ppo", [start(0.25), live(1, 0.3)])
        rows = table("tradeoff_table.py", self.folder, "g2", "ppo", "--target", "72")
        self.assertEqual([row[1:3] for row in rows[1:]], [["not by 1 of 2", "1.0 (clock)"], ["not by 1 of 1", "0.1 (clock)"]])
        times = self.folder / "times"
        for arm, method, steps in (("g2", "grpo", 1), ("ppo", "ppo", 3)):
            write(times / f"{arm}_seed1", method, [start(0.25), *(live(step) for step in range(1, steps + 1))])
        self.assertEqual([row[2] for row in table("tradeoff_table.py", self.folder, "g2", "ppo", "--times", times)[1:]], ["1.0", "3.0"])
        self.assertEqual([rows[2][4], rows[2][6], rows[2][9]], ["–", "policy and critic", "2"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
