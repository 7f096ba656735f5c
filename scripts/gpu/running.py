"""Programs with time limits, whose output is kept as it comes: a check that is cut off leaves what it has found out."""
import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

CUT_OFF = 124  # the exit code of coreutils' timeout


@dataclass
class Ended:
    code: int
    text: str
    seconds: float


class Results:
    """Files in a folder: log.txt has all output, figures.jsonl the measurements, tests.tsv and stages.tsv one outcome a line."""

    def __init__(self, folder):
        self.folder = folder
        self.lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("log.txt", "figures.jsonl", "tests.tsv", "stages.tsv"):
            (folder / name).write_text("")

    def append(self, name, line):
        with self.lock, open(self.folder / name, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def log(self, line):
        self.append("log.txt", line)
        print(line, flush=True)

    def figure(self, **fields):
        self.output(json.dumps(fields))

    def output(self, line):
        """A line of a program's output; measurements are JSON objects with "bench"."""
        self.log(line)
        if is_figure(line):
            self.append("figures.jsonl", line)


def is_figure(line):
    try:
        return line.startswith("{") and "bench" in json.loads(line)
    except ValueError:
        return False  # cut off, or mixed with another program's line


class Runner:
    """Starts programs. None outlives the deadline or the present stage's limit."""

    def __init__(self, results, deadline):
        self.results = results
        self.deadline = self.stage_end = deadline
        self.codes = []  # of the present stage
        self.running = set()  # processes

    def begin_stage(self, limit):
        self.stage_end = min(self.deadline, time.monotonic() + limit)
        self.codes = []

    def seconds_left(self):
        return self.stage_end - time.monotonic()

    def run(self, command, limit=float("inf"), **environment):
        """Runs a part of the stage: its exit code counts."""
        self.results.log("$ " + " ".join(map(str, command)))
        ended = self.start(command, limit, self.results.output, environment)
        self.codes.append(ended.code)
        if ended.code != 0:
            self.results.log(f"(exit code {ended.code} after {ended.seconds:.0f} s{', cut off' if ended.code == CUT_OFF else ''})")
        return ended

    def start(self, command, limit, on_line, environment):
        limit = min(limit, self.seconds_left())
        if limit <= 0:
            return Ended(CUT_OFF, "", 0.0)
        begin = time.monotonic()
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                   env={**os.environ, **environment}, start_new_session=True)
        self.running.add(process)
        lines = []
        reader = threading.Thread(target=read_lines, args=(process.stdout, lines, on_line), daemon=True)
        reader.start()
        code = wait(process, limit)
        self.running.discard(process)
        reader.join(timeout=5)
        return Ended(code, "\n".join(lines), time.monotonic() - begin)

    def end_all(self):
        """Of what was started nothing goes on, and nothing is started any more."""
        self.deadline = self.stage_end = time.monotonic()
        for process in list(self.running):
            end_group(process.pid, signal.SIGKILL)


def read_lines(stream, lines, on_line):
    for line in stream:
        lines.append(line.rstrip("\n"))
        on_line(lines[-1])


def wait(process, limit):
    """The exit code, or CUT_OFF after ending the program and all that it started."""
    try:
        return process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        for number in (signal.SIGTERM, signal.SIGKILL):
            end_group(process.pid, number)
            try:
                process.wait(timeout=3)
                break
            except subprocess.TimeoutExpired:
                continue
        end_group(process.pid, signal.SIGKILL)
        return CUT_OFF


def end_group(pid, number):
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass  # all of it has ended
