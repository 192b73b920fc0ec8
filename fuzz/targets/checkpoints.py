"""What `metrics` keeps between two readings, damaged: it is used as it was written, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.violation import Violation
from orchgate.metrics import update
from tests.metrics_lines import foreign, own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LINES = b"".join(line + b"\n" for line in (own(1), foreign(1), own(2, status="failed"), own(1, resumes=1)))
NAMES = (update.CHECKPOINT, update.INDEX)


def _kept(folder: str) -> tuple[bytes, bytes]:
    """What is kept of LINES, in a folder that gets them."""
    Path(folder, "metrics.json").write_bytes(LINES)
    update.update(folder)
    return Path(folder, NAMES[0]).read_bytes(), Path(folder, NAMES[1]).read_bytes()


def seeds() -> Iterable[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(_kept(folder)):
            yield bytes([number]) + content


def prepare(folder: str) -> Callable[[bytes], None]:
    kept = _kept(folder)
    right = update.update(folder).aggregate

    def one(data: bytes) -> None:
        for name, content in zip(NAMES, kept, strict=True):
            Path(folder, name).write_bytes(content)
        Path(folder, NAMES[(data[:1] or b"\0")[0] % 2]).write_bytes(data[1:])
        if update.update(folder).aggregate != right:
            raise Violation("a damaged checkpoint was believed")
        for name in set(os.listdir(folder)) - {"metrics.json", *NAMES}:
            raise Violation(f"{name} stays behind")

    return one
