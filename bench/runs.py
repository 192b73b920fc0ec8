"""What grows with the number of runs, and with the turns of an agent: python bench/runs.py [SMALLEST]"""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

import report
from common import ORCHGATE, Bench, Row, children, commit, exponent, main, peak, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 1.1  # exponent
NUMBERS = (1000, 10_000, 50_000)
TURNS = (500, 5000)
COMMANDS = (("status",), ("metrics",), ("hotspots",), ("report", "--force"))
TASKS = tuple(f"{number:04}-a-usual-name" for number in range(1, 11))


def recorded(numbers: tuple[int, ...] = NUMBERS) -> Iterator[Row]:
    """Of `metrics` it is the first time: a second one only reads what is new."""
    found: dict[str, list[float]] = {}
    for number in numbers:
        with scratch() as root:
            write(root, ".gitignore", "/.runs/\n/orchgate-report.html\n")
            commit(root, "start")
            report.runs(root, report.Shape("runs", TASKS, 2, number), random.Random(number))
            for command in COMMANDS:
                argv = [ORCHGATE, *command]
                before = children()
                seconds, memory = peak(argv, root)
                spent = children() - before
                found.setdefault(command[0], []).append(spent)
                figure = f"{seconds:.2f} s, {spent:.2f} of CPU, {memory / 1e6:.0f} MB"
                yield Row(f"{command[0]} of {number:,} runs", figure)
    for name, spent_ in found.items():
        yield _grown(f"{name} over runs", numbers, spent_)


def agent(turns: tuple[int, ...] = TURNS) -> Iterator[Row]:
    """An agent that changes one file in each turn, and no validator."""
    spent = []
    for number in turns:
        with scratch() as root:
            write(root, ".gitignore", "/.runs/\n")
            write(root, "turn.txt", "0\n")
            commit(root, "start")
            work = ["--agent", "sh -c 'echo $$ > turn.txt'", "--validator", "none", "--goal", "work"]
            argv = [ORCHGATE, "rlm", *work, "--max-iterations", str(number)]
            before = children()
            seconds, memory = peak(argv, root)
            spent.append(children() - before)
            figure = f"{seconds / number * 1000:.1f} ms, {spent[-1] / number * 1000:.1f} of CPU, {memory / 1e6:.0f} MB"
            yield Row(f"agent loop of {number:,} turns, each", figure)
    yield _grown("turns of an agent", turns, spent, 1.05)


def _grown(what: str, numbers: tuple[int, ...], spent: list[float], limit: float = LIMIT) -> Row:
    """Between the two largest: at the smallest, most of the time is the start."""
    power = exponent(spent[-2], spent[-1], numbers[-1] / numbers[-2])
    named = f"growth, {what}: {numbers[-2]:,} and {numbers[-1]:,}"
    return Row(named, f"{power:.2f} ({spent[-2]:.2f} s and {spent[-1]:.2f} s)", f"<= {limit}", power <= limit)


BENCHES = (Bench("runs", recorded), Bench("agent-loop", agent))

if __name__ == "__main__":
    least = int(sys.argv[1]) if len(sys.argv) > 1 else NUMBERS[0]
    main(lambda: recorded((least, 10 * least, 50 * least)))
    main(lambda: agent((least // 2, 5 * least)))
