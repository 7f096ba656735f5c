#!/usr/bin/env python3
"""Races grpo-train against its peers on the CPU: transformers' generate and TRL's GRPOTrainer, one language model.

  scripts/get_smollm2.sh
  scripts/bench_cpu.py [--dtypes bf16 fp32] [--quick] [--skip-trl] [--json out.json]

Ours and theirs take turns in one run with the same model, prompts, lengths and dtype on the same threads:
  decode    32 sequences x 64 new tokens at temperature 1 (prompts of 64 tokens, no stop)
  gradient  forward and backward of 32 rows x 96 tokens, loss on the last two thirds
  step      a GRPO step of 32 rollouts x at most 64 tokens on small sums, at G=2 and G=16 (beta 0, one update)
The peers live in a virtual environment of their own in the cache (GRPO_CACHE), which this script makes: about 5 GB. Each
line of the table has the median with the smallest and largest of the repetitions, the share of the machine that other
processes used meanwhile, and the ratio of the medians. What is going on, and how long each measurement took, is said on
stderr. Exit 1 where a target (docs/benchmarks/cpu.md) is missed.
"""
import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILT = str(ROOT / "build" / "bin" / "grpo")
PACKAGES = ["torch==2.11.0", "transformers==5.23.0", "trl==1.16.0", "accelerate==1.15.0", "datasets==5.2.0", "peft==0.21.2"]
LONG = {"bf16": "bfloat16", "fp32": "float32"}
TARGETS = {"decode": 3.0, "step G=16": 2.0, "step G=2": 4.0, "memory": 2.0}


# ---- inside the peers' environment ----

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def token_rows(count, length, vocabulary):
    return [[100 + (r * 7919 + c * 104729) % (vocabulary - 100) for c in range(length)] for r in range(count)]


def serve_transformers(folder, dtype, threads):
    """Commands "decode N NEW" and "gradient N LENGTH" on stdin, one JSON line each on stdout, as our own program does."""
    import torch
    import torch.nn.functional as functional
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, LONG[dtype])).eval()
    for line in sys.stdin:
        what, count, size = line.split()
        count, size = int(count), int(size)
        start = time.perf_counter()
        if what == "decode":
            ids = torch.tensor(token_rows(count, 64, model.config.vocab_size))
            with torch.no_grad():
                model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=size, min_new_tokens=size, do_sample=True, top_k=0)
            tokens = count * size
        else:
            ids = torch.tensor(token_rows(count, size, model.config.vocab_size))
            logits = model(ids).logits[:, size // 3 - 1:-1]
            functional.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), ids[:, size // 3:].reshape(-1)).backward()
            model.zero_grad(set_to_none=True)
            tokens = count * size
        print(json.dumps({"wall_s": time.perf_counter() - start, "tokens": tokens, "peak_rss_mb": peak_mb()}), flush=True)


def run_trl(folder, dtype, threads, group, steps, data):
    import re
    import warnings

    warnings.filterwarnings("ignore")
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, LONG[dtype]))
    rows = [json.loads(line) for line in Path(data).read_text().splitlines()]
    number = re.compile(r"-?\d+")

    def last_number_is_right(completions, answer, **_):
        found = [number.findall(completion[-1]["content"] if isinstance(completion, list) else completion) for completion in completions]
        return [float(bool(numbers) and numbers[-1] == gold) for numbers, gold in zip(found, answer)]

    marks = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            marks.append(time.perf_counter())

        def on_step_end(self, *_, **__):
            marks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as output:
        config = GRPOConfig(output_dir=output, per_device_train_batch_size=32, num_generations=group, max_completion_length=64, num_iterations=1,
                            beta=0.0, learning_rate=1e-6, lr_scheduler_type="constant", temperature=1.0, max_steps=steps, save_strategy="no",
                            report_to=[], seed=1, use_cpu=True, bf16=False, gradient_checkpointing=False, disable_tqdm=True)
        GRPOTrainer(model=model, reward_funcs=last_number_is_right, args=config, processing_class=tokenizer, callbacks=[Clock()],
                    train_dataset=Dataset.from_list([{"prompt": row["prompt"], "answer": row["answer"]} for row in rows])).train()
    print("\n" + json.dumps({"steps_s": [b - a for a, b in zip(marks[::2], marks[1::2])], "peak_rss_mb": peak_mb()}), flush=True)


# ---- outside ----

BEGIN = time.monotonic()


def say(text):
    seconds = int(time.monotonic() - BEGIN)
    print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {text}", file=sys.stderr, flush=True)


def runs_of(options):
    """How often a step's three programs are run."""
    return 1 if options.quick else 2


def repetitions_of(options):
    return 1 if options.quick else options.repetitions


def groups_of(options):
    return [] if options.skip_trl else [2, 16]


