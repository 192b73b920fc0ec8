"""A job that asks the gate in CI, where no colleague's clone can pass it by.

https://docs.github.com/actions and https://docs.gitlab.com/ci/yaml/
"""

from __future__ import annotations

import os

from orchgate import __version__
from orchgate.commands.init import yaml_text
from orchgate.commands.init.edits import Edit, read, text
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.commands.init.hooks import Place

NAMES = ("github", "gitlab")
WORKFLOWS = ".github/workflows"
GITHUB = f"{WORKFLOWS}/orchgate.yml"
GITLAB = ".gitlab-ci.yml"
_WORKFLOW = f"""\
# Written by `orchgate init --ci github`.
name: orchgate
on: pull_request
permissions:
  contents: read
jobs:
  orchgate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
        with:
          fetch-depth: 0 # a change is judged by where it left its base
          persist-credentials: false
      - run: pipx install orchgate=={__version__}
      - run: orchgate check
"""
_JOB = (
    "orchgate: # written by `orchgate init --ci gitlab`",
    "  image: python:3.13",
    "  rules:",
    "    - if: $CI_PIPELINE_SOURCE == 'merge_request_event'",
    "  variables:",
    "    GIT_DEPTH: 0 # a change is judged by where it left its base",
    "  script:",
    f"    - pip install orchgate=={__version__}",
    "    - orchgate check",
)


def plan(place: Place, name: str) -> Edit | str:
    """What has to be done for one kind of CI. Raises OrchgateError."""
    if name == "github":
        called = _calling_workflow(place)
        if called:
            return f"{called}: it calls orchgate"
        before = text(place.root, GITHUB)
        return Edit(GITHUB, before, _WORKFLOW, "a job for every pull request")
    before = text(place.root, GITLAB)
    if before is not None and "orchgate" in before:
        return f"{GITLAB}: it calls orchgate"
    if not before or not before.strip():
        return Edit(GITLAB, before, "\n".join(_JOB) + "\n", "a job for every merge request")
    yaml_text.require_valid(GITLAB, before)
    top = yaml_text.root(before)
    stages = [yaml_text.scalar(one) for one in yaml_text.items(yaml_text.value(top, "stages"))]
    stage = [] if not stages or "test" in stages else [f"  stage: {stages[0]}"]
    lines = ["", _JOB[0], *stage, *_JOB[1:]]
    made = None
    if top is not None and not top.flow_style and not top.start_mark.column and "\n..." not in before:
        made = yaml_text.kept(before, yaml_text.with_lines(before, len(before.splitlines()), lines))
    if made is None:
        raise OrchgateError(
            f"{GITLAB} has a form that orchgate does not change; nothing was written",
            "add a job that runs `orchgate check`",
        )
    return Edit(GITLAB, before, made, "a job for every merge request")


def _calling_workflow(place: Place) -> str:
    """The workflow that calls orchgate, or pre-commit, which does."""
    folder = os.path.join(place.root, WORKFLOWS)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        content = read(os.path.join(folder, name)) or ""
        if name.endswith((".yml", ".yaml")) and "orchgate" in content:
            return f"{WORKFLOWS}/{name}"
    return ""


def advice(place: Place) -> Iterator[str]:
    """What is said where CI is there and does not ask the gate."""
    if os.path.isdir(os.path.join(place.root, WORKFLOWS)) and not _calling_workflow(place):
        yield "no workflow calls orchgate; to add a job: `orchgate init --ci github`"
    content = read(os.path.join(place.root, GITLAB))
    if content is not None and "orchgate" not in content:
        yield f"{GITLAB} does not call orchgate; to add a job: `orchgate init --ci gitlab`"


def undo(place: Place) -> Iterator[Edit]:
    before = read(os.path.join(place.root, GITHUB))
    if before is not None and before.startswith(_WORKFLOW.partition("\n")[0]):
        yield Edit(GITHUB, before, None)
    before = read(os.path.join(place.root, GITLAB))
    if before is not None and _JOB[0] in before:
        after = yaml_text.without_entry(before, ("orchgate",))
        if after is not None:
            yield Edit(GITLAB, before, after if after.strip() else None, "without orchgate")
