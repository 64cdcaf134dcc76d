#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page in headless Chromium, through its DevTools protocol: upload, sort, slider, an error."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any

import support

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
PICTURES = os.environ.get("OUTFLOW_PAGE_PICTURES", "")  # a folder for screenshots


class Browser:
    """Chromium with its protocol on a pair of pipes: messages end with a zero byte."""

    def __init__(self, folder: str) -> None:
        to_read, self.to = os.pipe()
        self.come, from_write = os.pipe()
        script = 'exec "$0" "$@" 3<&"$IN" 4>&"$OUT"'
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
                     "--no-first-run", f"--user-data-dir={folder}/profile", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", script, str(CHROMIUM), *arguments], pass_fds=(to_read, from_write),
            env={**os.environ, "IN": str(to_read), "OUT": str(from_write)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self.rest, self.number, self.session = b"", 0, ""
        self.violations: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Log"):
            self.call(f"{domain}.enable")

    def read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            piece = os.read(self.come, 1 << 16)
            if not piece:
                raise AssertionError("Chromium has gone")
            self.rest += piece
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method: str, **parameters: Any) -> Any:
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.violations.append(json.dumps(answer["params"]))
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]

    def value(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True, userGesture=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait_for(self, expression: str) -> None:
        end = time.monotonic() + support.PATIENCE
        while not self.value(expression):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {expression}")
            time.sleep(0.05)

    def upload(self, selector: str, paths: list[str]) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=paths, nodeId=node)

    def picture(self, name: str, width: int, dark: bool) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=1100,
                  deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        time.sleep(0.2)
        png = self.call("Page.captureScreenshot")["data"]
        if PICTURES:
            with open(os.path.join(PICTURES, f"{name}.png"), "wb") as file:
                file.write(base64.b64decode(png))

    def close(self) -> None:
        os.close(self.to)
        self.process.terminate()
        self.process.wait()
        os.close(self.come)


