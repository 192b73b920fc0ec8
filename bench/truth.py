"""What is recorded against what is true in some thirty situations, alone and four at once.

`python bench/truth.py [--rows WORD …] [--repeat N]`. Four at once are the stages of one pipeline, side by side, or four
observers. A benchmark and no test: it says how far off each figure is, and ends with 0.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import truth_witness
from common import ORCHGATE
from truth_recorded import Bench
from truth_situations import ALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from truth_recorded import Figure, Figures
    from truth_situations import Situation

AT_ONCE = 4
# What may be off: a share, or as much as starting a program and looking at it takes (seconds; bytes).
LIMITS = {"wall": (0.02, 0.010), "CPU": (0.02, 0.005), "max RSS": (0.05, 1 << 19), "tree RSS": (0.05, 1 << 21)}


class Verdict(NamedTuple):
    word: str  # ok, bound, off
    details: tuple[str, ...]


def main() -> None:
    args = arguments().parse_args()
    wanted = [one for one in ALL if any(word in one.name for word in args.rows or [""])]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {ORCHGATE}")
    with tempfile.TemporaryDirectory(prefix="orchgate-truth-") as name:
        folder = Path(name)
        program = truth_witness.compiled(folder)
        if program is None:
            print(*(f"{one.name}: not measured: no C compiler here" for one in wanted), sep="\n")
            return
        with truth_witness.place(folder) as groups:
            if groups is None:
                print("no cgroups here: CPU is what the programs say of themselves, without shells and the like")
            table(wanted, args.repeat, args.at_once or [1, AT_ONCE], Bench(folder, program, groups))


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", metavar="WORD", help="situations whose names hold one of these words")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="medians of N rounds (1)")
    parser.add_argument("--at-once", type=int, nargs="+", metavar="N", help="how many at once (1 and 4)")
    return parser


def table(wanted: Sequence[Situation], repeat: int, at_once: Sequence[int], bench: Bench) -> None:
    names = "".join(f"{name:>9}" for name in LIMITS)
    print(f"\n{'situation':<21}{'n':>2}{names}{'counts':>13}  verdict")
    told: list[str] = []
    verdicts: Counter[str] = Counter()
    for one in wanted:
        for number in at_once:
            rounds = [figures for _ in range(repeat) for figures in [bench.measure(one, number)]]
            row = {name: middle([figures[name] for figures in rounds]) for name in rounds[0]}
            verdict = judge(row)
            verdicts[verdict.word] += 1
            cells = "".join(f"{cell(row[name], name):>9}" for name in LIMITS)
            print(f"{one.name:<21}{number:>2}{cells}{counts(row):>13}  {verdict.word}", flush=True)
            told += [f"{one.name}, {number} at once: {detail}" for detail in verdict.details]
    print("\n* off (wall and CPU by more than 2 %, memory by 5 %; or 10 ms, 5 ms, 0.5 and 2 MiB)")
    print("> said to be a lower bound, and is one    ? not recorded    . no witness")
    print(f"counts: recorded/true; {', '.join(f'{number} {word}' for word, number in verdicts.items())}")
    print(*bench.agreement(), *told, sep="\n")


def middle(figures: Sequence[Figure]) -> Figure:
    """The one of several rounds whose error is the median."""
    return sorted(figures, key=lambda one: one.error)[len(figures) // 2]


def judge(row: Figures) -> Verdict:
    states = {name: state(figure, name) for name, figure in row.items()}
    details = tuple(detail(row[name], name) for name, one in states.items() if one == "off")
    return Verdict("off" if details else "bound" if "bound" in states.values() else "ok", details)


def state(figure: Figure, name: str) -> str:
    """Ok, off, bound, or nothing where it cannot be said."""
    if figure.true is None:
        return ""
    if figure.recorded is None:
        return "off" if name in ("wall", "CPU") else ""
    share, floor = LIMITS.get(name, (0.0, 0.0))
    if name == "bytes":
        share = LIMITS["max RSS"][0]
    off = figure.recorded - figure.true
    if abs(off) <= max(share * figure.true, floor, figure.more):
        return "ok"
    return "bound" if figure.bound and off < 0 else "off"


def cell(figure: Figure, name: str) -> str:
    if figure.true is None:
        return "."
    if figure.recorded is None:
        return "?*" if state(figure, name) == "off" else "?"
    mark = {"off": "*", "bound": ">"}.get(state(figure, name), "")
    return f"{figure.error * 100:+.1f}%{mark}" if abs(figure.error) < 10 else f"x{figure.error + 1:.0f}{mark}"


def counts(row: Figures) -> str:
    shown = [(name, figure) for name, figure in row.items() if name not in LIMITS and figure.true is not None]
    return " ".join(
        f"{'?' if one.recorded is None else _short(one.recorded)}/{_short(one.true or 0)}"
        + {"off": "*", "bound": ">"}.get(state(one, name), "")
        for name, one in shown
    )


def _short(number: float) -> str:
    return f"{number:.0f}" if number < 100_000 else f"{number / 1e6:.1f}M"


def detail(figure: Figure, name: str) -> str:
    if figure.recorded is None:
        return f"{name} is not recorded"
    if name in ("wall", "CPU"):
        return f"{name} {figure.recorded:.3f} s recorded, {figure.true:.3f} s true"
    if name in LIMITS:
        return f"{name} {figure.recorded / 2**20:.1f} MiB recorded, {(figure.true or 0) / 2**20:.1f} MiB true"
    return f"{figure.recorded:.0f} {name} recorded, {figure.true:.0f} true"


if __name__ == "__main__":
    main()
