#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Good clients beside hostile ones and decoders that are killed: every valid answer has its bits, and
memory, threads and files of the server stay as they were.

    OUTFLOW_SOAK=1000000 ctest --preset release -R server_soak -V --timeout 7200

runs as many requests (without it, some thousands) and prints what it saw. One request in twenty is
hostile. Those that a killed decoder was at work for may fail, one for each that was killed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import selectors
import signal
import socket
import time
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import hostile
import support

REQUESTS = int(os.environ.get("OUTFLOW_SOAK", "") or (1000 if support.SANITIZED else 6000))
CONNECTIONS = 16
HOSTILE_SHARE = 20  # one request in so many
REQUESTS_PER_KILL = 500
MORE_MEMORY = 16 << 20  # bytes that the server may take after the first thousand requests
KEY = "soak-key"
DIED = "the decoder died over the image"


@dataclass
class Request:
    """What is sent, and the body that must come back."""

    content: bytes
    answer: bytes
    weight: int


def encode(method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: soak", f"X-Api-Key: {KEY}",
             f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Client:
    """One connection with one request on its way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request: Request | None = None
        self.come = b""

    def send(self, request: Request) -> None:
        self.request, self.come = request, b""
        self.socket.sendall(request.content)

    def read(self) -> tuple[bytes, bytes] | None:
        """Head and body of the answer, once all of it is there."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server has closed a good connection")
        self.come += piece
        head, found, body = self.come.partition(b"\r\n\r\n")
        if not found:
            return None
        at = head.index(b"Content-Length: ") + 16
        length = int(head[at:].split(b"\r\n", 1)[0])
        return (head, body) if len(body) >= length else None


def lost_images(head: bytes, body: bytes, wanted: bytes) -> int:
    """How many images a dead decoder has lost, if nothing else differs; else 0."""
    if head.startswith(b"HTTP/1.1 500"):
        return int(json.loads(body)["error"] == DIED)
    if not head.startswith(b"HTTP/1.1 200") or not body.startswith(b"{"):
        return 0
    images, expected = json.loads(body)["images"], json.loads(wanted)["images"]
    differing = [image for image, other in zip(images, expected) if image != other]
    return len(differing) if all(image.get("error") == DIED for image in differing) else 0


def send_good(port: int, requests: list[Request], count: int,
              done: Synchronized[int]) -> dict[str, Any]:
    """Sends `count` requests over some connections and compares each answer."""
    choice = random.Random(7)
    order = choice.choices(requests, [r.weight for r in requests], k=10007)
    lost, wrong = 0, []
    ready = selectors.DefaultSelector()
    sent = answered = 0
    for _ in range(min(CONNECTIONS, count)):
        client = Client(port)
        ready.register(client.socket, selectors.EVENT_READ, client)
        client.send(order[sent % len(order)])
        sent += 1
    while answered < count and len(wrong) < 10:
        events = ready.select(support.PATIENCE)
        if not events:
            wrong.append("no answer for a long time")
            break
        for key, _ in events:
            client = key.data
            answer = client.read()
            if answer is None:
                continue
            answered += 1
            if answer[1] != client.request.answer:
                gone = lost_images(*answer, client.request.answer)
                lost += gone
                if gone == 0:
                    wrong.append(f"{answer[0][:60]!r} {answer[1][:200]!r}")
            if sent < count:
                client.send(order[sent % len(order)])
                sent += 1
        done.value = answered
    for key in list(ready.get_map().values()):
        key.data.socket.close()
    return {"answered": answered, "lost": lost, "wrong": wrong}


def send_hostile(port: int, image: bytes, count: int, done: Synchronized[int],
                 stop: Synchronized[int]) -> dict[str, Any]:
    """Attacks at the pace of the good requests, all kinds in turn."""
    attacker = hostile.Attacker(port, image, KEY)
    for i in range(count):
        while i * (HOSTILE_SHARE - 1) > done.value and not stop.value:
            attacker.tick()
            time.sleep(0.002)
        attacker.attack(i)
    attacker.close()
    return {"attacks": count, "statuses": attacker.statuses, "wrong": attacker.wrong}


def in_process(work: Any, *arguments: Any) -> tuple[multiprocessing.Process, Any]:
    here, there = multiprocessing.Pipe(False)
    process = multiprocessing.Process(target=lambda: there.send(work(*arguments)), daemon=True)
    process.start()
    return process, here


@dataclass
class Sample:
    """What the server holds at a moment."""

    requests: int
    resident: int  # bytes
    threads: int
    files: int

    @classmethod
    def take(cls, process: int, requests: int) -> Sample:
        with open(f"/proc/{process}/status", encoding="utf-8") as file:
            status = dict(line.split(":", 1) for line in file)
        return cls(requests, int(status["VmRSS"].split()[0]) << 10, int(status["Threads"]),
                   len(os.listdir(f"/proc/{process}/fd")))

    def __str__(self) -> str:
        return (f"after {self.requests} requests: {self.resident / 2**20:.1f} MiB resident, "
                f"{self.threads} threads, {self.files} files")


