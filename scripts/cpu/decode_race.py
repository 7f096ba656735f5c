"""The race of decoding: ours and the peers in turns, at each batch."""
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from environments import Unavailable, python_of, variables_of
from limits import Shape, decode_limit
from programs import Ended, Server, say

FOLDER = Path(__file__).resolve().parent
PEERS = str(FOLDER / "peers.py")
LONG = {"bf16": "bfloat16", "fp32": "float32"}
PROMPT = 64
# How many times as fast as a peer ours is to be, by what is compared and, in decode, by the batch. A program in Q8_0 is held against ours in bf16.
TARGETS = {("transformers", 32): {"bf16": 4.0, "fp32": 3.0}, ("llama.cpp", 32): 2.0, ("llama.cpp", 1): 1.0}
# New tokens a second on two cores, of one sequence and of many, for the estimate of how long a race takes.
PACE = {("ours", "bf16"): (45, 650), ("ours", "fp32"): (30, 350), ("transformers", "bf16"): (20, 200), ("transformers", "fp32"): (20, 150),
        ("llama.cpp", "bf16"): (30, 100), ("llama.cpp", "q8_0"): (50, 150), ("llama.cpp-native", "bf16"): (40, 250), ("llama.cpp-native", "q8_0"): (60, 250),
        ("vllm", "bf16"): (30, 400)}
QUESTION = "<|im_start|> user Ċ What Ġis Ġthe Ġcapital Ġof ĠFrance ? <|im_end|> Ċ <|im_start|> ass istant Ċ".split()
ANSWER = "Paris"
START_S = 400.0  # in which a program is to load the model and answer; vLLM compiles it first


class Program(NamedTuple):
    peer: str
    dtype: str

    def __str__(self):
        return f"{self.peer} {self.dtype}"

    def ours(self):
        """What of ours this one is held against."""
        return Program("ours", "bf16" if self.dtype == "q8_0" else self.dtype)


def raced(options):
    """The programs of the race, ours first."""
    llama = "llama.cpp" if options.isa == "avx2" else "llama.cpp-native"
    programs = [Program("ours", dtype) for dtype in options.dtypes] + [Program("transformers", dtype) for dtype in options.dtypes]
    programs += [Program(llama, "bf16"), Program(llama, "q8_0"), Program("vllm", "bf16")]
    return [program for program in programs if program.peer == "ours" or program.peer.partition("-")[0] in options.peers]


def repetitions_of(options, batch):
    return min(options.repetitions, 2) if options.quick and batch > 8 else options.repetitions


def pace(program, batch):
    one, most = PACE[program]
    return min(one * batch ** 0.8, most)


def fits(options, seconds):
    """Whether a measurement that is thought to take so long is made: with --quick those of more than 150 s are not, and those of more than 12 s are not repeated."""
    return not options.quick or seconds <= 150.0


def repeated(options, seconds):
    return not options.quick or seconds <= 12.0


def estimate(options, program):
    """Seconds that a program's part of the race takes."""
    total = 20.0
    for batch in options.batches:
        seconds = batch * options.new_tokens / pace(program, batch)
        if fits(options, seconds):
            total += seconds * (repetitions_of(options, batch) if repeated(options, seconds) else 1) + 0.1 * seconds
    return total


def write_gguf(model, folder):
    say("writing the weights as GGUF files in BF16 and Q8_0")
    files = {dtype: str(Path(folder) / f"{dtype}.gguf") for dtype in ("bf16", "q8_0")}
    command = [python_of("llama.cpp", say), FOLDER / "write_gguf.py", model, *(f"{dtype}={file}" for dtype, file in files.items())]
    subprocess.run(command, check=True)
    return files


def start(program, options, folder):
    if program.peer == "ours":
        return Server([options.bench, options.model, LONG[program.dtype], str(options.threads)])
    python, model = python_of(program.peer, say), options.model
    if program.peer.startswith("llama.cpp"):
        file = Path(folder) / f"{program.dtype}.gguf"
        model = str(file) if file.exists() else write_gguf(options.model, folder)[program.dtype]
    return Server([python, PEERS, "serve", program.peer, model, program.dtype, str(options.threads)], **variables_of(program.peer, options.threads))


