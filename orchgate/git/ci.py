"""What CI systems say about the change they build."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import GitError
from orchgate.git import events
from orchgate.git.events import CiBase
from orchgate.git.landing import NAME_IT
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.git.events import Event


class Said(NamedTuple):
    """All that CI says: bases by system, the built branch, the default branch, and the event of GitHub's kind."""

    bases: tuple[CiBase, ...]
    branch: str
    default_branch: str
    event: Event | None


class System(NamedTuple):
    """The variables of one CI system.

    target    the branch that a proposed change goes to
    commits   commits that a proposed change starts from
    only_if   what is set for proposed changes only, where `target` is set for others, too
    number    what is set for proposed changes only, where the others are built from the base itself
    before    what a pushed branch was before; all zeros on a new branch
    """

    target: str = ""
    commits: tuple[str, ...] = ()
    only_if: str = ""
    number: str = ""
    before: str = ""


SYSTEMS = (
    System(
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",  # GitLab
        ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "CI_MERGE_REQUEST_TARGET_BRANCH_SHA"),
        before="CI_COMMIT_BEFORE_SHA",
    ),
    System("CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME", ("CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA",)),  # GitLab
    System("BUILDKITE_PULL_REQUEST_BASE_BRANCH"),
    System("BITBUCKET_PR_DESTINATION_BRANCH", ("BITBUCKET_PR_DESTINATION_COMMIT",)),
    System("SYSTEM_PULLREQUEST_TARGETBRANCH"),  # Azure Pipelines
    System("CHANGE_TARGET"),  # Jenkins
    System("DRONE_TARGET_BRANCH", only_if="DRONE_PULL_REQUEST", before="DRONE_COMMIT_BEFORE"),
    System("CI_COMMIT_TARGET_BRANCH", before="CI_PREV_COMMIT_SHA"),  # Woodpecker
    System("CIRRUS_BASE_BRANCH", ("CIRRUS_BASE_SHA",)),
    System("PULL_BASE_REF", ("PULL_BASE_SHA",), number="PULL_NUMBER"),  # Prow
)
# Variables that name the branch that is built.
BUILT = (
    "GITHUB_HEAD_REF",
    "GITHUB_REF",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "CI_COMMIT_SOURCE_BRANCH",
    "CI_COMMIT_BRANCH",
    "BUILDKITE_BRANCH",
    "BITBUCKET_BRANCH",
    "SYSTEM_PULLREQUEST_SOURCEBRANCH",
    "BUILD_SOURCEBRANCH",
    "CHANGE_BRANCH",
    "BRANCH_NAME",
    "DRONE_SOURCE_BRANCH",
    "DRONE_BRANCH",
    "CIRRUS_BRANCH",
    "PULL_HEAD_REF",
)
DEFAULTS = (
    "CI_DEFAULT_BRANCH",  # GitLab
    "BUILDKITE_PIPELINE_DEFAULT_BRANCH",
    "DRONE_REPO_BRANCH",
    "CI_REPO_DEFAULT_BRANCH",  # Woodpecker
    "CIRRUS_DEFAULT_BRANCH",
)
_COMMIT = lazy(r"[0-9a-f]{7,64}")  # Bitbucket abbreviates


def named(environ: Mapping[str, str]) -> bool:
    """Whether CI builds something here that has a base, so that HEAD is judged and not an index."""
    variables = (name for one in SYSTEMS for name in (one.target, *one.commits, one.before))
    github = environ.get("GITHUB_BASE_REF") or environ.get("GITHUB_EVENT_NAME") in events.PUSHED
    return bool(github) or any(environ.get(name) for name in variables)


def said(environ: Mapping[str, str]) -> Said:
    """What the variables of all known systems say. Raises GitError for an event that cannot be read."""
    event = None
    if environ.get("GITHUB_EVENT_NAME") or environ.get("GITHUB_BASE_REF"):
        event = events.read(environ)
    github = (event.base,) if event and event.base else ()
    built = (environ.get(name, "").removeprefix("refs/heads/") for name in BUILT)
    default = event.default_branch if event else ""
    return Said(
        (*github, *_named(environ)),
        next((name for name in built if name and not name.startswith("refs/")), ""),
        default or next((environ[name] for name in DEFAULTS if environ.get(name)), ""),
        event,
    )


def _named(environ: Mapping[str, str]) -> Iterator[CiBase]:
    """One base a system; a proposed change is more than the push that brought it."""
    for system in SYSTEMS:
        asked = not system.only_if or _set(environ, system.only_if)
        # Azure and some others write `refs/heads/main`.
        branch = environ.get(system.target, "").removeprefix("refs/heads/") if asked else ""
        commits = {name: commit for name in system.commits if (commit := _commit(environ, name))}
        before = _commit(environ, system.before)
        if branch or commits:
            certain = not system.number or _set(environ, system.number)
            source = next(iter(commits)) if not branch else system.target
            yield CiBase(tuple(commits.values()), branch, source, proposed=certain)
        elif before:
            yield CiBase((before,), "", system.before, pushed=True, proposed=False)


def _set(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "") not in ("", "0", "false")


def _commit(environ: Mapping[str, str], name: str) -> str:
    """The commit that a variable names; "" for none, or for zeros. Raises GitError for what is no commit's id."""
    value = environ.get(name, "")
    if value and not _COMMIT.fullmatch(value):
        raise GitError(f"{name} is {value!r}, which is not the id of a commit", NAME_IT)
    return value if value.strip("0") else ""