def plan(options):
    """What will be measured, and about how long that took on the two cores of docs/benchmarks/cpu.md: 40 s for each repetition of decode and gradient of both
    sides, 50 s for a step of each of the three programs, and half a minute for their start."""
    minutes = len(options.dtypes) * (0.7 * (1 + repetitions_of(options)) + len(groups_of(options)) * runs_of(options) * (0.5 + 0.85 * options.steps))
    what = f"decode and gradient against transformers ({repetitions_of(options)} repetitions behind one to warm up)"
    if groups_of(options):
        what += f", then GRPO steps at {' and '.join(f'G={group}' for group in groups_of(options))} against TRL ({runs_of(options)} runs of {options.steps} steps)"
    return f"in {' and '.join(options.dtypes)}: {what}. About {minutes:.0f} minutes on two cores, and longer where the peers or our programs are still to be installed and built"


def cache():
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GRPO_CACHE") or Path(home) / "grpo-train")


def peer_python():
    venv = cache() / "bench-peers" / "venv"
    python = venv / "bin" / "python"
    ready = venv / ".complete"
    if not ready.exists():
        say(f"installing {' '.join(PACKAGES)} into {venv} (once, 5 GB)")
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
        ready.touch()
    return str(python)


def busy_seconds():
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6] + fields[7]) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """A program that takes one command a line and answers with one line of JSON."""

    def __init__(self, command):
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)

    def ask(self, command):
        busy, own, start = busy_seconds(), cpu_seconds(self.process.pid), time.perf_counter()
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.errors.seek(0)
            sys.exit(f"{self.process.args[0]} ended with exit code {self.process.wait()} at: {command}\n{self.errors.read()[-3000:]}")
        wall = time.perf_counter() - start
        others = busy_seconds() - busy - (cpu_seconds(self.process.pid) - own)
        return json.loads(line) | {"foreign": max(0.0, others / (wall * os.cpu_count()))}

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def race(name, dtype, ours, theirs, commands, repetitions):
    """Warm up once, then take turns."""
    results = {what: {"ours": [], "theirs": []} for what in commands}
    for repetition in range(repetitions + 1):
        for what, command in commands.items():
            for side, server in (("ours", ours), ("theirs", theirs)):
                answer = server.ask(command)
                say(f"{what} {dtype}, {side}: {answer['wall_s']:.1f} s ({f'repetition {repetition} of {repetitions}' if repetition > 0 else 'to warm up'})")
                if repetition > 0:
                    results[what][side].append(answer)
    lines = []
    for what, sides in results.items():
        seconds = {side: [answer["wall_s"] for answer in answers] for side, answers in sides.items()}
        tokens = sides["ours"][0]["tokens"]
        lines.append({"what": what, "dtype": dtype, "peer": name, "unit": "tok/s",
                      **{side: sorted(tokens / second for second in values) for side, values in seconds.items()},
                      "ratio": statistics.median(seconds["theirs"]) / statistics.median(seconds["ours"]),
                      "foreign": max(answer["foreign"] for answers in sides.values() for answer in answers),
                      "peak_mb": {side: answers[-1]["peak_rss_mb"] for side, answers in sides.items()}})
    return lines


def sums(path):
    """Small sums as problems and, for TRL, as chat messages."""
    rng = random.Random(7)
    rows = [(rng.randint(0, 9), rng.randint(0, 9)) for _ in range(512)]
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


def our_steps(grpo, model, dtype, group, steps, data, folder, threads, skip_dead):
    entropy = [] if skip_dead else ["algorithm.entropy_coef=1e-9"]  # with an entropy term every group goes through the update
    command = [grpo, "train", "--config", ROOT / "configs" / "smollm2_135m_2grpo.yaml", "--resume", "never", f"run.output={folder}",
               f"model.path={model}", f"model.dtype={LONG[dtype]}", f"data.train=[{data}]", f"rollout.group_size={group}",
               f"rollout.prompts_per_step={32 // group}", f"trainer.steps={steps}", "eval.every_steps=0", f"trainer.threads={threads}", *entropy]
    _, foreign = measured([str(part) for part in command])
    lines = [json.loads(line) for line in (Path(folder) / "smollm2_135m_2grpo" / "metrics.jsonl").read_text().splitlines()]
    return [line["time/step"] - line["time/checkpoint"] for line in lines], lines[-1]["memory/peak_bytes"] / 2**20, foreign


def say_steps(options, group, dtype, side, run, seconds):
    say(f"step G={group} {dtype}, {side}: {statistics.median(seconds[1:]):.1f} s a step (run {run} of {runs_of(options)})")


def race_steps(options, dtype, group, folder):
    data = Path(folder) / "sums.jsonl"
    sums(data)
    sides = {"ours": [], "ours, every group live": [], "theirs": []}
    peak, foreign = {"ours": 0.0, "theirs": 0.0}, 0.0
    for run in range(1, runs_of(options) + 1):
        for side, skip_dead in (("ours", True), ("ours, every group live", False)):
            seconds, memory, other = our_steps(options.grpo, options.model, dtype, group, options.steps, data, folder, options.threads, skip_dead)
            sides[side] += seconds[1:]
            say_steps(options, group, dtype, side, run, seconds)
            peak["ours"] = max(peak["ours"], memory)
            foreign = max(foreign, other)
        command = [peer_python(), __file__, "--trl", options.model, dtype, options.threads, group, options.steps, data]
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