class Soak(support.ServerCase):
    @classmethod
    def prepare(cls) -> None:
        keys = os.path.join(cls.folder.name, "keys")
        with open(keys, "w", encoding="utf-8") as file:
            file.write(KEY + "\n")
        cls.arguments = ("--api-key-file", keys, "--quiet", "--request-time", "5", "--max-body",
                         "1M", "--max-memory", "64M", "--max-pixels", "1000000", "--decoders", "2")

    # ---- Requests and their right answers ----

    def request(self, method: str, path: str, weight: int, body: bytes = b"",
                headers: dict[str, str] | None = None) -> Request:
        """With the answer of a server that nobody else asks."""
        headers = headers or {}
        status, _, answer = self.server.ask(method, path, body, {"X-Api-Key": KEY, **headers})
        self.assertEqual(status, 200, answer[:200])
        return Request(encode(method, path, body, headers), answer, weight)

    def encoded_request(self, paths: list[str], images: list[bytes], weight: int) -> Request:
        body, headers = images[0], {"Content-Type": "application/octet-stream"}
        if len(images) > 1:
            body, headers = support.multipart([(os.path.basename(p), i)
                                               for p, i in zip(paths, images)])
        made = self.request("POST", "/v1/score?scores=nll,last", weight, body, headers)
        for row, image in zip(support.rows_of(self.model, *paths),
                              json.loads(made.answer)["images"], strict=True):
            self.assertEqual(image["logp"], float(row["logp"]))
            self.assertEqual(image["scores"]["last"], float(row["last"]))
        return made

    def tensor_request(self, count: int, seed: int, binary: bool, weight: int) -> Request:
        pixels = random.Random(seed).randbytes(count * 16 * 16 * 3)
        tensor = {"name": "images", "datatype": "UINT8", "shape": [count, 16, 16, 3]}
        tensor |= ({"parameters": {"binary_data_size": len(pixels)}} if binary
                   else {"data": list(pixels)})
        call = json.dumps({"inputs": [tensor], "outputs": [{"name": "logp"}]}).encode()
        headers = {"Inference-Header-Content-Length": str(len(call))} if binary else {}
        made = self.request("POST", "/v2/models/small/infer", weight,
                            call + (pixels if binary else b""), headers)
        path = os.path.join(self.folder.name, "pixels.npy")
        support.save_pixels(path, pixels, (count, 16, 16, 3))
        self.assertEqual(json.loads(made.answer)["outputs"][0]["data"],
                         [float(row["logp"]) for row in support.rows_of(self.model, path)])
        return made

    def good_requests(self) -> list[Request]:
        found = self.images(8)
        paths, images = [p for p, _ in found], [i for _, i in found]
        return [
            *(self.encoded_request([p], [i], 80) for p, i in found),
            self.encoded_request(paths[:3], images[:3], 30),
            *(self.tensor_request(count, count, True, 60) for count in (1, 2, 4, 7)),
            self.tensor_request(2, 20, False, 40),
            self.request("POST", "/v1/heatmap", 2, images[0]),
            self.request("GET", "/v1/models", 10),
        ]

    # ---- Watching ----

    def metric(self, name: str) -> float:
        text = self.server.ask("GET", "/metrics", None, {"X-Api-Key": KEY})[2].decode()
        return next((float(line.split(" ")[-1]) for line in text.splitlines()
                     if line.startswith(name + " ")), 0.0)

    def kill_decoder(self, number: int) -> bool:
        decoders = support.children(self.server.process.pid)
        if not decoders:
            return False
        try:
            os.kill(decoders[number % len(decoders)], signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def watch(self, good: multiprocessing.Process, done: Synchronized[int]) -> tuple[
            list[Sample], int]:
        """Kills decoders and takes samples until the good clients have ended."""
        samples, kills = [], 0
        process = self.server.process.pid
        between = min(1000, max(1, REQUESTS // 10))
        while good.is_alive():
            answered = done.value
            if answered >= between * (len(samples) + 1):
                samples.append(Sample.take(process, answered))
            if answered // REQUESTS_PER_KILL > kills:
                kills += self.kill_decoder(kills)
            time.sleep(0.002)
        return samples, kills

    def expect_rest(self, start: Sample) -> Sample:
        """When all clients have gone, nothing of them is left."""
        end = time.monotonic() + support.PATIENCE
        while True:
            left = (self.metric("outflow_connections"), self.metric("outflow_memory_bytes"))
            now = Sample.take(self.server.process.pid, REQUESTS)
            if left == (1, 0) and now.files <= start.files and now.threads == start.threads:
                return now
            self.assertLess(time.monotonic(), end, f"{left}, {now}; at the start {start}")
            time.sleep(0.1)

    def test_soak(self) -> None:
        requests = self.good_requests()
        self.metric("outflow_connections")
        time.sleep(0.3)
        start = Sample.take(self.server.process.pid, 0)
        begin = time.monotonic()
        attacks = REQUESTS // HOSTILE_SHARE
        done, stop = multiprocessing.Value("q", 0), multiprocessing.Value("b", 0)
        good, good_end = in_process(send_good, self.server.port, requests, REQUESTS - attacks, done)
        bad, bad_end = in_process(send_hostile, self.server.port, self.images(1)[0][1], attacks,
                                  done, stop)
        samples, kills = self.watch(good, done)
        stop.value = 1
        result, attacked = good_end.recv(), bad_end.recv()
        good.join()
        bad.join()
        last = self.expect_rest(start)
        seconds = time.monotonic() - begin
        print(f"\n{result['answered']} good requests ({result['lost']} images lost to {kills} kills "
              f"of decoders), {attacked['attacks']} hostile ones ({attacked['statuses']}), "
              f"{seconds:.0f} s")
        tenths = [samples[i * (len(samples) - 1) // 10] for i in range(11)]
        for sample in (start, *tenths, last):
            print(f"  {sample}")
        print(f"  at most {max(s.resident for s in samples) / 2**20:.1f} MiB, "
              f"{max(s.files for s in samples)} files")
        self.assertEqual(result["wrong"] + attacked["wrong"], [])
        self.assertEqual(result["answered"], REQUESTS - attacks)
        self.assertLessEqual(result["lost"], kills)
        self.assertGreater(kills, 0)
        if not support.SANITIZED:
            self.assertLess(samples[-1].resident - samples[0].resident, MORE_MEMORY)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    support.main()
