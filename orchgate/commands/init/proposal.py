"""What `orchgate init` proposes, from what was committed until now: limits, areas, release branches and the profile."""

from __future__ import annotations

import os

from orchgate import registry
from orchgate.checks.diff_budget import REST, Area, Budget, area_of, is_left_out
from orchgate.checks.version_bump import Releases
from orchgate.config import load, source
from orchgate.config.profiles import DEFAULT, recognise
from orchgate.errors import OrchgateError
from orchgate.git import history
from orchgate.lib.paths import matches
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.git.repository import Repository
    from orchgate.model import Change

COMMITS = 200
SECONDS = 20.0
_FITS = 0.95  # of the commits fit the limit of an area
_LEAST_AREA = 0.05  # of the commits touch what is worth an area of its own
_FEWEST = 10  # commits, below which nothing is read into their sizes
_FILES = (25, 30, 40, 50, 75, 100)
_LINES = (800, 1000, 1200, 1500, 2000, 3000, 5000)
_AREAS = {
    "docs": ("docs/**", "doc/**", "tasks/**", "**/*.md", "**/*.mdx", "**/*.rst"),
    "tests": (
        "**/tests/**",
        "**/test/**",
        "**/__tests__/**",
        "**/*_test.*",
        "**/*.test.*",
        "**/*.spec.*",
        "**/spec/**",
    ),
}


class Proposal(NamedTuple):
    """Parts of a configuration as TOML, "" where the defaults are as good; `told` says what they rest on."""

    profile: str = "default"
    profile_because: str = ""
    limits: str = ""
    releases: str = ""
    told: tuple[str, ...] = ()


def of(repository: Repository) -> Proposal:
    """Reads at most so many commits for at most so long; whatever keeps it from that is said. Raises GitError."""
    profile, because = _profile(repository)
    defaults = load.build(source.NOTHING)
    releases = _releases(repository, tuple(defaults.of(Releases).allow_branches))
    if repository.head is None:
        return Proposal(profile, because, releases=releases, told=("no commits yet: the limits are the defaults",))
    try:
        measured = history.recent_changes(repository, COMMITS, SECONDS)
    except OrchgateError as error:
        return Proposal(profile, because, releases=releases, told=(f"history not measured: {error.message}",))
    if len(measured) < _FEWEST:
        found = counted(len(measured), "commit") if measured else "no commit with a parent"
        return Proposal(profile, because, releases=releases, told=(f"{found} to measure: the limits are the defaults",))
    plain = defaults.of(Budget)
    budget = _budget(measured, plain)
    return Proposal(profile, because, _as_toml(budget, measured), releases, tuple(_told(budget, plain, measured)))


def _budget(measured: Sequence[tuple[Change, ...]], plain: Budget) -> Budget:
    """The smallest round limits into which nearly all commits fit, parts that many touch counted apart."""
    named = {
        name: tuple(pattern for pattern in patterns if _any(measured, pattern)) for name, patterns in _AREAS.items()
    }
    areas = {
        name: Area(paths, None, None)
        for name, paths in named.items()
        if sum(any(matches(one.path, paths) for one in changes) for changes in measured) >= _LEAST_AREA * len(measured)
    }
    budget = plain._replace(areas=areas)
    sizes = [_sizes(changes, budget) for changes in measured]
    fits = {name: _fitting([size[name] for size in sizes if name in size], plain) for name in (REST, *areas)}
    bounded = {name: area._replace(max_files=fits[name][0], max_lines=fits[name][1]) for name, area in areas.items()}
    return budget._replace(max_files=fits[REST][0], max_lines=fits[REST][1], areas=bounded)


def _any(measured: Sequence[tuple[Change, ...]], pattern: str) -> bool:
    return any(matches(one.path, (pattern,)) for changes in measured for one in changes)


def _sizes(changes: Iterable[Change], budget: Budget) -> dict[str, tuple[int, int]]:
    """Files and lines of a commit by area, as the check counts them."""
    sizes: dict[str, tuple[int, int]] = {}
    for change in changes:
        if not is_left_out(change, budget):
            area = area_of(change.path, budget)
            files, lines = sizes.get(area, (0, 0))
            sizes[area] = files + 1, lines + (change.added or 0) + (change.removed or 0)
    return sizes


