"""What CI systems say about the change they build."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class CiBase(NamedTuple):
    """Where the change starts: a commit, or the branch it will be merged into. `source` names the variable.

    `pushed` means that the commit is only what a branch was before a push to it.
    """

    commit: str
    branch: str
    source: str
    pushed: bool = False


# Variables that name the commit a change starts from.
COMMITS = (
    "CI_MERGE_REQUEST_DIFF_BASE_SHA",  # GitLab, merge request
    "BITBUCKET_PR_DESTINATION_COMMIT",
    "CIRRUS_BASE_SHA",
    "PULL_BASE_SHA",  # Prow
)
# Variables that name what a pushed branch was before; all zeros on a new branch.
BEFORE = (
    "CI_COMMIT_BEFORE_SHA",  # GitLab
    "DRONE_COMMIT_BEFORE",
    "CI_PREV_COMMIT_SHA",  # Woodpecker
)
# Variables that name the branch a pull request goes to.
BRANCHES = (
    "GITHUB_BASE_REF",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",  # GitLab
    "BUILDKITE_PULL_REQUEST_BASE_BRANCH",
    "BITBUCKET_PR_DESTINATION_BRANCH",
    "SYSTEM_PULLREQUEST_TARGETBRANCH",  # Azure Pipelines
    "CHANGE_TARGET",  # Jenkins
    "DRONE_TARGET_BRANCH",
    "CI_COMMIT_TARGET_BRANCH",  # Woodpecker
    "CIRRUS_BASE_BRANCH",
)
MAX_EVENT_BYTES = 32 * 1024 * 1024


def base_of_change(environ: Mapping[str, str]) -> CiBase | None:
    """The base the CI system names; None outside CI or where it names none.

    Azure and some others write `refs/heads/main`: the prefix is dropped.
    """
    event = _github_event(environ)
    if event is not None:
        return event
    for name in BRANCHES:
        value = environ.get(name, "").removeprefix("refs/heads/")
        # Drone names the branch of a push there, too.
        if value and (name != "DRONE_TARGET_BRANCH" or environ.get("DRONE_PULL_REQUEST")):
            commit = next((environ[other] for other in COMMITS if environ.get(other)), "")
            return CiBase(commit, value, name)
    for name in (*COMMITS, *BEFORE):
        value = environ.get(name, "")
        if value.strip("0"):
            return CiBase(value, "", name, pushed=name in BEFORE)
    return None


def _github_event(environ: Mapping[str, str]) -> CiBase | None:
    """A push to GitHub or a merge queue: the commit stands only in the event's file."""
    name = environ.get("GITHUB_EVENT_NAME", "")
    path = environ.get("GITHUB_EVENT_PATH", "")
    if name not in ("push", "merge_group") or not path:
        return None
    import json

    try:
        with open(path, "rb") as file:
            event = json.loads(file.read(MAX_EVENT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(event, dict):
        return None
    group = event.get("merge_group")
    before = event.get("before") if name == "push" else group.get("base_sha") if isinstance(group, dict) else None
    if not isinstance(before, str) or not before.isascii() or not before.isalnum() or not before.strip("0"):
        return None
    return CiBase(before, "", "GITHUB_EVENT_PATH", pushed=name == "push")
