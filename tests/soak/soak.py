#!/usr/bin/env python3
"""Campaigns against a run (docs/reliability.md): kill -9, one failing system call, damaged checkpoints, and a long soak. Each
trial ends with the run's results compared with an uninterrupted run's: metrics, rollouts and the last checkpoint, byte for
byte. What is done is kept in --state, so that a campaign which is stopped goes on."""
import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = 6
LIMIT_S = 900
PHASES = ("start", "rollout", "reward", "update", "reduction", "checkpoint")
KINDS = ("ENOSPC", "EIO", "EACCES", "short")
MEASURED = ("time", "speed/", "memory/", "prompts/", "bytes/")


def command(program, source, folder, ranks=1, *overrides):
    quickstart = source / "configs" / "quickstart"
    config = {"run": {"name": "run", "output": str(folder)},
              "model": {"path": str(quickstart / "model"), "template": "none", "device": "cpu", "dtype": "float32"},
              "data": {"train": [str(quickstart / "train.jsonl")], "epochs": 100, "max_prompt_tokens": 40},
              "rollout": {"prompts_per_step": 4, "group_size": 2, "max_new_tokens": 16, "exact": True},
              "trainer": {"steps": STEPS, "threads": 1}, "checkpoint": {"every_steps": 2, "keep": 2},
              "distributed": {"timeout_s": 60}}
    file = folder / "config.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config))
    return [str(program), "train", "--config", str(file), "--nproc", str(ranks), *overrides]


def run(arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "GRPO_DRILL"}
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=LIMIT_S, env={**environment, **variables})
    return done.returncode, done.stderr


