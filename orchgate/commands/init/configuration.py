"""The `orchgate.toml` that `orchgate init` writes: with limits that fit what was committed here until now."""

from __future__ import annotations

import os

from orchgate.commands.init.edits import Edit, is_blank, read
from orchgate.commands.init.yaml_text import AGAIN, is_comment
from orchgate.config import load, source
from orchgate.errors import ConfigError, OrchgateError
from orchgate.git.snapshot import WorkTree
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs import implementation_gate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.commands.init.proposal import Proposal
    from orchgate.config.settings import Config

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
