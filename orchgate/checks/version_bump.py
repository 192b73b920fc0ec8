"""A version changes where releases are made, and nowhere else."""

from __future__ import annotations

from orchgate.config.keys import CHANGE, FEWER, GLOBS, MORE, REFUSED, SEEN, key
from orchgate.config.kinds import Flag
from orchgate.config.names import BRANCHES, TRAILER
from orchgate.gate.releases import (
    ABSENT,
    REGULAR,
    RELEASE_BRANCHES,
    Stretch,
    bumped_files,
    released,
    versions_of,
    whole_change,
)
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.gate.context import Context
    from orchgate.gate.releases import BumpedFile, FileVersions
    from orchgate.git.snapshot import Snapshot
OVERRIDE_TRAILER = "Version-Bump"

RULES = (
    Rule(
        "VER001",
        "version changed",
        Severity.ERROR,
        what="The version in a file differs between base and head, was removed, or was added to a file that had none. "
        "The parsed value counts, not the line: versions of dependencies and lock files never do, and a new file may "
        "start with any version. It is a note where the branch or a commit trailer allows it, and in a release: a "
        "change that raises versions and touches nothing else but the same version elsewhere (lock files, "
        "documentation) and the changelog.",
        why="Release tools read the version to decide what to publish. A bump that slipped into a feature publishes "
        "it, and two branches that both bump the version collide.",
        bad='a bug fix that also turns version = "1.4.0" into "1.5.0"',
        good="a change of pyproject.toml, uv.lock and CHANGELOG.md that turns 1.4.0 into 1.5.0; or, with more in it, "
        "the trailer `Version-Bump: release 1.5.0`",
        exceptions=(f"a commit trailer {OVERRIDE_TRAILER}: REASON, or a branch listed in version-bump.allow-branches",),
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
    allow_releases: bool = key(
        Flag(),
        True,
        "whether a version may change where nothing else does: the version wherever it is written, and the changelog",
        REFUSED,
        CHANGE,
        governs=("VER",),
    )
    changelogs: tuple[str, ...] = key(
        GLOBS,
        (
            "**/{CHANGELOG,Changelog,changelog,CHANGES,Changes,HISTORY,History,NEWS}{,.md,.mdx,.rst,.txt,.adoc}",
            "**/{RELEASES,RELEASE_NOTES,RELEASE-NOTES,release-notes}{,.md,.mdx,.rst,.txt,.adoc}",
            "**/{.changeset,.changes,changelog.d,changelogs,newsfragments}/**/*.{md,mdx,rst,txt,adoc,yaml,yml,json}",
            "**/{changelog.d,newsfragments}/**/*.{feature,bugfix,doc,removal,deprecation,security,breaking,change,misc}",
        ),
        "what a release may change besides the version",
        SEEN,
        MORE,
        governs=("VER",),
    )
    allow_branches: tuple[str, ...] = key(
        BRANCHES,
        (RELEASE_BRANCHES,),
        "branches on which a version may change, as globs",
        REFUSED,
        MORE,
        governs=("VER",),
    )
    override_trailer: str = key(
        TRAILER,
        OVERRIDE_TRAILER,
        "commit trailer that allows a version change with a reason",
        REFUSED,
        CHANGE,
        governs=("VER",),
        was="version-bump.allow-trailer",
    )


def run(ctx: Context) -> Outcome:
    whole = whole_change(ctx)
    pairs = bumped_files(whole, ctx.config.of(Releases).files)
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
    pairs = bumped_files(part, ctx.config.of(Releases).files)
    carrying = (pair for pair in pairs if pair.base.carries or pair.head.carries)
    return [finding for pair in carrying for finding in _judge(ctx, part, pair, pairs, "")]


def _merged_in(ctx: Context, pair: BumpedFile) -> bool:
    """Whether the version came in by merging: another tree that the change started from has it."""
    if not ctx.scope.beside or ctx.repository is None or not pair.head.found:
        return False
    trees = (ctx.repository.tree(commit) for commit in ctx.scope.beside)
    return any(pair.path in tree.entries and versions_of(tree, [pair.path])[pair.path] == pair.head for tree in trees)


def _facts(side: FileVersions) -> str | None:
    """One side's versions as one text; None where there is none to read."""
    return ", ".join(dict.fromkeys(side.found.values())) or None


def _allowed(ctx: Context) -> tuple[str, tuple[Stretch, ...]]:
    """Why a version may change here, or "", and the parts of the change for which that does not hold."""
    trailer = ctx.config.of(Releases).override_trailer
    if ctx.branch and matches(ctx.branch, ctx.config.of(Releases).allow_branches):
        return f"allowed by branch {ctx.branch}", ()
    reasons = ctx.exceptions.reasons(trailer) if trailer else ()
    if (not reasons or reasons[0].merge) and released(ctx, ctx.config.of(Releases)):
        return "in a release: nothing but the version and the changelog changed", ()
    if not reasons:
        return "", ()
    allowed = f"allowed by {trailer}: {' '.join(reasons[0].text.split())} ({reasons[0].source})"
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
    for difference in _differences(ctx, stretch, pair, pairs):
        if allowed:
            yield Finding("VER001", place, f"{difference}, {allowed}", severity=Severity.NOTE)
        else:
            yield Finding("VER001", place, difference, _hint(ctx), excuse=ctx.config.of(Releases).override_trailer)


def _unreadable(ctx: Context, pair: BumpedFile, allowed: str) -> Iterator[Finding]:
    """A new file that cannot be read changes no version; fixing one is fine where versions may change."""
    if pair.base is ABSENT:
        return
    place = Location(pair.path)
    if pair.base.error and pair.head.error:
        problem = (
            f"cannot tell whether the version changed: the file {pair.head.error}; at base it was unreadable as well"
        )
        yield Finding("VER002", place, problem, "fix the file, or leave it out of version-bump.files")
    elif pair.head.error:
        before = _facts(pair.base)
        problem = f"cannot tell whether the version{f' {before}' if before else ''} changed: the file {pair.head.error}"
        yield Finding("VER002", place, problem, "fix the file")
    else:
        after = "now the file is deleted" if pair.change.deleted else f"now it is {_facts(pair.head) or 'none'}"
        problem = f"cannot tell whether the version changed: at base the file {pair.base.error}; {after}"
        if allowed:
            yield Finding("VER002", place, f"{problem}, {allowed}", severity=Severity.NOTE)
        else:
            severity = Severity.WARNING if pair.change.deleted else None
            yield Finding("VER002", place, problem, _hint(ctx), severity)


def _differences(ctx: Context, stretch: Stretch, pair: BumpedFile, pairs: list[BumpedFile]) -> Iterator[str]:
    """What changed in one file, a sentence each; nothing for a version that only moved."""
    base, head = pair.base.found, pair.head.found
    changed = [(base[key], head[key]) for key in base if key in head and base[key] != head[key]]
    lost = [value for key, value in base.items() if key not in head and value not in head.values()]
    gained = [value for key, value in head.items() if key not in base and value not in base.values()]
    changed.extend(zip(lost, gained, strict=False))  # the key changed together with the version
    for old, new in dict.fromkeys(changed):
        from orchgate.gate import versions

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
    return any(version in side.found.values() for side in versions_of(tree, related).values())


def _folder(path: str) -> str:
    """The folder of a path with its slash, "" for the top level."""
    return path[: path.rfind("/") + 1]


def _line(stretch: Stretch, pair: BumpedFile) -> int:
    """The line that holds the new version, 0 when it is not found."""
    changed = [(key, value) for key, value in pair.head.found.items() if pair.base.found.get(key) != value]
    if not changed:
        return 0
    name, value = changed[0][0].rpartition(".")[2], changed[0][1]
    from orchgate.gate import versions

    lines = stretch.head.read(pair.path, versions.MAX_BYTES).decode("utf-8", "replace").split("\n")
    both = [number for number, line in enumerate(lines, 1) if value in line and name in line]
    either = [number for number, line in enumerate(lines, 1) if value in line or name in line]
    return next(iter([*both, *either]), 0)


def _hint(ctx: Context) -> str:
    settings = ctx.config.of(Releases)
    ways = ["restore the version"]
    ways += ["release it in a change of its own"] if settings.allow_releases else []
    ways += [f"give a reason in the commit trailer `{settings.override_trailer}: …`"] * bool(settings.override_trailer)
    ways += [f"commit on a branch named {' or '.join(settings.allow_branches)}"] * bool(settings.allow_branches)
    ways += ["list the release branch in version-bump.allow-branches"] * (len(ways) == 1)
    return ", or ".join(ways)


CHECK = Check("version-bump", "versions change only in releases", RULES, run, excusable=True, keys=Releases)
