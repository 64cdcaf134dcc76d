# SPDX-License-Identifier: Apache-2.0
"""A running server, and clients of it that need the standard library alone."""

from __future__ import annotations

import csv
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any

PROGRAM = os.environ["OUTFLOW_PROGRAM"]
HELPERS = os.environ["OUTFLOW_HELPERS"]
SANITIZED = os.environ.get("OUTFLOW_SANITIZED", "") != ""
PATIENCE = 120.0 if SANITIZED else 30.0

Answer = tuple[int, dict[str, str], bytes]


def run(*arguments: str) -> str:
    """The standard output of the program."""
    done = subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def make_model(path: str, seed: int, channels: int = 3, side: int = 16) -> None:
    """A small random model."""
    subprocess.run(
        [f"{HELPERS}/make_model", path, *map(str, (seed, channels, side, side, 2, 2, 8))],
        check=True,
    )


def rows_of(model: str, *sources: str, options: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """What `outflow score` says."""
    text = run("score", "--quiet", "--model", model, *options, *sources)
    return list(csv.DictReader(text.splitlines()))


def save_pixels(path: str, pixels: bytes, shape: tuple[int, ...]) -> None:
    """Bytes as an array file of NumPy."""
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + pixels)


def children(process: int) -> list[int]:
    """The processes that it has started."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                if int(file.read().rsplit(")", 1)[1].split()[1]) == process:
                    found.append(int(name))
        except (OSError, IndexError):
            pass
    return found


class Description:
    """docs/openapi.json: the routes and what they may answer."""

    def __init__(self) -> None:
        with open(os.path.join(os.environ["OUTFLOW_SOURCE"], "docs/openapi.json"),
                  encoding="utf-8") as file:
            self.paths: dict[str, dict[str, Any]] = json.load(file)["paths"]

    def check(self, method: str, path: str, status: int, kind: str) -> None:
        """Is it an answer that the route may give?"""
        path = path.split("?")[0]
        for template, methods in self.paths.items():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            answers = methods.get(method.lower(), {}).get("responses")
            if answers is None or not re.fullmatch(pattern, path):
                continue
            said = answers.get(str(status), {})
            if "$ref" in said:  # errors
                said = {"content": ["application/json"]}
            if kind.split(";")[0] not in said.get("content", ()):
                raise AssertionError(f"{method} {path}: {status} {kind} is not described")


DESCRIPTION = Description()


class Server:
    """`outflow serve` on a free port; its log is kept."""

    def __init__(self, *arguments: str) -> None:
        self.log: list[dict[str, Any]] = []
        self.noise: list[str] = []
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--port", "0", *arguments], stderr=subprocess.PIPE, text=True
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.port = int(self.wait_for("listening")["port"])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.noise.append(line)

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """The log's line of that event, the count-th."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = [line for line in self.log if line["event"] == event]
            if len(found) >= count:
                return found[count - 1]
            if self.process.poll() is not None and not self.reader.is_alive():
                break
            time.sleep(0.02)
        raise AssertionError(f"the server does not say '{event}': {self.noise[-20:]}")

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        source: str = "127.0.0.1",
    ) -> Answer:
        """One request on a connection of its own, from an address of this machine. What comes back
        must be in the description of the routes."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE,
                                            source_address=(source, 0))
        try:
            try:
                client.request(method, path, body, headers or {})
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all of the body was sent: the answer is there all the same
            answer = client.getresponse()
            kind = answer.getheader("Content-Type", "")
            DESCRIPTION.check(method, path, answer.status, kind)
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            client.close()

    def json(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """The same for an answer in JSON."""
        status, _, text = self.ask(method, path, body)
        return status, json.loads(text)

    def metric(self, name: str) -> float:
        """A number of /metrics, by its whole name with labels."""
        text = self.ask("GET", "/metrics")[2].decode()
        for line in text.splitlines():
            if line.startswith(name + " "):
                return float(line.split(" ")[-1])
        return 0.0

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ends it, and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.reader.join(PATIENCE)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code


def raw_exchange(server: Server, data: bytes, seconds: float = PATIENCE) -> bytes:
    """Sends bytes and reads until the server closes, or falls silent."""
    answer = b""
    with server.connect() as connection:
        connection.settimeout(seconds)
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                answer += piece
        except (ConnectionError, TimeoutError):
            pass
    return answer


def multipart(files: list[tuple[str, bytes]]) -> tuple[bytes, dict[str, str]]:
    """A body with files, and its headers."""
    boundary = "edge-of-parts"
    body = b""
    for name, content in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"'
        body += head.encode() + b"\r\nContent-Type: image/png\r\n\r\n" + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


class ServerCase(unittest.TestCase):
    """Tests of one server, with a small model in a folder of its own."""

    arguments: tuple[str, ...] = ()
    server: Server
    folder: tempfile.TemporaryDirectory[str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.model = os.path.join(cls.folder.name, "small.safetensors")
        make_model(cls.model, 1)
        cls.prepare()
        cls.server = Server("--model", f"small={cls.model}", *cls.arguments)

    @classmethod
    def prepare(cls) -> None:
        """For what must be there before the server starts."""

    @classmethod
    def tearDownClass(cls) -> None:
        code = cls.server.stop()
        cls.folder.cleanup()
        if code != 0 or cls.server.noise:
            raise AssertionError(f"exit code {code}; {cls.server.noise[:40]}")

    @classmethod
    def images(cls, count: int) -> list[tuple[str, bytes]]:
        """Encoded images of the model's size, with their paths."""
        found = []
        for i in range(count):
            path = os.path.join(cls.folder.name, f"image-{i}.png")
            if not os.path.exists(path):
                run("sample", "--model", cls.model, "--count", "1", "--seed", str(i), "--quiet",
                    "--out", path)
            with open(path, "rb") as file:
                found.append((path, file.read()))
        return found

    def expect_error(self, answer: Answer, status: int, pattern: str) -> None:
        self.assertEqual(answer[0], status, answer[2][:200])
        self.assertEqual(answer[1]["content-type"], "application/json")
        self.assertRegex(json.loads(answer[2])["error"], pattern)


def main() -> None:
    unittest.main(verbosity=2, argv=[sys.argv[0], *sys.argv[1:]])
