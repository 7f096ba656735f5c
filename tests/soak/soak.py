#!/usr/bin/env python3
"""Campaigns against a run (docs/reliability.md): kill -9, one failing system call, damaged checkpoints, and a long soak. Each
trial ends with the run's results compared with an uninterrupted run's: metrics, rollouts, evaluations and the checkpoints'
tensors, byte for byte. What is done is kept in --state, so that a campaign which is stopped goes on."""
import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from long_run import children, soak
from runs import STEPS, ForkServer, command, leftovers, results, run, tree

# Where a drill kills, and in which steps that phase comes: checkpoints every 2 steps, evaluations before the first and after the last.
PHASES = {"start": None, "rollout": range(1, STEPS + 1), "exchange": range(1, STEPS + 1), "reward": range(1, STEPS + 1), "update": range(1, STEPS + 1),
          "reduction": None, "checkpoint": (2, 4, 5), "evaluation": (0, 5)}
KINDS = ("EIO", "ENOSPC", "EACCES", "short", "kill")


AGE = 1_000_000_000  # of the files of a run that is gone back in


def lost_by_going_back(before, after):
    """Every rollout, evaluation, checkpoint and metrics line of before/ must be in after/ or in an aside.<n>/ of it."""
    folders = [after, *after.glob("aside.*")]
    files = [path.relative_to(before) for name in ("rollouts", "eval", "checkpoints") for path in (before / name).rglob("*") if path.is_file()]
    lost = [str(name) for name in files if not any((folder / name).exists() and (folder / name).stat().st_mtime == AGE for folder in folders)]
    kept = {line for folder in folders if (folder / "metrics.jsonl").exists() for line in (folder / "metrics.jsonl").read_text().splitlines()}
    lost += [line[:40] for line in (before / "metrics.jsonl").read_text().splitlines() if line not in kept]
    return f"lost by going back: {lost}" if lost else None


def one_too_many(here, there):
    """What is in one checkpoint older than all that should be there: a process that ends between a save and the removal of
    the oldest leaves it, and the next save removes it."""
    def steps(names):
        return {name.split("/")[1] for name in names if name.startswith("checkpoints/")}

    extra = steps(here) - steps(there)
    if len(extra) != 1 or max(extra) > min(steps(there)):
        return set()
    return {name for name in here if name.startswith("checkpoints/") and steps([name]) == extra}


