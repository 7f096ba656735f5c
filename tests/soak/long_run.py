"""Two ranks for a long time with restarts (soak.py --minutes)."""
import json
import statistics
import subprocess
import time
from pathlib import Path

from runs import LIMIT_S, command


def soak(program, source, folder, minutes):
    """A run's memory, descriptors and threads must not grow, and no process stays behind. Returns what is wrong."""
    deadline, restarts, wrong = time.monotonic() + 60 * minutes, 0, []
    arguments = [*command(program, source, folder, 2), "trainer.steps=10000000", "checkpoint.every_steps=20", "distributed.timeout_s=600",
                 "logging.rollouts_per_step=2", "eval.every_steps=0"]
    while time.monotonic() < deadline:
        with open(folder / "said", "w", encoding="utf-8") as said:
            process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=said)
        seen = watch(process, folder / "run" / "metrics.jsonl", min(deadline, time.monotonic() + max(60.0, 12 * minutes)))
        ranks = children(process.pid) if process.poll() is None else []
        process.terminate()
        if process.wait(timeout=LIMIT_S) != 3:
            print((folder / "said").read_text(errors="replace")[-2000:], flush=True)
            return [*wrong, f"soak: start {restarts} ended by itself with {process.returncode}"]
        if any(Path(f"/proc/{pid}").exists() for pid in ranks):
            wrong.append("soak: a rank outlived its run")
        wrong += compare_usage(restarts, seen)
        restarts += 1
    steps = [json.loads(line)["step"] for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    if steps != list(range(1, len(steps) + 1)):
        wrong.append("soak: steps are missing or there twice")
    print(f"soak of {minutes} minutes: {restarts} starts, {len(steps)} steps", flush=True)
    return wrong


def watch(process, metrics, until):
    """Usage every two seconds, from the 100th step of this process on: buffers grow once."""
    first, seen = None, []
    while time.monotonic() < until and process.poll() is None:
        time.sleep(2)
        step = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
        first = step if first is None else first
        try:
            if step >= first + 100:
                seen.append(usage(process.pid))
        except (FileNotFoundError, ProcessLookupError):  # the run ends, which soak() looks at
            break
    return seen


def compare_usage(number, seen):
    """The second and the last tenth of the time: the medians of memory, and the least number of descriptors, threads and processes,
    since a thread that writes a checkpoint comes and goes, while one that was leaked is there at every moment."""
    if len(seen) < 20:
        print(f"soak start {number}: too short to compare", flush=True)
        return []
    tenth = len(seen) // 10
    early, late = ([statistics.median(memory), *map(min, counts)] for memory, *counts in (zip(*part) for part in (seen[tenth:2 * tenth], seen[-tenth:])))
    change = 100 * (late[0] / early[0] - 1)
    print(f"soak start {number}: memory {early[0] / 1e6:.1f} -> {late[0] / 1e6:.1f} MB ({change:+.2f} %), descriptors {early[1]:g} -> {late[1]:g}, "
          f"threads {early[2]:g} -> {late[2]:g}, processes {early[3]:g} -> {late[3]:g}", flush=True)
    grew = abs(change) > 2 or any(after > before for before, after in zip(early[1:], late[1:]))
    return [f"soak: start {number} grew"] if grew else []


def children(parent):
    return Path(f"/proc/{parent}/task/{parent}/children").read_text().split()


def usage(parent):
    """Resident bytes, descriptors, threads and number of the processes of a run."""
    pids = [str(parent), *children(parent)]
    memory = descriptors = threads = 0
    for pid in pids:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        memory += int(status["VmRSS"].split()[0]) * 1024
        threads += int(status["Threads"])
        descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return memory, descriptors, threads, len(pids)
