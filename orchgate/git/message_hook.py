"""Whether our commit-msg hook reads the message of the commit that is being made, whoever runs the hooks here."""

from __future__ import annotations

import os
import re

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.git.repository import Repository

HOOK = "commit-msg"
ID = "orchgate-commit-msg"
_LIMIT = 1 << 20  # bytes of a hook or a configuration
_CALL = lazy(r"^[^#\n]*\borchgate[\"']?[ \t]+hook[ \t]+commit-msg\b", re.MULTILINE)
_LISTED = lazy(r"^[^#\n]*\bid[\"']?[ \t]*[:=][ \t]*[\"']?orchgate-commit-msg[\"']?[ \t]*(?:[#,}\r\n]|\Z)", re.MULTILINE)
_CONFIG = lazy(r"--config[= ]([^ )\"']+)")
# What hook runners write into the hooks they install, and the files in which they are told what to run.
RUNNERS: Mapping[bytes, tuple[str, ...]] = {
    b"pre-commit.com": (".pre-commit-config.yaml",),
    b"prek": ("prek.toml", ".pre-commit-config.yaml"),
    b"lefthook": tuple(
        start + end
        for start in ("lefthook", ".lefthook", ".config/lefthook", "lefthook-local")
        for end in (".yml", ".yaml", ".toml", ".json")
    ),
}
_SKIPS = ("SKIP", "PREK_SKIP", "LEFTHOOK_EXCLUDE")


class MessageHook(NamedTuple):
    """Whether our commit-msg hook runs for the commit that is being made; if not, the command that installs it."""

    installed: bool
    command: str


def find_hook(repository: Repository, environ: Mapping[str, str]) -> MessageHook:
    """The commit-msg hook of this repository, as git will find it. Raises GitError."""
    named = os.fsdecode(repository.git("rev-parse", "--git-path", f"hooks/{HOOK}")).removesuffix("\n")
    path = os.path.join(repository.git.cwd or os.getcwd(), named)
    script = _read(path) if os.access(path, os.X_OK) else b""
    runner = next((mark for mark in RUNNERS if mark in script), None)
    if runner is None:
        # husky's hooks live in `.husky/_` and run the file of their name in the folder above.
        above = os.path.join(os.path.dirname(os.path.dirname(path)), HOOK)
        scripts = [script, *([_read(above)] if script and os.path.dirname(path).endswith("/_") else [])]
        return MessageHook(any(_CALL.search(_text(one)) for one in scripts), _command(path))
    skipped = {name for variable in _SKIPS for name in environ.get(variable, "").split(",") if name}
    texts = [_text(content) for content in _configurations(repository.root, runner, script)]
    listed = any(_LISTED.search(text) for text in texts) and ID not in skipped
    # Under another name nobody can say whether it is among those that are skipped.
    called = any(_CALL.search(text) for text in texts) and not skipped
    return MessageHook(listed or called, "orchgate init")


def _command(path: str) -> str:
    """The command that adds our commit-msg hook, by what runs the other hooks here."""
    beside = _read(os.path.join(os.path.dirname(path), "pre-commit"))
    return "orchgate init" if any(mark in beside for mark in RUNNERS) else "orchgate init --native"


def _configurations(root: str, runner: bytes, script: bytes) -> Iterator[bytes]:
    """What the runner was told, from the first of its files that is there."""
    chosen = _CONFIG.search(_text(script))
    for name in (chosen[1],) if chosen else RUNNERS[runner]:
        if content := _read(os.path.join(root, name)):
            yield content
            if runner != b"lefthook":
                return


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LIMIT)
    except OSError:
        return b""


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
