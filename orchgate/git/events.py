"""The event that a workflow of GitHub's kind (Actions, Gitea, Forgejo) was started by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import GitError, WrongCheckout
from orchgate.git.landing import NAME_IT
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def read(environ: Mapping[str, str]) -> Event:
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
