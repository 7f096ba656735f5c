"""What the tests of the program share. Each is called with the program and the source folder."""
import json
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM, SOURCE = sys.argv[1], Path(sys.argv[2])
TRAIN = os.path.join(os.path.dirname(PROGRAM), "grpo-train")
QUICKSTART = SOURCE / "configs" / "quickstart"
MODEL = str(QUICKSTART / "model")
MEASURED = ("time", "speed/", "memory/", "prompts/", "bytes/")  # metrics that differ between two equal runs


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def metrics(run):
    """The whole lines of a run folder's metrics.jsonl; none where there is no such file yet."""
    file = Path(run) / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")] if file.exists() else []


def comparable(lines):
    """Lines of metrics without what is measured."""
    return [{name: value for name, value in line.items() if not name.startswith(MEASURED)} for line in lines]


class InFolder(unittest.TestCase):
    """Tests that each have an empty folder of their own."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return str(self.folder / name)

    def write(self, name, text):
        Path(self.path(name)).write_text(text, encoding="utf-8")
        return self.path(name)

    def write_rows(self, name, rows):
        return self.write(name, jsonl(rows))


class Trains(InFolder):
    """Tests of runs in that folder. run_program(name, *overrides, ranks=1), which starts one of that name, is theirs."""

    def train(self, name, *overrides, ranks=1):
        """Its messages; a run that fails fails the test."""
        result = self.run_program(name, *overrides, ranks=ranks)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stderr

    def lines(self, name):
        return comparable(metrics(self.folder / name))