def spread(values, unit):
    text = "{:,.0f} ({:,.0f}-{:,.0f})" if unit == "tok/s" else "{:.1f} ({:.1f}-{:.1f})"
    return text.format(statistics.median(values), values[0], values[-1]) + " " + unit


def table(lines):
    rows = ["| what | dtype | peer | ours | theirs | ratio | peak memory ours / theirs | others' share |", "|---|---|---|---:|---:|---:|---:|---:|"]
    for line in lines:
        ratio = f"{line['ratio']:.2f}x"
        ours = spread(line["ours"], line["unit"])
        if "ratio, every group live" in line:
            ratio += f" (every group live: {line['ratio, every group live']:.2f}x)"
            ours += f"; every group live {spread(line['ours, every group live'], line['unit'])}"
        memory = line["peak_mb"]
        rows.append(f"| {line['what']} | {line['dtype']} | {line['peer']} | {ours} | {spread(line['theirs'], line['unit'])} | {ratio} | "
                    f"{memory['ours'] / 1024:.1f} / {memory['theirs'] / 1024:.1f} GB | {100 * line['foreign']:.0f} % |")
    return "\n".join(rows)


def missed(lines):
    out = []
    for line in lines:
        name = f"{line['what']} {line['dtype']}"
        if line["what"] in TARGETS and line["ratio"] < TARGETS[line["what"]]:
            out.append(f"{name}: {line['ratio']:.2f}x, target {TARGETS[line['what']]:.0f}x")
        if line["what"].startswith("step") and line["peak_mb"]["ours"] * TARGETS["memory"] > line["peak_mb"]["theirs"]:
            out.append(f"{name}: memory {line['peak_mb']['ours'] / line['peak_mb']['theirs']:.2f} of the peer's, target 0.5")
    return out


def machine():
    name = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    flags = Path("/proc/cpuinfo").read_text()
    units = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {flag}" in flags]
    return f"{name}, {os.cpu_count()} cores, {' '.join(units)}; {platform.system()} {platform.release()}"


def main():
    if "--transformers" in sys.argv:
        folder, dtype, threads = sys.argv[2:5]
        return serve_transformers(folder, dtype, int(threads))
    if "--trl" in sys.argv:
        folder, dtype, threads, group, steps, data = sys.argv[2:8]
        return run_trl(folder, dtype, int(threads), int(group), int(steps), data)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "models" / "SmolLM2-135M-Instruct"))
    parser.add_argument("--grpo", default=BUILT, help="with grpo_decode_bench beside it; default: build/bin/grpo, which is built")
    parser.add_argument("--dtypes", nargs="+", choices=LONG, default=["bf16", "fp32"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=3, help="of decode and gradient")
    parser.add_argument("--steps", type=int, default=4, help="GRPO steps a run; the first is not counted")
    parser.add_argument("--quick", action="store_true", help="one repetition of everything")
    parser.add_argument("--skip-trl", action="store_true", help="only decode and gradient")
    parser.add_argument("--json", help="write the figures here too")
    options = parser.parse_args()
    if not Path(options.model, "config.json").exists():
        sys.exit(f"{options.model}: no model; run scripts/get_smollm2.sh")
    if options.steps < 2 or options.repetitions < 1:
        parser.error("--steps is at least 2, since the first one is not counted, and --repetitions at least 1")
    if options.json and not Path(options.json).absolute().parent.is_dir():
        parser.error(f"--json {options.json}: no such folder")
    say(plan(options))
    if options.grpo == BUILT:
        subprocess.run([ROOT / "scripts" / "build.sh", "--target", "grpo", "grpo_decode_bench"], check=True, stdout=subprocess.DEVNULL)
    ours_program = str(Path(options.grpo).with_name("grpo_decode_bench").absolute())
    if not Path(ours_program).exists():
        parser.error(f"--grpo {options.grpo}: beside it there is no grpo_decode_bench, which measures decode and gradient")
    lines = []
    for dtype in options.dtypes:
        ours = Server([ours_program, options.model, LONG[dtype], str(options.threads)])
        theirs = Server([peer_python(), __file__, "--transformers", options.model, dtype, str(options.threads)])
        commands = {"decode": "decode 32 64", "gradient": "gradient 32 96"}
        lines += race("transformers", dtype, ours, theirs, commands, repetitions_of(options))
        ours.close()
        theirs.close()
        for group in groups_of(options):
            with tempfile.TemporaryDirectory() as folder:
                lines.append(race_steps(options, dtype, group, folder))
    print(table(lines))
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d')}; {options.threads} threads; {', '.join(PACKAGES[:3])}")
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine(), "date": time.strftime("%Y-%m-%d"), "lines": lines}, indent=1) + "\n")
    misses = missed(lines)
    if misses:
        sys.exit("missed: " + "; ".join(misses))
    return None


if __name__ == "__main__":
    main()
