"""A tree in memory judged by the real checks, and what must never come of it."""

from __future__ import annotations

import datetime
import io
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fuzz.violation import Violation
from orchgate.config.load import load
from orchgate.errors import Unreadable
from orchgate.gate import session
from orchgate.gate.context import Context
from orchgate.gate.documents import ParsedDocuments
from orchgate.git.snapshot import MAX_BYTES, DerivedFacts, TreeEntry
from orchgate.model import Change, Scope
from orchgate.outputs import json, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.config.settings import Config
    from orchgate.model import Report

CASES = Path(__file__).parents[1] / "tests" / "cases"
TEMPLATES = Path(__file__).parents[1] / "templates"
NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)


class Tree(DerivedFacts):
    """A snapshot in memory."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    @cached_property
    def entries(self) -> Mapping[str, TreeEntry]:
        return {path: TreeEntry("100644", "") for path in sorted(self.files)}

    def blob(self, oid: str, limit: int) -> bytes | None:  # noqa: ARG002 -- there are no others
        return None

    def find(self, path: str, limit: int = MAX_BYTES) -> bytes | None:
        return self.read(path, limit) if path in self.files else None

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        if path not in self.files:
            raise Unreadable(path, "is not a file of this tree")
        if len(self.files[path]) > limit:
            raise Unreadable(path, f"is larger than {limit} bytes")
        return self.files[path]

    def read_many(self, paths: Iterable[str], limit: int = MAX_BYTES) -> Iterator[tuple[str, bytes | Unreadable]]:
        for path in paths:
            try:
                yield path, self.read(path, limit)
            except Unreadable as error:
                yield path, error

    def mentioning(self, names: Iterable[str]) -> frozenset[str]:
        wanted = [name.encode("utf-8", "surrogateescape") for name in names]
        return frozenset(path for path, data in self.files.items() if any(name in data for name in wanted))


class Asked(NamedTuple):
    """What is judged: a tree against a base, as a change or as a whole, with the artifacts in a folder."""

    root: str
    files: Mapping[str, bytes]
    base: Mapping[str, bytes]
    whole: bool = True
    config: Config | None = None


def samples(*patterns: str) -> Iterator[bytes]:
    """Contents of the cases' files with such names."""
    for pattern in patterns:
        yield from (path.read_bytes() for path in sorted(CASES.rglob(pattern)) if path.is_file())


def case(*names: str) -> dict[str, bytes]:
    """The files of a case's tree, artifacts included."""
    top = CASES.joinpath(*names, "repo")
    return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}


def tracked(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files without the artifacts, which git usually does not track."""
    return {path: data for path, data in files.items() if not path.startswith((".runs/", "out/"))}


def lay_out(root: str, files: Mapping[str, bytes]) -> None:
    """Writes files below a folder."""
    for name, content in files.items():
        place = Path(root, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def judge(asked: Asked, *checks: str) -> Report:
    """The report, shown in both forms. Raises Violation for a crash, OrchgateError where nothing can be judged."""
    head, base = Tree(asked.files), Tree(asked.base)
    config = asked.config or load(head)
    scope = Scope("tree" if asked.whole else "staged", None, None, tuple(_changes(base.files, head.files)))
    documents = ParsedDocuments(head)
    ctx = Context(
        asked.root, config, config, scope, snapshot=head, base=base, documents=documents, judged_at=NOW.timestamp()
    )
    report = session.judge(ctx, checks)
    for result in report.checks:
        if result.crash:
            raise Violation(f"{result.id} crashed: {result.crash}")
    text.render(report, io.StringIO())
    json.render(report, io.StringIO())
    return report


def _changes(base: Mapping[str, bytes], head: Mapping[str, bytes]) -> Iterator[Change]:
    for path in sorted({*base, *head}):
        old, new = base.get(path), head.get(path)
        if old != new:
            status = "M" if old is not None and new is not None else "D" if new is None else "A"
            lines = [0 if data is None else len(data.splitlines()) for data in (new, old)]
            yield Change(status, path, None, "100644", "100644", "1" * 40, "2" * 40, *lines)


def refuses(report: Report, path: str, rule: str, line: int) -> bool:
    """Whether a fault in a line is told, or that its file could not be read."""
    troubles = (trouble.location.path for result in report.checks for trouble in result.troubles)
    found = (one.finding for one in report.diagnostics)
    return path in troubles or any((one.rule, one.location[:2]) == (rule, (path, line)) for one in found)
