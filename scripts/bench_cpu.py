#!/usr/bin/env python3
"""Races grpo-train against its peers on the CPU, one language model: transformers, llama.cpp, vLLM's CPU build and TRL's GRPOTrainer.

  scripts/get_smollm2.sh
  scripts/bench_cpu.py [--parts decode gradient step tail growth] [--isa avx2] [--quick] [--json out.json]

All programs take turns in one run with the same model, prompts, lengths and threads, and are halted while it is not their turn:
  decode    B sequences x 64 new tokens at temperature 1 (prompts of 64 tokens, no stop) for B = 1, 8, 32, 128: ours and transformers in bf16 and
            fp32, llama.cpp in BF16 and Q8_0 (GGUF files of the same weights), vLLM in bf16. Beside each stands its share of what this machine
            allows, by a large product and a read of memory that are measured in the same run
  gradient  forward and backward of 32 rows x 96 tokens, loss on the last two thirds, against transformers, and its share of what its products
            take at the rate of a large one, measured in the same run
  step      a GRPO step of 32 rollouts x at most 64 tokens on small sums, at G=2 and G=16 (beta 0, one update), against TRL
and of ours alone, when asked for:
  tail      tokens a second while 1, 2, 4, ... 32 sequences are still alive
  growth    time and memory from 8 to 2,048 rollouts and from 64 to 4,096 tokens, and their exponents, for this model and the embedded one

Before the race each program answers a question, and what it says is printed and checked; how many tokens came back is counted. --isa avx2
forbids better instructions to all of them; llama.cpp then is xllamacpp's, which is compiled for AVX2, else one that is compiled here for this CPU.
The peers live in environments of their own in the cache (GRPO_CACHE), which this script makes: about 13 GB, and ten minutes of compiling. Each
figure is the median with the smallest and largest of the repetitions. What is going on, and how long each measurement took, is said on stderr.
Exit 1 where a target (docs/benchmarks/cpu.md) is missed.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "scripts" / "cpu"))
from decode_race import LONG, decode_table, estimate, missed_in_decode, race_decode, raced  # noqa: E402
from environments import VERSIONS  # noqa: E402
from own_speed import growth_table, measure_growth, measure_tail, tail_table  # noqa: E402
from programs import Ended, say  # noqa: E402
from steps import missed_in_steps, race_gradient, race_steps, runs_of, step_table  # noqa: E402

BUILT = str(ROOT / "build" / "bin" / "grpo")
PARTS = ["decode", "gradient", "step", "tail", "growth"]
PEERS = ["transformers", "llama.cpp", "vllm"]
GROUPS = [2, 16]
# What forbids better instructions to ours, and to LibTorch, oneDNN and MKL of the peers.
LOWERED = {"avx2": {"GRPO_MAX_CPU_ISA": "avx2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}}


def plan(options):
    """What will be measured, and about how long that takes on the two cores of docs/benchmarks/cpu.md."""
    dtypes = len(options.dtypes)
    programs = raced(options)
    parts = {
        "decode": (f"decode at batch {', '.join(map(str, options.batches))} of {', '.join(map(str, programs))}", sum(estimate(options, program) for program in programs)),
        "gradient": (f"the gradient against transformers ({options.repetitions} repetitions behind one to warm up)", dtypes * 20.0 * (1 + options.repetitions)),
        "step": (f"GRPO steps at {' and '.join(f'G={group}' for group in GROUPS)} against TRL ({runs_of(options)} runs of {options.steps} steps)",
                 dtypes * len(GROUPS) * runs_of(options) * (30.0 + 50.0 * options.steps)),
        "tail": ("the tail of a rollout", dtypes * 8.0 * options.repetitions),
        "growth": ("growth", 240.0 if options.quick else 1200.0),
    }
    minutes = sum(parts[part][1] for part in options.parts) / 60
    return (f"in {' and '.join(options.dtypes)}: {'; then '.join(parts[part][0] for part in options.parts)}. About {minutes:.0f} minutes on two cores, and longer where the peers or our "
            "programs are still to be installed and built")


def machine():
    name = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    flags = Path("/proc/cpuinfo").read_text()
    units = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {flag}" in flags]
    return f"{name}, {os.cpu_count()} cores, {' '.join(units)}; {platform.system()} {platform.release()}"


def save(options, report):
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")


def measure(options, report):
    """Fills the report part by part."""
    def saved():
        save(options, report)

    for part in options.parts:
        if part == "decode":
            race_decode(options, report, saved)
        elif part == "tail":
            measure_tail(options, report)
        elif part == "growth":
            measure_growth(options, report, saved)
        else:
            for dtype in options.dtypes:
                report["lines"] += race_trained(options, part, dtype)
        saved()


def race_trained(options, part, dtype):
    if part == "gradient":
        return [race_gradient(options, dtype)]
    lines = []
    for group in GROUPS:
        with tempfile.TemporaryDirectory() as folder:
            lines.append(race_steps(options, dtype, group, folder))
    return lines


def tables(options, report):
    out = []
    if "decode" in report:
        limits = report["decode"]["limits"]
        flops = ", ".join(f"{value / 1e9:.0f} GFLOP/s in {dtype}" for dtype, value in limits["flops"].items())
        foreign = max(line["foreign"] for line in report["decode"]["lines"])
        out += [decode_table(report["decode"], options.threads),
                f"Measured in this run: a product of 2,048 x 2,048 x 2,048 at {flops}; memory read at {limits['bytes'] / 1e9:.1f} GB/s. Others' share: at most {100 * foreign:.0f} %."]
        out += [f"{program} did not take part: {why}" for program, why in report["decode"]["absent"].items()]
    if report["lines"]:
        out.append(step_table(report["lines"]))
    if "tail" in report:
        out.append(tail_table(report["tail"]))
    if "growth" in report:
        out.append(growth_table(report["growth"]))
    isa = f"lowered to {options.isa}; " if options.isa else ""
    versions = [VERSIONS[peer] for peer in dict.fromkeys(program.peer for program in raced(options)) if peer in VERSIONS] if "decode" in options.parts else []
    return "\n\n".join([*out, f"{report['machine']}; {isa}{report['date']}; {options.threads} threads" + "".join(f"; {version}" for version in versions)])


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["decode", "gradient", "step"])
    parser.add_argument("--isa", choices=LOWERED, help="the best instructions that any program may use; default: the CPU's")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, help="of decode")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32, 128])
    parser.add_argument("--new-tokens", type=int, default=64, help="of decode")
    parser.add_argument("--model", default=str(ROOT / "models" / "SmolLM2-135M-Instruct"))
    parser.add_argument("--grpo", default=BUILT, help="with grpo_decode_bench beside it; default: build/bin/grpo, which is built")
    parser.add_argument("--dtypes", nargs="+", choices=LONG, default=["bf16", "fp32"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=3, help="of decode, gradient and tail")
    parser.add_argument("--steps", type=int, default=4, help="GRPO steps a run; the first is not counted")
    parser.add_argument("--quick", action="store_true",
                        help="decode: at most two repetitions above batch 8, one of what takes longer than 12 s, none of what would take longer than 150 s; step: one run; "
                        "growth: only to 512 rollouts and 1,024 tokens")
    parser.add_argument("--json", help="write the figures here too, as they come")
    options = parser.parse_args()
    if not Path(options.model, "config.json").exists():
        sys.exit(f"{options.model}: no model; run scripts/get_smollm2.sh")
    if options.steps < 2 or options.repetitions < 1 or min(options.batches) < 1 or options.new_tokens < 2:
        parser.error("--steps is at least 2, since the first one is not counted, --new-tokens at least 2, --repetitions and --batches at least 1")
    if options.json and not Path(options.json).absolute().parent.is_dir():
        parser.error(f"--json {options.json}: no such folder")
    options.bench = str(Path(options.grpo).with_name("grpo_decode_bench").absolute())
    if options.grpo != BUILT and not Path(options.bench).exists():
        parser.error(f"--grpo {options.grpo}: beside it there is no grpo_decode_bench, which measures decode and gradient")
    return options


def main():
    options = parse()
    say(plan(options))
    if options.grpo == BUILT:
        subprocess.run([ROOT / "scripts" / "build.sh", "--target", "grpo", "grpo_decode_bench"], check=True, stdout=subprocess.DEVNULL)
    os.environ.update(LOWERED.get(options.isa, {}))
    report = {"machine": machine(), "isa": options.isa, "date": time.strftime("%Y-%m-%d"), "threads": options.threads, "lines": []}
    try:
        measure(options, report)
    except Ended as why:
        sys.exit(str(why))
    print(tables(options, report))
    misses = missed_in_decode(report["decode"]) if "decode" in report else []
    misses += missed_in_steps(report["lines"])
    if misses:
        sys.exit("missed: " + "; ".join(misses))


if __name__ == "__main__":
    main()