def _fitting(sizes: Sequence[tuple[int, int]], plain: Budget) -> tuple[int, int]:
    """The least round limits that nearly all of the sizes keep; never tighter than the defaults."""
    files, lines = (sorted(size[which] for size in sizes) or [0] for which in (0, 1))
    at = max(0, int(len(sizes) * _FITS + 0.999) - 1)
    return max(plain.max_files, _round(_FILES, files[at])), max(plain.max_lines, _round(_LINES, lines[at]))


def _round(steps: Sequence[int], number: int) -> int:
    return next((one for one in steps if one >= number), steps[-1])


def _refused(budget: Budget, measured: Sequence[tuple[Change, ...]]) -> int:
    limits: dict[str, tuple[int | None, int | None]] = {REST: (budget.max_files, budget.max_lines)}
    limits |= {name: (area.max_files, area.max_lines) for name, area in budget.areas.items()}
    return sum(
        any(
            (files > (limits[name][0] or files)) or (lines > (limits[name][1] or lines))
            for name, (files, lines) in _sizes(changes, budget).items()
        )
        for changes in measured
    )


def _told(budget: Budget, plain: Budget, measured: Sequence[tuple[Change, ...]]) -> Iterator[str]:
    refused, otherwise = _refused(budget, measured), _refused(plain, measured)
    yield f"of the last {len(measured)} commits, these limits would have refused {refused} for their size"
    if otherwise != refused:
        yield f"the defaults, {plain.max_files} files and {plain.max_lines} lines, would have refused {otherwise}"


def _as_toml(budget: Budget, measured: Sequence[tuple[Change, ...]]) -> str:
    refused = _refused(budget, measured)
    lines = [
        f"# From the last {len(measured)} commits, of which these limits would have refused {refused}.",
        "[diff-budget]",
        f"max-files = {budget.max_files}",
        f"max-lines = {budget.max_lines}",
    ]
    for name, area in budget.areas.items():
        paths = ", ".join(f'"{path}"' for path in area.paths)
        lines += [f"[diff-budget.areas.{name}]", f"paths = [{paths}]"]
        lines += [f"max-files = {area.max_files}", f"max-lines = {area.max_lines}"]
    return "\n".join(lines) + "\n"


def _profile(repository: Repository) -> tuple[str, str]:
    """The layout that a repository seems to have, and a file that shows it."""
    listed = repository.git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    paths = os.fsdecode(listed).split("\0")
    name = recognise(paths)
    signs = () if name == DEFAULT else tuple(registry.load("layouts", name).SIGNS)
    return name, next((path for path in paths if signs and matches(path, signs)), "")


def _releases(repository: Repository, known: tuple[str, ...]) -> str:
    """The branches on which a version may change, where some are named for it and not `known` as such."""
    named = repository.git.attempt("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", "refs/remotes")
    branches = os.fsdecode(named.stdout).split("\n") if named.code == 0 else []
    remotes = tuple(f"{name}/" for name in repository.refs.remotes)
    patterns: dict[str, None] = {}
    for branch in branches:
        short = next((branch.removeprefix(remote) for remote in remotes if branch.startswith(remote)), branch)
        if (pattern := _pattern(short)) and not matches(short, known):
            patterns[pattern] = None
    if not patterns:
        return ""
    listed = ", ".join(f'"{pattern}"' for pattern in (*known, *patterns))
    return f"\n[version-bump]\nallow-branches = [{listed}]\n"


def _pattern(branch: str) -> str:
    """`release/1.2` is one of `release/*`, `task/release-3` of `task/release-*`."""
    for start in ("release", "releases", "hotfix"):
        for end in ("/", "-"):
            head, found, _ = branch.partition(start + end)
            if found and (not head or head.endswith("/")) and '"' not in head and "\\" not in head and "*" not in head:
                return f"{head}{start}{end}*"
    return ""