def vocabulary_of(model):
    """The tokens of a byte-level BPE tokenizer by id."""
    file = Path(model) / "tokenizer.json"
    if not file.exists():
        return {}
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    return {place: token for token, place in tokenizer["model"]["vocab"].items()} | {token["id"]: token["content"] for token in tokenizer["added_tokens"]}


def text_of(ids, vocabulary):
    return "".join(vocabulary[token] for token in ids).replace("Ġ", " ").replace("Ċ", "\n")


def question_of(vocabulary):
    """The ids of the question; empty for a model with another tokenizer."""
    ids = {token: place for place, token in vocabulary.items()}
    return [ids[token] for token in QUESTION] if all(token in ids for token in QUESTION) else []


def enter(options, folder):
    """Starts the programs, one after the other, and lets each answer the question. Returns the servers of those that do, and why others do not take part."""
    vocabulary = vocabulary_of(options.model)
    question = question_of(vocabulary)
    servers, absent = {}, {}
    for program in raced(options):
        try:
            say(f"{program}: starting")
            server = start(program, options, folder)
            servers[program] = server
            answer = server.ask(" ".join(map(str, ["answer", 12, *(question or range(100, 116))])), patience_s=START_S)
            text = text_of(answer["ids"], vocabulary) if question else str(answer["ids"])
            say(f"{program} says: {text!r}")
            if len(answer["ids"]) != 12 or (question and ANSWER not in text):
                raise Ended(f"{program}: the answer is not {ANSWER}")
        except (Unavailable, Ended) as why:
            if program.peer == "ours":
                sys.exit(str(why))
            if program in servers:
                servers.pop(program).close()
            absent[str(program)] = str(why)
            say(f"{program} does not take part: {why}")
    return servers, absent


def measure_limits(servers, limits):
    """Operations and bytes a second, the best of all measurements of the run."""
    for program, server in servers.items():
        if program.peer == "ours":
            answer = server.ask("limits")
            flops = limits.setdefault("flops", {})
            flops[program.dtype] = max(answer["flops"], flops.get(program.dtype, 0.0))
            limits["bytes"] = max(answer["bytes"], limits.get("bytes", 0.0))
            say(f"{program}: a large product at {answer['flops'] / 1e9:.0f} GFLOP/s, memory read at {answer['bytes'] / 1e9:.1f} GB/s")


def rate_of(limits, dtype):
    """The rate of a large product in this dtype. Where the CPU multiplies bf16 slower than fp32, widening is faster: fp32's rate. Q8_0: bf16's."""
    flops = limits["flops"]
    return max(flops.values()) if dtype != "fp32" else flops.get("fp32", max(flops.values()))


def ask_decode(server, program, batch, new):
    answer = server.ask(f"decode {batch} {new}")
    if answer["tokens"] != batch * new:
        sys.exit(f"{program}: {answer['tokens']} tokens came back, and {batch} x {new} were asked for")
    return answer


def race_batch(options, servers, batch, pace_before):
    """Warm up once, then take turns. Returns the answers by program."""
    answers = {program: [] for program in servers}
    for program, server in servers.items():
        if program in pace_before and not fits(options, batch * options.new_tokens / pace_before[program]):
            say(f"batch {batch}, {program}: left out, since at {pace_before[program]:.0f} tok/s it would take {batch * options.new_tokens / pace_before[program]:.0f} s")
            continue
        ask_decode(server, program, batch, 2)
        answers[program].append(ask_decode(server, program, batch, options.new_tokens))
        say(f"batch {batch}, {program}: {batch * options.new_tokens / answers[program][0]['wall_s']:.0f} tok/s in {answers[program][0]['wall_s']:.1f} s (1 of {repetitions_of(options, batch)})")
    for repetition in range(2, repetitions_of(options, batch) + 1):
        for program, server in servers.items():
            if answers[program] and repeated(options, answers[program][0]["wall_s"]):
                answers[program].append(ask_decode(server, program, batch, options.new_tokens))
                say(f"batch {batch}, {program}: {answers[program][-1]['wall_s']:.1f} s ({repetition} of {repetitions_of(options, batch)})")
    return answers


