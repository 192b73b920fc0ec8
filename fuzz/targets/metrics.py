"""Lines of metrics: however they are cut into two readings, they add up to what one reading finds."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.violation import Violation
from orchgate.commands import metrics
from orchgate.metrics import snapshot, update
from orchgate.runner import writer
from tests.metrics_lines import foreign, own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchgate.metrics.aggregate import Aggregate


def seeds() -> Iterable[bytes]:
    yield b"\x02" + b"\n".join((own(1), foreign(1), own(2, status="failed"), own(1, resumes=1))) + b"\n"
    yield b"\x01" + b"\n".join((own(1), own(1), own(2, wall_seconds=9.5))) + b"\n" + own(3)[:70]
    yield b"\x00" + b"null\n5\n[]\n{}\n" + foreign(7, duration_seconds=None) + b"\n\x18\n" + own(4) + b"\n"


def prepare(folder: str) -> Callable[[bytes], None]:
    path = Path(folder, "metrics.json")

    def one(data: bytes) -> None:
        for name in os.listdir(folder):
            Path(folder, name).unlink()
        share, content = (data[:1] or b"\0")[0], data[1:]
        first = len(content) * share // 256
        path.write_bytes(content[:first])
        update.update(folder)
        with path.open("ab") as file:
            file.write(content[first:])
        by_parts = update.update(folder).aggregate
        Path(folder, "aggregate.json").unlink(missing_ok=True)
        at_once = update.update(folder).aggregate
        if by_parts != at_once:
            raise Violation("two readings do not add up to one")
        told(at_once)
        writer.has_entry(str(path), "2026-02-01T12-00-00-000Z-00000001", 1)

    return one


def told(aggregate: Aggregate) -> None:
    """What `metrics` prints, in both forms."""
    shown = snapshot.pipelines(aggregate)
    json.dumps(shown, allow_nan=False)
    with contextlib.redirect_stdout(io.StringIO()):
        metrics._show_tables(shown, {})
