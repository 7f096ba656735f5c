"""What the GPU check runs, one function a stage. Each is given the check: its options, where programs lie, and its runner."""
import importlib.util
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

from running import CUT_OFF

TEST_LIMIT = 60  # seconds of one test
MOST_TESTS_AT_ONCE = 8
TAKES_ALL_MEMORY = "IsRecordedWhereTheCacheHoldsAllMemory"  # of the device, so that whatever runs beside this test finds none
RUN_STEPS = 60  # of the embedded model
SAMPLES_ALIKE = 0.98  # of step 1: fp32 rounds differently on a GPU, which flips few tokens


class Skipped(Exception):
    """A stage that this machine lacks something for, which is no fault of ours."""


def machine(check):
    if shutil.which("nvidia-smi"):
        check.run(["nvidia-smi"])
    check.run([check.program("grpo"), "doctor", "--output", check.scratch])


# ---- tests ----

def listed(text):
    """Full names from the output of --gtest_list_tests."""
    names, suite = [], ""
    for line in text.splitlines():
        name = line.split("#")[0].rstrip()
        if name.startswith("  "):
            names.append(suite + name.strip())
        elif name.endswith("."):
            suite = name
    return names


def run_test(check, program, name):
    ended = check.runner.start([program, f"--gtest_filter={name}"], check.test_limit, lambda line: None,
                               {"OMP_NUM_THREADS": str(max(1, check.cores // check.tests_at_once)), **check.environment})
    outcome = "not run" if ended.seconds == 0.0 else "cut off" if ended.code == CUT_OFF else "failed" if ended.code else "skipped" if "[  SKIPPED ]" in ended.text else "passed"
    lines = ended.text.splitlines()
    why = next((lines[i + 1].strip() for i, line in enumerate(lines[:-1]) if line.endswith(": Skipped")), "") if outcome == "skipped" else f"exit code {ended.code}"
    check.results.append("tests.tsv", f"{outcome}\t{ended.seconds:.1f}\t{name}\t{why if outcome != 'passed' else ''}")
    check.results.log(f"{outcome:8} {ended.seconds:6.1f} s  {program.name} {name}")
    for line in lines if outcome in ("failed", "cut off", "not run") else [line for line in lines if "log-prob:" in line]:
        check.results.log("    " + line)
    return ended.code, outcome


def tests(check):
    """Each in a process of its own, since an error of the device spoils what comes after it in the same process."""
    queue = []
    for program in check.test_programs():
        ended = check.runner.start([program, "--gtest_list_tests", f"--gtest_filter={check.tests}"], check.test_limit, lambda line: None,
                                   check.environment)
        if ended.code != 0:
            check.results.log(f"{program.name} does not list its tests (exit code {ended.code}):\n{ended.text}")
        check.runner.codes.append(ended.code)
        queue += [(program, name) for name in listed(ended.text)]
    alone = [test for test in queue if test[1].endswith(TAKES_ALL_MEMORY)]
    with ThreadPoolExecutor(check.tests_at_once) as pool:
        outcomes = list(pool.map(lambda test: run_test(check, *test), [test for test in queue if test not in alone]))
    outcomes += [run_test(check, *test) for test in alone]
    check.runner.codes += [code for code, _ in outcomes]
    if not any(outcome == "passed" for _, outcome in outcomes):
        check.results.log("no test has passed")
        check.runner.codes.append(1)


def sanitizer(check, tool, tests_of_kernels):
    if not shutil.which("compute-sanitizer"):
        raise Skipped("compute-sanitizer is not installed")
    # LibTorch gives out pieces of large segments, past whose ends the tool sees nothing wrong.
    check.run(["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", check.program("grpo_kernels_test"), f"--gtest_filter={tests_of_kernels}"],
              PYTORCH_NO_CUDA_MEMORY_CACHING="1")


def memcheck(check):
    sanitizer(check, "memcheck", "Gpu/DeviceKernels.*")


def racecheck(check):
    # FlashInfer's pipelines of asynchronous copies take the tool minutes and look like races to it.
    sanitizer(check, "racecheck", "Gpu/DeviceKernels.*:-*PagedAttention*")


# ---- runs of grpo-train ----

def metrics_of(run):
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def train(check, config, name, *overrides):
    check.run([check.program("grpo-train"), "--config", config, "--resume", "never", f"run.output={check.scratch}", f"run.name={name}",
               "logging.console=plain", "logging.tensorboard=false", *overrides])
    return check.scratch / name


def first_samples(run):
    path = next(iter(sorted((run / "rollouts").glob("*.jsonl"))), None)
    return path.read_text().splitlines() if path else []


def alike(run, other):
    """The share of the completions in step 1's file that two runs have alike."""
    rows, others = ([json.loads(line)["ids"] for line in first_samples(folder)] for folder in (run, other))
    return sum(a == b for a, b in zip(rows, others)) / max(1, len(rows))


def few_problems(check):
    """The first of the evaluation's, for a rehearsal."""
    lines = (check.root / "configs" / "quickstart" / "heldout.jsonl").read_text().splitlines(keepends=True)
    (check.scratch / "heldout.jsonl").write_text("".join(lines[:8]))
    return check.scratch / "heldout.jsonl"


def embedded_figures(check, name, run, base):
    lines = metrics_of(run)
    accuracy = [line["eval/heldout/mean@4"] for line in lines if "eval/heldout/mean@4" in line]
    lines = [line for line in lines if line["step"] > 0]  # the first one is an evaluation alone
    share = alike(run, base)
    if len(lines) < check.run_steps or not accuracy:
        check.fail(f"{name}: {len(lines)} of {check.run_steps} steps, {len(accuracy)} evaluations")
        return
    check.results.figure(bench="embedded model", run=name, steps=len(lines), first_reward=lines[0]["reward/mean"], last_reward=lines[-1]["reward/mean"],
                         first_grad_norm=lines[0]["grad_norm"], accuracy=accuracy[-1], first_samples_alike=share)
    if "bfloat16" not in name and share < SAMPLES_ALIKE:
        check.fail(f"{name}: only {share:.0%} of step 1's completions are the CPU's")
    if accuracy[-1] < accuracy[0] and not check.rehearse:  # whose few steps teach nothing
        check.fail(f"{name}: accuracy fell from {accuracy[0]:.3f} to {accuracy[-1]:.3f}")


def embedded(check):
    """The embedded model learns on the device as it does on the CPU; all runs at once, since none fills the machine."""
    runs = {"cpu float32": ("cpu", "float32"), f"{check.device} float32": (check.device, "float32"), f"{check.device} bfloat16": (check.device, "bfloat16")}
    settings = [f"trainer.steps={check.run_steps}", f"eval.every_steps={check.run_steps // 2}", f"checkpoint.every_steps={check.run_steps}", *check.run_options]

    def start(number):
        device, dtype = runs[list(runs)[number]]
        return train(check, "quickstart_2grpo", f"embedded_{number}", f"model.device={device}", f"model.dtype={dtype}", *settings)

    with ThreadPoolExecutor(len(runs)) as pool:
        folders = dict(zip(runs, pool.map(start, range(len(runs)))))
    for name, folder in folders.items():
        embedded_figures(check, name, folder, folders["cpu float32"])


def large_run(check):
    """grpo-train on a folder in the shape of Qwen2.5-1.5B: two steps, the second with what the first has left behind."""
    if not importlib.util.find_spec("transformers"):
        raise Skipped("transformers is not installed")
    folder = check.scratch / "random_model"
    tokenizer = check.root / "configs" / "quickstart" / "model"
    if check.run(["python3", check.here / "random_model.py", folder, tokenizer, *check.size_options]).code != 0:
        return
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    stops = ",".join(map(str, range(2, vocabulary, 256 if not check.rehearse else 16)))  # random weights stop at none by themselves
    run = train(check, "quickstart_2grpo", "large", f"model.path={folder}", f"model.device={check.device}", "model.dtype=bfloat16",
                f"rollout.stop_ids=[{stops}]", f"rollout.max_new_tokens={512 if not check.rehearse else 32}", "trainer.threads=0",
                "algorithm.entropy_coef=1e-9",  # no answer is right, and groups whose rewards are equal would not be trained
                "trainer.steps=2", "eval.every_steps=0", "checkpoint.every_steps=0", "checkpoint.export_model=false")
    for line in metrics_of(run):
        check.results.figure(bench="training run", model="tiny" if check.rehearse else "1.5b", step=line["step"], rollout_s=line["time/rollout"],
                             update_s=line["time/update"], step_s=line["time/step"], grad_norm=line["grad_norm"], peak_gb=line["memory/peak_bytes"] / 1e9)


# ---- benchmarks ----

def bench(check, program, *arguments):
    check.run([check.program(program), *arguments, *check.device_options])


def decode(check):
    bench(check, "grpo_gpu_rollout_bench", "decode", check.model, *check.decode_sizes)


def update(check):
    bench(check, "grpo_gpu_update_bench", check.model)


def step(check):
    bench(check, "grpo_step_bench", check.model if check.rehearse else "1.5b-short", "bf16", "--plain")  # as the peers' steps


def full(check):
    """What takes longer than a check should: all lengths, the streamed and the deterministic update, exact decoding, and 7B."""
    for model in ("1.5b", "7b"):
        if model == "7b":
            bench(check, "grpo_gpu_rollout_bench", "decode", model)
            bench(check, "grpo_gpu_update_bench", model)
        bench(check, "grpo_gpu_rollout_bench", "rollout", model)
        bench(check, "grpo_step_bench", model, "bf16")
    bench(check, "grpo_gpu_rollout_bench", "exact", "1.5b")


def peers(check):
    if not importlib.util.find_spec("transformers"):
        raise Skipped("transformers is not installed")
    check.run(["python3", check.root / "scripts" / "bench_gpu_peers.py", *check.size_options], HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
