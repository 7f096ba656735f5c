#!/usr/bin/env python3
"""What a training run shows on a terminal, in a pipe, and in its quiet and JSON modes. Arguments: the program and the source folder."""
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
import urllib.request

from support import PROGRAM, SOURCE, metrics

STEPS = 6


def command(folder, *overrides):
    config = os.path.join(SOURCE, "configs", "quickstart_2grpo.yaml")
    return [PROGRAM, "train", "--config", config, "--output", folder, "--resume", "never", f"trainer.steps={STEPS}", "eval.every_steps=3",
            "checkpoint.every_steps=0", "rollout.prompts_per_step=8", *overrides]


def in_a_pipe(*overrides):
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(command(folder, *overrides), capture_output=True, text=True, timeout=120, cwd=SOURCE)
        with open(os.path.join(folder, "quickstart_2grpo", "metrics.jsonl"), encoding="utf-8") as file:
            return result, file.read()


def on_a_terminal(columns, *overrides, then_columns=None, **environment):
    """All bytes that the program wrote to a terminal of that width; then_columns: its width from the first block on."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        variables = {key: value for key, value in os.environ.items() if not key.startswith("LC_")}
        process = subprocess.Popen(command(folder, *overrides), stdin=theirs, stdout=theirs, stderr=theirs, cwd=SOURCE,
                                   env={**variables, "TERM": "xterm", "LANG": "C.UTF-8", **environment})
        os.close(theirs)
        text = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            text += part
            if then_columns and b"tokens/s" in text:
                fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, then_columns, 0, 0))
        os.close(ours)
        assert process.wait(timeout=60) == 0, text
        return text.decode()


def screen(text):
    """The lines a person sees at the end: as a terminal that knows the two sequences that may be used."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\d*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\n":
            row += 1
        elif part == "\r":
            column = 0
        elif part == "\x1b[J":
            del lines[row + 1:]
            lines[row] = lines[row][:column]
        elif part.startswith("\x1b"):
            assert part.endswith("F"), repr(part)
            row, column = row - int(part[2:-1]), 0
            assert row >= 0
        else:
            lines[row] = lines[row][:column] + part + lines[row][column + len(part):]
            column += len(part)
        while row >= len(lines):
            lines.append("")
    return lines


class Console(unittest.TestCase):
    def test_the_time_that_is_left_is_that_until_a_total_of_stop_on(self):
        result, _ = in_a_pipe("trainer.steps=1000000", "data.epochs=1000000", "eval.every_steps=0", "trainer.stop_on={metric: rollouts/total, at_least: 40}")
        left = re.findall(r"  left (.*)", result.stderr)
        self.assertEqual(len(left), 3, result.stderr)
        for text in left:
            self.assertRegex(text, r"^[0-9.]+ s$")  # a million steps would take hours

    def test_a_terminal_has_one_block_below_the_messages(self):
        lines = screen(on_a_terminal(100))
        heads = [i for i, line in enumerate(lines) if line.startswith("quickstart_2grpo  step ")]
        self.assertEqual(len(heads), 1, lines)
        block = lines[heads[0]:heads[0] + 5]
        self.assertIn(f"step {STEPS}/{STEPS}", block[0])
        self.assertIn("16/16 completions", block[1])
        self.assertIn("████", block[1])
        self.assertRegex(block[3], "reward   [01].*live groups .*[▁▂▃▄▅▆▇█]{6}$")
        self.assertRegex(block[4], r"tokens/s sampled.*memory \d+\.\d\d GB")
        evaluations = [i for i, line in enumerate(lines) if "info eval step" in line]
        self.assertEqual(len(evaluations), 3, lines)
        self.assertLess(max(evaluations), heads[0])
        self.assertRegex(lines[heads[0] - 1], r"finished at step 6 in [\d.]+ s: .*/quickstart_2grpo$")

    def test_a_narrow_terminal_never_wraps_the_block(self):
        lines = screen(on_a_terminal(30))
        block = lines[next(i for i, line in enumerate(lines) if line.startswith("quickstart_2grpo  step")):]
        self.assertTrue(all(len(line) < 30 for line in block), block)

    def test_a_terminal_that_was_made_narrower_is_cleared_of_the_wrapped_block(self):
        wrapped = lambda line, columns: max(1, -(-len(line) // columns))
        parts = re.split(r"\x1b\[(\d+)F\x1b\[J", on_a_terminal(100, "trainer.steps=40", then_columns=40))
        ups, texts = [int(up) for up in parts[1::2]], parts[0::2]
        blocks = [text.replace("\r", "").splitlines()[-5:] for text in texts]
        narrowed = next(i for i, up in enumerate(ups) if up != 5)  # goes back over the last wide block
        self.assertEqual(ups[narrowed], sum(wrapped(line, 40) for line in blocks[narrowed]), blocks[narrowed])
        self.assertEqual(set(ups[narrowed + 1:]), {5})
        self.assertTrue(all(len(line) < 40 for line in blocks[-1]))

    def test_a_terminal_without_utf8_gets_ascii(self):
        self.assertIn("####", on_a_terminal(100, LANG="C"))
        self.assertNotIn("█", on_a_terminal(100, LANG="C"))

    def test_plain_and_dumb_terminals_and_pipes_get_lines(self):
        for text in (on_a_terminal(100, "logging.console=plain"), on_a_terminal(100, TERM="dumb"), in_a_pipe()[0].stderr):
            self.assertNotIn("\x1b[J", text)
            self.assertEqual(len(re.findall(r"step \d+/6  reward", text)), STEPS)

    def test_quiet_says_nothing(self):
        result, metrics = in_a_pipe("logging.console=quiet")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        self.assertEqual(len(metrics.splitlines()), STEPS + 1)

    def test_json_is_the_metrics_on_stdout_and_messages_as_objects(self):
        result, metrics = in_a_pipe("logging.console=json")
        self.assertEqual(result.stdout, metrics)
        messages = [json.loads(line) for line in result.stderr.splitlines()]
        self.assertTrue(any("eval step" in message["message"] for message in messages))
        self.assertEqual({message["level"] for message in messages}, {"info"})

    def test_json_of_several_ranks_is_json_too(self):
        result, metrics = in_a_pipe("logging.console=json", "--nproc", "2")
        self.assertEqual(result.stdout, metrics)

    def test_prometheus_scrapes_a_run_while_it_trains(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        with tempfile.TemporaryDirectory() as folder:
            process = subprocess.Popen(command(folder, f"logging.prometheus={address}", "trainer.steps=100000", "logging.console=quiet"),
                                       cwd=SOURCE, stderr=subprocess.PIPE, text=True)
            try:
                page = wait_for_page(f"http://{address}/metrics", "grpo_loss", process)
            finally:
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=60)
        if "this build has no prometheus-cpp" in errors:
            self.skipTest("built without prometheus-cpp")
        self.assertEqual((process.returncode, errors), (3, ""))
        self.assertRegex(page, r'grpo_step\{run="quickstart_2grpo"\} [1-9]')
        self.assertRegex(page, r'grpo_rollouts\{run="quickstart_2grpo"\} 16\n')


def wait_for_page(url, words, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                page = answer.read().decode()
            if words in page:
                return page
        except OSError:
            pass  # not listening yet
        time.sleep(0.05)
    return ""


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
