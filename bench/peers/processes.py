# SPDX-License-Identifier: Apache-2.0
"""Contenders' processes, of which one runs at a time: the others are stopped by a signal, so that
no pool of threads spins while another is timed."""
import json
import os
import select
import signal
import subprocess
import sys

from contenders import Contender

HERE = os.path.dirname(os.path.abspath(__file__))
# What would make a contender's threads wait in another way than its authors chose.
UNWANTED = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_PROC_BIND", "OMP_PLACES",
            "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "OMP_DYNAMIC", "MKL_NUM_THREADS")

SET_UP_LIMIT, TURN_LIMIT = 1800, 600  # seconds after which a process is taken to hang


class Failure(Exception):
    """A contender that could not do what it was asked; the reason in one line."""


def run_step(python, script, *arguments):
    """Runs one of the scripts here to its end; returns the JSON it prints last."""
    result = subprocess.run([python, "-B", os.path.join(HERE, script), *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or [f"{script}: {result.returncode}"]
        raise Failure(lines[-1])
    return json.loads(result.stdout.splitlines()[-1])


class Worker:
    """`job` describes the contender. Set up by `start`, which is given no answer until `wait`."""

    def __init__(self, python, job):
        setting = job["setting"]
        environment = {name: value for name, value in os.environ.items() if name not in UNWANTED}
        environment["OMP_NUM_THREADS"] = str(setting["threads"])
        environment["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(job["folder"], "inductor")
        environment["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no pool of processes stays
        self.name = Contender(job["engine"], job["precision"]).title
        self.process = subprocess.Popen(
            [python, "-B", os.path.join(HERE, "worker.py")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE if not os.environ.get(
                "OUTFLOW_PEERS_VERBOSE") else None, text=True, env=environment,
            start_new_session=True)
        self.send(job)

    def send(self, request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # `receive` tells why

    def receive(self, limit=SET_UP_LIMIT):
        """The next answer; Failure where none comes in `limit` seconds."""
        if not select.select([self.process.stdout], [], [], limit)[0]:
            raise Failure(f"{self.name}: no answer in {limit:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            text = self.process.stderr.read().strip() if self.process.stderr else ""
            reason = text.splitlines()[-1] if text else f"exit status {code}"
            if code == -signal.SIGKILL:
                reason = "killed; is there enough memory?"
            raise Failure(f"{self.name}: its process ended ({reason})")
        reply = json.loads(line)
        if "error" in reply:
            raise Failure(f"{self.name}: {reply['error']}")
        return reply

    def ask(self, request):
        """Lets the process run until it has answered."""
        self.go_on()
        self.send(request)
        try:
            return self.receive(TURN_LIMIT + 20 * request.get("turn", 0))
        finally:
            self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass


def progress(text):
    """On a terminal one line that changes, elsewhere a line each."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
    elif text:
        sys.stderr.write(text + "\n")
    sys.stderr.flush()
