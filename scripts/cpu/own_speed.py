"""What ours alone is measured for: the tail of a rollout, and growth."""
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

from decode_race import LONG, PROMPT, Program, measure_limits, rate_of, start
from limits import Shape, slope, step_seconds
from programs import Server, say
from steps import run_train, sums

EMBEDDED = Path(__file__).resolve().parent.parent.parent / "configs" / "quickstart" / "model"


def measure_tail(options, report):
    """Tokens a second of decode steps, prompts and the first step apart, by the number of sequences that are alive."""
    shape = Shape(json.loads(Path(options.model, "config.json").read_text()))
    servers = {Program("ours", dtype): start(Program("ours", dtype), options, None) for dtype in options.dtypes}
    limits, lines = {}, []
    measure_limits(servers, limits)
    for program, server in servers.items():
        server.ask("decode 32 4")
        for alive in (1, 2, 4, 8, 16, 32):
            answers = [server.ask(f"decode {alive} 34") for _ in range(options.repetitions)]
            rates = sorted(alive * (answer["decode_steps"] - 1) / (answer["wall_s"] - answer["first_s"]) for answer in answers)
            compute, memory = step_seconds(shape, alive, PROMPT + 17, program.dtype, rate_of(limits, program.dtype), limits["bytes"])
            lines.append({"alive": alive, "dtype": program.dtype, "tokens_per_s": rates, "limit": alive / max(compute, memory), "bound": "memory" if memory > compute else "compute",
                          "foreign": max(answer["foreign"] for answer in answers)})
            say(f"{alive} alive, {program}: {statistics.median(rates):.0f} tok/s of {lines[-1]['limit']:.0f}")
    for server in servers.values():
        server.close()
    report["tail"] = {"limits": limits, "lines": lines}


def tail_table(tail):
    rows = ["| alive | dtype | tok/s | limit | share |", "|---:|---|---:|---:|---:|"]
    for line in tail["lines"]:
        rate = statistics.median(line["tokens_per_s"])
        rows.append(f"| {line['alive']} | {line['dtype']} | {rate:,.0f} ({line['tokens_per_s'][0]:,.0f}-{line['tokens_per_s'][-1]:,.0f}) | "
                    f"{line['limit']:,.0f} ({line['bound']}) | {100 * rate / line['limit']:.0f} % |")
    return "\n".join(rows)


ROLLOUTS, LENGTHS = (8, 32, 128, 512, 2048), (64, 256, 1024, 4096)
# The largest sizes that are measured of the larger model, and with --quick.
LARGEST = {"decode": 2048, "step": 512, "tokens": 4096}
LARGEST_QUICK = {"decode": 512, "step": 128, "tokens": 1024}


class Growth(NamedTuple):
    model: str
    what: str
    by: str
    sizes: tuple


def growths(options):
    largest = LARGEST_QUICK if options.quick else LARGEST
    out = []
    for model in ("embedded fp32", f"{Path(options.model).name} {options.dtypes[0]}"):
        bound = {"decode": 2048, "step": 2048, "tokens": 4096} if model.startswith("embedded") else largest
        out += [Growth(model, what, by, tuple(size for size in sizes if size <= bound[bounded])) for what, by, sizes, bounded in
                (("decode, 64 new tokens", "rollouts", ROLLOUTS, "decode"), ("decode, 8 rollouts", "new tokens", LENGTHS, "tokens"),
                 ("gradient, one row", "tokens", LENGTHS, "tokens"), ("GRPO step, G=2", "rollouts", ROLLOUTS, "step"))]
    return out


def growth_command(what, size):
    return {"decode, 64 new tokens": f"decode {size} 64", "decode, 8 rollouts": f"decode 8 {size}", "gradient, one row": f"gradient 1 {size}"}[what]


def long_embedded(folder):
    """The embedded model with places for long sequences: what it says beyond its 64 tokens means nothing, and the work is the same."""
    model = Path(folder) / "embedded"
    shutil.copytree(EMBEDDED, model)
    config = json.loads((model / "config.json").read_text()) | {"max_position_embeddings": 8192}
    (model / "config.json").write_text(json.dumps(config))
    return str(model)


def median_answer(server, command):
    """Seconds and peak of a command behind one to warm up: the median of three, or the only one where it takes more than three seconds."""
    answers = [server.ask(command)]
    if answers[0]["wall_s"] < 3.0:
        answers = [server.ask(command) for _ in range(3)]
    return statistics.median(answer["wall_s"] for answer in answers), answers[-1]["peak_rss_mb"]


def measure_growth(options, report, save):
    """save: writes the report, so that what was measured is not lost when a later size fails."""
    report["growth"] = []
    with tempfile.TemporaryDirectory() as folder:
        embedded = long_embedded(folder)
        for growth in growths(options):
            small = growth.model.startswith("embedded")
            dtype = "fp32" if small else options.dtypes[0]
            points = []
            server = None if growth.what.startswith("GRPO") else Server([options.bench, embedded if small else options.model, LONG[dtype], str(1 if small else options.threads)])
            for size in growth.sizes:
                if server is None:
                    seconds, peak = growth_step(options, small, dtype, size, folder)
                else:
                    seconds, peak = median_answer(server, growth_command(growth.what, size))
                points.append({"size": size, "seconds": seconds, "peak_mb": peak})
                say(f"{growth.model}, {growth.what}, {size} {growth.by}: {seconds:.2f} s, {peak:,.0f} MB")
            if server:
                server.close()
            sizes = [point["size"] for point in points]
            report["growth"].append(growth._asdict() | {"points": points, "exponent": slope(sizes, [point["seconds"] for point in points]),
                                                        "exponent_memory": slope(sizes, [point["peak_mb"] for point in points])})
            save()


def growth_step(options, small, dtype, rollouts, folder):
    data = Path(folder) / "sums.jsonl"
    sums(data, 2 * rollouts)
    keys = [f"rollout.prompts_per_step={rollouts // 2}", "data.epochs=100", "trainer.steps=2", "rollout.group_size=2"]
    if not small:
        keys += [f"data.train=[{data}]", f"model.path={options.model}", f"model.dtype={LONG[dtype]}", f"trainer.threads={options.threads}"]
    name = "quickstart_2grpo" if small else "smollm2_135m_2grpo"
    metrics, _ = run_train(options.grpo, name, Path(folder) / f"{name}-{rollouts}", keys)
    return metrics[-1]["time/step"] - metrics[-1]["time/checkpoint"], metrics[-1]["memory/peak_bytes"] / 2**20


def growth_table(growth):
    rows = ["| model | what | by | seconds at each size | exponent | peak MB | exponent |", "|---|---|---|---|---:|---|---:|"]
    for line in growth:
        seconds = ", ".join(f"{point['size']:,}: {point['seconds']:.3g}" for point in line["points"])
        memory = ", ".join(f"{point['peak_mb']:,.0f}" for point in line["points"])
        rows.append(f"| {line['model']} | {line['what']} | {line['by']} | {seconds} | {line['exponent']:.2f} | {memory} | {line['exponent_memory']:.2f} |")
    return "\n".join(rows)
