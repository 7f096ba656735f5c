"""The gradient against transformers, and whole GRPO steps against TRL."""
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from decode_race import LONG, PEERS, Program, measure_limits, rate_of, start
from environments import python_of
from limits import Shape, gradient_seconds
from programs import busy_seconds, say

ROOT = Path(__file__).resolve().parent.parent.parent
TARGETS = {"step G=16": 2.0, "step G=2": 4.0, "memory": 2.0}
SHARES = {"bf16": 0.8, "fp32": 0.9}  # of the rate of a large product, in a gradient
ROWS, LENGTH = 32, 96


def race_gradient(options, dtype):
    """Warm up once, then take turns; a large product is measured before and after."""
    ours = Program("ours", dtype)
    sides = {"ours": start(ours, options, None), "theirs": start(Program("transformers", dtype), options, None)}
    answers, limits = {side: [] for side in sides}, {}
    for repetition in range(options.repetitions + 1):
        for side, server in sides.items():
            answer = server.ask(f"gradient {ROWS} {LENGTH}")
            say(f"gradient {dtype}, {side}: {answer['wall_s']:.1f} s ({f'repetition {repetition} of {options.repetitions}' if repetition > 0 else 'to warm up'})")
            if repetition > 0:
                answers[side].append(answer)
        if repetition in (0, options.repetitions):
            measure_limits({ours: sides["ours"]}, limits)
    for server in sides.values():
        server.close()
    rates = {side: sorted(answer["tokens"] / answer["wall_s"] for answer in found) for side, found in answers.items()}
    shape = Shape(json.loads(Path(options.model, "config.json").read_text()))
    limit = ROWS * LENGTH / gradient_seconds(shape, ROWS, LENGTH, LENGTH - LENGTH // 3, rate_of(limits, dtype))
    return {"what": "gradient", "dtype": dtype, "peer": "transformers", "unit": "tok/s", **rates, "ratio": statistics.median(rates["ours"]) / statistics.median(rates["theirs"]),
            "limit": limit, "flops": limits["flops"][dtype], "foreign": max(answer["foreign"] for found in answers.values() for answer in found),
            "peak_mb": {side: found[-1]["peak_rss_mb"] for side, found in answers.items()}}


def sums(path, count=512):
    """Small sums as problems and, for TRL, as chat messages."""
    rng = random.Random(7)
    rows = [(rng.randint(0, 9), rng.randint(0, 9)) for _ in range(count)]
    problems = [{"problem": f"What is {a} + {b}? Answer with just the number.", "answer": str(a + b)} for a, b in rows]
    for row in problems:
        row["prompt"] = [{"role": "user", "content": row["problem"]}]
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in problems))


