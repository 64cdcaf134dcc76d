# SPDX-License-Identifier: Apache-2.0
"""A contender's process. Reads a line of JSON, answers with one, until its input ends.

    {job}                      -> {"version", "logp"}      set up, and one call
    {"turn": seconds}          -> {"seconds", "fastest"}   median and least time of a call
    {"peak": true}             -> {"peak"}                 FLOP/s (Outflow only)
    {"memory": true}           -> {"memory"}               largest resident memory, MB
    {"judge": true}            -> {"logp"}                 of the images that AUROC is taken of
"""
from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import statistics
import sys
import time

from contenders import ENGINES

PR_SET_PDEATHSIG = 1
FEWEST_CALLS, MOST_CALLS = 2, 2000


def time_calls(contender, seconds):
    """One call to warm up, then calls until the time is over: their median and minimum."""
    if hasattr(contender, "turn"):
        mean = contender.turn(seconds)
        return mean, mean
    contender.run()
    times, begin = [], time.perf_counter()
    while len(times) < FEWEST_CALLS or (time.perf_counter() - begin < seconds and
                                        len(times) < MOST_CALLS):
        start = time.perf_counter()
        contender.run()
        times.append(time.perf_counter() - start)
    return statistics.median(times), min(times)


def forget_peak_memory():
    """So that it is what running takes, not what compiling took once."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass  # then it is the larger of both


def peak_memory(contender):
    """VmHWM: unlike ru_maxrss it does not start at what the parent held."""
    if getattr(contender, "memory", 0):
        return contender.memory
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def answer(contender, request):
    if "turn" in request:
        seconds, fastest = time_calls(contender, request["turn"])
        return {"seconds": seconds, "fastest": fastest}
    if "judge" in request:
        return {"logp": contender.judge()}
    if "peak" in request:
        return {"peak": contender.peak()}
    return {"memory": peak_memory(contender)}


def main():
    # A worker that is stopped would outlive a parent that was killed.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    contender = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if contender is None:
                contender = importlib.import_module(
                    ENGINES[request["engine"]].module).create(request)
                reply = {"version": contender.version, "logp": contender.log_likelihoods()}
                forget_peak_memory()
            else:
                reply = answer(contender, request)
        except Exception as reason:  # any failure of a peer is a line in the report
            text = " ".join(str(reason).split()) or type(reason).__name__
            reply = {"error": text[:500]}
        out.write(json.dumps(reply) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
