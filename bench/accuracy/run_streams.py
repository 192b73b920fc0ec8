"""Recorded runs of commands, one by one: `python bench/accuracy/run_streams.py pack OUT.jsonl.xz FILE.jsonl…`.

Packs what record_runs.py wrote: a line for each command and recording, its runs in the order of their time, in units of
10 microseconds and of a KiB. Run n of a workload and run n of the same one with 5 % more work lie within a second or
two of each other.
"""

from __future__ import annotations

import json
import lzma
import os
import sys
from math import nan
from typing import TYPE_CHECKING, NamedTuple

from streams import everything

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = ("runs-shared.xz", "runs-quiet.xz")
UNITS = {"cpu_seconds": 1e-5, "wall_seconds": 1e-5, "max_rss_bytes": 1024.0}
RAW = {"cpu_seconds": 1e6, "wall_seconds": 1e6, "max_rss_bytes": 1.0}


class Track(NamedTuple):
    """Runs of one command: with its work, and with 5 % more of it at the same time, NaN where there was no such run."""

    recording: str
    workload: str
    metric: str
    base: list[float]
    head: list[float]


def load(path: str) -> Iterator[Track]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            packed = json.loads(line)
            for metric, unit in UNITS.items():
                if metric in packed["base"]:
                    base, head = ([value * unit for value in packed[arm][metric]] for arm in ("base", "head"))
                    yield Track(packed["recording"], packed["workload"], metric, base, head)


def of_pairs() -> Iterator[Track]:
    """What was recorded as pairs: where both arms did the same work, they follow each other."""
    tracks: dict[tuple[str, str], list[tuple[Mapping[str, float], Mapping[str, float]]]] = {}
    for stream in everything():
        runs = tracks.setdefault((stream.condition, stream.workload), [])
        for pair in stream.pairs:
            if stream.percent:
                runs.append((pair.base, pair.head if stream.percent == 5 else {}))
            else:
                both = (pair.head, pair.base) if pair.head_first else (pair.base, pair.head)
                runs.extend((run, {}) for run in both)
    for (condition, workload), runs in tracks.items():
        for metric in UNITS:
            base, head = ([run.get(metric, nan) for run in arm] for arm in zip(*runs, strict=True))
            yield Track(f"{condition} pairs", workload, metric, base, head)


def tracks() -> list[Track]:
    kept = [track for name in FILES if os.path.exists(f"{HERE}/{name}") for track in load(f"{HERE}/{name}")]
    return [*of_pairs(), *kept]


def pack(target: str, sources: Sequence[str]) -> None:
    with lzma.open(target, "wt", encoding="utf-8", preset=9) as out:
        for number, source in enumerate(sources, 1):
            with open(source, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file]
            rounds = [line["runs"] for line in lines if "runs" in line]
            recording = f"{lines[0]['condition']} {number}"
            for workload in sorted({name.split("/")[0] for name in rounds[0]}):
                arms = {
                    arm: dict(_columns([runs[f"{workload}/{percent}"] for runs in rounds]))
                    for arm, percent in (("base", 0), ("head", 5))
                }
                line = {"recording": recording, "workload": workload, **arms}
                out.write(json.dumps(line, separators=(",", ":")) + "\n")


def _columns(runs: Iterable[Sequence[int]]) -> Iterator[tuple[str, list[int]]]:
    for metric, column in zip(UNITS, zip(*runs, strict=True), strict=False):
        yield metric, [round(value / RAW[metric] / UNITS[metric]) for value in column]


if __name__ == "__main__":
    pack(sys.argv[2], sys.argv[3:])