def measured(command, **more):
    busy, start = busy_seconds(), time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(command, capture_output=True, text=True, **more)
    if result.returncode != 0:
        sys.exit(" ".join(map(str, command)) + "\n" + result.stderr[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result, max(0.0, (busy_seconds() - busy - own) / ((time.perf_counter() - start) * os.cpu_count()))


def run_train(grpo, config, folder, keys):
    """The lines of metrics.jsonl of a run, and what share of the machine others used."""
    command = [grpo, "train", "--config", ROOT / "configs" / f"{config}.yaml", "--resume", "never", f"run.output={folder}", "eval.every_steps=0", *keys]
    _, foreign = measured([str(part) for part in command])
    return [json.loads(line) for line in (Path(folder) / config / "metrics.jsonl").read_text().splitlines()], foreign


def our_steps(options, dtype, group, data, folder, skip_dead):
    entropy = [] if skip_dead else ["algorithm.entropy_coef=1e-9"]  # with an entropy term every group goes through the update
    keys = [f"model.path={options.model}", f"model.dtype={LONG[dtype]}", f"data.train=[{data}]", f"rollout.group_size={group}",
            f"rollout.prompts_per_step={32 // group}", f"trainer.steps={options.steps}", f"trainer.threads={options.threads}", *entropy]
    lines, foreign = run_train(options.grpo, "smollm2_135m_2grpo", folder, keys)
    return [line["time/step"] - line["time/checkpoint"] for line in lines], lines[-1]["memory/peak_bytes"] / 2**20, foreign


def runs_of(options):
    """How often a step's three programs are run."""
    return 1 if options.quick else 2


def say_steps(options, group, dtype, side, run, seconds):
    say(f"step G={group} {dtype}, {side}: {statistics.median(seconds[1:]):.1f} s a step (run {run} of {runs_of(options)})")


def race_steps(options, dtype, group, folder):
    data = Path(folder) / "sums.jsonl"
    sums(data)
    sides = {"ours": [], "ours, every group live": [], "theirs": []}
    peak, foreign = {"ours": 0.0, "theirs": 0.0}, 0.0
    for run in range(1, runs_of(options) + 1):
        for side, skip_dead in (("ours", True), ("ours, every group live", False)):
            seconds, memory, other = our_steps(options, dtype, group, data, folder, skip_dead)
            sides[side] += seconds[1:]
            say_steps(options, group, dtype, side, run, seconds)
            peak["ours"] = max(peak["ours"], memory)
            foreign = max(foreign, other)
        command = [python_of("trl", say), PEERS, "trl", options.model, dtype, options.threads, group, options.steps, data]
        result, other = measured([str(part) for part in command], env={**os.environ, "HF_HUB_OFFLINE": "1"})
        answer = json.loads(result.stdout.strip().splitlines()[-1])
        sides["theirs"] += answer["steps_s"][1:]
        say_steps(options, group, dtype, "theirs", run, answer["steps_s"])
        peak["theirs"] = max(peak["theirs"], answer["peak_rss_mb"])
        foreign = max(foreign, other)
    median = {side: statistics.median(values) for side, values in sides.items()}
    return {"what": f"step G={group}", "dtype": dtype, "peer": "TRL", "unit": "s", **{side: sorted(values) for side, values in sides.items()},
            "ratio": median["theirs"] / median["ours"], "ratio, every group live": median["theirs"] / median["ours, every group live"],
            "foreign": foreign, "peak_mb": peak}


def share(line):
    """Of what the products of a gradient allow."""
    return statistics.median(line["ours"]) / line["limit"]


def spread(values, unit):
    text = "{:,.0f} ({:,.0f}-{:,.0f})" if unit == "tok/s" else "{:.1f} ({:.1f}-{:.1f})"
    return text.format(statistics.median(values), values[0], values[-1]) + " " + unit


def step_table(lines):
    rows = ["| what | dtype | peer | ours | theirs | ratio | peak memory ours / theirs | others' share |", "|---|---|---|---:|---:|---:|---:|---:|"]
    for line in lines:
        ratio = f"{line['ratio']:.2f}x"
        ours = spread(line["ours"], line["unit"])
        if "ratio, every group live" in line:
            ratio += f" (every group live: {line['ratio, every group live']:.2f}x)"
            ours += f"; every group live {spread(line['ours, every group live'], line['unit'])}"
        if "limit" in line:
            ours += f", {100 * share(line):.0f} % of products at {line['flops'] / 1e9:.0f} GFLOP/s"
        memory = line["peak_mb"]
        rows.append(f"| {line['what']} | {line['dtype']} | {line['peer']} | {ours} | {spread(line['theirs'], line['unit'])} | {ratio} | "
                    f"{memory['ours'] / 1024:.1f} / {memory['theirs'] / 1024:.1f} GB | {100 * line['foreign']:.0f} % |")
    return "\n".join(rows)


def missed_in_steps(lines):
    out = []
    for line in lines:
        name = f"{line['what']} {line['dtype']}"
        if line["what"] in TARGETS and line["ratio"] < TARGETS[line["what"]]:
            out.append(f"{name}: {line['ratio']:.2f}x, target {TARGETS[line['what']]:.0f}x")
        if "limit" in line and share(line) < SHARES[line["dtype"]]:
            out.append(f"{name}: {100 * share(line):.0f} % of a large product's rate, target {100 * SHARES[line['dtype']]:.0f} %")
        if line["what"].startswith("step") and line["peak_mb"]["ours"] * TARGETS["memory"] > line["peak_mb"]["theirs"]:
            out.append(f"{name}: memory {line['peak_mb']['ours'] / line['peak_mb']['theirs']:.2f} of the peer's, target 0.5")
    return out
