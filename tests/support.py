"""What tests share: judging a folder as if it were a change, and small repositories made by real git."""

from __future__ import annotations

import datetime
import filecmp
import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchgate.config.load import load
from orchgate.context import Context
from orchgate.git.snapshot import FolderSnapshot
from orchgate.model import ABSENT, Change, Outcome, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.model import Check, Location

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
UNTRACKED = (".runs", "out")


def folder_changes(base: FolderSnapshot, head: FolderSnapshot, base_root: Path, head_root: Path) -> Iterator[Change]:
    """Changes between two folders; no renames, counts as if every line were replaced."""
    for path in sorted({*base.entries, *head.entries}):
        old, new = base.entries.get(path), head.entries.get(path)
        if old and new and old.mode == new.mode and filecmp.cmp(base_root / path, head_root / path, shallow=False):
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
    base_root = base or repo / "no-such-base"
    base_tree = FolderSnapshot(str(base_root), UNTRACKED)
    changes = tuple(folder_changes(base_tree, head_tree, base_root, repo))
    config = load(head_tree)
    return Context(
        root=str(repo),
        config=config,
        scope=Scope("tree" if tree else "staged", None, None, changes),
        snapshot=head_tree,
        base=base_tree,
        today=NOW.date(),
        now=NOW,
    )


def judge_folder(check: Check, repo: Path, base: Path | None = None, *, tree: bool = False) -> Outcome:
    return check.run(folder_context(repo, base, tree=tree))


def place(location: Location) -> str:
    return ":".join(str(part) for part in location if part)


def describe(outcome: Outcome) -> list[str]:
    """An outcome as the lines of an EXPECTED file."""
    lines = [f"{place(f.location)}: {f.rule} {f.message}" for f in outcome.findings]
    return lines + [f"trouble: {place(t.location)}: {t.message}" for t in outcome.troubles]


def write_tree(root: Path, files: dict[str, str | bytes]) -> Path:
    """Writes files below a folder, parents included."""
    for name, content in files.items():
        target = root / os.fsdecode(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root
