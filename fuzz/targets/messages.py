"""Commit messages, hunks of patches, globs: small texts that strangers write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz.violation import Violation
from orchgate.git import messages, objects
from orchgate.lib import paths
from orchgate.model import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CHANGE = Change("M", "a.txt", None, "100644", "100644", "1" * 40, "2" * 40, 1, 1)
HUNK = b"diff --git a/a.txt b/a.txt\nindex 1..2 100644\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1 @@ x\n-a\n-b\n+c\n"
KEPT = "Size-Reason: because"


def seeds() -> Iterable[bytes]:
    yield b"\0Subject\n\nBody text.\n\nTask: 0001-demo\nSize-Reason: generated\n continued\n\nCo-authored-by: A <a@b>\n"
    yield b"\0Squashed commit of the following:\n\n    Task: 1\n\n---------\n\n(cherry picked from commit 1)"
    yield b"\1" + HUNK
    yield b"\1" + HUNK + b"\\ No newline at end of file\n"
    yield b"\2docs/**/[!a-z]?*.md\n!docs/{a,b}/x\ndocs/a/x.md"


def prepare(_: str) -> Callable[[bytes], None]:
    def one(data: bytes) -> None:
        kind, text = (data[:1] or b"\0")[0] % 3, data[1:].decode("utf-8", "replace")
        if kind == 0:
            messages.trailers(text)
            if "because" not in messages.trailers(f"{text}\n\n{KEPT}\n").get("size-reason", ("",))[-1] and text.strip():
                raise Violation("a trailer at the end was not read")
        elif kind == 1:
            counts = objects.read_patch(data[1:], [CHANGE]).counts["a.txt"]
            if min(counts) < 0:
                raise Violation("fewer lines than none")
        else:
            *patterns, path = text.split("\n")
            paths.matches(path, tuple(patterns))

    return one
