# SPDX-License-Identifier: Apache-2.0
"""Clients that mean no good, each kind a function."""

from __future__ import annotations

import collections
import json
import random
import socket
import struct
import zlib
from collections.abc import Callable

SLOW_CLIENTS = 24  # open at a time
SECONDS = 10.0  # for an answer


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(side: int) -> bytes:
    """A valid PNG of side x side grey pixels in few bytes."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def post(body: bytes, *headers: str, length: int | None = None,
         path: str = "/v1/score") -> bytes:
    """A request with a body; its announced length may be another (negative: none)."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", *headers]
    if length is None or length >= 0:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Attacker:
    """Attacks in turn, and what came back."""

    def __init__(self, port: int, image: bytes, key: str) -> None:
        self.port, self.image, self.key = port, image, f"X-Api-Key: {key}"
        self.chance = random.Random(11)
        self.bombs = [png_bomb(1200), png_bomb(3000)]
        self.slow: collections.deque[socket.socket] = collections.deque()
        self.statuses: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self.kinds: list[tuple[Callable[[], bytes], set[str]]] = [
            (self.half_sent, {""}), (self.slow_loris, {""}), (self.giant, {"413", "400"}),
            (self.bomb, {"413", "500"}), (self.pipelined_garbage, {"200", "401"}),
            (self.header_flood, {"", "400", "413", "431"}), (self.wrong_key, {"401"}),
            (self.damaged_image, {"200", "400", "413", "500"}), (self.wrong_tensor, {"400"}),
            (self.wrong_chunks, {"", "400", "413"}), (self.wrong_multipart, {"400", "413"}),
            (self.wrong_path, {"404", "405", "400"}), (self.no_http, {"", "400"}),
            (self.storm, {""}),
        ]

    def attack(self, number: int) -> None:
        kind, allowed = self.kinds[number % len(self.kinds)]
        try:
            answer = kind()
        except (ConnectionError, TimeoutError) as error:
            answer = b"" if isinstance(error, ConnectionError) else b"HTTP/1.1 late"
        status = answer[9:13].strip().decode(errors="replace") if answer else ""
        self.statuses[status or "none"] += 1
        if status not in allowed and len(self.wrong) < 10:
            self.wrong.append(f"{kind.__name__}: {answer[:200]!r}")

    def tick(self) -> None:
        """A byte from each slow client; those that were closed make room."""
        for _ in range(len(self.slow)):
            connection = self.slow.popleft()
            try:
                connection.send(b"a")
                self.slow.append(connection)
            except OSError:
                connection.close()

    def close(self) -> None:
        for connection in self.slow:
            connection.close()

    # ---- Talking ----

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), SECONDS)

    def exchange(self, data: bytes, leave: bool = False) -> bytes:
        """Sends and waits for the first bytes of an answer; or first says that no more will come."""
        with self.connect() as connection:
            try:
                connection.sendall(data)
                if leave:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # an early answer may have come all the same
            return connection.recv(4096)

    def send_and_leave(self, data: bytes, hard: bool) -> None:
        with self.connect() as connection:
            connection.sendall(data)
            if hard:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    # ---- Kinds ----

    def half_sent(self) -> bytes:
        self.send_and_leave(post(self.chance.randbytes(self.chance.randrange(30000)), self.key,
                                 length=100000), self.chance.random() < 0.5)
        return b""

    def slow_loris(self) -> bytes:
        if len(self.slow) < SLOW_CLIENTS:
            connection = self.connect()
            connection.sendall(self.chance.choice(
                [b"", b"GET / HTTP/1.1\r\nX-A: ", post(b"12", self.key, length=900000)]))
            connection.setblocking(False)
            self.slow.append(connection)
        self.tick()
        return b""

    def giant(self) -> bytes:
        size = self.chance.choice([1 << 30, 1 << 40, 1 << 62, (1 << 64) + 5])
        return self.exchange(post(b"", self.key, length=size))

    def bomb(self) -> bytes:
        return self.exchange(post(self.chance.choice(self.bombs), self.key))

    def pipelined_garbage(self) -> bytes:
        get = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        return self.exchange(get * self.chance.randrange(1, 9) + self.chance.randbytes(300)
                             + b"\r\n\r\n")

    def header_flood(self) -> bytes:
        return self.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 20000 + b"\r\n")

    def wrong_key(self) -> bytes:
        return self.exchange(post(self.image, "Authorization: Bearer " + "k" * 200))

    def damaged_image(self) -> bytes:
        image = bytearray(self.image)
        for _ in range(self.chance.randrange(1, 9)):
            image[self.chance.randrange(len(image))] = self.chance.randrange(256)
        return self.exchange(post(bytes(image[:self.chance.randrange(1, len(image) + 1)]),
                                  self.key))

    def wrong_tensor(self) -> bytes:
        tensor = {"name": "images", "datatype": "UINT8", "shape": [1 << 40, 1 << 40, 3, 3]}
        body = self.chance.choice([
            b"[" * 60000, b'{"inputs": ' * 3000, json.dumps({"inputs": [tensor]}).encode(),
            b'{"inputs": [{"data": [' + b"1e999," * 9999 + b"]}]}", self.chance.randbytes(5000)])
        return self.exchange(post(body, self.key, path="/v2/models/small/infer"))

    def wrong_chunks(self) -> bytes:
        return self.exchange(post(self.chance.choice([b"zz\r\n", b"-5\r\n", b"f" * 40 + b"\r\n"]),
                                  self.key, "Transfer-Encoding: chunked", length=-1), leave=True)

    def wrong_multipart(self) -> bytes:
        part = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nx\r\n'
        body = self.chance.choice([b"--b", b"--b\r\n" * 5000, part * 3000 + b"--b--\r\n", b""])
        return self.exchange(post(body, self.key, "Content-Type: multipart/form-data; boundary=b"))

    def wrong_path(self) -> bytes:
        path = self.chance.choice(["/../../etc/passwd", "/%00", "/v2/models/" + "a" * 900,
                                   "/v1/score/", "/v1/models"])
        return self.exchange(post(b"x", self.key, path=path))

    def no_http(self) -> bytes:
        return self.exchange(self.chance.choice(
            [b"\x16\x03\x01\x02\x00\x01\x00" * 99, b"GET\r\n\r\n", bytes(range(256)) * 9]), leave=True)

    def storm(self) -> bytes:
        held = [self.connect() for _ in range(60)]
        for connection in held:
            connection.close()
        return b""
