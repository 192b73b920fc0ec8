"""Recorded samples: judged, told, and a planted regression among them found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fuzz.violation import Violation
from orchgate.commands.perf import report, table
from orchgate.commands.shared import screen
from orchgate.config.load import build
from orchgate.config.source import Source
from orchgate.model import Verdict, worst
from orchgate.speed.kept import read_streams
from orchgate.verdict.comparison import judge
from orchgate.verdict.values import policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

POLICY = policy(build(Source("", {})).performance)
PLANTED = "planted by nobody else"


def _line(stream: str, pair: int, arm: str, order: int, seconds: float) -> bytes:
    metrics = {"cpu_seconds": seconds, "wall_seconds": seconds * 1.1, "max_rss_bytes": 1e6, "written_bytes": 4096}
    return json.dumps({"stream": stream, "pair": pair, "arm": arm, "order": order, "metrics": metrics}).encode() + b"\n"


def samples(stream: str, pairs: int, factor: float) -> bytes:
    """Runs of both arms, head slower by a factor."""
    lines = []
    for pair in range(pairs):
        base = 1.0 + 0.001 * (pair * 7 % 5)
        lines.append(_line(stream, pair, "base", pair % 2, base))
        lines.append(_line(stream, pair, "head", 1 - pair % 2, base * factor))
    return b"".join(lines)


def seeds() -> Iterable[bytes]:
    yield samples("a", 16, 1.0)
    yield samples("a", 20, 1.5) + samples("b", 3, 1.0)
    yield samples("b", 8, 0.9)


def prepare(_: str) -> Callable[[bytes], None]:
    planted = samples(PLANTED, 20, 2.0).split(b"\n")

    def one(data: bytes) -> None:
        streams = read_streams([*data.split(b"\n"), *planted])
        judgements = {name: judge(pairs, POLICY) for name, pairs in streams.items()}
        list(
            report._replayed_lines(judgements, worst(one.verdict for one in judgements.values()), POLICY, screen.PLAIN)
        )
        json.dumps([report._stream(name, one) for name, one in judgements.items()])
        if judgements[PLANTED].verdict is not Verdict.FAIL:
            raise Violation("a regression to twice the time was passed over")
        for judgement in judgements.values():
            list(table.rows(judgement, POLICY))

    return one