class Page(support.ServerCase):
    arguments = ("--model", "other=demo-shapes,general=demo-general")

    @classmethod
    def prepare(cls) -> None:
        support.run("calibrate", "--quiet", "--model", cls.model, "--data",
                    "synthetic:shapes:400")

    def setUp(self) -> None:
        self.browser = Browser(self.folder.name)
        self.browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=1400,
                          deviceScaleFactor=1, mobile=False)  # all rows are seen
        self.browser.call("Page.navigate", url=f"http://127.0.0.1:{self.server.port}/")
        self.browser.wait_for("document.querySelectorAll('#model option').length === 2")

    def tearDown(self) -> None:
        violations = self.browser.violations
        self.browser.close()
        self.assertEqual(violations, [])

    def column(self, title: str) -> list[str]:
        return self.browser.value(
            f"(() => {{const at = [...document.querySelectorAll('#head th')].findIndex("
            f"(cell) => cell.textContent === {json.dumps(title)});"
            "return [...document.querySelectorAll('#rows tr')].map((row) =>"
            " row.children[at].textContent)})()")

    def click(self, title: str) -> None:
        self.browser.value("[...document.querySelectorAll('#head button')].find((button) =>"
                           f" button.textContent === {json.dumps(title)}).click()")

    def load_images(self) -> list[str]:
        paths = [path for path, _ in self.images(6)]
        self.browser.upload("#files", paths)
        self.browser.wait_for("document.querySelector('#status').textContent === '6 of 6 scored'")
        self.browser.wait_for("document.querySelectorAll('#rows td:nth-child(2) img').length === 6")
        return paths

    def test_upload_sort_slider(self) -> None:
        paths = self.load_images()
        rows = {os.path.basename(p): support.rows_of(self.model, p)[0] for p in paths}
        shown = dict(zip(self.column("Name"), self.column("nll")))
        self.assertEqual(set(shown), set(rows))
        for name, text in shown.items():
            self.assertAlmostEqual(float(text), float(rows[name]["nll"]), delta=1)
        self.click("Name")
        self.assertEqual(self.column("Name"), sorted(rows))
        self.click("Name")
        self.assertEqual(self.column("Name"), sorted(rows, reverse=True))
        self.assertEqual(self.browser.value(
            "document.querySelector('th[aria-sort=descending]').textContent"), "Name")
        self.click("combined")
        values = [float(text) for text in self.column("combined")]
        self.assertEqual(values, sorted(values, reverse=True))
        for place, wanted in ((1000, 6), (0, 0)):
            self.browser.value(
                f"(() => {{const s = document.querySelector('#slider'); s.value = {place};"
                "s.dispatchEvent(new Event('input'))})()")
            self.browser.wait_for(
                f"document.querySelectorAll('tr.flagged').length === {wanted}")
            self.assertIn(f"{wanted} of 6 flagged",
                          self.browser.value("document.querySelector('#slider-value').value"))

    def test_other_model_and_csv(self) -> None:
        self.load_images()
        self.browser.value("(() => {const m = document.querySelector('#model');"
                           "m.selectedIndex = 1; m.dispatchEvent(new Event('change'))})()")
        self.browser.wait_for(
            "document.querySelector('#status').textContent === '6 of 6 scored'"
            " && [...document.querySelectorAll('#head th')].some((c) => c.textContent === 'ratio')")
        self.assertEqual(self.browser.value("document.querySelector('#score').value"), "ratio")
        text = self.browser.value(
            "(async () => {let blob; const old = URL.createObjectURL;"
            "URL.createObjectURL = (b) => {blob = b; return old(b)};"
            "document.querySelector('#csv').click(); URL.createObjectURL = old;"
            "return blob.text()})()")
        lines = text.split("\r\n")
        self.assertTrue(lines[0].startswith("name,nll,"))
        self.assertEqual(len(lines), 8)
        self.browser.value("document.querySelector('#clear').click()")
        self.assertTrue(self.browser.value("document.querySelector('#results').hidden"))

    def press(self, key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            self.browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                              windowsVirtualKeyCode=code, **({"text": text} if text else {}))

    def focused(self) -> str:
        return self.browser.value("document.activeElement.id || document.activeElement.textContent")

    def test_keyboard(self) -> None:
        """Everything is reached by Tab in the order that it is seen in, and does its work by keys."""
        self.load_images()
        reached = []
        while len(reached) < 40 and "Name" not in reached:
            self.press("Tab", 9)
            reached.append(self.focused())
        wanted = ["model", "score", "files", "folder", "slider", "csv", "clear"]
        self.assertEqual([name for name in reached if name in wanted], wanted)
        for order in ("ascending", "descending"):
            self.press("Enter", 13, "\r")
            self.assertEqual(self.focused(), "Name")  # it stays there
            self.assertEqual(self.browser.value(
                "document.activeElement.closest('th').getAttribute('aria-sort')"), order)
        before = self.browser.value("document.querySelector('#slider').value")
        self.browser.value("document.querySelector('#slider').focus()")
        self.press("ArrowRight", 39)
        self.assertGreater(int(self.browser.value("document.querySelector('#slider').value")),
                           int(before))
        self.assertIn("of 6 flagged", self.browser.value(
            "document.activeElement.getAttribute('aria-valuetext')"))
        self.assertNotEqual(self.browser.value(
            "getComputedStyle(document.activeElement).outlineStyle"), "none")

    def test_error(self) -> None:
        path = os.path.join(self.folder.name, "no-image.png")
        with open(path, "w", encoding="utf-8") as file:
            file.write("<b>text</b>")
        self.browser.upload("#files", [path])
        self.browser.wait_for(
            "document.querySelector('#status').textContent.includes('1 could not be')")
        self.assertIn("not a PNG", self.browser.value(
            "document.querySelector('#rows').textContent"))
        self.browser.violations = [v for v in self.browser.violations if "400" not in v]

    def test_looks(self) -> None:
        self.load_images()
        for width in (1280, 400):
            for dark in (False, True):
                self.browser.picture(f"page-{width}-{'dark' if dark else 'light'}", width, dark)
                self.assertLessEqual(
                    self.browser.value("document.documentElement.scrollWidth"), width)


if __name__ == "__main__":
    if CHROMIUM is None or support.SANITIZED:
        print("SKIPPED: there is no Chromium, or this is a build with sanitizers")
        sys.exit(77)
    support.main()