class Campaign:
    def __init__(self, options):
        self.program, self.source, self.options = Path(options.program).resolve(), Path(options.source).resolve(), options
        self.root = Path(tempfile.mkdtemp(prefix="grpo_soak_"))
        self.state = Path(options.state) if options.state else None
        self.done = {line["trial"]: line for line in map(json.loads, self.state.read_text().splitlines())} if self.state and self.state.exists() else {}
        self.whole, self.durations = {}, {}
        self.lost = []
        self.outcomes = Counter()
        self.fork_server = None

    def server(self):
        if self.fork_server is None:
            self.fork_server = ForkServer(self.program, self.options.fault_library)
        return self.fork_server

    def close(self):
        if self.fork_server is not None:
            self.fork_server.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def command(self, folder, ranks=1):
        return command(self.program, self.source, folder, ranks)

    def start(self, folder, ranks=1, **variables):
        return (self.server().run if ranks == 1 else run)(self.command(folder, ranks), **variables)

    def expected(self, ranks):
        if ranks not in self.whole:
            folder = self.root / f"whole_{ranks}"
            code, said = self.start(folder, ranks)
            assert code == 0, said
            self.whole[ranks] = results(folder)
        return self.whole[ranks]

    def seconds(self, ranks):
        """Of a whole run that is started as those are which are killed at random moments."""
        if ranks not in self.durations:
            begun = time.monotonic()
            code, said = run(self.command(self.root / f"timed_{ranks}", ranks))
            assert code == 0, said
            self.durations[ranks] = time.monotonic() - begun
        return self.durations[ranks]

    def trial(self, name, attempt):
        """attempt(folder) returns how it went, and what went wrong or nothing."""
        if name in self.done:
            self.outcomes[self.done[name]["outcome"]] += 1
            return
        folder = self.root / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        outcome, problem = attempt(folder)
        self.outcomes[outcome] += 1
        if problem:
            self.lost.append(f"{name}: {problem}")
            print(f"LOST {name}: {problem}", flush=True)
        elif self.state:
            with open(self.state, "a", encoding="utf-8") as out:
                out.write(json.dumps({"trial": name, "outcome": outcome}) + "\n")

    def finish(self, folder, ranks):
        """Starts the run again; what differs from the uninterrupted run."""
        code, said = self.start(folder, ranks)
        if code != 0:
            return f"the next start ends with {code}: {said[-400:]}"
        return self.difference(folder, ranks)

    def difference(self, folder, ranks, said=""):
        """said: what the run wrote, which may own up to a file that it could not remove."""
        here, there = results(folder), self.expected(ranks)
        here = {name: value for name, value in here.items() if name not in one_too_many(here, there)}
        if here != there:
            return f"other results than the uninterrupted run's: {sorted(name for name in {*here, *there} if here.get(name) != there.get(name))}"
        left = [path for path in leftovers(folder) if f"{path} could not be removed" not in said]
        return f"left behind: {left}" if left else None

    # --- kill -9 ---

    def kill(self, number):
        """By turns in a phase and at a random moment; every third resumed run is killed once more."""
        randomness, ranks = random.Random(number), 1 + number % 2
        phase = list(PHASES)[number // 4 % len(PHASES)] if number % 4 < 2 else ""
        self.expected(ranks)

        def attempt(folder):
            where = self.kill_in(phase, folder, ranks, randomness) if phase else self.kill_before_the_end(folder, ranks, randomness)
            if number % 3 == 0:
                self.kill_at_random(folder, ranks, randomness)
            return f"kill ranks={ranks} {where}", "the drill struck nothing" if "no kill" in where and phase else self.finish(folder, ranks)

        self.trial(f"kill {number} ranks={ranks} {phase or 'at a random moment'}", attempt)

    def kill_in(self, phase, folder, ranks, randomness):
        step = f" step={randomness.choice(PHASES[phase])}" if PHASES[phase] else ""
        code, _ = self.start(folder, ranks, GRPO_DRILL=f"rank={randomness.randrange(ranks)}{step} phase={phase} action=kill")
        return f"in {phase}" if code != 0 else f"no kill in {phase}"

    def kill_before_the_end(self, folder, ranks, randomness):
        """Runs that ended before their moment came, on a machine whose load changes, are run again."""
        for _ in range(20):
            where = self.kill_at_random(folder, ranks, randomness)
            if not where.startswith("no kill"):
                break
            shutil.rmtree(folder)
        return where

    def kill_at_random(self, folder, ranks, randomness):
        """The whole run, or one rank of it."""
        process = subprocess.Popen(self.command(folder, ranks), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=randomness.random() * self.seconds(ranks))
            return "no kill, at its end already"
        except subprocess.TimeoutExpired:
            pass
        ranks_started = children(process.pid)
        victim = int(randomness.choice([str(process.pid), *ranks_started]))
        saving = any(".tmp-step" in path for path in leftovers(folder))
        (process.kill if victim == process.pid else lambda: subprocess.run(["kill", "-9", str(victim)], check=False))()
        process.wait()
        while any(Path(f"/proc/{pid}").exists() for pid in ranks_started):  # the ranks die with their parent
            time.sleep(0.05)
        return "at a random moment" + (" while a checkpoint was written" if saving else "")

    # --- one system call fails ---

    def faults(self, wanted, kinds):
        for name, base, back in (("fresh", None, None), ("resumed", self.interrupted(), None), ("begun anew", self.half_saved(), None), ("going back", self.finished(), STEPS - 1)):
            count = self.fault_positions(base, back)
            chosen = range(1, count + 1) if wanted == "all" else sorted(random.Random(1).sample(range(1, count + 1), min(int(wanted), count)))
            print(f"{name} run: {count} calls below the run folder, {len(chosen)} of them tried", flush=True)
            for index, position in enumerate(chosen):
                for kind in kinds if wanted == "all" else [kinds[index % len(kinds)]]:
                    self.trial(f"fault {name} {position} {kind}", lambda folder, p=position, k=kind, b=base, g=back: self.fault(folder, b, g, p, k))

    def interrupted(self):
        """A run that was killed behind a checkpoint."""
        folder = self.root / "interrupted"
        # Behind the second save, which waits for the first to be whole; the second one may be half written.
        self.start(folder, GRPO_DRILL="rank=0 step=5 phase=update action=kill")
        assert (folder / "run" / "checkpoints" / "step_00000002" / "MANIFEST").exists()
        return folder

    def half_saved(self):
        """A run that was killed while it wrote its first checkpoint."""
        self.expected(1)
        folder = self.root / "half_saved"
        self.start(folder, GRPO_DRILL="rank=0 step=2 phase=checkpoint action=kill")
        whole = sorted((self.root / "whole_1" / "run" / "checkpoints").iterdir())[0]
        shutil.copytree(whole, folder / "run" / "checkpoints" / ".tmp-step_00000002", ignore=shutil.ignore_patterns("MANIFEST"))
        return folder

    def finished(self):
        """A whole run whose files are known by their age, so that what is made anew is not taken for what was kept."""
        self.expected(1)
        folder = self.root / "finished"
        shutil.copytree(self.root / "whole_1", folder)
        for path in folder.rglob("*"):
            os.utime(path, (AGE, AGE))
        return folder

    @staticmethod
    def prepare(folder, base):
        if base is not None:
            shutil.copytree(base, folder)

    def start_again(self, folder, back, **variables):
        """As it was started before, or back from an earlier checkpoint."""
        arguments = [] if back is None else ["--resume", str(folder / "run" / "checkpoints" / f"step_{back:08}")]
        return self.server().run([*self.command(folder), *arguments], **variables)

    def fault_positions(self, base, back):
        folder, count = self.root / "count", self.root / "count.txt"
        shutil.rmtree(folder, ignore_errors=True)
        self.prepare(folder, base)
        code, said = self.start_again(folder, back, **self.fault_at(folder, 0, "EIO"), GRPO_FAULT_COUNT=str(count))
        assert code == 0, said
        return int(count.read_text())

    @staticmethod
    def fault_at(folder, position, kind):
        return {"GRPO_FAULT_FOLDER": str(folder / "run"), "GRPO_FAULT_AT": str(position), "GRPO_FAULT_KIND": kind}

    def fault(self, folder, base, back, position, kind):
        outcome, problem = self.fault_and_finish(folder, base, back, position, kind)
        return outcome, problem or (back and lost_by_going_back(base / "run", folder / "run"))

    def fault_and_finish(self, folder, base, back, position, kind):
        self.expected(1)
        self.prepare(folder, base)
        code, said = self.start_again(folder, back, **self.fault_at(folder, position, kind))
        struck = re.search(r"^fault: \S+ in (\S+) of ", said, re.M)
        words = "\n".join(line for line in said.splitlines() if not line.startswith("fault: ") and " goes back to step " not in line)
        if code == 0:
            outcome = "went on with a warning" if " warning " in words else "went on" if struck else "not reached"
            return f"fault {kind}: {outcome}", self.difference(folder, 1, said)
        outcome = f"fault {kind}: ended, and went on when started again"
        if code == -9 and kind == "kill":
            return outcome, self.finish(folder, 1)
        if code not in (1, 2):
            return outcome, f"{struck and struck.group()}: exit code {code}: {said[-400:]}"
        if not re.search(r"(error: | error ).*" + re.escape(str(folder)), words):
            return outcome, f"{struck and struck.group()}: no word which file: {said[-400:]}"
        problem = self.finish(folder, 1)
        return outcome, problem and f"{struck and struck.group()}: {problem}"

    # --- damaged checkpoints ---

    def damage(self):
        self.expected(1)
        newest = sorted((self.root / "whole_1" / "run" / "checkpoints").iterdir())[-1]
        for path in sorted(newest.rglob("*")):
            if not path.is_file():
                continue
            name, content, size = str(path.relative_to(newest)), path.read_bytes(), path.stat().st_size
            randomness = random.Random(name)
            cuts = {f"truncated to {length}": content[:length] for length in {0, 1, size // 2, size - 1}}
            places = {0, size // 2, size - 1, *(randomness.randrange(size) for _ in range(5))}
            flips = {f"bit {at % 8} of byte {at} flipped": content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1:] for at in places}
            for what, damaged in {**cuts, **flips, "longer": content + b"\n", "removed": None}.items():
                self.trial(f"damage {name} {what}", lambda folder, n=name, c=damaged: ("damage: refused", self.damaged(folder, newest.name, n, c)))

    def damaged(self, folder, checkpoint, name, content):
        """A start must refuse the checkpoint, name another and change nothing; that one must work."""
        shutil.copytree(self.root / "whole_1", folder)
        file = folder / "run" / "checkpoints" / checkpoint / name
        file.unlink() if content is None else file.write_bytes(content)
        arguments = self.command(folder)
        before = tree(folder)
        code, said = self.server().run(arguments)
        if code != 1 or "--resume" not in said:
            return f"exit code {code}: {said[-300:]}"
        if tree(folder) != before:
            return "a start that failed changed something"
        way_out = said.split("--resume ")[1].split(" ")[0].strip()
        code, said = self.server().run([*arguments, "--resume", way_out])
        if code != 0:
            return f"--resume {way_out} ends with {code}: {said[-300:]}"
        return None if results(folder) == self.expected(1) else "other results than the uninterrupted run's"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("source")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--faults", default="", help="all, or how many positions to sample")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of faults")
    parser.add_argument("--fault-library", required=True)
    parser.add_argument("--damage", action="store_true")
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--state", default="", help="file of finished trials; they are not repeated")
    options = parser.parse_args()
    campaign = Campaign(options)
    try:
        for number in range(options.kills):
            campaign.kill(number)
        if options.faults:
            campaign.faults(options.faults, options.kinds.split(","))
        if options.damage:
            campaign.damage()
        if options.minutes:
            campaign.lost += soak(campaign.program, campaign.source, campaign.root / "soak", options.minutes)
    finally:
        campaign.close()
    for outcome, count in sorted(campaign.outcomes.items()):
        print(f"{count}\t{outcome}")
    print(f"{sum(campaign.outcomes.values())} trials, {len(campaign.lost)} lost")
    return 1 if campaign.lost else 0


if __name__ == "__main__":
    sys.exit(main())
