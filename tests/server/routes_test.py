#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Routes, keys, several models, reloading, logs, draining."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
import time

import support


class Routes(support.ServerCase):
    arguments = ("--model", "second=demo-shapes,general=demo-general")

    def test_health_and_metadata(self) -> None:
        self.assertEqual(self.server.json("GET", "/v2/health/live"), (200, {"live": True}))
        self.assertEqual(self.server.json("GET", "/v2/health/ready"), (200, {"ready": True}))
        self.assertEqual(self.server.json("GET", "/v2/models/second/ready")[0], 200)
        self.assertIn("binary_tensor_data", self.server.json("GET", "/v2")[1]["extensions"])
        models = self.server.json("GET", "/v1/models")[1]["models"]
        self.assertEqual([m["name"] for m in models], ["small", "second"])
        self.assertIn("ratio", models[1]["scores"])
        index = self.server.json("POST", "/v2/repository/index", b"{}")[1]
        self.assertEqual([m["name"] for m in index], ["small", "second"])

    def test_every_route_is_described(self) -> None:
        routes = json.loads(self.server.ask("GET", "/openapi.json")[2])["paths"]
        for path, methods in routes.items():
            concrete = path.replace("{model}", "small").replace("{version}", "1")
            for method in methods:
                body = b"x" if method == "post" else None
                status = self.server.ask(method.upper(), concrete, body)
                self.assertIn(str(status[0]), methods[method]["responses"], (path, method))
                self.assertNotIn(status[0], (404, 405), (path, method))
        with open(os.path.join(os.environ["OUTFLOW_SOURCE"], "src/server/routes.c"),
                  encoding="utf-8") as file:
            rows = [line.split('"') for line in file if line.startswith('    {"')]
        known = {(method.lower(), path.replace("MODEL", "{model}").replace("VERSION", "{version}"))
                 for _, method, _, path, *_ in rows}
        self.assertEqual(known, {(m, p) for p, methods in routes.items() for m in methods})

    def test_statuses_of_routes(self) -> None:
        """What the rows of the code say about a route is what its description says, and the other
        way round. Single answers are compared by all tests (support.Description)."""
        source = os.path.join(os.environ["OUTFLOW_SOURCE"], "src/server")
        with open(os.path.join(source, "routes.c"), encoding="utf-8") as file:
            rows = re.findall(r'^    \{"(\w+)", "(.*)", (\w+), OF_ACCESS_(\w+), (\w+)\},$',
                              file.read(), re.MULTILINE)
        self.assertGreater(len(rows), 15)
        for method, path, handler, access, has_body in rows:
            path = path.replace("MODEL", "{model}").replace("VERSION", "{version}")
            described = support.DESCRIPTION.paths[path][method.lower()]
            takes_images = has_body == "true" and handler != "of_handle_index"
            wanted = {"200"}
            wanted |= {"401"} if access == "KEY" else set()
            wanted |= {"400", "408", "413", "415", "429", "503"} if has_body == "true" else set()
            wanted |= {"404"} if takes_images or "{model}" in path else set()
            wanted |= {"500"} if takes_images else set()
            wanted |= {"503"} if path.endswith("/ready") else set()
            self.assertEqual(set(described["responses"]), wanted, path)
            self.assertEqual("security" in described, access == "KEY", path)
            self.assertEqual("requestBody" in described, has_body == "true", path)
            self.assertEqual(re.findall(r"{(\w+)}", path),
                             [p["$ref"].split("/")[-1].removeprefix("path_")
                              for p in described.get("parameters", [])
                              if "path" in p["$ref"] or "version" in p["$ref"]])

    def test_statuses_of_code(self) -> None:
        """Every status that the code may set is described or 405, and is one of the metrics'."""
        source = os.path.join(os.environ["OUTFLOW_SOURCE"], "src/server")
        text = ""
        for name in sorted(os.listdir(source)):
            if name.endswith(".c"):
                with open(os.path.join(source, name), encoding="utf-8") as file:
                    text += file.read()
        set_by_code = set(re.findall(
            r"(?:of_answer_fail\(\w+,|return|of_answer_json\(\w+,|status =|\? 200 :|HTTP/1.1) "
            r"([2-5]\d\d)\b", text))
        described = {status for methods in support.DESCRIPTION.paths.values()
                     for method in methods.values() for status in method["responses"]}
        counted = re.search(r"statuses\[OF_METRICS_STATUSES\] = \{([^}]*)\}", text)
        self.assertEqual(set_by_code, described | {"405"})
        self.assertEqual(set(re.findall(r"[2-5]\d\d", counted[1])), described | {"405"})

    def test_wrong_requests(self) -> None:
        ask = self.server.ask
        self.expect_error(ask("GET", "/nothing"), 404, "nothing")
        self.expect_error(ask("GET", "/v2/models/none"), 404, "no model 'none'")
        self.expect_error(ask("GET", "/v2/models/small/versions/2"), 404, "version")
        self.expect_error(ask("POST", "/v1/score?model=none", b"x"), 404, "no model")
        answer = ask("GET", "/v1/score")
        self.expect_error(answer, 405, "POST")
        self.assertEqual(answer[1]["allow"], "POST")
        self.expect_error(ask("DELETE", "/v1/models"), 405, "GET")
        html = {"Content-Type": "text/html"}
        self.expect_error(ask("POST", "/v1/score", b"x", html), 415, "html")
        self.expect_error(ask("POST", "/v1/score", b"x", {"Content-Encoding": "gzip"}), 415, "Enc")
        self.expect_error(ask("POST", "/v1/score", b""), 400, ".")
        self.expect_error(ask("POST", "/v1/score?score=none", b"x"), 400, "none")
        self.expect_error(ask("POST", "/v1/score?fpr=2", b"x"), 400, "fpr")
        self.expect_error(ask("POST", "/v1/score?fpr=0.1", b"x"), 400, "calibrat")
        self.expect_error(ask("POST", "/v1/score?scores=nll,none", b"x"), 400, "none")
        self.expect_error(ask("POST", "/v1/score?score=" + "x" * 500, b"x"), 400, "255")
        self.expect_error(ask("POST", "/v1/heatmap", b"GIF89a"), 400, ".")
        for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
            self.expect_error(ask("POST", "/v1/score", b"--y\r\n", {"Content-Type": kind}), 400,
                              "multipart")

    def test_description_fits(self) -> None:
        """What a tool that makes requests of the description has found."""
        image = self.images(1)[0][1]
        for query in ("score=", "scores=", "fpr=", "scores=all", "score=scale:1"):
            self.assertEqual(self.server.ask("POST", "/v1/score?" + query, image)[0], 200, query)
        self.assertEqual(self.server.ask("POST", "/v2/repository/index")[0], 200)
        answer = self.server.ask("POST", "/v1/score?fpr=0.1", image)
        self.expect_error(answer, 400, "small has none")
        self.assertNotIn(self.folder.name.encode(), answer[2])
        with open(os.path.join(os.environ["OUTFLOW_SOURCE"], "docs/openapi.json"),
                  encoding="utf-8") as file:
            parameters = json.load(file)["components"]["parameters"]
        for model in self.server.json("GET", "/v1/models")[1]["models"]:
            for name in model["scores"]:
                self.assertRegex(name, parameters["score"]["schema"]["pattern"])
            self.assertRegex(",".join(model["scores"]), parameters["scores"]["schema"]["pattern"])
        for name in ("none", "scale:", "nll,", "all,nll"):
            self.assertNotRegex(name, parameters["scores"]["schema"]["pattern"])
            self.assertEqual(self.server.ask("POST", "/v1/score?scores=" + name, image)[0],
                             200 if name == "nll," else 400, name)

    def test_page(self) -> None:
        for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"),
                           ("/page.css", "text/css")):
            status, headers, body = self.server.ask("GET", path)
            self.assertEqual(status, 200)
            self.assertTrue(headers["content-type"].startswith(kind))
            self.assertIn("default-src 'none'", headers["content-security-policy"])
            self.assertNotIn(b"http://", body)
            self.assertNotIn(b"https://", body)
        page = self.server.ask("GET", "/")[2]
        self.assertNotIn(b"style=", page)
        self.assertNotIn(b"onclick=", page)
        status, headers, body = self.server.ask("HEAD", "/")
        self.assertEqual((status, body, headers["content-length"]), (200, b"", str(len(page))))

    def test_request_ids_and_log(self) -> None:
        headers = self.server.ask("GET", "/v2", None, {"X-Request-Id": "mine-1.a_b"})[1]
        self.assertEqual(headers["x-request-id"], "mine-1.a_b")
        for bad in ("x" * 65, "a b", "<script>"):
            headers = self.server.ask("GET", "/v2", None, {"X-Request-Id": bad})[1]
            self.assertNotEqual(headers["x-request-id"], bad)
        body, kind = support.multipart([("secret-name.png", self.images(1)[0][1])])
        self.server.ask("POST", "/v1/score", body, {"X-Request-Id": "look-here", **kind})
        end = time.monotonic() + support.PATIENCE
        while not (found := [l for l in self.server.log if l.get("id") == "look-here"]):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        line = found[0]
        self.assertEqual((line["route"], line["status"], line["images"], line["model"]),
                         ("/v1/score", 200, 1, "small"))
        self.assertEqual(line["received_bytes"], len(body))
        self.assertNotIn("secret", json.dumps(self.server.log))

    def test_metrics(self) -> None:
        name = 'outflow_requests_total{route="/v1/score",status="200"}'
        before = self.server.metric(name)
        self.server.json("POST", "/v1/score?model=second&scores=ratio", self.images(1)[0][1])
        self.assertEqual(self.server.metric(name), before + 1)
        bits = self.server.metric('outflow_bits_per_dimension_count{model="second"}')
        self.assertGreater(bits, 0)
        self.assertEqual(self.server.metric("outflow_ready"), 1)
        text = self.server.ask("GET", "/metrics")[2].decode()
        families = [l.split(" ")[2] for l in text.splitlines() if l.startswith("# TYPE")]
        self.assertEqual(len(families), len(set(families)))
        self.assertTrue(text.endswith("\n"))

    def test_keep_alive_and_pipelining(self) -> None:
        get = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        last = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = support.raw_exchange(self.server, get * 5 + last)
        self.assertEqual(answer.count(b"HTTP/1.1 200"), 6)
        answer = support.raw_exchange(self.server, get + b"\x00\xff garbage\r\n\r\n", 2)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"))
        self.assertEqual(self.server.json("GET", "/v2/health/live")[0], 200)


