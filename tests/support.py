"""What tests share: judging a folder as if it were a change, and small repositories made by real git."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
from typing import TYPE_CHECKING, Any

from orchgate.cli import main
from orchgate.config.load import load
from orchgate.gate import suppressions
from orchgate.gate.context import Context
from orchgate.gate.documents import ParsedDocuments
from orchgate.git.snapshot import FolderSnapshot
from orchgate.model import ABSENT, Change, Outcome, Push, Scope, ScopeTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from orchgate.model import Check, Finding, Location

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
UNTRACKED = (".runs", "out")


def folder_changes(base: FolderSnapshot, head: FolderSnapshot) -> Iterator[Change]:
    """Changes between two folders; no renames, counts as if every line were replaced."""
    for path in sorted({*base.entries, *head.entries}):
        old, new = base.entries.get(path), head.entries.get(path)
        if old and new and old.mode == new.mode and base.read(path) == head.read(path):
            continue
        status = "M" if old and new else "A" if new else "D"
        yield Change(
            status,
            path,
            None,
            old.mode if old else "000000",
            new.mode if new else "000000",
            "1" * 40 if old else ABSENT,
            "2" * 40 if new else ABSENT,
            len(head.read(path).splitlines()) if new else 0,
            len(base.read(path).splitlines()) if old else 0,
        )


def folder_context(repo: Path, base: Path | None = None, *, tree: bool = False) -> Context:
    """A context that judges `repo` against `base` (nothing: an empty tree)."""
    head_tree = FolderSnapshot(str(repo), UNTRACKED)
    base_tree = FolderSnapshot(str(base or repo / "no-such-base"), UNTRACKED)
    changes = tuple(folder_changes(base_tree, head_tree))
    config = load(head_tree)
    return Context(
        root=str(repo),
        config=config,
        proposed=config,
        scope=Scope("tree" if tree else "staged", None, None, changes),
        snapshot=head_tree,
        base=base_tree,
        documents=ParsedDocuments(head_tree),
        judged_at=NOW.timestamp(),
    )


def target(branch: str, trailers: Mapping[str, Iterable[str]]) -> ScopeTarget:
    """A change on a branch, with a message that has these trailers."""
    lines = [f"{name}: {value}" for name, values in trailers.items() for value in values]
    push = Push("origin", f"refs/heads/{branch}" if branch else "", ABSENT, ABSENT)
    return ScopeTarget("staged", None, push=push, message=lambda: "\n".join(["subject", "", *lines]))


def judge_folder(check: Check, repo: Path, base: Path | None = None, *, tree: bool = False) -> Outcome:
    ctx = folder_context(repo, base, tree=tree)
    if check.id == "configuration" and base is not None:  # the others ask for what is in force only
        ctx = ctx._replace(accepted=load(ctx.base))
    return check.run(ctx)


def checked(*args: str) -> dict[str, Any]:
    """The JSON report of `orchgate check` in the current folder, without a process of its own."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        main(["check", "--output-format", "json", *args])
    report: dict[str, Any] = json.loads(stream.getvalue())
    return report


def place(location: Location) -> str:
    return ":".join(str(part) for part in location if part)


def describe(outcome: Outcome) -> list[str]:
    """An outcome's findings and troubles as lines: place, rule, severity, message, and whether a hint follows."""
    lines = [f"{place(f.location)}: {f.rule} {severity(f)} {f.message}{hinted(f.hint)}" for f in outcome.findings]
    return lines + [f"trouble: {place(t.location)}: {t.message}{hinted(t.hint)}" for t in outcome.troubles]


def severity(finding: Finding) -> str:
    """What a finding weighs before configuration: its own severity, or else its rule's."""
    return (finding.severity or suppressions.every_rule()[finding.rule][1].severity).value


def hinted(hint: str) -> str:
    return " (hint)" if hint else ""


def examined(outcome: Outcome) -> str:
    """What a check looked at, zeros too, so that a pass for want of anything to look at is seen."""
    return "examined: " + (", ".join(f"{name} {number}" for name, number in outcome.examined.items()) or "nothing")


def write_tree(root: Path, files: Mapping[str, str | bytes] | Mapping[str, str]) -> Path:
    """Writes files below a folder, parents included."""
    for name, content in files.items():
        target = root / os.fsdecode(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root
