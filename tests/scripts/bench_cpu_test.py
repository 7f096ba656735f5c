#!/usr/bin/env python3
"""scripts/bench_cpu.py with programs that stand for ours and for the peers. Argument: the source folder."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(sys.argv[1])
SERVER = r"""
    for line in sys.stdin:
        what, count, size = line.split()
        print(json.dumps(dict(wall_s=SECONDS, tokens=int(count) * int(size), peak_rss_mb=MEMORY)), flush=True)
"""
OURS = "#!{python}\nimport json, sys\nSECONDS, MEMORY = 1.0, 1024\nif True:" + SERVER
GRPO = r"""#!{python}
import json, pathlib, sys
keys = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
run = pathlib.Path(keys["run.output"], "smollm2_135m_2grpo")
run.mkdir(parents=True, exist_ok=True)
lines = [{"time/step": 9.0 if step == 0 else 2.0, "time/checkpoint": 1.0, "memory/peak_bytes": 2 ** 30} for step in range(int(keys["trainer.steps"]))]
(run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
"""
PEERS = r"""#!{python}
import json, sys
SECONDS, MEMORY = 4.0, 4096
if "--trl" in sys.argv:
    print("a warning of the peer's")
    print(json.dumps(dict(steps_s=[9.0] + [5.0] * (int(sys.argv[7]) - 1), peak_rss_mb=MEMORY)))
else:""" + SERVER


class BenchCpu(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        peers = Path("cache", "bench-peers", "venv")
        for name, text in (("grpo", GRPO), ("grpo_decode_bench", OURS), (peers / "bin" / "python", PEERS), (peers / ".complete", ""),
                           (Path("model", "config.json"), "{}")):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("{python}", sys.executable))
            path.chmod(0o755)

    def run_script(self, *args):
        command = [sys.executable, SOURCE / "scripts" / "bench_cpu.py", "--grpo", self.folder / "grpo", "--model", self.folder / "model", "--json", self.folder / "out.json", *args]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "GRPO_CACHE": str(self.folder / "cache")})

    def test_it_says_what_it_does_and_what_came_out(self):
        result = self.run_script("--dtypes", "bf16", "--repetitions", "2", "--steps", "3")
        self.assertEqual(result.returncode, 0, result.stderr)
        said = [line.split("] ", 1)[1] for line in result.stderr.splitlines()]
        self.assertRegex(said[0], r"^in bf16: decode and gradient against transformers \(2 repetitions behind one to warm up\), then GRPO steps at G=2 and G=16 against TRL "
                                  r"\(2 runs of 3 steps\)\. About \d+ minutes on two cores")
        self.assertEqual(said[1:5], ["decode bf16, ours: 1.0 s (to warm up)", "decode bf16, theirs: 4.0 s (to warm up)",
                                     "gradient bf16, ours: 1.0 s (to warm up)", "gradient bf16, theirs: 4.0 s (to warm up)"])
        self.assertEqual(said[12:16], ["gradient bf16, theirs: 4.0 s (repetition 2 of 2)", "step G=2 bf16, ours: 1.0 s a step (run 1 of 2)",
                                       "step G=2 bf16, ours, every group live: 1.0 s a step (run 1 of 2)", "step G=2 bf16, theirs: 5.0 s a step (run 1 of 2)"])
        self.assertEqual(len(said), 1 + 12 + 12)
        lines = json.loads((self.folder / "out.json").read_text())["lines"]
        self.assertEqual([(line["what"], line["ratio"]) for line in lines], [("decode", 4.0), ("gradient", 4.0), ("step G=2", 5.0), ("step G=16", 5.0)])
        self.assertEqual(sum(line.startswith("| ") for line in result.stdout.splitlines()), 5)

    def test_why_a_program_ended_is_said(self):
        (self.folder / "grpo_decode_bench").write_text("#!/bin/sh\necho no such shape >&2\nexit 3\n")
        result = self.run_script("--dtypes", "bf16", "--skip-trl")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"grpo_decode_bench ended with exit code 3 at: decode 32 64\nno such shape")

    def test_what_cannot_work_is_said_at_once(self):
        for args, words in ((("--steps", "1"), "--steps is at least 2"), (("--json", "/nowhere/out.json"), "/nowhere/out.json: no such folder"),
                            (("--grpo", "/nowhere/grpo"), "no grpo_decode_bench")):
            result = self.run_script(*args)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