def results(folder):
    """What a run must come to whatever happened on the way."""
    run_folder = folder / "run"
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    found = {"metrics": [{key: value for key, value in line.items() if not key.startswith(MEASURED)} for line in lines]}
    kept = [*sorted((run_folder / "rollouts").iterdir()), *sorted((run_folder / "checkpoints").rglob("*.safetensors"))]
    found.update({str(path.relative_to(run_folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept})
    return found


def tree(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


class Campaign:
    def __init__(self, options):
        self.program, self.source, self.options = Path(options.program), Path(options.source), options
        self.root = Path(tempfile.mkdtemp(prefix="grpo_soak_"))
        self.state = Path(options.state) if options.state else None
        self.done = {line["trial"] for line in map(json.loads, self.state.read_text().splitlines())} if self.state and self.state.exists() else set()
        self.whole = {}
        self.lost = []
        self.counts = {}

    def expected(self, ranks):
        if ranks not in self.whole:
            folder = self.root / f"whole_{ranks}"
            code, said = run(self.command(folder, ranks))
            assert code == 0, said
            self.whole[ranks] = results(folder)
        return self.whole[ranks]

    def command(self, folder, ranks=1):
        return command(self.program, self.source, folder, ranks)

    def trial(self, name, attempt):
        """attempt(folder) returns what went wrong, or nothing."""
        if name in self.done:
            return
        folder = self.root / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        problem = attempt(folder)
        kind = name.split(" ")[0]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if problem:
            self.lost.append(f"{name}: {problem}")
            print(f"LOST {name}: {problem}", flush=True)
        elif self.state:
            with open(self.state, "a", encoding="utf-8") as out:
                out.write(json.dumps({"trial": name}) + "\n")

    def finish(self, folder, ranks):
        """Starts the run again until it is finished; what differs from the uninterrupted run."""
        for _ in range(3):
            code, said = run(self.command(folder, ranks))
            if code == 0:
                break
        if code != 0:
            return f"the next start ends with {code}: {said[-300:]}"
        if results(folder) != self.expected(ranks):
            return "other results than the uninterrupted run's"
        left = [str(path) for path in folder.rglob("*") if ".tmp-" in path.name or path.name == ".lock"]
        return f"left behind: {left}" if left else None

    def kill(self, number):
        ranks = 1 + number % 2
        randomness = random.Random(number)
        phase = PHASES[number // 2 % len(PHASES)] if number % 4 < 2 else ""

        def attempt(folder):
            if phase:
                run(self.command(folder, ranks), GRPO_DRILL=f"rank={randomness.randrange(ranks)} step={randomness.randrange(1, STEPS)} phase={phase} action=kill")
            else:
                self.expected(ranks)
                process = subprocess.Popen(self.command(folder, ranks), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(randomness.random() * self.whole_seconds(ranks))
                process.kill()
                process.wait()
                time.sleep(0.3)  # the ranks die with their parent
            return self.finish(folder, ranks)

        self.expected(ranks)
        self.trial(f"kill {number} ranks={ranks} {phase or 'at a random moment'}", attempt)

    def whole_seconds(self, ranks):
        lines = self.expected(ranks)["metrics"]
        times = [json.loads(line)["time"] for line in (self.root / f"whole_{ranks}" / "run" / "metrics.jsonl").read_text().splitlines()]
        return (times[-1] - times[0]) * len(lines) / max(len(lines) - 1, 1) + 2.0

    def fault_positions(self):
        folder, count = self.root / "count", self.root / "count.txt"
        code, said = run(self.command(folder), **self.preload(folder, 0, "EIO"), GRPO_FAULT_COUNT=str(count))
        assert code == 0, said
        return int(count.read_text())

    def preload(self, folder, position, kind):
        return {"LD_PRELOAD": self.options.fault_library, "GRPO_FAULT_FOLDER": str(folder / "run"), "GRPO_FAULT_AT": str(position), "GRPO_FAULT_KIND": kind}

    def fault(self, position, kind):
        self.expected(1)

        def attempt(folder):
            code, said = run(self.command(folder), **self.preload(folder, position, kind))
            if code not in (0, 1):
                return f"exit code {code}: {said[-300:]}"
            if code == 1 and "error: " not in said:
                return f"no word why: {said[-300:]}"
            return self.finish(folder, 1)

        self.trial(f"fault {position} {kind}", attempt)

    def damage(self):
        self.expected(1)
        whole = self.root / "whole_1" / "run"
        newest = sorted((whole / "checkpoints").iterdir())[-1]
        for path in sorted(newest.rglob("*")):
            if not path.is_file():
                continue
            name, size = str(path.relative_to(newest)), path.stat().st_size
            cuts = {f"truncated to {length}": path.read_bytes()[:length] for length in {0, size // 2, size - 1}}
            flips = {f"bit of byte {at} flipped": self.flipped(path.read_bytes(), at) for at in {0, size // 2, size - 1}}
            for what, content in {**cuts, **flips, "removed": None}.items():
                self.trial(f"damage {name} {what}", lambda folder, n=name, c=content: self.damaged(folder, newest.name, n, c))

    @staticmethod
    def flipped(content, at):
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]

    def damaged(self, folder, checkpoint, name, content):
        """A start with more steps to do must refuse the checkpoint, name another and change nothing; that one must work."""
        shutil.copytree(self.root / "whole_1", folder)
        file = folder / "run" / "checkpoints" / checkpoint / name
        file.unlink() if content is None else file.write_bytes(content)
        arguments = self.command(folder)
        before = tree(folder)
        code, said = run(arguments)
        if code != 1 or "--resume" not in said:
            return f"exit code {code}: {said[-300:]}"
        if tree(folder) != before:
            return "a start that failed changed something"
        way_out = said.split("--resume ")[1].split(" ")[0]
        code, said = run([*arguments, "--resume", way_out])
        if code != 0:
            return f"--resume {way_out} ends with {code}: {said[-300:]}"
        return None if results(folder) == self.expected(1) else "other results than the uninterrupted run's"

    def soak(self, minutes):
        """Two ranks with a restart every minute; memory, descriptors and threads of the same steps must not grow."""
        folder, deadline, seen = self.root / "soak", time.monotonic() + 60 * minutes, []
        arguments = [*command(self.program, self.source, folder, 2), "trainer.steps=10000000", "checkpoint.every_steps=20", "logging.rollouts_per_step=0"]
        while time.monotonic() < deadline:
            process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until = min(deadline, time.monotonic() + max(60.0, 12 * minutes))
            time.sleep(20)  # buffers that grow once
            while time.monotonic() < until and process.poll() is None:
                seen.append((process.pid, *self.usage(process.pid)))
                time.sleep(2)
            process.terminate()
            if process.wait(timeout=LIMIT_S) != 3:
                return self.lost.append(f"soak: ended with {process.returncode}")
        for pid in {line[0] for line in seen}:
            lines = [line for line in seen if line[0] == pid]
            first, last = lines[len(lines) // 4], lines[-1]
            print(f"soak process {pid}: memory {first[1] / 1e6:.1f} -> {last[1] / 1e6:.1f} MB, descriptors {first[2]} -> {last[2]}, threads {first[3]} -> {last[3]}", flush=True)
            if last[1] > 1.02 * first[1] or last[2] > first[2] or last[3] > first[3]:
                self.lost.append(f"soak: process {pid} grew")
        return None

    @staticmethod
    def usage(parent):
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        memory = descriptors = threads = 0
        for pid in [str(parent), *children]:
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
            memory += int(status["VmRSS"].split()[0]) * 1024
            threads += int(status["Threads"])
            descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return memory, descriptors, threads


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("source")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--faults", default="", help="all, or how many positions to sample")
    parser.add_argument("--fault-library", default="")
    parser.add_argument("--damage", action="store_true")
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--state", default="", help="file of finished trials; they are not repeated")
    options = parser.parse_args()
    campaign = Campaign(options)
    try:
        for number in range(options.kills):
            campaign.kill(number)
        if options.faults:
            count = campaign.fault_positions()
            every = range(1, count + 1)
            chosen = every if options.faults == "all" else sorted(random.Random(1).sample(every, min(int(options.faults), count)))
            print(f"{count} system calls below the run folder, {len(chosen)} of them tried", flush=True)
            for index, position in enumerate(chosen):
                for kind in KINDS if options.faults == "all" else [KINDS[index % len(KINDS)]]:
                    campaign.fault(position, kind)
        if options.damage:
            campaign.damage()
        if options.minutes:
            campaign.soak(options.minutes)
    finally:
        shutil.rmtree(campaign.root, ignore_errors=True)
    print(", ".join(f"{count} {kind}" for kind, count in sorted(campaign.counts.items())), f"{len(campaign.lost)} lost", sep="; ")
    return 1 if campaign.lost else 0


if __name__ == "__main__":
    sys.exit(main())
