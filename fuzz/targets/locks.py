"""The evidence lock: read, written again, merged, and what it makes of citations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz.judging import Asked, case, judge, lay_out, refuses, samples, tracked
from fuzz.violation import Violation
from orchgate.evidence import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DOCUMENT = "docs/notes.md"
# Nobody's lock pins it, and it is nowhere.
CITED = b"[log](../.runs/0001-demo/cli/2026-01-06T09-26-22-129Z-99999999/no-such-log-of-anybody.log)\n"


def seeds() -> Iterable[bytes]:
    yield from samples("evidence.lock")
    one, two = lock.Pinned(".runs/a/b.log", "0" * 64, 1), lock.Pinned(".runs/a/b.log", "1" * 64, 2)
    mine, theirs = (lock.render([pin]).split(b"\n", 1)[1] for pin in (one, two))
    yield lock.HEADER + b"\n<<<<<<< HEAD\n" + mine + b"=======\n" + theirs + b">>>>>>> other\n"


def prepare(folder: str) -> Callable[[bytes], None]:
    whole = case("evidence", "pass-pinned-and-on-disk")
    files = tracked(whole)
    lay_out(folder, whole)

    def one(data: bytes) -> None:
        changed = {**files, lock.PATH: data, DOCUMENT: CITED}
        report = judge(Asked(folder, changed, files), "evidence", "manifests")
        troubles = any(result.troubles for result in report.checks)
        if not troubles and not refuses(report, DOCUMENT, "EVD001", 1):
            raise Violation("a run that is nowhere was taken for pinned")
        lock.both_sides(data)
        pins = lock.parse(data).pins
        if lock.parse(lock.render(pins.values())).pins != pins:
            raise Violation("a lock that is written again is another one")

    return one
