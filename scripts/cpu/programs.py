"""Programs that are raced: started once, asked in turns, and halted while others have their turn."""
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


BEGIN = time.monotonic()
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def say(text):
    """A line on stderr with the time since the start."""
    seconds = int(time.monotonic() - BEGIN)
    print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {text}", file=sys.stderr, flush=True)


def busy_seconds():
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6] + fields[7]) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def end_with_parent():
    """Asks the kernel to end this process with the one that started it, since a stopped program would not notice that its input is closed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Ended(Exception):
    """A program ended instead of answering; the text has its last words."""


class Server:
    """A program that takes one command a line and answers with one line of JSON. Between its turns it is stopped, so that none of its threads spins."""

    def __init__(self, command, **variables):
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, start_new_session=True,
                                        env={**os.environ, **variables}, preexec_fn=end_with_parent)

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def ask(self, command, patience_s=900.0):
        self.signal(signal.SIGCONT)
        busy, own, start = busy_seconds(), cpu_seconds(self.process.pid), time.perf_counter()
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            answered, _, _ = select.select([self.process.stdout], [], [], patience_s)
            line = self.process.stdout.readline() if answered else None
        except BrokenPipeError:
            line = ""
        if line is None:
            self.signal(signal.SIGKILL)
            raise Ended(f"{self.process.args[0]} gave no answer in {patience_s:.0f} s to: {command}")
        if not line:
            code = self.process.wait()
            self.errors.seek(0)
            raise Ended(f"{self.process.args[0]} ended with exit code {code} at: {command}\n{self.errors.read()[-3000:]}")
        wall = time.perf_counter() - start
        cpu = cpu_seconds(self.process.pid) - own
        others = busy_seconds() - busy - cpu
        self.signal(signal.SIGSTOP)
        return json.loads(line) | {"cpu_s": cpu, "foreign": max(0.0, others / (wall * os.cpu_count()))}

    def close(self):
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already
        self.process.wait()
