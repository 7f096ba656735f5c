#!/usr/bin/env python3
"""The stages of scripts/gpu_check.sh, which finds the programs and their libraries and calls this."""
import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import page
import stages
from running import CUT_OFF, Results, Runner

# Seconds that a stage may take. What needs most trust in the device comes first, what is slowest last.
QUICK = [(stages.machine, 20), (stages.tests, 120), (stages.embedded, 45), (stages.decode, 60), (stages.update, 45), (stages.step, 60), (stages.peers, 75),
         (stages.large_run, 80), (stages.memcheck, 70), (stages.racecheck, 60)]
QUICK_SECONDS = 530  # of all; the machine may be lent for ten minutes, and a bundle is unpacked first
SLOW_FACTOR = 10     # a whole check, and a rehearsal without a GPU, has that many times the seconds of each stage
FULL_EXTRA = (stages.full, 3600)


class Check:
    def __init__(self, options):
        self.root, self.here = Path(__file__).resolve().parent.parent.parent, Path(__file__).resolve().parent
        self.programs, self.rehearse = options.programs, options.rehearse
        # Of our programs alone: python3 and the sanitizer have libraries of their own.
        self.environment = {**({"LD_PRELOAD": options.preload} if options.preload else {}),
                            **({"LD_LIBRARY_PATH": options.libraries} if options.libraries else {})}
        self.device = "cpu" if options.rehearse and not options.preload else "cuda"
        self.model = "tiny" if options.rehearse else "1.5b"
        self.decode_sizes = ["1024x64", "1024x256", "4096x64"] if options.quick else []  # else all of the table
        self.device_options = ["--device", "cpu"] if self.device == "cpu" else []
        self.size_options = ["--tiny", "--device", "cpu"] if options.rehearse else []
        # Without a device its tests skip; that the others pass shows that libraries and golden numbers are in place.
        self.test_limit = stages.TEST_LIMIT * (SLOW_FACTOR if options.rehearse else 1)
        self.tests = "Gpu*:Golden*" if self.device == "cpu" else "Gpu*"
        self.run_steps = 4 if options.rehearse else stages.RUN_STEPS
        self.cores = len(os.sched_getaffinity(0))
        self.tests_at_once = max(1, min(stages.MOST_TESTS_AT_ONCE, self.cores // 2))  # each starts LibTorch, which takes seconds
        self.scratch = Path(tempfile.mkdtemp(prefix="grpo-gpu-check-"))
        self.run_options = ["rollout.prompts_per_step=8", f"eval.data=[{stages.few_problems(self)}]"] if options.rehearse else []
        self.results = Results(options.out)
        self.runner = Runner(self.results, time.monotonic() + options.seconds)
        self.outcomes = []

    def run(self, command, **environment):
        """A program of ours, also where a tool runs it, finds its libraries, and the host device where there is one."""
        ours = self.programs in Path(command[0]).parents
        tool = not ours and any(self.programs in Path(str(word)).parents for word in command[1:])
        libraries = {name: value for name, value in self.environment.items() if ours or tool and name == "LD_LIBRARY_PATH"}
        return self.runner.run(command, **libraries, **environment)

    def program(self, name):
        return self.programs / name

    def test_programs(self):
        return sorted(self.programs.glob("grpo_*_test"))

    def fail(self, why):
        self.results.log("FAILED: " + why)
        self.runner.codes.append(1)

    def outcome_of(self, stage):
        try:
            stage(self)
        except stages.Skipped as why:
            return f"skipped: {why}"
        except Exception as error:  # a stage that breaks must not take the ones after it along
            self.fail(f"{type(error).__name__}: {error}")
        failed = [code for code in self.runner.codes if code not in (0, CUT_OFF)]
        return "failed" if failed else "cut off" if CUT_OFF in self.runner.codes else "passed"

    def run_stage(self, stage, limit):
        name = stage.__name__.replace("_", " ")
        self.results.log(f"\n== {name} (at most {limit} s)")
        self.runner.begin_stage(limit)
        begin = time.monotonic()
        outcome = self.outcome_of(stage) if self.runner.seconds_left() > 1 else "not run: the time is over"
        self.outcomes.append(outcome)
        self.results.append("stages.tsv", f"{name}\t{outcome}\t{time.monotonic() - begin:.0f}")
        self.results.log(f"== {name}: {outcome}")

    def write_page(self, name, title, lines):
        path = self.results.folder / name
        path.write_text(page.page(self.results.folder, title, lines))
        return path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True, help="folder of the programs")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--page", default="page.md", help="file name of the page")
    parser.add_argument("--title", default="GPU check")
    parser.add_argument("--line", action="append", default=[], help="a line below the title")
    parser.add_argument("--seconds", type=float, help="after which all ends")
    parser.add_argument("--spent", type=float, default=0.0, help="seconds of these that are gone")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--libraries", default="", help="LD_LIBRARY_PATH of our programs")
    parser.add_argument("--preload", default="", help="with --rehearse: libraries of a CUDA device of host memory")
    options = parser.parse_args()
    plan = QUICK if options.quick else [(stage, SLOW_FACTOR * limit) for stage, limit in QUICK]
    if not options.quick and not options.rehearse:
        plan.insert(-2, FULL_EXTRA)  # before the sanitizer
    options.seconds = (options.seconds or (QUICK_SECONDS if options.quick else sum(limit for _, limit in plan))) - options.spent
    check = Check(options)

    def end(*_):
        check.runner.end_all()
        sys.exit(1)

    signal.signal(signal.SIGTERM, end)
    try:
        for stage, limit in plan:
            check.write_page(options.page, options.title, options.line)
            check.run_stage(stage, limit)
    finally:  # also when somebody ends the check
        print(f"gpu_check: wrote {check.write_page(options.page, options.title, options.line)}", flush=True)
        shutil.rmtree(check.scratch, ignore_errors=True)
    return 0 if all(outcome == "passed" or outcome.startswith("skipped") for outcome in check.outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
