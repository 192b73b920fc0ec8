"""`.orchgate/baseline.json`: read, and written again as the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz.violation import Violation
from orchgate.verdict.baseline import Baseline, parse, render, stale
from tests.baselines import THERE, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def seeds() -> Iterable[bytes]:
    old = Baseline().put(record()).put(record(fingerprint=THERE)).put(record("other"))
    yield render(old)
    yield render(old.put(record(recorded_at="2026-04-01T12:00:00.000Z", reason="again")))


def prepare(_: str) -> Callable[[bytes], None]:
    def one(data: bytes) -> None:
        read = parse(data)
        for kept in read.records.values():
            stale(kept, 1.8e9)
        if parse(render(read)) != read:
            raise Violation("a baseline that is written again is another one")

    return one
