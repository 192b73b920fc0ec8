"""The `orchgate.toml` that `orchgate init` writes: what it proposes, from what was committed here until now."""

from __future__ import annotations

import os
import tomllib

from orchgate import registry
from orchgate.checks.diff_budget import REST, Area, Budget, area_of, is_left_out
from orchgate.checks.version_bump import Releases
from orchgate.commands.init.edits import Edit, is_blank, is_comment, read
from orchgate.commands.init.yaml_text import AGAIN
from orchgate.config import load, source
from orchgate.config.profiles import DEFAULT, recognise
from orchgate.config.source import FILE
from orchgate.errors import ConfigError, OrchgateError
from orchgate.git import history
from orchgate.git.snapshot import WorkTree
from orchgate.lib.paths import matches
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import implementation_gate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.config.settings import Config
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


def proposed_for(repository: Repository) -> Proposal:
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


# The `orchgate.toml` that `orchgate init` writes: with limits that fit what was committed here until now


CODEX = "codex.orchestrator.json"
_CUT = "what was there was cut short"
_HEAD = """\
# How strict the gate is. Everything has a default: delete what you do not change.
# `orchgate config show` prints the values in force, `orchgate schema config` all keys.
profile = "{profile}"

"""
_LIMITS = """\
[diff-budget]
max-files = 25
max-lines = 800

# [diff-budget.areas.docs]                  # counted apart, with its own limit
# paths = ["docs/**", "tasks/**", "*.md"]
# max-lines = 1500
"""
_RELEASES = """
# [version-bump]
# allow-branches = ["**/release*"]         # elsewhere a version stays as it is
"""


def planned(root: str, proposal: Proposal) -> Edit | str:
    """What has to be done about `orchgate.toml`. Raises ConfigError, OrchgateError."""
    path = os.path.join(root, source.FILE)
    text = None if os.path.islink(path) else read(path)
    wholes = list(_configurations(root, proposal))
    whole, about = wholes[0]
    if text is None:
        return _kept(root) or Edit(source.FILE, None, whole, about)
    if is_blank(text):
        if source.is_nested(WorkTree(root)):
            message = f"{source.FILE} is empty, and hides the configuration in {source.PYPROJECT}"
            raise OrchgateError(message, f"rm {source.FILE}")
        return Edit(source.FILE, text, whole, "it was empty")
    if any(_is_cut(text, one) for one, _ in wholes):
        return Edit(source.FILE, text, whole, _CUT)
    if is_comment(text):
        return Edit(source.FILE, text, f"{text.rstrip()}\n\n{whole}", "below the comments that were there")
    return _kept(root) or source.FILE


def settings(root: str, planned_: Edit | str) -> Config:
    """The configuration as it will be. Raises ConfigError."""
    if isinstance(planned_, str):
        return load.load_work_tree(root)
    import tomllib

    return load.build(source.Source(source.FILE, tomllib.loads(planned_.after or "")))


def is_there(root: str) -> bool:
    """Whether somebody configured this repository already. Raises ConfigError."""
    text = read(os.path.join(root, source.FILE)) or ""
    return not is_comment(text.strip("\0\ufeff")) or source.is_nested(WorkTree(root))


def _kept(root: str) -> str:
    """What is there already; "" for nothing. Raises ConfigError."""
    try:
        found = source.find(WorkTree(root))
        load.build(found)
    except ConfigError as error:
        raise ConfigError(error.message, error.hint or AGAIN, error.others, error.place) from error
    return f"{found.file}: the configuration is there" if found.file else ""


def _configurations(root: str, proposal: Proposal) -> Iterator[tuple[str, str]]:
    """The texts that we write, and why; the one for this repository first."""
    gate = implementation_gate.text(implementation_gate.commands(implementation_gate.on_disk(root)), measured=False)
    # A repository of that tool has pipelines of its own, a gate most likely among them.
    below = "" if os.path.lexists(os.path.join(root, CODEX)) else "\n" + gate
    why = f"profile {proposal.profile}, because of {proposal.profile_because}" if proposal.profile_because else ""
    for limits in dict.fromkeys((proposal.limits or _LIMITS, _LIMITS)):
        for releases in dict.fromkeys((proposal.releases or _RELEASES, _RELEASES)):
            yield _HEAD.format(profile=proposal.profile) + limits + releases + below, why
    yield _HEAD.format(profile="default") + _LIMITS + _RELEASES + "\n" + gate, ""
    yield _HEAD.format(profile="codex-orchestrator") + _LIMITS + _RELEASES, ""


