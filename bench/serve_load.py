#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Load for a running `outflow serve`: throughput and latency at several numbers of connections.

    bench/serve_load.py --port 8000 --image photo.png --connections 1,8,32 --seconds 10

Each connection sends its next request when the answer to the last one is there. One thread serves
all of them, and the processor time that it takes is printed beside: on a machine of few CPUs that
is what the server could not have. Every answer is compared with the first one.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import sys
import time


class Client:
    """One connection with one request on its way."""

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request, self.answer, self.begin = request, b"", 0.0

    def send(self) -> None:
        self.answer, self.begin = b"", time.perf_counter()
        self.socket.sendall(self.request)

    def read(self) -> bytes | None:
        """The body of the answer, once all of it is there."""
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise ConnectionError("the server has closed a connection")
        self.answer += piece
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if not found:
            return None
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                      if line.startswith(b"content-length:"))
        if len(body) < length:
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(f"{head[:40]!r}: {body[:200]!r}")
        return body


def percentile(sorted_values: list[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def measure(arguments: argparse.Namespace, request: bytes, connections: int) -> dict[str, float]:
    address = (arguments.address, arguments.port)
    clients = [Client(address, request) for _ in range(connections)]
    ready = selectors.DefaultSelector()
    latencies: list[float] = []
    wanted: bytes | None = None
    for client in clients:
        ready.register(client.socket, selectors.EVENT_READ, client)
        client.send()
    begin, cpu = time.perf_counter(), time.process_time()
    warm, end = begin + arguments.warm, begin + arguments.warm + arguments.seconds
    while time.perf_counter() < end:
        for key, _ in ready.select(1):
            client: Client = key.data
            body = client.read()
            if body is None:
                continue
            wanted = wanted or body
            if body != wanted:
                raise SystemExit(f"two answers differ: {wanted[:200]!r} and {body[:200]!r}")
            now = time.perf_counter()
            if now > warm:
                latencies.append(now - client.begin)
            client.send()
    seconds = time.perf_counter() - begin
    share = (time.process_time() - cpu) / seconds
    for client in clients:
        client.socket.close()
    if not latencies:
        raise SystemExit(f"no answer within {arguments.seconds:g} s: ask for more --seconds")
    latencies.sort()
    return {"connections": connections, "requests_per_second": len(latencies) / arguments.seconds,
            "p50_ms": 1e3 * percentile(latencies, 0.5), "p99_ms": 1e3 * percentile(latencies, 0.99),
            "client_cpus": share}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--image", required=True, help="an encoded image, sent again and again")
    parser.add_argument("--path", default="/v1/score?scores=nll&score=nll")
    parser.add_argument("--connections", default="1,8,32")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm", type=float, default=1, help="seconds that do not count")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with open(arguments.image, "rb") as file:
        body = file.read()
    head = (f"POST {arguments.path} HTTP/1.1\r\nHost: {arguments.address}\r\n"
            f"Content-Length: {len(body)}\r\nContent-Type: application/octet-stream\r\n\r\n")
    results = [measure(arguments, head.encode() + body, int(count))
               for count in arguments.connections.split(",")]
    if arguments.json:
        json.dump({"cpus": os.cpu_count(), "results": results}, sys.stdout)
        return
    print("connections  requests/s   p50 ms   p99 ms  client's CPUs")
    for row in results:
        print(f"{row['connections']:11.0f} {row['requests_per_second']:11.1f} {row['p50_ms']:8.2f}"
              f" {row['p99_ms']:8.2f} {row['client_cpus']:14.2f}")


if __name__ == "__main__":
    main()
