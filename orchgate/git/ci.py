"""What CI systems say about the change they build, in variables and in the event file of GitHub and its kind."""

from __future__ import annotations

from orchgate.errors import GitError, WrongCheckout
from orchgate.git.history import NAME_IT
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


class CiReport(NamedTuple):
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
_COMMIT_ID = lazy(r"[0-9a-f]{7,64}")  # Bitbucket abbreviates


def names_base(environ: Mapping[str, str]) -> bool:
    """Whether CI builds something here that has a base, so that HEAD is judged and not an index."""
    variables = (name for one in SYSTEMS for name in (one.target, *one.commits, one.before))
    github = environ.get("GITHUB_BASE_REF") or environ.get("GITHUB_EVENT_NAME") in PUSHED
    return bool(github) or any(environ.get(name) for name in variables)


def report(environ: Mapping[str, str]) -> CiReport:
    """What the variables of all known systems say. Raises GitError for an event that cannot be read."""
    event = None
    if environ.get("GITHUB_EVENT_NAME") or environ.get("GITHUB_BASE_REF"):
        event = read_event(environ)
    github = (event.base,) if event and event.base else ()
    built = (environ.get(name, "").removeprefix("refs/heads/") for name in BUILT)
    default = event.default_branch if event else ""
    return CiReport(
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
        commits = {name: commit for name in system.commits if (commit := _commit_of(environ, name))}
        before = _commit_of(environ, system.before)
        if branch or commits:
            certain = not system.number or _set(environ, system.number)
            source = next(iter(commits)) if not branch else system.target
            yield CiBase(tuple(commits.values()), branch, source, proposed=certain)
        elif before:
            yield CiBase((before,), "", system.before, pushed=True, proposed=False)


def _set(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "") not in ("", "0", "false")


def _commit_of(environ: Mapping[str, str], name: str) -> str:
    """The commit that a variable names; "" for none, or for zeros. Raises GitError for what is no commit's id."""
    value = environ.get(name, "")
    if value and not _COMMIT_ID.fullmatch(value):
        raise GitError(f"{name} is {value!r}, which is not the id of a commit", NAME_IT)
    return value if value.strip("0") else ""


PATH = "GITHUB_EVENT_PATH"
MAX_BYTES = 32 * 1024 * 1024
# The base of these stands only in the event's file,
PUSHED = ("push", "merge_group")
# and so does the proposed commit of these, whose checkout is another one unless it is told which.
ELSEWHERE = ("pull_request_target", "issue_comment", "workflow_run", "check_run", "check_suite")
_COMMIT = lazy(r"[0-9a-f]{40}|[0-9a-f]{64}")


class CiBase(NamedTuple):
    """Where the change starts: commits, or the branch it will be merged into. `source` names the variable.

    `pushed` means that the commit is only what the branch was before a push to it; `proposed`, that the change is
    certainly one that waits to be merged, so that it cannot be empty.
    """

    commits: tuple[str, ...]
    branch: str
    source: str
    pushed: bool = False
    proposed: bool = True


class Event(NamedTuple):
    """`proposed` is the commit that the event is about; "?" when it is about a change and does not say which."""

    name: str
    base: CiBase | None = None
    proposed: str = ""
    checked_out: str = ""  # GITHUB_SHA: what a checkout without further words takes
    default_branch: str = ""


def read_event(environ: Mapping[str, str]) -> Event:
    """The event that the environment describes. Raises GitError for a file that is needed and cannot be read."""
    name, target = environ.get("GITHUB_EVENT_NAME", ""), environ.get("GITHUB_BASE_REF", "").removeprefix("refs/heads/")
    content = _content(environ.get(PATH, ""), name)
    sha = environ.get("GITHUB_SHA", "")
    default = _text(content, "repository", "default_branch")
    if name == "push":
        return Event(name, _before(content), "", sha, default)
    if name == "merge_group":
        commit = _commit(content, "merge_group", "base_sha", needed=True)
        branch = _text(content, "merge_group", "base_ref").removeprefix("refs/heads/")
        return Event(name, CiBase((commit,), branch, PATH), _commit(content, "merge_group", "head_sha"), sha, default)
    base = CiBase(tuple(filter(None, (_commit(content, "pull_request", "base", "sha"),))), target, "GITHUB_BASE_REF")
    return Event(name, base if target else None, _proposed(name, content), sha, default)


def _content(path: str, name: str) -> dict[str, Any]:
    from orchgate.lib import json_data

    try:
        content = json_data.read(path, MAX_BYTES)
        if isinstance(content, dict):
            return content
        why = "it is not an object"
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if name in (*PUSHED, *ELSEWHERE):
        error_type = WrongCheckout if name in ELSEWHERE else GitError
        where = f"{PATH} ({path})" if path else f"{PATH}, which is not set,"
        raise error_type(f"GITHUB_EVENT_NAME is {name}, and {where} cannot be read: {why}", NAME_IT)
    return {}


def _text(content: object, *path: str) -> str:
    """The string at a path of keys, "" when there is none."""
    for key in path:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, str) and content.isprintable() else ""


def _commit(content: dict[str, Any], *path: str, needed: bool = False) -> str:
    found = _text(content, *path)
    if _COMMIT.fullmatch(found):
        return found
    if needed:
        raise GitError(f"{PATH} holds no commit id under {'.'.join(path)}", NAME_IT)
    return ""


def _before(content: dict[str, Any]) -> CiBase | None:
    """What a pushed branch was before; None for a new one."""
    before = _commit(content, "before", needed=True)
    return CiBase((before,), "", PATH, pushed=True, proposed=False) if before.strip("0") else None


def _proposed(name: str, content: dict[str, Any]) -> str:
    places = (("pull_request", "head", "sha"), ("workflow_run", "head_sha"), ("check_run", "head_sha"))
    found = (_commit(content, *place) for place in (*places, ("check_suite", "head_sha")))
    commit = next(filter(None, found), "")
    if commit:
        return commit
    issue = content.get("issue")
    if name == "issue_comment":  # of issues, most are about no change
        return "?" if isinstance(issue, dict) and isinstance(issue.get("pull_request"), dict) else ""
    return "?" if name in ELSEWHERE else ""
