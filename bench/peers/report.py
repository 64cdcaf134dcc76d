# SPDX-License-Identifier: Apache-2.0
"""Rows of results as Markdown."""
import settings

TITLES = {"outflow": "Outflow", "eager": "PyTorch eager", "frozen": "PyTorch traced, frozen",
          "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def title_of(row):
    return (f"{row['mode']}, K {row['steps']}, hidden {row['hidden']}, batch {row['batch']}, "
            f"{row['threads']} thread" + "s" * (row["threads"] > 1))


def ratio(row, name):
    """How many times a contender's rate Outflow has, or None."""
    rates = {c["contender"]: c["images_per_second"] for c in row["contenders"]}
    return rates["outflow"] / rates[name] if name in rates else None


def table(row):
    """One table: a line a contender."""
    text = [f"**{title_of(row)}**: peak {row['peak_gflops']:.0f} GFLOP/s "
            f"({row['gflop_per_image']:.3g} GFLOP an image); log-likelihoods differ by at most "
            f"{row['largest_difference']:.2g} nats", "",
            "| contender | images/s | rounds | of the peak | Outflow is | memory | best setting |",
            "|---|---:|---:|---:|---:|---:|---|"]
    for c in row["contenders"]:
        times = "" if c["contender"] == "outflow" else f"{ratio(row, c['contender']):.2f}x"
        text.append(
            f"| {TITLES[c['contender']]} {c['version']} | {number(c['images_per_second'])} | "
            f"{number(c['slowest'])}-{number(c['fastest'])} | {c['peak_percent']:.0f} % | {times} "
            f"| {c['memory_mb']:.0f} MB | {settings.describe(c['setting'], row['batch'])} |")
    return "\n".join(text + [f"\nSkipped: {reason}" for reason in row["skipped"]])


def judge(row, goal):
    """[(what, reached, goal, met)] of a row of the suite; met is None without that peer."""
    outflow = row["contenders"][0]
    verdicts = []
    if "peak_percent" in goal:
        verdicts.append(("of the peak", f"{outflow['peak_percent']:.0f} %",
                         f">= {goal['peak_percent']} %",
                         outflow["peak_percent"] >= goal["peak_percent"]))
    name, wanted = goal["ratio"]
    reached = ratio(row, name)
    verdicts.append((f"against {TITLES[name]}", "-" if reached is None else f"{reached:.2f}x",
                     f">= {wanted}x", None if reached is None else reached >= wanted))
    if "memory_mb" in goal:
        verdicts.append(("memory", f"{outflow['memory_mb']:.0f} MB",
                         f"<= {goal['memory_mb']} MB", outflow["memory_mb"] <= goal["memory_mb"]))
    return verdicts


def summary(rows, goals):
    """The suite in one table: rates, ratios, goals."""
    names = [name for name in TITLES if any(ratio(row, name) for row in rows)]
    text = ["| images/s (Outflow is) | " + " | ".join(TITLES[name] for name in names) +
            " | goals |", "|---|" + "---:|" * len(names) + "---|"]
    for row, goal in zip(rows, goals):
        cells = [title_of(row)]
        rates = {c["contender"]: c["images_per_second"] for c in row["contenders"]}
        for name in names:
            if name not in rates:
                cells.append("-")
            elif name == "outflow":
                cells.append(f"{number(rates[name])}")
            else:
                cells.append(f"{number(rates[name])} ({ratio(row, name):.2f}x)")
        words = {True: "met", False: "MISSED", None: "no such peer"}
        cells.append("; ".join(f"{what} {reached}, goal {wanted}: {words[met]}"
                               for what, reached, wanted, met in judge(row, goal)))
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)
