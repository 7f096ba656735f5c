"""What the scripts check_*.py have in common: one line a check, and the program's commands that take and give JSONL."""
import json
import os
import subprocess
import tempfile


class Checks:
    """Prints one line a check and remembers whether any failed."""

    def __init__(self):
        self.failed = 0

    def report(self, good, name, detail):
        print(f"{'ok  ' if good else 'FAIL'} {name}: {detail}", flush=True)
        self.failed += not good


def run_grpo(grpo, command, folder, rows, extra=()):
    """Runs one JSONL command of grpo, of a model's folder where it takes one; the rows it wrote, or a text that says why there are none."""
    with tempfile.TemporaryDirectory() as work:
        source, target = os.path.join(work, "in.jsonl"), os.path.join(work, "out.jsonl")
        with open(source, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)
        call = [grpo, command, *(["--model", folder] if folder else []), "--input", source, "--output", target, *extra]
        try:
            done = subprocess.run(call, capture_output=True, text=True, errors="replace")
        except OSError as error:
            return f"{grpo} does not start: {error.strerror}"
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["nothing on stderr"]
            return f"grpo {command} ended with {done.returncode}: {lines[-1]}"
        with open(target, encoding="utf-8") as result:
            written = [json.loads(line) for line in result]
    if len(written) != len(rows):
        return f"grpo {command} wrote {len(written)} rows, expected {len(rows)}"
    return written