def _is_cut(text: str, whole: str) -> bool:
    """Whether a text is the beginning of one of ours and ends where nobody would have ended it."""
    if not whole.startswith(text) or text == whole:
        return False
    following = whole[len(text) :].partition("\n")[0]
    return not text.endswith("\n") or bool(following and not following.startswith("#")) or is_comment(text)


# `orchgate init --measure`: a pipeline that is measured before each push, of one command or the tests found here


PIPELINE = "tests"
_BLOCK = """
# Before each push, base and head run this in turn, each in a work tree of its own; what is slower is refused.
[[pipelines.{name}.stages]]
id = "{name}"
shell = {command}

[performance]
pipeline = "{name}"
max-seconds = 120                          # at most so long; less where the answer is plain
"""
_PYTEST = "python3 -m pytest -q"
_HAS_PYTEST = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pytest') is None)"


def with_pipeline(root: str, planned: Edit | str, config: Config, command: str) -> Edit | str:
    """The configuration with something to measure; as it is where it has that. Raises OrchgateError."""
    if config.performance.pipeline:
        return planned
    if isinstance(planned, str) and not os.path.isfile(os.path.join(root, FILE)):
        raise OrchgateError("the configuration is in pyproject.toml", "set performance.pipeline there, by hand")
    from orchgate.commands.init.edits import text

    edit = planned if isinstance(planned, Edit) else Edit(FILE, text(root, FILE), text(root, FILE))
    before = edit.after or ""
    known = tomllib.loads(before)
    if "performance" in known or PIPELINE in known.get("pipelines", {}):
        raise OrchgateError(
            f"{FILE} has [performance] or a pipeline {PIPELINE} already",
            f"name the pipeline under [performance] in {FILE}",
        )
    run = command or recognised(root)
    about = f"measured before each push: {run}"
    after = before.rstrip("\n") + "\n" + _BLOCK.format(name=PIPELINE, command=_quoted(run))
    return edit._replace(after=after, about=f"{edit.about}; {about}" if edit.about else about)


def recognised(root: str) -> str:
    """How the tests are run here, in a fresh work tree too. Raises OrchgateError when nothing says so."""
    found = implementation_gate.commands(implementation_gate.on_disk(root)).get("test", "")
    if not found:
        raise OrchgateError(
            "no tests are recognised here: no Makefile, package.json, pyproject.toml, go.mod or Cargo.toml with tests",
            'orchgate init --measure "./what-is-to-be-measured"',
        )
    if found == "pytest" or found.startswith("nox "):  # nox would make an environment for each measurement
        # What is installed lies elsewhere: the work tree's own code has to come first.
        return f"PYTHONPATH=src {_PYTEST}" if os.path.isdir(os.path.join(root, "src")) else _PYTEST
    return "go test -count=1 ./..." if found.startswith("go test") else found  # or its cache answers


def lacking(root: str) -> str:
    """What the tests that are recognised need and is not here, with what helps; "" where nothing is known to miss."""
    import shutil

    from orchgate.lib import process

    run = recognised(root)
    program = next(word for word in run.split() if "=" not in word)
    if not shutil.which(program):
        return f"there is no {program} on the PATH here: before a push it has to be"
    # Asked from elsewhere, so that no module of the repository is imported.
    if _PYTEST in run and process.run((program, "-c", _HAS_PYTEST), cwd=os.sep).code == 1:
        return "python3 finds no pytest here: activate the environment that has it before you push"
    return ""


def _quoted(command: str) -> str:
    import json  # its strings are TOML's

    return json.dumps(command, ensure_ascii=False)
