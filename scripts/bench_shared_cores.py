#!/usr/bin/env python3
"""Measures what a program beside it costs a run on the CPU, by how long waiting threads spin.

  scripts/build.sh --target grpo_decode_bench
  scripts/bench_shared_cores.py --model models/SmolLM2-135M-Instruct [--spins 300000 10000] [--rounds 5] [--json out.json]

One process for each setting of GOMP_SPINCOUNT (300000 is OpenMP's own, 10000 grpo's) samples and computes a gradient, first alone and then
beside one busy loop a core, all of equal priority. The settings take turns; each figure is the median of the rounds. A run that shares every
core with one other program should take twice as long. Meant for an idle machine: what others used is printed.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = {"decode 1 sequence": "decode 1 16", "decode 8 sequences": "decode 8 16", "decode 32 sequences": "decode 32 8",
        "gradient of 4 x 96 tokens": "gradient 4 96"}


class Bench:
    """grpo_decode_bench with one setting; run() gives the wall seconds and the processor's seconds of a command."""

    def __init__(self, model, dtype, threads, spin):
        environment = {**os.environ, "GOMP_SPINCOUNT": spin}
        environment.pop("OMP_WAIT_POLICY", None)
        program = ROOT / "build" / "bin" / "grpo_decode_bench"
        self.process = subprocess.Popen([program, model, dtype, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def used(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, command):
        before = self.used()
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"bench_shared_cores: grpo_decode_bench ended with {self.process.wait()}")
        time.sleep(0.05)  # threads that spin a little longer are part of the price
        return json.loads(answer)["wall_s"], self.used() - before

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def busy_and_all():
    """Clock ticks of all cores: busy ones, and all."""
    ticks = [int(x) for x in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def measure(benches, commands, rounds):
    """{(spin, what): [(wall, processor)]}; the settings take turns."""
    times = {}
    for _ in range(rounds):
        for what in commands:
            for spin, bench in benches.items():
                times.setdefault((spin, what), []).append(bench.run(WORK[what]))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--spins", nargs="+", default=["300000", "10000"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    args = parser.parse_args()

    before = busy_and_all()
    time.sleep(1.0)
    after = busy_and_all()
    print(f"others use {100 * (after[0] - before[0]) / max(1, after[1] - before[1]):.0f} % of the cores before the run", flush=True)
    benches = {spin: Bench(args.model, args.dtype, args.threads, spin) for spin in args.spins}
    for bench in benches.values():
        for command in WORK.values():
            bench.run(command)  # warms up
    alone = measure(benches, WORK, args.rounds)
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(args.threads)]
    try:
        beside = measure(benches, WORK, args.rounds)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    for bench in benches.values():
        bench.end()

    rows = []
    print(f"{args.dtype}, {args.threads} threads; seconds, median of {args.rounds} rounds (processor seconds in brackets)")
    print(f"{'':28} {'GOMP_SPINCOUNT':>14} {'alone':>18} {'beside busy loops':>20} {'ratio':>7}")
    for what in WORK:
        for spin in args.spins:
            a, b = [[statistics.median(column) for column in zip(*times[spin, what])] for times in (alone, beside)]
            print(f"{what:28} {spin:>14} {a[0]:9.3f} ({a[1]:6.2f}) {b[0]:11.3f} ({b[1]:6.2f}) {b[0] / a[0]:7.2f}", flush=True)
            rows.append({"what": what, "spin": spin, "alone_s": a[0], "alone_cpu_s": a[1], "beside_s": b[0], "beside_cpu_s": b[1]})
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