def race_decode(options, report, save):
    """save: writes the report, so that what was measured is not lost when a later batch fails."""
    shape = Shape(json.loads(Path(options.model, "config.json").read_text()))
    with tempfile.TemporaryDirectory() as folder:
        servers, absent = enter(options, folder)
        out = {"absent": absent, "limits": {}, "lines": [], "new_tokens": options.new_tokens}
        report["decode"] = out
        paces = {}
        for batch in options.batches:
            measure_limits(servers, out["limits"])
            for program, answers in race_batch(options, servers, batch, paces).items():
                if not answers:
                    continue
                rates = sorted(answer["tokens"] / answer["wall_s"] for answer in answers)
                paces[program] = statistics.median(rates)
                out["lines"].append({"batch": batch, "peer": program.peer, "dtype": program.dtype, "tokens_per_s": rates, "foreign": max(answer["foreign"] for answer in answers),
                                     "cpu_s": [answer["cpu_s"] for answer in answers], "peak_mb": answers[-1]["peak_rss_mb"]})
            save()
        measure_limits(servers, out["limits"])
        for server in servers.values():
            server.close()
    for line in out["lines"]:
        limit, bound = decode_limit(shape, line["batch"], PROMPT, options.new_tokens, line["dtype"], rate_of(out["limits"], line["dtype"]), out["limits"]["bytes"])
        line |= {"limit": limit, "bound": bound, "share": statistics.median(line["tokens_per_s"]) / limit}


def decode_table(decode, threads):
    batches = sorted({line["batch"] for line in decode["lines"]})
    cells = {(line["peer"], line["dtype"], line["batch"]): line for line in decode["lines"]}
    rows = [f"| program | {' | '.join(f'batch {batch}' for batch in batches)} |", "|---|" + "---|" * len(batches)]
    for peer, dtype in dict.fromkeys((line["peer"], line["dtype"]) for line in decode["lines"]):
        row = [decode_cell(cells.get((peer, dtype, batch)), threads) for batch in batches]
        rows.append(f"| {peer} {dtype} | {' | '.join(row)} |")
    for dtype in dict.fromkeys(line["dtype"] for line in decode["lines"]):
        row = [next((f"{line['limit']:,.0f} ({line['bound']})" for line in decode["lines"] if line["dtype"] == dtype and line["batch"] == batch), "") for batch in batches]
        rows.append(f"| limit in {dtype} | {' | '.join(row)} |")
    return "\n".join(rows)


def decode_cell(line, threads):
    if line is None:
        return "left out"
    rates = line["tokens_per_s"]
    spread = f" ({rates[0]:,.0f}-{rates[-1]:,.0f})" if len(rates) > 1 else ""
    return f"{statistics.median(rates):,.0f}{spread}, {statistics.median(rates) / threads:,.0f} a core, {100 * line['share']:.0f} %"


def ratios(decode):
    """How many times as fast as each peer ours was, by peer, dtype and batch."""
    median = {(line["peer"], line["dtype"], line["batch"]): statistics.median(line["tokens_per_s"]) for line in decode["lines"]}
    out = {}
    for (peer, dtype, batch), rate in median.items():
        ours = median.get((*Program(peer, dtype).ours(), batch))
        if peer != "ours" and ours:
            out[peer, dtype, batch] = ours / rate
    return out


def missed_in_decode(decode):
    out = []
    for (peer, dtype, batch), ratio in ratios(decode).items():
        target = TARGETS.get((peer.partition("-")[0], batch))
        target = target[dtype] if isinstance(target, dict) else target
        if target and ratio < target:
            out.append(f"decode at batch {batch}, {peer} {dtype}: {ratio:.2f}x, target {target:.0f}x")
    return out
