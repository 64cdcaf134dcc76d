#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Answers: the same bits as `outflow score`, however images come and whoever asks beside."""

from __future__ import annotations

import json
import random
import struct
import threading
from typing import Any

import support

SIDE, IMAGE = 16, 16 * 16 * 3


def tensor(count: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(count * IMAGE)


def binary_request(pixels: bytes, **more: Any) -> tuple[bytes, dict[str, str]]:
    shape = [len(pixels) // IMAGE, SIDE, SIDE, 3]
    image = {"name": "images", "datatype": "UINT8", "shape": shape,
             "parameters": {"binary_data_size": len(pixels)}}
    head = json.dumps({"inputs": [image], **more}).encode()
    return head + pixels, {"Inference-Header-Content-Length": str(len(head))}


def json_request(pixels: bytes, nested: bool = False, **more: Any) -> bytes:
    count = len(pixels) // IMAGE
    data: Any = list(pixels)
    if nested:
        data = [[[list(pixels[((n * SIDE + y) * SIDE + x) * 3:][:3]) for x in range(SIDE)]
                 for y in range(SIDE)] for n in range(count)]
    image = {"name": "images", "datatype": "UINT8", "shape": [count, SIDE, SIDE, 3], "data": data}
    return json.dumps({"inputs": [image], **more}).encode()


def binary_output(answer: support.Answer, index: int = 0) -> list[float]:
    size = int(answer[1]["inference-header-content-length"])
    outputs = json.loads(answer[2][:size])["outputs"]
    begin = size + sum(o["parameters"]["binary_data_size"] for o in outputs[:index])
    length = outputs[index]["parameters"]["binary_data_size"]
    return list(struct.unpack(f"<{length // 8}d", answer[2][begin:begin + length]))


class Scores(support.ServerCase):
    infer = "/v2/models/small/infer"

    def expected(self, pixels: bytes) -> list[float]:
        """Of `outflow score`, through an array file."""
        path = f"{self.folder.name}/pixels.npy"
        support.save_pixels(path, pixels, (len(pixels) // IMAGE, SIDE, SIDE, 3))
        return [float(row["logp"]) for row in support.rows_of(self.model, path)]

    def test_encoded_images(self) -> None:
        for path, content in self.images(3):
            row = support.rows_of(self.model, path)[0]
            status, answer = self.server.json("POST", "/v1/score?scores=all", content)
            self.assertEqual(status, 200, answer)
            image = answer["images"][0]
            self.assertEqual(image["logp"], float(row["logp"]))
            self.assertEqual(image["scores"]["nll"], float(row["nll"]))
            self.assertEqual(image["scores"]["last"], float(row["last"]))
            self.assertEqual((image["width"], image["height"]), (SIDE, SIDE))

    def test_multipart(self) -> None:
        images = self.images(3)
        wanted = [float(support.rows_of(self.model, path)[0]["logp"]) for path, _ in images]
        body, headers = support.multipart([("a.png", images[0][1]), ("b.png", b"no image"),
                                           ("c.png", images[1][1]), ("c.png", images[2][1])])
        status, _, text = self.server.ask("POST", "/v1/score", body, headers)
        found = json.loads(text)["images"]
        self.assertEqual(status, 200)
        self.assertEqual([image["name"] for image in found], ["a.png", "b.png", "c.png", "c.png"])
        self.assertEqual([found[i]["logp"] for i in (0, 2, 3)], wanted)
        self.assertIn("not a PNG", found[1]["error"])
        self.assertNotIn("logp", found[1])

    def test_tensors(self) -> None:
        pixels = tensor(5, 1)
        wanted = self.expected(pixels)
        logp = [{"name": "logp"}]
        for nested in (False, True):
            body = json_request(pixels, nested, outputs=logp, id="seven")
            status, answer = self.server.json("POST", self.infer, body)
            self.assertEqual(status, 200, answer)
            self.assertEqual(answer["id"], "seven")
            self.assertEqual(answer["outputs"][0]["shape"], [5])
            self.assertEqual(answer["outputs"][0]["data"], wanted)
        body, headers = binary_request(pixels, outputs=logp)
        status, _, text = self.server.ask("POST", self.infer, body, headers)
        self.assertEqual(json.loads(text)["outputs"][0]["data"], wanted)
        body, headers = binary_request(
            pixels, outputs=[{"name": "nll", "parameters": {"binary_data": True}},
                             {"name": "logp", "parameters": {"binary_data": True}}])
        answer = self.server.ask("POST", self.infer, body, headers)
        self.assertEqual(binary_output(answer, 1), wanted)

    def test_all_outputs(self) -> None:
        body, headers = binary_request(tensor(2, 3), parameters={"binary_data_output": True})
        answer = self.server.ask("POST", "/v2/models/small/versions/1/infer", body, headers)
        size = int(answer[1]["inference-header-content-length"])
        outputs = json.loads(answer[2][:size])["outputs"]
        described = self.server.json("GET", "/v2/models/small")[1]
        self.assertEqual([o["name"] for o in outputs], [o["name"] for o in described["outputs"]
                                                        if o["name"] != "complexity-webp"])
        self.assertEqual(len(answer[2]) - size, sum(
            o["parameters"]["binary_data_size"] for o in outputs))
        self.assertEqual(described["inputs"][0]["shape"], [-1, SIDE, SIDE, 3])

    def test_together_as_alone(self) -> None:
        """Many clients at once: their images share batches, and keep their bits."""
        requests = [tensor(1 + i % 7, 100 + i) for i in range(24)]
        wanted = [self.expected(pixels) for pixels in requests]
        failures: list[str] = []

        def client(first: int) -> None:
            for i in [*range(first, 24, 8)] * 4:
                names = [{"name": "logp"}, {"name": "nll"}] if i % 3 else [{"name": "logp"}]
                body, headers = binary_request(requests[i], outputs=names)
                status, _, text = self.server.ask("POST", self.infer, body, headers)
                if status != 200 or json.loads(text)["outputs"][0]["data"] != wanted[i]:
                    failures.append(f"request {i}: {status} {text[:200]!r}")

        threads = [threading.Thread(target=client, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        batches = self.server.metric("outflow_batch_images_count{}")
        self.assertLess(batches, self.server.metric('outflow_images_total{model="small"}'))

    def test_webp(self) -> None:
        """The score whose coder takes its time is there for those who name it."""
        path, image = self.images(1)[0]
        if "complexity-webp" not in self.server.json("GET", "/v1/models")[1]["models"][0]["scores"]:
            self.skipTest("this build has no WebP coder")
        row = support.rows_of(self.model, path, options=("--score", "complexity-webp"))[0]
        wanted = float(row["score"])
        for query in ("scores=complexity-webp", "score=complexity-webp&scores=all"):
            scores = self.server.json("POST", "/v1/score?" + query, image)[1]["images"][0]["scores"]
            self.assertEqual(scores["complexity-webp"], wanted)
        usual = self.server.json("POST", "/v1/score?scores=all", image)[1]["images"][0]["scores"]
        self.assertIn("complexity", usual)
        self.assertNotIn("complexity-webp", usual)
        body, headers = binary_request(tensor(1, 3), outputs=[{"name": "complexity-webp"}])
        _, _, text = self.server.ask("POST", self.infer, body, headers)
        self.assertEqual(json.loads(text)["outputs"][0]["name"], "complexity-webp")

    def test_heat_map(self) -> None:
        status, headers, png = self.server.ask("POST", "/v1/heatmap?score=last",
                                               self.images(1)[0][1])
        self.assertEqual((status, headers["content-type"]), (200, "image/png"))
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")

    def test_wrong_tensors(self) -> None:
        good = json.loads(json_request(tensor(1, 1)))

        def answer(change: Any) -> support.Answer:
            call = json.loads(json.dumps(good))
            change(call)
            return self.server.ask("POST", self.infer, json.dumps(call).encode())

        def put(key: str, value: Any) -> Any:
            return lambda call: call["inputs"][0].update({key: value})

        cases = [
            (put("datatype", "FP32"), "UINT8"), (put("shape", [1, 16, 16]), r"\[N,16,16,3\]|after"),
            (put("shape", [1, 3, 16, 16]), r"\[N,16,16,3\]"), (put("name", "x"), "'images'"),
            (put("data", [1, 2]), "2 values"), (put("data", [256] * IMAGE), "0 to 255"),
            (put("data", [1.5] * IMAGE), "comma"), (put("data", [-1] * IMAGE), "0 to 255"),
            (put("data", "text"), "array"), (put("shape", [2**40, 16, 16, 3]), "shape"),
            (lambda c: c.update(inputs=[]), "one tensor"), (lambda c: c.pop("inputs"), "inputs"),
            (lambda c: c.update(outputs=[{"name": "nothing"}]), "nothing"),
            (lambda c: c.update(outputs=[{"name": "p_value"}]), "calibrated"),
            (lambda c: c.update(parameters={"fpr": 7}), "fpr"),
            (lambda c: c.update(parameters={"score": "ratio"}), "general model"),
            (put("data", [[[0] * 20] * 2] * 2), "values"),
        ]
        for change, pattern in cases:
            self.expect_error(answer(change), 400, pattern)
        for text in (b"", b"{", b"[]", b"nonsense", b'{"inputs": [{"data": [1', b"{}" * 40000):
            self.expect_error(self.server.ask("POST", self.infer, text), 400, ".")
        body, headers = binary_request(tensor(1, 1))
        self.expect_error(self.server.ask("POST", self.infer, body[:-5], headers), 400, "binary")
        headers = {"Inference-Header-Content-Length": "99999999"}
        self.expect_error(self.server.ask("POST", self.infer, body, headers), 400, "larger")


class Calibrated(support.ServerCase):
    """p-values and flags."""

    @classmethod
    def prepare(cls) -> None:
        support.run("calibrate", "--quiet", "--model", cls.model, "--data",
                    "synthetic:shapes:400")

    def test_judgement(self) -> None:
        path, content = self.images(1)[0]
        row = support.rows_of(self.model, path, options=("--fpr", "0.05"))[0]
        _, answer = self.server.json("POST", "/v1/score?fpr=0.05", content)
        image = answer["images"][0]
        self.assertEqual(answer["score"], "combined")
        self.assertEqual(image["p_value"], float(row["p_value"]))
        self.assertEqual(image["scores"]["combined"], float(row["combined"]))
        self.assertEqual(int(image["flag"]), int(row["anomalous"]))
        body, headers = binary_request(tensor(2, 9))
        _, _, text = self.server.ask("POST", Scores.infer, body, headers)
        outputs = {o["name"]: o for o in json.loads(text)["outputs"]}
        self.assertEqual(outputs["flag"]["datatype"], "BOOL")
        self.assertEqual(outputs["flag"]["data"],
                         [p <= 0.01 for p in outputs["p_value"]["data"]])
        self.assertGreater(self.server.metric('outflow_judged_total{model="small"}'), 0)
        # 200 images give no p-value below 1/201
        self.expect_error(self.server.ask("POST", "/v1/score?fpr=0.0001", content), 400, "0.0001")


if __name__ == "__main__":
    support.main()
