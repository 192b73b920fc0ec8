"""`nox -s fuzz`: each target for a while, what was found as files, and a table at the end.

python -m fuzz.run [--seconds N] [--seed N] [TARGET…]
python -m fuzz.run --replay TARGET FILE
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from typing import TYPE_CHECKING, NamedTuple

from fuzz import worker

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 600.0  # a target
SILENCE = 90.0  # seconds of one input, whatever it waits for
FINDINGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "findings")
_COVERED = re.compile(rb"cov: (\d+) ft: (\d+) corp: (\d+)")


class Row(NamedTuple):
    """What became of a target: `paths` are branches reached, None where nothing looked.

    `rounds` are the states that were compared, 0 for a target whose inputs are no histories.
    """

    target: str
    inputs: int
    rounds: int
    seconds: float
    paths: int | None
    findings: dict[str, str]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all without: {', '.join(worker.names())}")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each target (%(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="where the search begins (the time)")
    parser.add_argument("--replay", action="store_true", help="TARGET FILE: try one input again")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what lies in memory goes with us
    if args.replay:
        return replay(*args.targets)
    rows = [fuzzed(name, args.seconds, args.seed) for name in args.targets or worker.names()]
    show(rows)
    return int(any(row.findings for row in rows))


def replay(name: str, path: str) -> int:
    """Tries one input again, and shows what it leads to."""
    os.environ.update(worker.HERMETIC)
    with tempfile.TemporaryDirectory() as folder, open(path, "rb") as file:
        error = worker.fault(worker.load(name).prepare(folder), file.read())
    print("".join(traceback.format_exception(error)) if error else "nothing to complain about")
    return int(error is not None)


def fuzzed(name: str, seconds: float, seed: int) -> Row:
    """A target in processes of its own: one that hangs or dies is a finding, and the next one goes on."""
    begin = time.monotonic()
    inputs, rounds, paths, found = 0, 0, None, dict[str, str]()
    with tempfile.TemporaryDirectory(prefix="orchgate-fuzz-", dir=worker.MEMORY) as top:
        attempt, ended = 0, "not begun"
        while ended and ((left := seconds - (time.monotonic() - begin)) > 1 or not attempt):
            folder = os.path.join(top, str(attempt))
            os.mkdir(folder)
            ended = _attempt(name, left, seed + attempt, folder)
            if not os.path.exists(os.path.join(folder, worker.CURRENT)):
                raise SystemExit(f"{name} cannot be fuzzed: {ended}\n{_log(folder).decode('utf-8', 'replace')}")
            last = worker.read_slot(folder)
            inputs, rounds = inputs + last.number, rounds + last.rounds
            paths = max(filter(None, (paths, _paths(folder))), default=None)
            if ended and last.busy:  # not while the next input was chosen
                worker.keep(os.path.join(folder, "finding-end"), ended, last.data)
            found |= _kept(name, folder, known=found)
            attempt += 1
            print(f"{name}: {inputs:,} inputs, {len(found)} findings{f'; {ended}' if ended else ''}", flush=True)
        seeds = sum(1 for _ in worker.load(name).seeds())
        if inputs < seeds:
            print(f"{name}: time for {inputs:,} of {seeds:,} seeds", flush=True)
    return Row(name, inputs, rounds, time.monotonic() - begin, paths, found)


def _attempt(name: str, seconds: float, seed: int, folder: str) -> str:
    """Runs a worker to its end; how it ended, "" for as it should."""
    argv = [sys.executable, "-m", "fuzz.worker", name, str(max(1.0, seconds)), str(seed), folder]
    with open(os.path.join(folder, "log"), "wb") as log:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=_top()
        )
        try:
            if _is_stuck(child, folder):
                return f"one input took more than {SILENCE:g} s"
        finally:  # who ends us ends it, too
            _end(child)
    if child.returncode == -signal.SIGPROF:
        return f"one input took more than {worker.DEADLINE:g} s of CPU"
    return f"the process ended with {child.returncode}: {_last_words(folder)}" if child.returncode else ""


def _is_stuck(child: subprocess.Popen[bytes], folder: str) -> bool:
    """Waits for a worker to end, as long as it goes on to another input now and then."""
    seen, since = -1, time.monotonic()
    while child.poll() is None:
        time.sleep(0.2)
        now = worker.read_slot(folder).number if os.path.exists(os.path.join(folder, worker.CURRENT)) else 0
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > SILENCE:
            return True
    return False


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        child.wait()


def _top() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _log(folder: str) -> bytes:
    with open(os.path.join(folder, "log"), "rb") as file:
        return file.read()


def _last_words(folder: str) -> str:
    return next((line for line in reversed(_log(folder).decode("utf-8", "replace").splitlines()) if line.strip()), "")


def _paths(folder: str) -> int | None:
    covered = _COVERED.findall(_log(folder))
    return int(covered[-1][1]) if covered else None


def _kept(name: str, folder: str, known: dict[str, str]) -> dict[str, str]:
    """Moves what is new among an attempt's findings to where it stays; their places by what they are."""
    found: dict[str, str] = {}
    for file in sorted(os.listdir(folder)):
        if not file.endswith(".txt"):
            continue
        text = os.path.join(folder, file)
        with open(text, encoding="utf-8") as opened:
            what = opened.readline().strip()
        if what not in known:
            os.makedirs(os.path.join(FINDINGS, name), exist_ok=True)
            place = os.path.join(FINDINGS, name, f"{int(time.time())}-{len(known) + len(found):02}")
            shutil.copyfile(text.removesuffix(".txt"), place)
            shutil.copyfile(text, f"{place}.txt")
            found[what] = place
    return found


def show(rows: list[Row]) -> None:
    table = [("target", "inputs", "inputs/s", "rounds", "paths", "findings"), *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        print(*_findings(row), sep="\n", end="\n" if row.findings else "")


def _cells(row: Row) -> tuple[str, ...]:
    paths = "-" if row.paths is None else f"{row.paths:,}"
    rounds = f"{row.rounds:,}" if row.rounds else "-"
    return row.target, f"{row.inputs:,}", f"{row.inputs / row.seconds:,.1f}", rounds, paths, str(len(row.findings))


def _findings(row: Row) -> Iterator[str]:
    for what, path in row.findings.items():
        yield f"{row.target}: {what}"
        yield f"  python -m fuzz.run --replay {row.target} {os.path.relpath(path)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