class Keys(support.ServerCase):
    @classmethod
    def prepare(cls) -> None:
        cls.keys = os.path.join(cls.folder.name, "keys")
        with open(cls.keys, "w", encoding="utf-8") as file:
            file.write("# people\nfirst-key\nsecond-key\n")
        cls.arguments = ("--api-key-file", cls.keys)

    def status(self, **headers: str) -> int:
        return self.server.ask("GET", "/v1/models", None,
                               {k.replace("_", "-"): v for k, v in headers.items()})[0]

    def test_keys(self) -> None:
        answer = self.server.ask("GET", "/v1/models")
        self.expect_error(answer, 401, "key")
        self.assertEqual(answer[1]["www-authenticate"], "Bearer")
        self.assertEqual(self.status(Authorization="Bearer first-key"), 200)
        self.assertEqual(self.status(X_Api_Key="second-key"), 200)
        for bad in ("", "first", "first-key2", "# people", "x" * 1000):
            self.assertEqual(self.status(Authorization=f"Bearer {bad}"), 401)
        self.assertEqual(self.server.ask("GET", "/v2/health/ready")[0], 200)
        self.assertEqual(self.server.ask("GET", "/")[0], 200)
        self.assertEqual(self.server.ask("GET", "/metrics")[0], 401)
        self.assertNotIn("first-key", json.dumps(self.server.log))


