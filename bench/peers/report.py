# SPDX-License-Identifier: Apache-2.0
"""Rows of results as Markdown."""
from __future__ import annotations

import math

import agreement
import settings
from contenders import ENGINES, PRECISIONS, Contender


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def finite(value: float) -> float | None:
    """For JSON, which knows no NaN."""
    return value if math.isfinite(value) else None


def title_of(row: dict) -> str:
    return (f"{row['mode']}, K {row['steps']}, hidden {row['hidden']}, batch {row['batch']}, "
            f"{row['threads']} thread" + "s" * (row["threads"] > 1))


def fastest(row: dict, ours: bool, precision: str = "best") -> dict | None:
    """Outflow's or the peers' fastest in a precision, or in any ("best")."""
    found = [c for c in row["contenders"] if (c["contender"] == "outflow") == ours
             and precision in ("best", c["precision"])]
    return max(found, key=lambda c: c["images_per_second"], default=None)


def ratio(row: dict, precision: str) -> float | None:
    """How many times the rate of the best peer Outflow has, both in the same precision, or both
    in their best; None where one of them is not there."""
    ours, theirs = fastest(row, True, precision), fastest(row, False, precision)
    return ours["images_per_second"] / theirs["images_per_second"] if ours and theirs else None


def times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


# ---- One row ----


def mark(c: dict) -> str:
    return "" if c["auroc_is_close"] else "\\*"


def footnote(row: dict) -> list[str]:
    off = any(not c["auroc_is_close"] for c in row["contenders"])
    return [f"\n\\* more than {agreement.AUROC} from that of f32"] if off else []


def line(row: dict, c: dict) -> str:
    """Of a contender."""
    contender = Contender(c["contender"], c["precision"])
    against = ["", ""]
    if c["contender"] != "outflow":
        ours = [fastest(row, True, precision) for precision in (c["precision"], "best")]
        against = [times(one and one["images_per_second"] / c["images_per_second"])
                   for one in ours]
    auroc = "" if c["auroc"] is None else f"{c['auroc']:.4f}" + mark(c)
    words = settings.describe(c["setting"], contender, row["mode"], row["batch"])
    cells = [f"{contender.title}, {c['version']}", number(c["images_per_second"]),
             f"{number(c['slowest'])}-{number(c['fastest'])}", f"{c['peak_percent']:.0f} %",
             *against, auroc, f"{c['memory_mb']:.0f} MB", words]
    return "| " + " | ".join(cells) + " |"


def table(row: dict) -> str:
    """One table: a line a contender, precision after precision."""
    usual, others, count = row["auroc_of"]
    text = [f"**{title_of(row)}**: peak {row['peak_gflops']:.0f} GFLOP/s "
            f"({row['gflop_per_image']:.3g} GFLOP an image); in f32 log-likelihoods differ by at "
            f"most {row['largest_difference']:.2g} nats; AUROC of {usual} against {others}, "
            f"{count} images each, {'given' if row['model'] else 'random'} weights", "",
            "| contender | images/s | rounds | of the peak | Outflow in the same precision is "
            "| Outflow's best is | AUROC | memory | best setting |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---|"]
    text += [line(row, c) for precision in PRECISIONS for c in row["contenders"]
             if c["precision"] == precision]
    return "\n".join(text + footnote(row) + [f"\nSkipped: {reason}" for reason in row["skipped"]])


# ---- The suite ----


def judge(row: dict, goals: list) -> list[tuple[str, str, str, bool | None]]:
    """[(what, reached, goal, met)]; met is None where nothing is there to compare."""
    verdicts = []

    def add(what, reached, text, wanted, sign=1):
        met = None if reached is None else sign * reached >= sign * wanted
        verdicts.append((what, "-" if reached is None else text.format(reached),
                         ("≥ " if sign > 0 else "≤ ") + text.format(wanted), met))

    for goal in goals:
        what = "best against best" if goal.precision == "best" else goal.precision
        add(what, ratio(row, goal.precision), "{:.2f}x", goal.ratio)
        reference = fastest(row, True, "f32")
        if goal.peak_percent:
            add("of the peak", reference["peak_percent"], "{:.0f} %", goal.peak_percent)
        if goal.memory_mb:
            add("memory", fastest(row, True)["memory_mb"], "{:.0f} MB", goal.memory_mb, -1)
        if goal.ours:
            both = [fastest(row, True, precision) for precision in (goal.precision, "bf16")]
            own = both[0]["images_per_second"] / both[1]["images_per_second"] if all(both) else None
            add("of our bf16", own, "{:.2f}x", goal.ours)
    return verdicts


def duel(row: dict, precision: str) -> str:
    """Outflow, and the best peer with the ratio."""
    ours, theirs = fastest(row, True, precision), fastest(row, False, precision)
    text = number(ours["images_per_second"]) if ours else "-"
    if theirs:
        title = ENGINES[theirs["contender"]].title + mark(theirs)
        text += f" / {number(theirs['images_per_second'])} {title}"
    return text + (f" ({times(ratio(row, precision))})" if ours and theirs else "")


def summary(rows: list[dict], goals: list[list]) -> str:
    """The suite in one table: Outflow / the best peer in each precision, goals."""
    words = {True: "met", False: "MISSED", None: "nothing to compare"}
    text = ["| images/s: Outflow / best peer | " + " | ".join(PRECISIONS) +
            " | best against best | goals |", "|---|" + "---:|" * (len(PRECISIONS) + 1) + "---|"]
    for row, wanted in zip(rows, goals):
        cells = [title_of(row)] + [duel(row, precision) for precision in PRECISIONS]
        cells += [times(ratio(row, "best"))]
        cells += ["; ".join(f"{what} {reached}, goal {goal}: {words[met]}"
                            for what, reached, goal, met in judge(row, wanted))]
        text.append("| " + " | ".join(cells) + " |")
    noted = [note for row in rows for note in footnote(row)]
    return "\n".join(text + noted[:1])


def agreements(result: dict) -> str:
    """What --check prints."""
    alike = ", ".join(f"{Contender(c['contender'], c['precision']).title} {c['version']}"
                      for c in result["agreeing"] if c["precision"] == "f32")
    text = [f"{alike}: log-likelihoods differ by at most {result['largest_difference']:.2g} nats"]
    text += [f"{Contender(c['contender'], c['precision']).title} {c['version']}: "
             f"AUROC {c['auroc']:.4f}"
             for c in result["agreeing"] if c["auroc"] is not None]
    return "\n".join(text + [f"SKIPPED: {reason}" for reason in result["skipped"]])
