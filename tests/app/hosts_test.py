#!/usr/bin/env python3
"""Two hosts, each a network namespace with a name of its own, and a cable of 10 ms between them: they train, they end when the
cable is cut, and they notice when they do not share the run folder. Needs root and iproute2. Arguments: the program and the
source folder."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from support import InFolder, SOURCE, TRAIN

LINK = Path(__file__).with_name("delayed_link.py")
DELAY_MS = 10
LIMIT_S = 150
ENDS_WITHIN_S = 60.0  # the aim is 10 s; these machines also run other tests


def why_not():
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip") or not shutil.which("unshare"):
        return "iproute2 or util-linux is not installed (scripts/setup.sh --tests)"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun is not there"
    probe = f"grpo-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode != 0:
        return "network namespaces are not allowed here"
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return None


def call(*words):
    subprocess.run(words, check=True, capture_output=True)


REASON = why_not()


@unittest.skipIf(REASON, REASON)
class TwoHosts(InFolder):
    def setUp(self):
        super().setUp()
        self.hosts = [f"grpo-{name}-{os.getpid()}" for name in ("a", "b")]
        self.processes = []
        self.link = None
        self.addCleanup(self.clean_up)
        for host in self.hosts:
            call("ip", "netns", "add", host)
        self.link = subprocess.Popen([sys.executable, str(LINK), *self.hosts, str(DELAY_MS)], stdout=subprocess.PIPE, text=True)
        self.assertEqual(self.link.stdout.readline(), "ready\n")
        for i, host in enumerate(self.hosts):
            call("ip", "-n", host, "addr", "add", f"10.77.0.{i + 1}/24", "dev", "cable")
            for device in ("lo", "cable"):
                call("ip", "-n", host, "link", "set", device, "up")

    def clean_up(self):
        for process in filter(None, [*self.processes, self.link]):
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        for host in self.hosts:
            subprocess.run(["ip", "netns", "del", host], capture_output=True)

    def start(self, rank, *overrides, output=None):
        host = self.hosts[rank]
        variables = dict(RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK="0", LOCAL_WORLD_SIZE="1", MASTER_ADDR="10.77.0.1", MASTER_PORT="29511")
        command = [TRAIN, "--config", "quickstart_2grpo", f"run.output={output or self.folder}", "run.name=run", "rollout.exact=true",
                   "rollout.prompts_per_step=8", "eval.every_steps=0", "checkpoint.every_steps=1", "checkpoint.keep=2", "distributed.timeout_s=60",
                   "logging.tensorboard=false", *overrides]
        named = ["sh", "-c", 'hostname "$0" && exec "$@"', host, *command]
        process = subprocess.Popen(["ip", "netns", "exec", host, "unshare", "--uts", *named], cwd=SOURCE, env={**os.environ, **variables},
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def steps(self):
        file = self.folder / "run" / "metrics.jsonl"
        return [json.loads(line)["step"] for line in file.read_text().splitlines()] if file.exists() else []

    def test_the_cable_has_its_delay(self):
        echo = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('10.77.0.2', 7)); print(flush=True)\nwhile True: s.sendto(*s.recvfrom(99))"
        ask = ("import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(20); best = 9\n"
               "for i in range(5): t = time.monotonic(); s.sendto(b'x', ('10.77.0.2', 7)); s.recv(9); best = min(best, time.monotonic() - t)\n"
               "print(best)")
        other = subprocess.Popen(["ip", "netns", "exec", self.hosts[1], sys.executable, "-c", echo], stdout=subprocess.PIPE)
        self.processes.append(other)
        other.stdout.readline()
        asked = subprocess.run(["ip", "netns", "exec", self.hosts[0], sys.executable, "-c", ask], capture_output=True, text=True, timeout=LIMIT_S)
        self.assertGreaterEqual(float(asked.stdout), 2 * DELAY_MS / 1000, asked.stderr)

    def test_they_train(self):
        ranks = [self.start(rank, "trainer.steps=3") for rank in (0, 1)]
        said = [process.communicate(timeout=LIMIT_S)[1] for process in ranks]
        self.assertEqual([process.returncode for process in ranks], [0, 0], said)
        self.assertEqual(self.steps(), [1, 2, 3])
        alone = [TRAIN, "--config", "quickstart_2grpo", f"run.output={self.folder}", "run.name=alone", "rollout.exact=true", "trainer.steps=3",
                 "rollout.prompts_per_step=8", "eval.every_steps=0", "logging.tensorboard=false"]
        subprocess.run(alone, check=True, capture_output=True, cwd=SOURCE, timeout=LIMIT_S)
        first = "rollouts/step_00000001.jsonl"
        self.assertEqual((self.folder / "run" / first).read_text(), (self.folder / "alone" / first).read_text())

    def test_they_end_when_the_cable_is_cut(self):
        ranks = [self.start(rank, "trainer.steps=100000") for rank in (0, 1)]
        deadline = time.monotonic() + LIMIT_S
        while len(self.steps()) < 3 and time.monotonic() < deadline and all(process.poll() is None for process in ranks):
            time.sleep(0.05)
        self.link.send_signal(signal.SIGUSR1)
        began = time.monotonic()
        said = [process.communicate(timeout=LIMIT_S)[1] for process in ranks]
        seconds = time.monotonic() - began
        self.assertLess(seconds, ENDS_WITHIN_S, said)
        for rank, process in enumerate(ranks):
            self.assertNotIn(process.returncode, (0, 3), said[rank])
            self.assertIn(f"error: rank {1 - rank} on host {self.hosts[1 - rank]} stopped answering in step ", said[rank])
        print(f"cut cable: both ended {seconds:.1f} s later", file=sys.stderr)

    def listening(self, host):
        """Addresses at which something in the namespace listens, as /proc spells them."""
        tables = subprocess.run(["ip", "netns", "exec", host, "cat", "/proc/net/tcp", "/proc/net/tcp6"], check=True, capture_output=True, text=True).stdout
        fields = [line.split() for line in tables.splitlines()]
        return {words[1].split(":")[0] for words in fields if len(words) > 3 and words[3] == "0A"}

    def test_they_listen_at_no_other_address_than_the_cables(self):
        ranks = [self.start(rank, "trainer.steps=100000") for rank in (0, 1)]
        deadline = time.monotonic() + LIMIT_S
        while not self.steps() and time.monotonic() < deadline and all(process.poll() is None for process in ranks):
            time.sleep(0.05)
        self.assertTrue(self.steps())
        self.assertEqual([self.listening(host) for host in self.hosts], [{"01004D0A"}, {"02004D0A"}])  # 10.77.0.1 and 10.77.0.2
        ranks[0].send_signal(signal.SIGTERM)
        self.assertEqual([process.wait(timeout=LIMIT_S) for process in ranks], [3, 3])

    def test_they_notice_that_the_run_folder_is_not_shared(self):
        ranks = [self.start(0, "trainer.steps=3"), self.start(1, "trainer.steps=3", output=self.folder / "elsewhere")]
        said = [process.communicate(timeout=LIMIT_S)[1] for process in ranks]
        self.assertEqual([process.returncode for process in ranks], [2, 2], said)
        for text in said:
            self.assertIn(f"run.output {self.folder / 'elsewhere'} on rank 1 is not the folder that rank 0 sees; name one that all hosts share", text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
