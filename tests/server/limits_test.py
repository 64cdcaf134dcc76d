#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Limits, overload and clients that mean no good: clear answers, and the service lives on."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
import time

import support
from hostile import chunk, png_bomb, post
from support import children


def is_gone(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


class Limits(support.ServerCase):
    arguments = ("--max-body", "2M", "--max-images", "4", "--max-pixels", "1000000",
                 "--request-time", "2", "--idle-time", "2", "--max-connections", "64",
                 "--max-memory", "8M")

    def alive(self) -> None:
        image = self.images(1)[0][1]
        self.assertEqual(self.server.json("POST", "/v1/score", image)[0], 200)

    def test_large_bodies(self) -> None:
        self.expect_error(self.server.ask("POST", "/v1/score", b"x" * 2100000), 413, "2097152")
        answer = support.raw_exchange(self.server, post(b"", length=1 << 40))
        self.assertTrue(answer.startswith(b"HTTP/1.1 413"), answer[:100])
        answer = support.raw_exchange(self.server, post(b"", length=(1 << 64) + 5))
        self.assertIn(answer[9:12], (b"400", b"413"))
        # chunked, without end: closed after a little more than the limit
        with self.server.connect() as connection:
            connection.sendall(post(b"", "Transfer-Encoding: chunked", length=-1))
            sent = 0
            try:
                while sent < 64 << 20:
                    connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                    sent += 65536
            except ConnectionError:
                pass
            self.assertLess(sent, 16 << 20)
        self.alive()

    def test_many_images(self) -> None:
        body, headers = support.multipart([("a.png", b"x")] * 5)
        self.expect_error(self.server.ask("POST", "/v1/score", body, headers), 413, "4 images")
        shape = [5, 16, 16, 3]
        image = {"name": "images", "datatype": "UINT8", "shape": shape, "data": [0] * 3840}
        body = json.dumps({"inputs": [image]}).encode()
        self.expect_error(self.server.ask("POST", "/v2/models/small/infer", body), 413, "4")

    def test_bombs(self) -> None:
        self.expect_error(self.server.ask("POST", "/v1/score", png_bomb(6000)), 413, "pixels")
        flat = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1,
                                                                  16, 6, 0, 0, 0)))
        answer = self.server.ask("POST", "/v1/score", flat)
        self.assertIn(answer[0], (400, 413))
        self.alive()

    def test_slow_clients(self) -> None:
        """Headers, bodies and nothing at all that come a byte at a time."""
        starts = [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX-A: ", post(b"12", length=2000)]
        connections = [self.server.connect() for _ in starts]
        for connection, start in zip(connections, starts):
            connection.sendall(start)
        end = time.monotonic() + support.PATIENCE
        open_ones = dict(enumerate(connections))
        answers = {i: b"" for i in open_ones}
        while open_ones and time.monotonic() < end:
            time.sleep(0.2)
            for i, connection in list(open_ones.items()):
                try:
                    if i != 0:
                        connection.send(b"a")
                    connection.settimeout(0.01)
                    piece = connection.recv(65536)
                    answers[i] += piece
                    if piece:
                        continue
                except TimeoutError:
                    continue
                except ConnectionError:
                    pass
                connection.close()
                del open_ones[i]
        self.assertEqual(open_ones, {})
        self.assertIn(b"408", answers[2][:20])
        self.assertIn(b"408", answers[3][:20])
        self.alive()

    def test_header_floods_and_garbage(self) -> None:
        flood = b"GET / HTTP/1.1\r\n" + b"X-Fill: " + b"a" * 100 + b"\r\n"
        answer = support.raw_exchange(self.server, flood + b"X-A: b\r\n" * 20000 + b"\r\n")
        self.assertTrue(answer == b"" or answer[9:10] == b"4", answer[:100])
        for garbage in (b"\r\n" * 5000, bytes(range(256)) * 100, b"GET\r\n\r\n", 
                        b"\x16\x03\x01" * 99,
                        post(b"zz\r\n", "Transfer-Encoding: chunked", length=-1),
                        b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                        b"GET /%00%ff%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
            support.raw_exchange(self.server, garbage, 1)
        self.alive()

    def test_half_sent(self) -> None:
        self.late = self.server.metric("outflow_closed_late_total")
        for _ in range(50):
            with self.server.connect() as connection:
                connection.sendall(post(b"half of it", length=100000))
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        for _ in range(50):  # the end comes with the last bytes
            with self.server.connect() as connection:
                connection.sendall(post(b"half of it", length=100000))
        self.alive()
        self.expect_memory_back()
        self.assertEqual(self.server.metric("outflow_closed_late_total"), self.late)

    def expect_memory_back(self) -> None:
        end = time.monotonic() + support.PATIENCE
        while self.server.metric("outflow_memory_bytes") > 0:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_connection_storm(self) -> None:
        """More connections than there may be: those that come wait, or are refused."""
        held = []
        for _ in range(100):
            try:
                held.append(socket.create_connection(("127.0.0.1", self.server.port), timeout=0.2))
            except OSError:
                pass
        for connection in held:
            connection.close()
        self.alive()

    def test_memory_limit(self) -> None:
        """Bodies that come at the same time and do not fit into memory together."""
        connections = [self.server.connect() for _ in range(8)]
        for connection in connections:
            connection.sendall(post(bytes(1900000), length=1900001))
        time.sleep(0.2)
        for connection in connections:
            connection.sendall(b"x")
        answers = [connection.recv(4096)[9:12] for connection in connections]
        for connection in connections:
            connection.close()
        self.assertIn(b"503", answers)
        self.assertTrue(set(answers) <= {b"503", b"400"}, answers)
        self.alive()
        self.expect_memory_back()


class Overload(support.ServerCase):
    arguments = ("--max-queue", "8", "--max-images", "8", "--max-wait", "700", "--max-batch", "64")

    def test_overload(self) -> None:
        """A queue that is full answers at once; what is in it is answered right."""
        image = self.images(1)[0][1]
        answers: list[tuple[int, float, dict[str, str]]] = []

        def client() -> None:
            begin = time.monotonic()
            status, headers, _ = self.server.ask("POST", "/v1/score", image)
            answers.append((status, time.monotonic() - begin, headers))

        threads = [threading.Thread(target=client) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [a for a in answers if a[0] == 503]
        self.assertEqual({a[0] for a in answers}, {200, 503})
        self.assertGreaterEqual(len(answers) - len(refused), 8)
        self.assertTrue(all(a[2]["retry-after"] == "1" for a in refused))
        if not support.SANITIZED:
            self.assertLess(min(a[1] for a in refused), 0.5)
        self.assertEqual(self.server.ask("POST", "/v1/score", image)[0], 200)


class Rates(support.ServerCase):
    arguments = ("--rate-limit", "0.2")  # two images at once, then one in five seconds

    def status(self, source: str, body: bytes, path: str = "/v1/score") -> int:
        return self.server.ask("POST", path, body, source=source)[0]

    def test_addresses(self) -> None:
        """Every address has an account of its own; other routes cost nothing."""
        image = self.images(1)[0][1]
        for source in ("127.0.0.1", "127.0.0.2"):
            self.assertEqual([self.status(source, image) for _ in range(2)], [200, 200])
            answer = self.server.ask("POST", "/v1/score", image, source=source)
            self.expect_error(answer, 429, "0.2 images a second")
            self.assertIn(int(answer[1]["retry-after"]), range(1, 6))
            self.assertEqual(self.server.ask("GET", "/v1/models", source=source)[0], 200)
        time.sleep(int(answer[1]["retry-after"]) + 0.1)
        self.assertEqual(self.status("127.0.0.2", image), 200)

    def test_debts(self) -> None:
        """A request of many images is taken, and paid for."""
        parts = [(path, image) for path, image in self.images(8)]
        body, headers = support.multipart(parts)
        ask = lambda: self.server.ask("POST", "/v1/score", body, headers, "127.0.0.3")
        self.assertEqual(ask()[0], 200)
        answer = ask()
        self.expect_error(answer, 429, "try again in")
        self.assertIn(int(answer[1]["retry-after"]), range(25, 37))  # 7 images
        self.assertEqual(self.status("127.0.0.4", b"no image"), 400)
        self.assertEqual(self.status("127.0.0.4", b"no image"), 400)
        self.assertEqual(self.status("127.0.0.4", b"no image"), 429)
        self.assertGreater(self.server.metric(
            'outflow_requests_total{route="/v1/score",status="429"}'), 0)

    def test_many_addresses(self) -> None:
        """More clients than there are accounts: those are shared out anew, and nothing breaks."""
        for i in range(1, 20):
            self.assertEqual(self.status(f"127.0.1.{i}", b"no image"), 400)


class KeyRates(support.ServerCase):
    @classmethod
    def prepare(cls) -> None:
        keys = os.path.join(cls.folder.name, "keys")
        with open(keys, "w", encoding="utf-8") as file:
            file.write("one\nother\n")
        cls.arguments = ("--api-key-file", keys, "--rate-limit", "0.1")

    def test_keys(self) -> None:
        """Keys are what counts, not the address that they come from."""
        for key in ("one", "other"):
            for source, wanted in (("127.0.0.1", 400), ("127.0.0.2", 429)):
                answer = self.server.ask("POST", "/v1/score", b"no image", {"X-Api-Key": key},
                                         source)
                self.assertEqual(answer[0], wanted)
        self.assertEqual(self.server.ask("POST", "/v1/score", b"x", {"X-Api-Key": "none"})[0], 401)


class Fairness(support.ServerCase):
    arguments = ("--max-batch", "4", "--max-images", "400", "--max-queue", "4000")

    def test_small_beside_large(self) -> None:
        """One image does not wait for a request of hundreds that came before it."""
        shape = [400, 16, 16, 3]
        image = {"name": "images", "datatype": "UINT8", "shape": shape,
                 "parameters": {"binary_data_size": 400 * 768}}
        head = json.dumps({"inputs": [image], "outputs": [{"name": "nll"}]}).encode()
        done: list[str] = []

        def large() -> None:
            headers = {"Inference-Header-Content-Length": str(len(head))}
            self.server.ask("POST", "/v2/models/small/infer", head + bytes(400 * 768), headers)
            done.append("large")

        thread = threading.Thread(target=large)
        one = self.images(1)[0][1]
        for _ in range(5):
            done.clear()
            thread = threading.Thread(target=large)
            thread.start()
            time.sleep(0.003)
            self.assertEqual(self.server.ask("POST", "/v1/score", one)[0], 200)
            done.append("small")
            thread.join()
            if done == ["small", "large"]:
                return
        if not support.SANITIZED:
            self.fail(f"the small one always came last: {done}")


class Decoders(support.ServerCase):
    arguments = ("--decoders", "2", "--decode-time", "20")

    def test_killed_decoders(self) -> None:
        """A decoder that dies between images costs nothing; nor do many."""
        image = self.images(1)[0][1]
        wanted = self.server.json("POST", "/v1/score", image)[1]["images"][0]["logp"]
        for _ in range(5):
            for child in children(self.server.process.pid):
                os.kill(child, signal.SIGKILL)
                while not is_gone(child):
                    time.sleep(0.01)
            for _ in range(4):
                status, answer = self.server.json("POST", "/v1/score", image)
                self.assertEqual((status, answer["images"][0]["logp"]), (200, wanted))
        self.assertGreater(self.server.metric("outflow_decoder_starts_total"), 5)

    def test_killed_while_decoding(self) -> None:
        """One that dies over an image loses that image alone."""
        bomb = png_bomb(4000)
        image = self.images(1)[0][1]
        statuses: list[int] = []
        for _ in range(10):
            thread = threading.Thread(
                target=lambda: statuses.append(self.server.ask("POST", "/v1/score", bomb)[0]))
            thread.start()
            time.sleep(0.02)
            for child in children(self.server.process.pid):
                os.kill(child, signal.SIGKILL)
            thread.join()
            self.assertEqual(self.server.ask("POST", "/v1/score", image)[0], 200)
            if 500 in statuses:
                break
        self.assertIn(500, statuses)
        self.assertTrue(set(statuses) <= {200, 500}, statuses)
        self.assertGreater(self.server.metric("outflow_decoder_failures_total"), 0)

    def test_rights(self) -> None:
        """A decoder has no files, and no way to get any."""
        image = self.images(1)[0][1]
        self.assertEqual(self.server.ask("POST", "/v1/score", image)[0], 200)
        decoders = children(self.server.process.pid)
        self.assertIn(len(decoders), (1, 2))  # one that was killed comes back when it is needed
        for decoder in decoders:
            with open(f"/proc/{decoder}/status", encoding="utf-8") as file:
                status = dict(line.split(":", 1) for line in file)
            with open(f"/proc/{decoder}/limits", encoding="utf-8") as file:
                limits = file.read()
            self.assertEqual(status["NoNewPrivs"].strip(), "1")
            self.assertRegex(limits, r"Max open files +0 +0")
            self.assertRegex(limits, r"Max file size +0 +0")
            if self.server.wait_for("listening")["decoder_filter"]:
                self.assertEqual(status["Seccomp"].strip(), "2")
                self.assertNotRegex(limits, "Max address space +unlimited")


class Trusting(support.ServerCase):
    arguments = ("--trust-decoders",)

    def test_without_processes(self) -> None:
        path, image = self.images(1)[0]
        row = support.rows_of(self.model, path)[0]
        answer = self.server.json("POST", "/v1/score", image)[1]["images"][0]
        self.assertEqual(answer["logp"], float(row["logp"]))
        self.assertEqual(children(self.server.process.pid), [])
        self.expect_error(self.server.ask("POST", "/v1/score", png_bomb(6000)), 413, "pixels")


class LateDecoder(support.ServerCase):
    arguments = ("--decode-time", "0.01")

    def test_time(self) -> None:
        bomb = png_bomb(4000)
        self.expect_error(self.server.ask("POST", "/v1/score", bomb), 400, "0.01 s to decode")
        self.assertEqual(self.server.json("GET", "/v2/health/live")[0], 200)


if __name__ == "__main__":
    support.main()
