# SPDX-License-Identifier: Apache-2.0
"""A row: its files in a folder, a worker a contender, settings that are tried, rounds."""
from __future__ import annotations

import json
import math
import os
import platform
import statistics
import sys
import typing

import agreement
import report
import settings
from contenders import ENGINES, QUANTIZERS, REFERENCE, Contender, contenders
from processes import Failure, Worker, progress, run_step


class Chosen(typing.NamedTuple):
    """A contender with a setting, set up and waiting; seconds of its fastest call."""
    setting: dict
    worker: Worker
    version: str
    seconds: float
    auroc: float  # NaN in f32, where likelihoods agree
    close: bool   # whether the AUROC is near enough

    def rank(self) -> tuple:
        """Less is better: what costs too much accuracy only wins where all the others do."""
        return not self.close, self.seconds


class Comparison:
    def __init__(self, args, row: dict, interpreters, memory: settings.Memory, folder: str):
        self.args, self.row, self.memory, self.folder = args, row, memory, folder
        self.interpreters = interpreters
        self.skipped: list[str] = []
        self.reference: list[float] | None = None  # log-likelihoods
        self.reference_auroc, self.difference = math.nan, 0.0
        self.pythons: dict[Contender, str] = {}
        self.workers: list[Worker] = []
        self.aurocs: dict[tuple, float | Failure] = {}  # by contender and scope
        self.graphs: dict[str, str | Failure] = {}  # by name of a quantized graph
        for contender in contenders(row["mode"], args.only, args.precision):
            self.admit(contender)
        self.prepare()

    def admit(self, contender: Contender) -> None:
        """Takes a contender up, or says why not."""
        lack = ENGINES[contender.engine].lacks.get(contender.precision)
        packages = contender.packages()
        python = (sys.executable if contender.engine == "outflow" else
                  self.interpreters.find(packages))
        if lack or not python:
            self.skip(contender, lack or self.interpreters.remedy(packages))
        else:
            self.pythons[contender] = python

    def skip(self, contender: Contender, reason: str) -> None:
        self.pythons.pop(contender, None)
        named = reason.startswith(contender.title)
        self.skipped.append(reason if named else f"{contender.title}: {reason}")

    def peers(self) -> list[Contender]:
        return [contender for contender in self.pythons if contender.engine != "outflow"]

    # ---- Files ----

    def prepare(self) -> None:
        """Files that the contenders read, and what they are asked to do with them."""
        peers = self.peers()
        if not peers:
            return
        build = os.path.abspath(self.args.build)
        progress(f"{self.row['mode']}: weights, images")
        made = self.step(peers[0], "model", given=self.row["model"], steps=self.row["steps"],
                         hidden=self.row["hidden"], batch=self.row["batch"])
        architecture, self.flops = made["architecture"], made["flops"]
        self.row.update(steps=architecture["steps"], hidden=architecture["hidden"])
        if any(contender.precision != "f32" for contender in self.pythons):
            self.step(peers[0], "images", build=build, image=architecture["image"],
                      count=self.args.images, usual=self.args.usual, others=self.args.others)
        self.job = {"folder": self.folder, "model": made["model"], "mode": self.row["mode"],
                    "build": build, "batch": self.row["batch"], "architecture": architecture,
                    "image": architecture["image"]}
        if {"onnxruntime", "openvino"} & {contender.engine for contender in peers}:
            self.prepare_onnx(architecture)

    def step(self, contender: Contender, name: str, **work) -> dict:
        return run_step(self.pythons[contender], "prepare.py", name,
                        json.dumps({"folder": self.folder, **work}))

    def prepare_onnx(self, architecture: dict) -> None:
        python = self.interpreters.find(["onnx", "numpy"])
        try:
            if not python:
                raise Failure(self.interpreters.remedy(["onnx", "numpy"]))
            run_step(python, "prepare.py", "onnx",
                     json.dumps({"folder": self.folder, "architecture": architecture}))
        except Failure as reason:
            for contender in self.peers():
                if contender.engine in ("onnxruntime", "openvino"):
                    self.skip(contender, str(reason))

    def graph(self, contender: Contender, scope: str) -> str:
        """The graph a contender reads, made first where it is a quantized one."""
        if contender.precision != "int8" or contender.engine not in QUANTIZERS:
            return "model"
        name = f"{contender.engine}.int8.{scope}"
        if name not in self.graphs:
            progress(f"{contender.title}: quantizing, {settings.SCOPES[scope]}")
            try:
                self.quantize(contender.engine, name, scope)
                self.graphs[name] = name
            except Failure as reason:
                self.graphs[name] = reason
        found = self.graphs[name]
        if isinstance(found, Failure):
            raise found
        return found

    def quantize(self, engine: str, graph: str, scope: str) -> None:
        script, packages = QUANTIZERS[engine]
        python = self.interpreters.find(packages)
        if not python:
            raise Failure(self.interpreters.remedy(packages))
        run_step(python, script, json.dumps({**self.job, "graph": graph, "scope": scope}))

    # ---- Workers ----

    def start(self, contender: Contender, setting: dict) -> Worker:
        job = {**self.job, **contender._asdict(), "setting": setting,
               "graph": self.graph(contender, setting["scope"])}
        self.workers.append(Worker(self.pythons[contender], job))
        return self.workers[-1]

    def end(self) -> None:
        """Ends every process that is still there."""
        for worker in self.workers:
            worker.end()

    def usual(self) -> dict:
        return settings.usual(self.args.threads, self.row["batch"])

    def ready(self, contender: Contender, worker: Worker, scope: str) -> tuple[str, float]:
        """Waits until a contender is set up, stops it, and checks it; its version and AUROC."""
        reply = worker.receive()
        worker.stop()
        if self.reference is None:
            self.reference = reply["logp"]
        if contender.precision == "f32":
            worst = agreement.check_likelihoods(contender.title, self.reference, reply["logp"])
            self.difference = max(self.difference, worst)
        return reply["version"], self.judge(contender, worker, scope)

    def judge(self, contender: Contender, worker: Worker, scope: str) -> float:
        """The AUROC of a contender that is set up; Failure where it is too far from Outflow's."""
        if all(each.precision == "f32" for each in self.pythons):
            return math.nan
        if contender == REFERENCE:
            self.reference_auroc = agreement.auroc_of(worker.ask({"judge": True})["logp"])
            return self.reference_auroc
        if contender.precision == "f32":
            return math.nan  # its likelihoods are those of Outflow
        key = (contender, scope)
        if key not in self.aurocs:
            self.aurocs[key] = agreement.auroc_of(worker.ask({"judge": True})["logp"])
        agreement.check_auroc(self.reference_auroc, self.aurocs[key])
        return self.aurocs[key]

    # ---- Choosing settings ----

    def title(self) -> str:
        return report.title_of({**self.row, "threads": self.args.threads})

    def choose(self, contender: Contender) -> Chosen:
        """The fastest setting of a contender: Chosen, its worker waiting."""
        row = self.row
        key = f"{self.title()}, {contender.title}"
        known = self.memory.get(key)
        axes = [] if known or self.args.quick else settings.axes(
            contender, row["mode"], self.args.threads, row["batch"])
        best = self.attempt(contender, key, known or self.usual(), timed=any(axes))
        for axis in axes:
            start = best.setting
            for change in axis:
                try:
                    trial = self.attempt(contender, key, {**start, **change}, timed=True)
                except Failure as reason:
                    progress(f"{key}: left out: {reason}")
                    continue  # a setting that this peer does not know, or that costs too much
                # Again, so that one disturbance does not decide.
                best = self.timed(best)
                best, loser = sorted((best, self.timed(trial)), key=Chosen.rank)
                loser.worker.end()
        if not known and not self.args.quick:
            self.memory.put(key, best.setting)
        return best

    def attempt(self, contender: Contender, key: str, setting: dict, timed: bool) -> Chosen:
        words = settings.describe(setting, contender, self.row["mode"], self.row["batch"])
        progress(f"{key}: {words}")
        worker = self.start(contender, setting)
        try:
            version, auroc = self.ready(contender, worker, setting["scope"])
            close = math.isnan(auroc) or agreement.close(self.reference_auroc, auroc)
            chosen = Chosen(setting, worker, version, math.inf, auroc, close)
            return self.timed(chosen) if timed else chosen
        except Failure:
            worker.end()
            raise

    def timed(self, chosen: Chosen) -> Chosen:
        """Its fastest call of this turn and those before."""
        fastest = chosen.worker.ask({"turn": self.args.seconds / 2})["fastest"]
        return chosen._replace(seconds=min(chosen.seconds, fastest))

    # ---- What a row gives ----

    def check(self) -> list[dict]:
        """All at once: nothing is timed. Who agrees."""
        agreeing, begun = [], {}
        for contender in list(self.pythons):
            try:
                begun[contender] = self.start(contender, self.usual())
            except Failure as reason:
                self.left_out(contender, reason)
        for contender, worker in begun.items():
            try:
                version, auroc = self.ready(contender, worker, self.usual()["scope"])
                agreeing.append({"contender": contender.engine, "precision": contender.precision,
                                 "version": version,
                                 "auroc": report.finite(auroc)})
            except Failure as reason:
                self.left_out(contender, reason)
        return agreeing

    def left_out(self, contender: Contender, reason: Failure) -> None:
        """A contender that fails is named; without the reference there is nothing to compare."""
        if contender == REFERENCE:
            raise reason
        self.skip(contender, str(reason))

    def measure(self) -> dict:
        chosen: dict[Contender, Chosen] = {}
        for contender in list(self.pythons):
            try:
                chosen[contender] = self.choose(contender)
            except Failure as reason:
                self.left_out(contender, reason)
        seconds: dict[Contender, list[float]] = {contender: [] for contender in chosen}
        peaks = []
        for turn in range(self.args.rounds):
            for contender, one in chosen.items():
                progress(f"{self.title()}: round {turn + 1} of {self.args.rounds}, "
                         f"{contender.title}")
                seconds[contender].append(one.worker.ask({"turn": self.args.seconds})["seconds"])
            peaks.append(chosen[REFERENCE].worker.ask({"peak": True})["peak"])
        memory = {contender: one.worker.ask({"memory": True})["memory"]
                  for contender, one in chosen.items()}
        return self.result(chosen, seconds, memory, statistics.median(peaks))

    def result(self, chosen: dict, seconds: dict, memory: dict, peak: float) -> dict:
        batch = self.row["batch"]
        flops = self.flops * (3 if self.row["mode"] == "train" else 1)
        found = []
        for contender, times in seconds.items():
            rate, one = batch / statistics.median(times), chosen[contender]
            found.append({"contender": contender.engine, "precision": contender.precision,
                          "version": one.version, "setting": one.setting,
                          "images_per_second": rate, "slowest": batch / max(times),
                          "fastest": batch / min(times), "peak_percent": 100 * rate * flops / peak,
                          "memory_mb": memory[contender], "auroc": report.finite(one.auroc),
                          "auroc_is_close": one.close,
                          "samples_images_per_second": [batch / time for time in times]})
        return {**self.row, "threads": self.args.threads, "rounds": self.args.rounds,
                "seconds": self.args.seconds, "peak_gflops": peak / 1e9,
                "gflop_per_image": flops / 1e9, "largest_difference": self.difference,
                "reference_auroc": report.finite(self.reference_auroc),
                "auroc_of": [self.args.usual, self.args.others, self.args.images],
                "cpu": cpu_name(), "contenders": found, "skipped": self.skipped}


def cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()
