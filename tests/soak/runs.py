"""The runs that the campaigns of soak.py are made of: how they are started, and what they must come to."""
import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path

STEPS = 5
LIMIT_S = 1800  # of one run; the machine may be busy
MEASURED = ("time", "speed/", "memory/", "prompts/", "bytes/")


def command(program, source, folder, ranks=1, *overrides):
    quickstart = source / "configs" / "quickstart"
    folder.mkdir(parents=True, exist_ok=True)
    heldout = folder / "heldout.jsonl"
    heldout.write_text("".join((quickstart / "heldout.jsonl").read_text().splitlines(keepends=True)[:2]))
    config = {"run": {"name": "run", "output": str(folder)},
              "model": {"path": str(quickstart / "model"), "template": "none", "device": "cpu", "dtype": "float32"},
              "data": {"train": [str(quickstart / "train.jsonl")], "epochs": 100, "max_prompt_tokens": 40},
              "rollout": {"prompts_per_step": 4, "group_size": 2, "max_new_tokens": 8, "exact": True},
              "trainer": {"steps": STEPS, "threads": 1}, "checkpoint": {"every_steps": 2, "keep": 2},
              "eval": {"every_steps": 100, "data": [str(heldout)], "samples": 1, "max_new_tokens": 8},
              "distributed": {"timeout_s": 600}}
    file = folder / "config.yaml"
    file.write_text(json.dumps(config))
    return [str(program), "train", "--config", str(file), "--nproc", str(ranks), *overrides]


def run(arguments, **variables):
    """Exit code (negative: the signal that ended it) and stderr."""
    environment = {name: value for name, value in os.environ.items() if name != "GRPO_DRILL"}
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=LIMIT_S, env={**environment, **variables})
    return done.returncode, done.stderr


class ForkServer:
    """run() for thousands of runs of one rank: the program is loaded once (fork_server.cpp)."""

    def __init__(self, program, library):
        self.words = tempfile.NamedTemporaryFile(prefix="grpo_soak_", suffix=".txt")
        self.process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "LD_PRELOAD": library, "GRPO_FORK_SERVER": "1"})

    def run(self, arguments, **variables):
        fields = [self.words.name, *(f"{name}={value}" for name, value in variables.items()), "--", *arguments[1:]]
        self.process.stdin.write("\t".join(fields) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        return os.waitstatus_to_exitcode(status), Path(self.words.name).read_text(errors="replace")

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=LIMIT_S)
        self.process.stdout.close()
        self.words.close()


def results(folder):
    """What a run must come to whatever happened on the way."""
    run_folder = folder / "run"
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    found = {"metrics": [{key: value for key, value in line.items() if not key.startswith(MEASURED)} for line in lines]}
    kept = [path for name in ("rollouts", "eval", "checkpoints") for path in sorted((run_folder / name).rglob("*")) if path.suffix in (".jsonl", ".safetensors")]
    found.update({str(path.relative_to(run_folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept})
    return found


def leftovers(folder):
    return [str(path) for path in folder.rglob("*") if ".tmp" in path.name or path.name == ".lock"]


def tree(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}
