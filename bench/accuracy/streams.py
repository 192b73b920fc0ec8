"""Recorded streams, small enough to keep: one line a stream, whole numbers in columns, compressed.

`python bench/accuracy/streams.py pack FILE.jsonl OUT.jsonl.xz` packs what record.py wrote; `unpack` turns it back into
the lines that `orchgate perf --replay` reads. Times are whole microseconds, memory whole bytes.
"""

from __future__ import annotations

import json
import lzma
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from orchgate.speed.kept import read_streams
from orchgate.verdict.values import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = os.path.dirname(os.path.abspath(__file__))
SCALES = {"cpu_seconds": 1e6, "wall_seconds": 1e6, "max_rss_bytes": 1.0}


class Stream(NamedTuple):
    """A block of pairs. `percent` is how much more work head was given; 0 is the same work."""

    condition: str
    workload: str
    percent: int
    block: str
    pairs: list[Pair]


def load(path: str) -> Iterator[Stream]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            packed = json.loads(line)
            condition, workload, percent, block = packed["stream"].split("/")
            arms = [
                [dict(zip(packed[arm], run, strict=True)) for run in zip(*packed[arm].values(), strict=True)]
                for arm in ("base", "head")
            ]
            pairs = [
                Pair(_unscaled(base), _unscaled(head), head_first=first == "1")
                for base, head, first in zip(*arms, packed["head_first"], strict=True)
            ]
            yield Stream(condition, workload, int(percent), block, pairs)


def _unscaled(run: dict[str, int]) -> dict[str, float]:
    return {name: value / SCALES[name] for name, value in run.items()}


def everything() -> list[Stream]:
    """All recorded streams, condition by condition."""
    return [
        stream for name in sorted(os.listdir(HERE)) if name.endswith(".jsonl.xz") for stream in load(f"{HERE}/{name}")
    ]


def was_tuned_on(stream: Stream) -> bool:
    """Whether constants of the rule were chosen with a look at it."""
    return int(stream.block) < 100 if stream.condition == "busy" else int(stream.block) <= 8


def pack(source: str, target: str) -> None:
    with open(source, "rb") as file:
        streams = read_streams(file)
    with lzma.open(target, "wt", encoding="utf-8", preset=9) as out:
        for name, pairs in streams.items():
            line: dict[str, object] = {"stream": name, "head_first": "".join(str(int(p.head_first)) for p in pairs)}
            for arm, runs in (("base", [p.base for p in pairs]), ("head", [p.head for p in pairs])):
                line[arm] = {key: [round(run[key] * scale) for run in runs] for key, scale in SCALES.items()}
            out.write(json.dumps(line, separators=(",", ":")) + "\n")


def unpack(source: str, target: str) -> None:
    with open(target, "w", encoding="utf-8") as out:
        for stream in load(source):
            name = f"{stream.condition}/{stream.workload}/{stream.percent}/{stream.block}"
            for number, pair in enumerate(stream.pairs):
                for arm, metrics, order in (
                    ("base", pair.base, int(pair.head_first)),
                    ("head", pair.head, int(not pair.head_first)),
                ):
                    line = {"stream": name, "pair": number, "arm": arm, "order": order, "metrics": metrics}
                    out.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    {"pack": pack, "unpack": unpack}[sys.argv[1]](*sys.argv[2:])
