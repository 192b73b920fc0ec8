"""A version changes where releases are made, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.config.keys import CHANGE, FEWER, GLOBS, MORE, REFUSED, SEEN, key
from orchgate.config.names import BRANCHES, TRAILER
from orchgate.errors import Unreadable
from orchgate.lib import versions
from orchgate.lib.globs import matches
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.gate.context import Context
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Change

REGULAR = "100"  # how the modes of regular files begin

RULES = (
    Rule(
        "VER001",
        "version changed",
        Severity.ERROR,
        what="The version in a file differs between base and head, was removed, or was added to a file that had none. "
        "The parsed value counts, not the line: versions of dependencies and lock files never do, and a new file may "
        "start with any version. It is a note where the branch or a commit trailer allows it.",
        why="Release tools read the version to decide what to publish. A bump that slipped into a feature publishes "
        "it, and two branches that both bump the version collide.",
        bad='a bug fix that also turns version = "1.4.0" into "1.5.0"',
        good="Version-Bump: release 1.5.0, as a trailer of the release commit",
    ),
    Rule(
        "VER002",
        "version unreadable on one side",
        Severity.ERROR,
        what="A file with a version cannot be read at base or at head: it is broken TOML or JSON, has the key twice, "
        "is not text, or is too large.",
        why="Then nobody knows whether the version changed, and unknown is not unchanged.",
        bad='a package.json with a conflict marker between two "version" lines',
        good="a package.json that parses",
    ),
)


class Releases(NamedTuple):
    files: tuple[str, ...] = key(
        GLOBS,
        (
            "**/pyproject.toml",
            "**/package.json",
            "**/Cargo.toml",
            "**/__init__.py",
            "**/__about__.py",
            "**/_version.py",
            "**/version.py",
            "**/VERSION",
            "**/VERSION.txt",
        ),
        "files that carry a version",
        SEEN,
        FEWER,
        governs=("VER",),
    )
    allow_branches: tuple[str, ...] = key(
        BRANCHES, (), "branches on which a version may change, as globs", REFUSED, MORE, governs=("VER",)
    )
    override_trailer: str = key(
        TRAILER,
        "Version-Bump",
        "commit trailer that allows a version change with a reason",
        REFUSED,
        CHANGE,
        governs=("VER",),
        was="version-bump.allow-trailer",
    )


class FileVersions(NamedTuple):
    """What one side of a change carries: versions by key, or why nobody can tell."""

    found: Mapping[str, str]
    error: str = ""

    @property
    def carries(self) -> bool:
        return bool(self.found or self.error)


class BumpedFile(NamedTuple):
    """One changed file before and after."""

    change: Change
    base: FileVersions
    head: FileVersions

    @property
    def path(self) -> str:
        return self.change.path


class Stretch(NamedTuple):
    """Two trees and what differs between them: the change, or a part of it that no exception covers."""

    changes: tuple[Change, ...]
    base: Snapshot
    head: Snapshot


ABSENT = FileVersions({})  # no such file, or one whose versions do not count


def run(ctx: Context) -> Outcome:
    whole = Stretch(ctx.scope.require_changes(), ctx.base, ctx.snapshot)
    pairs = _pairs(ctx, whole)
    carrying = [pair for pair in pairs if (pair.base.carries or pair.head.carries) and not _merged_in(ctx, pair)]
    allowed, parts = _allowed(ctx) if carrying else ("", ())
    findings = [finding for part in parts for finding in _findings(ctx, part)]
    refused = {finding.location.path for finding in findings}
    kept = [pair for pair in carrying if pair.path not in refused]
    findings += [finding for pair in kept for finding in _judge(ctx, whole, pair, pairs, allowed)]
    rows = [
        {"path": pair.path, "base": _facts(pair.base), "head": _facts(pair.head)}
        for pair in carrying
        if pair.base.found or pair.head.found
    ]
    return Outcome(tuple(findings), {"version files": len(carrying)}, {"versions": rows})


def _findings(ctx: Context, part: Stretch) -> list[Finding]:
    """What a stretch of the change does to versions that no exception covers."""
    pairs = _pairs(ctx, part)
    carrying = (pair for pair in pairs if pair.base.carries or pair.head.carries)
    return [finding for pair in carrying for finding in _judge(ctx, part, pair, pairs, "")]


def _merged_in(ctx: Context, pair: BumpedFile) -> bool:
    """Whether the version came in by merging: another tree that the change started from has it."""
    if not ctx.scope.beside or ctx.repository is None or not pair.head.found:
        return False
    trees = (ctx.repository.tree(commit) for commit in ctx.scope.beside)
    return any(pair.path in tree.entries and _sides(tree, [pair.path])[pair.path] == pair.head for tree in trees)


def _facts(side: FileVersions) -> str | None:
    """One side's versions as one text; None where there is none to read."""
    return ", ".join(dict.fromkeys(side.found.values())) or None