class Reload(support.ServerCase):
    def test_reload(self) -> None:
        _, image = self.images(1)[0]
        other = os.path.join(self.folder.name, "other.safetensors")
        support.make_model(other, 2)
        first = self.server.json("POST", "/v1/score", image)[1]["images"][0]["logp"]
        stop = threading.Event()
        answers: set[tuple[int, float]] = set()

        def client() -> None:
            while not stop.is_set():
                status, answer = self.server.json("POST", "/v1/score", image)
                answers.add((status, answer["images"][0]["logp"]))

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        os.replace(other, self.model)
        self.server.signal(signal.SIGHUP)
        self.server.wait_for("reloaded")
        second = self.server.json("POST", "/v1/score", image)[1]["images"][0]["logp"]
        shutil.copy(self.model, other)
        with open(self.model + ".bad", "wb") as file:
            file.write(b"nonsense")
        os.replace(self.model + ".bad", self.model)
        self.server.signal(signal.SIGHUP)
        self.assertIn("small.safetensors", self.server.wait_for("reload_failed")["message"])
        stop.set()
        for thread in threads:
            thread.join()
        self.assertNotEqual(first, second)
        self.assertEqual(answers, {(200, first), (200, second)})
        self.assertEqual(self.server.metric("outflow_reload_failures_total"), 1)


class Drain(support.ServerCase):
    arguments = ("--drain-delay", "1.5", "--max-wait", "400")

    def test_drain(self) -> None:
        _, image = self.images(1)[0]
        found: list[int] = []
        thread = threading.Thread(
            target=lambda: found.append(self.server.ask("POST", "/v1/score", image)[0]))
        thread.start()
        time.sleep(0.1)
        self.server.signal(signal.SIGTERM)
        self.server.wait_for("draining")
        status, headers, body = self.server.ask("GET", "/v2/health/ready")
        self.assertEqual((status, json.loads(body)), (503, {"ready": False}))
        self.assertEqual(headers["connection"], "close")
        self.assertEqual(self.server.ask("GET", "/v2/health/live")[0], 200)
        thread.join()
        self.assertEqual(found, [200])
        self.server.wait_for("stopped")


if __name__ == "__main__":
    support.main()
