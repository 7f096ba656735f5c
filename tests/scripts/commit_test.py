#!/usr/bin/env python3
"""cmake/commit.cmake in a repository of this test's own. Argument: the source folder."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(sys.argv[1])


class Commit(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.checkout, self.header = Path(folder.name) / "checkout", Path(folder.name) / "made" / "commit.h"
        self.checkout.mkdir()

    def git(self, *words):
        identity = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", "-C", self.checkout, *identity, *words], check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, text):
        (self.checkout / "file").write_text(text)
        self.git("add", "file")
        self.git("commit", "-m", text)
        return self.git("rev-parse", "HEAD")[:12]

    def written(self):
        result = subprocess.run(["cmake", "-D", f"SOURCE={self.checkout}", "-D", f"HEADER={self.header}", "-P", SOURCE / "cmake" / "commit.cmake"], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return self.header.read_text()

    def test_every_build_names_the_commit_it_is_made_of(self):
        self.assertEqual(self.written(), '#define GRPO_COMMIT ""\n')
        self.git("init", "-q")
        for text in ("first", "second"):
            commit = self.commit(text)
            self.assertEqual(self.written(), f'#define GRPO_COMMIT "{commit}"\n')
            self.git("tag", "-a", "-m", text, text)
        (self.checkout / "file").write_text("changed")
        self.assertEqual(self.written(), f'#define GRPO_COMMIT "{commit}-dirty"\n')

    def test_a_header_that_is_right_is_left_alone(self):
        self.git("init", "-q")
        self.commit("first")
        self.written()
        before = self.header.stat().st_mtime_ns
        self.written()
        self.assertEqual(self.header.stat().st_mtime_ns, before)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