def _pairs(ctx: Context, stretch: Stretch) -> list[BumpedFile]:
    """Changed files of the configured globs, with the versions of both sides; blobs are read in one go each."""
    globs = ctx.config.of(Releases).files
    changes = [
        change
        for change in stretch.changes
        if matches(change.path, globs) or (change.old_path is not None and matches(change.old_path, globs))
    ]
    before = {change.old_path or change.path for change in changes if change.old_mode.startswith(REGULAR)}
    after = {change.path for change in changes if not change.deleted and change.new_mode.startswith(REGULAR)}
    base = _sides(stretch.base, sorted(path for path in before if matches(path, globs)))
    head = _sides(stretch.head, sorted(path for path in after if matches(path, globs)))
    return [
        BumpedFile(
            change,
            base.get(change.old_path or change.path, ABSENT),
            ABSENT if change.deleted else head.get(change.path, ABSENT),
        )
        for change in changes
    ]


def _sides(tree: Snapshot, paths: list[str]) -> dict[str, FileVersions]:
    sides: dict[str, FileVersions] = {}
    for path, content in tree.read_many(paths, versions.MAX_BYTES) if paths else ():
        try:
            sides[path] = (
                FileVersions({}, content.message)
                if isinstance(content, Unreadable)
                else FileVersions(versions.read(path, content))
            )
        except Unreadable as error:
            sides[path] = FileVersions({}, error.message)
    return sides


def _allowed(ctx: Context) -> tuple[str, tuple[Stretch, ...]]:
    """Why a version may change here, or "", and the parts of the change for which that does not hold."""
    trailer = ctx.config.of(Releases).override_trailer
    if ctx.branch and matches(ctx.branch, ctx.config.of(Releases).allow_branches):
        return f"branch {ctx.branch}", ()
    reasons = ctx.exceptions.reasons(trailer) if trailer else ()
    if not reasons:
        return "", ()
    allowed = f"{trailer}: {' '.join(reasons[0].text.split())} ({reasons[0].source})"
    if not reasons[0].merge:
        return allowed, ()
    repository = ctx.repository
    assert repository is not None  # only a repository has merges
    return allowed, tuple(
        Stretch(
            part.changes,
            repository.tree(part.base) if part.base else repository.nothing,
            repository.snapshot(part.head),
        )
        for part in ctx.exceptions.rest(trailer)
    )


def _judge(
    ctx: Context, stretch: Stretch, pair: BumpedFile, pairs: list[BumpedFile], allowed: str
) -> Iterator[Finding]:
    if pair.base.error or pair.head.error:
        yield from _unreadable(ctx, pair, allowed)
        return
    # A file renamed out of sight took its version along under its old name.
    gone = pair.head is ABSENT and pair.change.old_path
    place = Location(gone or pair.path, _line(stretch, pair))
    for said in _differences(ctx, stretch, pair, pairs):
        if allowed:
            yield Finding("VER001", place, f"{said}, allowed by {allowed}", severity=Severity.NOTE)
        else:
            yield Finding("VER001", place, said, _hint(ctx), excuse=ctx.config.of(Releases).override_trailer)


def _unreadable(ctx: Context, pair: BumpedFile, allowed: str) -> Iterator[Finding]:
    """A new file that cannot be read changes no version; fixing one is fine where versions may change."""
    if pair.base is ABSENT:
        return
    place = Location(pair.path)
    if pair.base.error and pair.head.error:
        said = f"cannot tell whether the version changed: the file {pair.head.error}; at base it was unreadable as well"
        yield Finding("VER002", place, said, "fix the file, or leave it out of version-bump.files")
    elif pair.head.error:
        before = _facts(pair.base)
        said = f"cannot tell whether the version{f' {before}' if before else ''} changed: the file {pair.head.error}"
        yield Finding("VER002", place, said, "fix the file")
    else:
        after = "now the file is deleted" if pair.change.deleted else f"now it is {_facts(pair.head) or 'none'}"
        said = f"cannot tell whether the version changed: at base the file {pair.base.error}; {after}"
        if allowed:
            yield Finding("VER002", place, f"{said}, allowed by {allowed}", severity=Severity.NOTE)
        else:
            severity = Severity.WARNING if pair.change.deleted else None
            yield Finding("VER002", place, said, _hint(ctx), severity)


