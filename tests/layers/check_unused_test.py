#!/usr/bin/env python3
"""scripts/check_unused.py finds a function that only tests call, and none that the program uses."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_unused.py"
HEADER = """#pragma once
namespace grpo::base {
struct Counter {
  int count() const;
  int twice() const { return 2 * count(); }
};
int shown(const Counter& counter);  // used() is only named here
int used(std::function<int(int)> f, int x);
}
"""
SOURCE = """#include "grpo/base/counter.h"
int Counter::count() const { return 1; }
int shown(const Counter& counter) { return counter.count(); }
int used(std::function<int(int)> f, int x) { return f(x); }
"""


class CheckUnused(unittest.TestCase):
    def check(self, main):
        """Exit status and output lines for a module and a program that uses some of it."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("include/grpo/base/counter.h", HEADER), ("src/base/counter.cpp", SOURCE), ("src/app/main.cpp", main)):
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True)
                path.write_text(text, encoding="utf-8")
            done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def test_a_program_that_uses_all_passes(self):
        status, output = self.check("int main() { return shown({}) + Counter().twice() + used(f, 1); }\n")
        self.assertEqual((status, output), (0, ["every function of the headers is used; 0 are kept for tests"]))

    def test_what_nobody_calls_is_named_with_its_line(self):
        status, output = self.check("int main() { return shown({}); }  // used, twice\n")
        self.assertEqual(status, 1)
        self.assertEqual(output, [f"include/grpo/base/counter.h:{line}: {name}: only tests call it, or nobody" for line, name in ((5, "twice"), (8, "used"))])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
