"""Which files carry versions, what a change does to them, and whether it is a release: a version and nothing else."""

from __future__ import annotations

import re

from orchgate.errors import Unreadable
from orchgate.git.snapshot import MAX_BYTES
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol, suppress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchgate.gate.context import Context
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Change

    class ReleaseRules(Protocol):
        """What the configuration says of releases."""

        @property
        def files(self) -> tuple[str, ...]: ...

        @property
        def changelogs(self) -> tuple[str, ...]: ...

        @property
        def allow_releases(self) -> bool: ...


REGULAR = "100"  # how the modes of regular files begin
RELEASE_BRANCHES = "**/release*{,/**}"
# What lists dependencies, or records which of them were taken.
MANIFESTS = (
    "**/{package.json,package-lock.json,npm-shrinkwrap.json,pnpm-lock.yaml,yarn.lock,bun.lock,bun.lockb}",
    "**/{pyproject.toml,uv.lock,poetry.lock,pdm.lock,pylock.toml,Pipfile,Pipfile.lock,requirements*.txt}",
    "**/{Cargo.toml,Cargo.lock,go.mod,go.sum,go.work.sum,Gemfile,Gemfile.lock,composer.json,composer.lock}",
    "**/{libs.versions.toml,gradle.lockfile,packages.lock.json,mix.lock,pubspec.lock,Podfile.lock,deno.lock}",
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


def whole_change(ctx: Context) -> Stretch:
    """The judged change. Raises OrchgateError where nobody knows it."""
    return Stretch(ctx.scope.require_changes(), ctx.base, ctx.snapshot)


def bumped_files(stretch: Stretch, globs: tuple[str, ...]) -> list[BumpedFile]:
    """Changed files of the globs, with the versions of both sides; blobs are read in one go each."""
    changes = [
        change
        for change in stretch.changes
        if matches(change.path, globs) or (change.old_path is not None and matches(change.old_path, globs))
    ]
    before = {change.old_path or change.path for change in changes if change.old_mode.startswith(REGULAR)}
    after = {change.path for change in changes if not change.deleted and change.new_mode.startswith(REGULAR)}
    base = versions_of(stretch.base, sorted(path for path in before if matches(path, globs)))
    head = versions_of(stretch.head, sorted(path for path in after if matches(path, globs)))
    return [
        BumpedFile(
            change,
            base.get(change.old_path or change.path, ABSENT),
            ABSENT if change.deleted else head.get(change.path, ABSENT),
        )
        for change in changes
    ]


def versions_of(tree: Snapshot, paths: list[str]) -> dict[str, FileVersions]:
    """The versions in some files of a tree."""
    if not paths:
        return {}
    from orchgate.gate import versions

    sides: dict[str, FileVersions] = {}
    for path, content in tree.read_many(paths, versions.MAX_BYTES):
        try:
            sides[path] = (
                FileVersions({}, content.message)
                if isinstance(content, Unreadable)
                else FileVersions(versions.read(path, content))
            )
        except Unreadable as error:
            sides[path] = FileVersions({}, error.message)
    return sides


def is_manifest(path: str) -> bool:
    """Whether a file lists dependencies, or is the lock of one that does."""
    return matches(path, MANIFESTS)


def released(ctx: Context, rules: ReleaseRules) -> bool:
    """Whether the judged change is a release, where the rules allow those."""
    return rules.allow_releases and is_release(whole_change(ctx), rules.files, rules.changelogs)


def is_release(stretch: Stretch, files: tuple[str, ...], changelogs: tuple[str, ...]) -> bool:
    """Whether versions in `files` were raised and nothing else changed but the changelog.

    The version may be written in any number of files: in lock files, in badges, in documentation. A file in which
    anything else changed, or that came or went, makes it more than a release.
    """
    rest = [change for change in stretch.changes if not matches(change.path, changelogs)]
    if not rest or not all(map(_is_edit, rest)):
        return False
    pairs = bumped_files(stretch, files)
    raised = {raise_ for pair in pairs for raise_ in _raises(pair)}
    if not raised:
        return False
    from orchgate.gate import versions

    if any(versions.is_downgrade(old, new) for old, new in raised):
        return False
    old, new = (_written(side) for side in zip(*raised, strict=True))
    paths = sorted(change.path for change in rest)
    sides = zip(stretch.base.read_many(paths, MAX_BYTES), stretch.head.read_many(paths, MAX_BYTES), strict=True)
    return all(
        _follows(_as_lines(path, before), _as_lines(path, after), old, new) for (path, before), (_, after) in sides
    )


def _is_edit(change: Change) -> bool:
    """Whether a file of ordinary kind stayed what it was, but for its content. A binary one says nothing readable."""
    same = change.old_mode == change.new_mode and change.new_mode.startswith(REGULAR)
    return same and change.status == "M" and change.added is not None


def _raises(pair: BumpedFile) -> Iterable[tuple[str, str]]:
    before, after = pair.base.found, pair.head.found
    return [(before[key], after[key]) for key in before if key in after and before[key] != after[key]]


def _written(side: Iterable[str]) -> re.Pattern[str]:
    """Some versions in every form they are written in: `1.2.0`, and `1, 2, 0` in a tuple."""
    forms = {re.escape(one) for one in side} | {r"[ \t]*,[ \t]*".join(map(re.escape, one.split("."))) for one in side}
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile(rf"(?<![0-9.])(?:{'|'.join(longest_first)})(?![0-9]|\.[0-9])")


def _as_lines(path: str, content: object) -> list[str] | None:
    """A content as lines; JSON in one shape, because tools that raise a version lay it out anew. None for no text."""
    if not isinstance(content, bytes):
        return None
    # surrogateescape: what is no text must not become equal.
    text = content.decode("utf-8", "surrogateescape")
    if path.endswith(".json"):
        import json

        from orchgate.lib import json_data

        with suppress(ValueError, json_data.TooDeepError):
            text = json.dumps(json_data.parse(text), indent=0)
    return text.split("\n")


def _follows(before: list[str] | None, after: list[str] | None, old: re.Pattern[str], new: re.Pattern[str]) -> bool:
    """Whether two contents differ in nothing but the version."""
    if before is None or after is None or len(before) != len(after):
        return False
    differing = (pair for pair in zip(before, after, strict=True) if pair[0] != pair[1])
    return all(old.sub("\0", one) == new.sub("\0", other) for one, other in differing)
