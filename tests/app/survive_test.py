#!/usr/bin/env python3
"""A run survives what happens around it, and takes away nothing that is not its own: closed descriptors, a closed terminal, a
reader that goes, a second start, requests of all kinds, starts that fail. Arguments: the program and the source folder."""
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from support import InFolder, PROGRAM, QUICKSTART, metrics

LIMIT_S = 200


def snapshot(folder):
    """Every file below with its contents, every folder and link: what must not change."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


class Survive(InFolder):
    def setUp(self):
        super().setUp()
        self.run_folder = self.folder / "out" / "run"
        (self.folder / "base.yaml").write_text(json.dumps({
            "run": {"name": "run", "output": str(self.folder / "out")},
            "model": {"path": str(QUICKSTART / "model"), "template": "none", "device": "cpu", "dtype": "float32"},
            "data": {"train": [str(QUICKSTART / "train.jsonl")], "epochs": 100, "max_prompt_tokens": 40},
            "rollout": {"prompts_per_step": 8, "group_size": 2, "max_new_tokens": 20},
            "trainer": {"steps": 2, "threads": 1}, "checkpoint": {"every_steps": 0, "keep": 9},
            "logging": {"tensorboard": False, "rollouts_per_step": 64}}))

    def command(self, *overrides):
        return [PROGRAM, "train", "--config", str(self.folder / "base.yaml"), *overrides]

    def train(self, *overrides, **more):
        return subprocess.run(self.command(*overrides), capture_output=True, text=True, timeout=LIMIT_S, **more)

    def start(self, *overrides, **more):
        """A run that goes on until it is told to stop; returns once it has done two steps."""
        process = subprocess.Popen(self.command("trainer.steps=100000", *overrides), **{"stderr": subprocess.DEVNULL, **more})
        self.addCleanup(lambda: process.poll() is None and process.kill())
        deadline = time.monotonic() + LIMIT_S
        while len(self.metrics()) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return process

    def metrics(self):
        return metrics(self.run_folder)

    def checkpoints(self):
        return sorted(path.name for path in (self.run_folder / "checkpoints").glob("*"))

    def expect_saved(self, process):
        self.assertEqual(process.wait(timeout=LIMIT_S), 3)
        self.assertEqual(self.checkpoints(), [f"step_{self.metrics()[-1]['step']:08d}"])
        self.assertFalse((self.run_folder / ".lock").exists())

    def test_started_without_standard_descriptors_it_keeps_its_words_out_of_its_files(self):
        code = subprocess.run(["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", *self.command("checkpoint.every_steps=1")], timeout=LIMIT_S).returncode
        self.assertEqual(code, 0)
        self.assertEqual([line["step"] for line in self.metrics()], [1, 2])
        self.assertEqual(self.train("trainer.steps=3").returncode, 0)  # hashes fit, and the checkpoint loads

    def test_a_closed_terminal_saves_and_stops(self):
        process = self.start()
        process.send_signal(signal.SIGHUP)
        self.expect_saved(process)

    def test_nohup_is_meant(self):
        process = self.start(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        process.send_signal(signal.SIGHUP)
        steps = len(self.metrics())
        deadline = time.monotonic() + LIMIT_S
        while len(self.metrics()) < steps + 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        self.expect_saved(process)

    def test_a_reader_that_goes_saves_and_stops(self):
        for ranks in ("1", "2"):
            with self.subTest(ranks):
                shutil.rmtree(self.run_folder, ignore_errors=True)
                process = self.start("--nproc", ranks, stderr=subprocess.PIPE)
                process.stderr.close()
                self.expect_saved(process)

    def test_a_reader_of_json_lines_that_goes_saves_and_stops(self):
        process = self.start("logging.console=json", stdout=subprocess.PIPE)
        process.stdout.close()
        self.expect_saved(process)

    def test_a_full_stdout_loses_no_metrics_in_silence(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run(self.command("logging.console=json"), stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT_S)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("2 of its metrics lines could not be written", result.stderr)
        self.assertEqual(len(self.metrics()), 2)

    def test_a_second_start_is_refused_and_told_who_works_there(self):
        process = self.start()
        for resume in ("auto", "never"):
            result = self.train("optimizer.lr=0.001", "--resume", resume)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(f"is in use by process {process.pid} on host ", result.stderr)
        process.send_signal(signal.SIGTERM)
        self.expect_saved(process)
        self.assertEqual([line["step"] for line in self.metrics()], list(range(1, len(self.metrics()) + 1)))

    def test_two_that_start_at_once_do_not_share_a_folder(self):
        processes = [subprocess.Popen(self.command("trainer.steps=30"), stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate(timeout=LIMIT_S)[1] for process in processes]
        self.assertEqual(sorted(process.returncode for process in processes), [0, 1], said)
        self.assertEqual([line["step"] for line in self.metrics()], list(range(1, 31)))

    def test_a_run_whose_folder_is_moved_ends_instead_of_going_on_in_another(self):
        process = self.start(stderr=subprocess.PIPE, text=True)
        moved = self.folder / "elsewhere"
        (self.folder / "out").rename(moved)
        said = process.communicate(timeout=LIMIT_S)[1]
        self.assertEqual(process.returncode, 1, said)
        self.assertRegex(said, rf"error: \S*/out/run was moved, replaced or removed .*; its folder is now {moved}/run")
        shutil.rmtree(self.folder / "out", ignore_errors=True)  # at most what was being written in that moment
        moved.rename(self.folder / "out")
        done = len(self.metrics())
        result = self.train()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len((self.run_folder / "aside.1" / "metrics.jsonl").read_text().splitlines()), done)

    def test_a_start_that_fails_changes_nothing(self):
        mistakes = [("data.train=[typo.jsonl]",), ("model.path=nowhere",), ("optimizer.lr=-1",), ("optimizer.lrr=1",), ("--resume", "nowhere"),
                    ("--resume", "never", "model.path=nowhere"), ("data.answer_key=nowhere",), ("reward.max_bad_golds=0", "data.answer_key=problem"),
                    ("logging.prometheus=127.0.0.1:999999",), ("run.name=../run",), ("trainer.steps=0",)]
        mistakes = [*mistakes, *[("run.name=new", *mistake) for mistake in mistakes[:4]]]
        process = self.start()
        process.kill()
        process.wait()
        with self.subTest("an interrupted run"):
            self.expect_unchanged(mistakes)
        shutil.rmtree(self.run_folder)
        self.assertEqual(self.train("checkpoint.every_steps=1").returncode, 0)
        with self.subTest("a finished run"):
            oldest = str(self.run_folder / "checkpoints" / "step_00000001")
            self.expect_unchanged([*mistakes, ("--resume", oldest, "optimizer.lr=0.5"), ("optimizer.lr=0.5",)])

    def expect_unchanged(self, mistakes):
        before = snapshot(self.folder)
        for mistake in mistakes:
            result = self.train(*mistake)
            self.assertIn(result.returncode, (1, 2), (mistake, result.stderr))
            self.assertEqual(snapshot(self.folder), before, (mistake, result.stderr))

    def test_requests_of_all_kinds_never_harm_a_run(self):
        port = self.free_port()
        process = self.start(f"logging.prometheus={port}")
        requests = [b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"GET /none HTTP/1.0\r\n\r\n",
                    b"\x16\x03\x01" + os.urandom(500), b"A" * 300000, b"GET", b"PUT /metrics HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"]

        def ask(count):
            for number in range(count):
                with socket.socket() as client:
                    client.settimeout(0.2)
                    try:
                        client.connect(("127.0.0.1", port))
                        client.sendall(requests[number % len(requests)])
                        client.recv(100)
                    except OSError:
                        pass

        threads = [threading.Thread(target=ask, args=(70,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        self.expect_saved(process)

    @staticmethod
    def ranks_of(process):
        return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()

    @staticmethod
    def listening(pids):
        """What `ss -ltnp` shows of these processes: (address, port) as /proc spells the address."""
        sockets = set()
        for link in (link for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir()):
            with contextlib.suppress(FileNotFoundError):
                sockets.add(os.readlink(link))
        found = set()
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                    address, port = fields[1].split(":")
                    found.add((address, int(port, 16)))
        return found

    @staticmethod
    def free_port():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return free.getsockname()[1]

    def test_ranks_have_their_names(self):
        process = self.start("--nproc", "2")
        pids = self.ranks_of(process)
        self.assertEqual([Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids], ["grpo-train 0", "grpo-train 1"])
        self.assertIn("grpo-train (rank 1)", Path(f"/proc/{pids[1]}/cmdline").read_text())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=LIMIT_S), 3)

    def test_a_run_listens_on_loopback_only_unless_asked(self):
        for host, address in (("", "0100007F"), ("0.0.0.0:", "00000000")):
            with self.subTest(host):
                shutil.rmtree(self.run_folder, ignore_errors=True)
                port = self.free_port()
                process = self.start("--nproc", "2", f"logging.prometheus='{host}{port}'")
                listening = self.listening([process.pid, *self.ranks_of(process)])
                self.assertIn((address, port), listening)
                self.assertEqual({place for place, number in listening if number != port}, {"0100007F"})
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(timeout=LIMIT_S), 3)

    def test_deeply_nested_json_is_refused_by_every_command(self):
        deep = "[" * 100000 + "]" * 100000
        rows = {"verify": '{"gold": "2", "pred": "2", "x": %s}', "generate": '{"prompt": "1+1=", "x": %s}', "score": '{"ids": [1, 2], "x": %s}',
                "tokenize": '{"text": "1", "x": %s}'}
        for name, row in rows.items():
            model = [] if name == "verify" else ["--model", str(QUICKSTART / "model")]
            result = subprocess.run([PROGRAM, name, *model, "--input", "-", "--output", "-"], input=row % deep, capture_output=True, text=True, timeout=LIMIT_S)
            self.assertEqual(result.returncode, 1, (name, result.stderr[-300:]))
            self.assertIn("JSON nested", result.stderr)
        (self.folder / "deep.json").write_text('[{"problem": "1+1=", "answer": "2", "x": %s}]' % deep)
        result = self.train(f"data.train=[{self.folder}/deep.json]")
        self.assertEqual(result.returncode, 1, result.stderr[-300:])
        self.assertIn("JSON nested", result.stderr)

    def checkpoint(self, *arguments):
        return subprocess.run([PROGRAM, "checkpoint", *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT_S)

    def test_the_checkpoint_command(self):
        self.assertEqual(self.train("trainer.steps=4", "checkpoint.every_steps=1").returncode, 0)
        folder = self.run_folder / "checkpoints"
        self.assertEqual(self.checkpoint("verify", self.run_folder).stdout.count("\twhole"), 4)
        self.assertEqual(len(self.checkpoint("list", folder).stdout.splitlines()), 4)
        exported = self.folder / "exported"
        self.assertEqual(self.checkpoint("export", self.run_folder, "--output", exported).returncode, 0)
        self.assertEqual(snapshot(exported), snapshot(folder / "step_00000004" / "model"))
        self.assertEqual(self.checkpoint("export", self.run_folder, "--output", exported).returncode, 2)
        empty = self.folder / "empty"
        empty.mkdir()
        left_behind = self.folder / "empty.tmp-grpo-export" / "contents"
        left_behind.mkdir(parents=True)
        (left_behind / "half").write_text("")
        result = self.checkpoint("export", self.run_folder, "--output", f"{empty}/")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(snapshot(empty), snapshot(exported))
        self.assertFalse(left_behind.parent.exists())
        (folder / "last_good").write_text("step_00000001\n")
        self.assertEqual([line.endswith("\tlast good") for line in self.checkpoint("list", folder).stdout.splitlines()], [True, False, False, False])
        self.assertEqual(self.checkpoint("prune", self.run_folder, "--keep", 2).stdout, "removed step_00000002\n")
        (folder / "last_good").unlink()
        (folder / "best").write_text("step_00000003\n")
        self.assertEqual([line.endswith("\tbest") for line in self.checkpoint("list", folder).stdout.splitlines()], [False, True, False])
        (folder / "best").unlink()
        self.assertEqual(self.checkpoint("prune", self.run_folder, "--keep", 2).stdout, "removed step_00000001\n")
        for nothing_to_prune in (folder / "step_00000003", self.folder / "base.yaml", exported):
            self.assertEqual(self.checkpoint("prune", nothing_to_prune).returncode, 2, nothing_to_prune)
        for spelled in ("step_00000003", "step_00000003/", "step_00000003/."):
            self.assertTrue(self.checkpoint("list", f"{folder}/{spelled}").stdout.startswith("step_00000003\t"), spelled)
        shutil.copytree(folder / "step_00000003", self.folder / "step_00000007")
        self.assertIn("was it renamed?", self.checkpoint("verify", f"{self.folder}/step_00000007/").stdout)
        (folder / "step_00000004" / "state.json").write_text("{}")
        verified = self.checkpoint("verify", self.run_folder)
        self.assertEqual(verified.returncode, 1)
        self.assertIn("step_00000003\twhole", verified.stdout)
        self.assertIn("step_00000004\tdamaged: ", verified.stdout)
        self.assertEqual(self.checkpoint("prune", self.run_folder, "--keep", 1).returncode, 1)  # the one that would stay is damaged
        (folder / "step_00000004" / "MANIFEST").unlink()
        self.assertEqual(self.checkpoint("prune", self.run_folder, "--keep", 1).returncode, 1)  # and so it is without a MANIFEST
        self.assertEqual(self.checkpoints(), ["step_00000003", "step_00000004"])

    def test_a_pipe_in_place_of_the_weights_is_an_error(self):
        model = self.folder / "model"
        shutil.copytree(QUICKSTART / "model", model)
        (model / "model.safetensors").unlink()
        os.mkfifo(model / "model.safetensors")
        result = self.train(f"model.path={model}")
        self.assertIn(result.returncode, (1, 2))
        self.assertIn("is not a regular file", result.stderr)


    def test_generating_far_beyond_the_models_positions_is_refused(self):
        def generate(tokens):
            command = [PROGRAM, "generate", "--model", str(QUICKSTART / "model"), "--input", "-", "--output", "-", "--max-new-tokens", str(tokens)]
            return subprocess.run(command, input='{"prompt": "1+1="}', capture_output=True, text=True, timeout=LIMIT_S)

        positions = json.loads((QUICKSTART / "model" / "config.json").read_text())["max_position_embeddings"]
        somewhat, far = generate(2 * positions), generate(100 * positions)
        self.assertEqual(somewhat.returncode, 0, somewhat.stderr)
        self.assertIn(f"can exceed the model's {positions} positions; RoPE continues beyond them", somewhat.stderr)
        self.assertEqual(far.returncode, 1, far.stderr)
        self.assertIn("more than 64-fold; use a shorter prompt or a smaller --max-new-tokens", far.stderr)

    def test_a_run_that_diverges_ends_and_says_what_to_do(self):
        result = self.train("optimizer.lr=1e10", "optimizer.warmup_steps=0", "trainer.steps=100", "checkpoint.every_steps=1",
                            "trainer.stop_on=[non_finite,ratio,constant_reward,length_collapse]")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stderr, r"known to be good.*try a smaller optimizer.lr in a run of another name")
        self.assertEqual(self.train("trainer.stop_on=[nonfinite]").returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