def _differences(ctx: Context, stretch: Stretch, pair: BumpedFile, pairs: list[BumpedFile]) -> Iterator[str]:
    """What changed in one file, a sentence each; nothing for a version that only moved."""
    base, head = pair.base.found, pair.head.found
    changed = [(base[key], head[key]) for key in base if key in head and base[key] != head[key]]
    lost = [value for key, value in base.items() if key not in head and value not in head.values()]
    gained = [value for key, value in head.items() if key not in base and value not in base.values()]
    changed.extend(zip(lost, gained, strict=False))  # the key changed together with the version
    for old, new in dict.fromkeys(changed):
        verb = "was lowered from" if versions.is_downgrade(old, new) else "changed from"
        yield f"version {verb} {old} to {new}"
    for value in dict.fromkeys(lost[len(gained) :]):
        if head or not _still_there(ctx, stretch, pair, pairs, value):
            yield f"version {value} was removed{' with the file' if pair.change.deleted else ''}"
    for value in dict.fromkeys(gained[len(lost) :]):
        if pair.base is not ABSENT and (base or not _was_there(ctx, stretch, pair, pairs, value)):
            yield f"version {value} was added"


def _still_there(ctx: Context, stretch: Stretch, pair: BumpedFile, pairs: list[BumpedFile], version: str) -> bool:
    """Whether a version that was removed from a file is in another one, or went with its whole package."""
    folder = pair.path.rpartition("/")[0]
    if pair.change.deleted and folder and folder not in stretch.head.folders:
        return True
    took_over = (other for other in pairs if version not in other.base.found.values())
    return any(version in other.head.found.values() for other in took_over) or _carried(
        ctx, stretch.head, pair, version
    )


def _was_there(ctx: Context, stretch: Stretch, pair: BumpedFile, pairs: list[BumpedFile], version: str) -> bool:
    gave_up = (other for other in pairs if version not in other.head.found.values())
    return any(version in other.base.found.values() for other in gave_up) or _carried(ctx, stretch.base, pair, version)


def _carried(ctx: Context, tree: Snapshot, pair: BumpedFile, version: str) -> bool:
    """Whether another file of the same package, in a folder above or below, carries the version in a tree."""
    inside = _folder(pair.path)
    globs = ctx.config.of(Releases).files
    related = [
        other
        for other, entry in tree.entries.items()
        if other != pair.path
        and (other.startswith(inside) or inside.startswith(_folder(other)))
        and entry.mode.startswith(REGULAR)
        and matches(other, globs)
    ]
    return any(version in side.found.values() for side in _sides(tree, related).values())


def _folder(path: str) -> str:
    """The folder of a path with its slash, "" for the top level."""
    return path[: path.rfind("/") + 1]


def _line(stretch: Stretch, pair: BumpedFile) -> int:
    """The line that holds the new version, 0 when it is not found."""
    changed = [(key, value) for key, value in pair.head.found.items() if pair.base.found.get(key) != value]
    if not changed:
        return 0
    name, value = changed[0][0].rpartition(".")[2], changed[0][1]
    lines = stretch.head.read(pair.path, versions.MAX_BYTES).decode("utf-8", "replace").split("\n")
    both = [number for number, line in enumerate(lines, 1) if value in line and name in line]
    either = [number for number, line in enumerate(lines, 1) if value in line or name in line]
    return next(iter([*both, *either]), 0)


def _hint(ctx: Context) -> str:
    settings = ctx.config.of(Releases)
    branches = f"commit on a branch named {' or '.join(settings.allow_branches)}" if settings.allow_branches else ""
    trailer = (
        f"give a reason in the commit trailer `{settings.override_trailer}: …`" if settings.override_trailer else ""
    )
    ways = [way for way in (trailer, branches) if way] or ["list the release branch in version-bump.allow-branches"]
    return f"restore the version, or {', or '.join(ways)}"


CHECK = Check("version-bump", "versions change only in releases", RULES, run, excusable=True, keys=Releases)
