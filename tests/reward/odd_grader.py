#!/usr/bin/env python3
"""A grader whose completions tell it what to do. Arguments: a folder, in which it leaves what tests look at."""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])


def say(id, reward, **metrics):
    print(json.dumps({"id": id, "reward": reward, **({"metrics": metrics} if metrics else {})}), flush=True)


def meet(id):
    """Answers once three processes are here, each with a completion of its own."""
    (folder / f"here.{os.getpid()}").touch()
    end = time.monotonic() + 20
    while len(list(folder.glob("here.*"))) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    say(id, len(list(folder.glob("here.*"))))


def fork(_):
    child = subprocess.Popen(["sleep", "1000"])
    (folder / "grandchild").write_text(str(child.pid))
    time.sleep(1000)


def die(_):
    print("first words\nValueError: no such test", file=sys.stderr, flush=True)
    os._exit(3)


def die_once(id):
    if not (folder / "died").exists():
        (folder / "died").touch()
        os._exit(1)
    say(id, 5)


def flood(end):
    while True:
        sys.stdout.write("x" * 60000 + end)


def late(id):
    time.sleep(1.5)
    say(id, 100)


ACTIONS = {
    "hang": lambda id: time.sleep(1000),
    "die": die,
    "die once": die_once,
    "crash": lambda id: os.abort(),
    "close": lambda id: (os.close(1), time.sleep(1000)),
    "late": late,
    "flood": lambda id: flood(""),
    "flood lines": lambda id: flood("\n"),
    "blank": lambda id: print(flush=True),
    "garbage": lambda id: print("debug: looking at it", flush=True),
    "list": lambda id: print([1, 2], flush=True),
    "text": lambda id: say(id, "1.0"),
    "true": lambda id: say(id, True),
    "nan": lambda id: say(id, float("nan")),
    "huge": lambda id: print('{"id": %d, "reward": 1e999}' % id, flush=True),
    "nothing": lambda id: print(json.dumps({"id": id}), flush=True),
    "wrong id": lambda id: say(id + 1000, 1),
    "twice": lambda id: (say(id, 1), say(id, 1)),
    "bad metric": lambda id: say(id, 1, mean=1),
    "bad figure": lambda id: say(id, 1, steps="many"),
    "metrics": lambda id: say(id, 0.5, passed=3, time_s=0.25),
    "descriptors": lambda id: say(id, len(os.listdir("/proc/self/fd"))),  # with the one that lists them
    "group": lambda id: say(id, int(os.getpgid(0) == os.getpid())),
    "arguments": lambda id: say(id, int(sys.argv[2:] == ["$HOME; exit", "*"])),
    "pid": lambda id: say(id, os.getpid()),
    "meet": meet,
    "fork": fork,
    "stderr": lambda id: (sys.stderr.write("y" * 200000 + "\nlooking\n"), sys.stderr.flush(), say(id, 1)),
}

held = []
for line in sys.stdin:
    request = json.loads(line)
    with open(folder / "requests.jsonl", "a") as out:
        out.write(line)
    action = request["completion"]
    if action == "hold":  # until another one comes
        held.append(request["id"])
    elif action in ACTIONS:
        ACTIONS[action](request["id"])
    else:
        say(request["id"], float(action))
    while held and action != "hold":
        say(held.pop(), 7)
(folder / "ended").touch()
