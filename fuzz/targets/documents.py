"""Documents: every check that reads Markdown, whichever document of a packet the input stands in for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz.judging import TEMPLATES, Asked, case, judge, lay_out, refuses, samples, tracked
from fuzz.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PLACES = ("docs/PRD-demo.md", "docs/ACTION_PLAN-demo.md", "tasks/tasks-0001-demo.md", "README.md")
CHECKS = ("documents", "evidence", "commands", "specs")
PLANTED = b"[gone](no-such-file-of-anybody.md)\n\n"


def seeds() -> Iterable[bytes]:
    for content in (*samples("*.md"), *(path.read_bytes() for path in sorted(TEMPLATES.glob("*.md")))):
        yield bytes([len(content) % 16]) + content


def prepare(folder: str) -> Callable[[bytes], None]:
    whole = case("documents", "pass-complete-packet-in-work") | case("evidence", "pass-artifacts-on-disk")
    base = tracked(whole)
    lay_out(folder, whole)

    def one(data: bytes) -> None:
        kind, document = (data[:1] or b"\0")[0], data[1:]
        path = PLACES[kind % 4]
        whole_tree, planted = bool(kind & 4), bool(kind & 8)
        # First in the document, so that whatever follows cannot hide it.
        asked = Asked(folder, {**base, path: PLANTED * planted + document}, base, whole=whole_tree)
        if planted and not refuses(judge(asked, *CHECKS), path, "EVD001", 1):
            raise Violation(f"a dead link in {path}:1 was passed over")
        if not planted:
            judge(asked, *CHECKS)

    return one
