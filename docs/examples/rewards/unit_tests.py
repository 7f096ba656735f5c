#!/usr/bin/env python3
"""A grader that runs the program a model has written. The reward is the share of the problem's tests that it passes; the metric seconds is how long that took.

A row of the data: {"problem": "Write a Python function add(a, b) ...", "answer": "", "tests": [{"call": "add(1, 2)", "result": 3}]}.
Argument: the seconds that a program may take. The program is the last ``` block of the completion, or all of it. It runs in a
process of its own with limits on time, memory, files and output, in an empty folder; where bwrap (bubblewrap) works also without
network, and it sees no other processes and, of this machine's files, only the system's programs and Python. Results are compared
here: what is expected never enters the sandbox."""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
MEMORY, OUTPUT = 1 << 30, 1 << 20

# What runs in the sandbox: the program, then each call; a result a line. What the program prints goes nowhere.
DRIVER = """
import json, os, sys
job = json.loads(sys.stdin.read())
results = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
names = {"__name__": "program"}
exec(compile(job["program"], "program", "exec"), names)
for call in job["calls"]:
    try:
        print(json.dumps({"result": eval(call, names)}), file=results, flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)[:100]}), file=results, flush=True)
"""
BWRAP = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
for path in ("/usr", "/bin", "/lib", "/lib64", sys.base_prefix, sys.prefix):  # the last one may be a virtual environment
    BWRAP += ["--ro-bind-try", path, path]


def limit():
    for what, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, OUTPUT),
                       (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (most, most))


def sandbox():
    """The words before the program that put it into a sandbox; none where this machine does not allow one."""
    if shutil.which("bwrap") and subprocess.run([*BWRAP, sys.executable, "-I", "-c", ""], capture_output=True).returncode == 0:
        return BWRAP
    print("bwrap is missing or may not be used here: programs run with limits, and see this machine's files and network", file=sys.stderr)
    return []


def run(program, calls, box):
    """What the program answers to the calls, as far as it comes."""
    job = json.dumps({"program": program, "calls": calls}).encode()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as out:  # a file, because its size has a limit
        inside = [*box, "--bind", folder, folder, "--chdir", folder] if box else []
        child = subprocess.Popen([*inside, sys.executable, "-I", "-c", DRIVER], stdin=subprocess.PIPE, stdout=out,
                                 stderr=subprocess.DEVNULL, cwd=folder, env={"PATH": "/usr/bin:/bin"}, preexec_fn=limit, start_new_session=True)
        try:
            child.communicate(job, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            pass
        kill(child)
        out.seek(0)
        return [parsed(line) for line in out.read(OUTPUT).decode(errors="replace").splitlines()]


def kill(child):
    """With all that it started: they are in a session of their own."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def parsed(line):
    try:
        return json.loads(line)
    except ValueError:
        return {}


def same(found, expected):
    """As ==, but True is not 1: a program that compares where it should count would pass tests that it does not understand."""
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected and isinstance(found, bool) == isinstance(expected, bool)


def share_passed(call, box):
    blocks = re.findall(r"```[^`\n]*\n(.*?)```", call["completion"], re.S)
    tests = call["problem"]["tests"]
    if not tests:
        sys.exit("a problem without tests: nothing says what its programs are worth")
    results = run(blocks[-1] if blocks else call["completion"], [test["call"] for test in tests], box)
    passed = sum(isinstance(found, dict) and "result" in found and same(found["result"], test["result"]) for found, test in zip(results, tests))
    return passed / len(tests)


def main():
    box = sandbox()
    for line in sys.stdin:
        call = json.loads(line)
        start = time.monotonic()
        reward = share_passed(call, box)
        print(json.dumps({"id": call["id"], "reward": reward, "metrics": {"seconds": time.monotonic() - start}}), flush=True)


if __name__ == "__main__":
    main()
