"""Adds our hook to a .pre-commit-config.yaml without a YAML parser: one insertion, every other byte stays.

Only the common shape is understood: `repos:` in the first column, followed by a block list. Anything else is left to
its owner.
"""

from __future__ import annotations

import re

from orchgate.commands.init.hooks import HOOK_TYPES, MISSING
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = ".pre-commit-config.yaml"
REMOTE = "https://github.com/orchgate/orchgate"
_GUARD = (
    "      entry: >-",
    "        sh -c 'command -v orchgate >/dev/null || {",
    f'        echo "{MISSING}" >&2;',
    "        exit 3; };",
)
LOCAL_ENTRY = (
    "- repo: local",
    "  hooks:",
    "    - id: orchgate",
    "      name: orchgate",
    *_GUARD,
    "        exec orchgate check'",
    "      language: system",
    "      pass_filenames: false",
    "      always_run: true",
    "      require_serial: true",
    "      verbose: true",
    "      stages: [pre-commit, pre-merge-commit, pre-push, manual]",
    "    - id: orchgate-commit-msg",
    "      name: orchgate commit-msg",
    *_GUARD,
    '        exec orchgate hook commit-msg "$@"\' orchgate',
    "      language: system",
    "      always_run: true",
    "      require_serial: true",
    "      verbose: true",
    "      stages: [commit-msg]",
)
_MESSAGE_HOOK = "    - id: orchgate-commit-msg"
HEAD = (f"default_install_hook_types: [{', '.join(HOOK_TYPES)}]", "minimum_pre_commit_version: 3.2.0", "repos:")

_WIRED = lazy(r"^[^#\n]*?\bid[\"']?[ \t]*:[ \t]*[\"']?orchgate(?:-[a-z-]+)?[\"']?[ \t]*(?:[#,}\r\n]|\Z)", re.MULTILINE)
_MESSAGE = lazy(r"^[^#\n]*(?:\borchgate-commit-msg\b|\borchgate hook commit-msg\b)", re.MULTILINE)
_REV = lazy(r"^ *rev: v([^\s]*)$", re.MULTILINE)
_REPOS = lazy(r"^repos[ \t]*:[ \t]*(?P<value>\[[ \t]*\])?[ \t]*(?:#[^\r\n]*)?(?P<end>\r?\n|\Z)", re.MULTILINE)
_FIRST_ITEM = lazy(r"(?:[ \t]*(?:#[^\r\n]*)?\r?\n)*(?P<indent> *)- *[A-Za-z\"'{&!*]")


def remote_entry(version: str) -> tuple[str, ...]:
    """The list item that lets pre-commit install a published version."""
    return (f"- repo: {REMOTE}", f"  rev: v{version}", "  hooks:", "    - id: orchgate", _MESSAGE_HOOK)


def message_entry(text: str, version: str) -> tuple[str, ...]:
    """The list item for a configuration that runs the checks already, and nothing that reads the message."""
    if REMOTE in text:
        return (*remote_entry(version)[:3], _MESSAGE_HOOK)
    return (*LOCAL_ENTRY[:2], *LOCAL_ENTRY[LOCAL_ENTRY.index(_MESSAGE_HOOK) :])


_OLD = lazy(
    r"^(?P<start> *- id: (?P<id>orchgate|orchgate-commit-msg)\r?\n +name: [^\r\n]+\r?\n)"
    r" +entry: orchgate (?:check|hook commit-msg)(?P<end>\r?\n) +language: system\r?\n",
    re.MULTILINE,
)


def upgraded(text: str) -> str:
    """A configuration whose entries of 0.1.0 also say how to install orchgate where it is missing."""

    def lines(found: re.Match[str]) -> str:
        at = LOCAL_ENTRY.index(f"    - id: {found['id']}")
        indent = " " * (len(found["start"]) - len(found["start"].lstrip()))
        new = [indent + line.removeprefix("    ") for line in LOCAL_ENTRY[at + 2 : at + 8]]
        return found["start"] + "".join(line + found["end"] for line in new)

    return _OLD.sub(lines, text)


def is_wired(text: str) -> bool:
    """Whether one of our hooks is configured already."""
    return _WIRED.search(text) is not None


def reads_message(text: str) -> bool:
    """Whether our hook for the commit's message is configured already."""
    return _MESSAGE.search(text) is not None


def new_file(entry: Sequence[str]) -> str:
    """A configuration with our hook alone."""
    return "\n".join([*HEAD, *("  " + line for line in entry)]) + "\n"


def is_cut(text: str) -> bool:
    """Whether a text is the beginning of a file of ours that was never finished."""
    without_message = (LOCAL_ENTRY[: LOCAL_ENTRY.index(_MESSAGE_HOOK)], remote_entry(_version(text))[:-1])
    wholes = (new_file(LOCAL_ENTRY), new_file(remote_entry(_version(text))))
    if text in wholes or text in map(new_file, without_message):
        return False
    return any(whole.startswith(text) for whole in wholes)


def ends_within(text: str) -> bool:
    """Whether a file ends before the lines do that we once added to it."""
    text = text.replace("\r\n", "\n").rstrip("\n")
    local = (LOCAL_ENTRY, message_entry("", ""), LOCAL_ENTRY[: LOCAL_ENTRY.index(_MESSAGE_HOOK)])
    whole_remote = remote_entry(_version(text))
    remote = (whole_remote, message_entry(REMOTE, _version(text)), whole_remote[:-1])
    start = text.rfind("- repo:")
    indent = text[text.rfind("\n", 0, start) + 1 : start]
    if start < 0 or indent.strip(" "):
        return False
    for entries in (local, remote):
        wholes = ["\n".join((entry[0], *(indent + line for line in entry[1:]))) for entry in entries]
        if text[start:] not in wholes and any(whole.startswith(text[start:]) for whole in wholes):
            return True
    return False


def _version(text: str) -> str:
    found = _REV.findall(text)
    return str(found[-1]) if found else ""


def with_entry(text: str, entry: Sequence[str]) -> str | None:
    """The configuration with our hook first; None when its shape is not understood."""
    found = list(_REPOS.finditer(text))
    if len(found) != 1 or "\n---" in text:
        return None
    repos = found[0]
    end = "\r\n" if "\r\n" in text else "\n"
    before, after = text[: repos.end()], text[repos.end() :]
    if repos["value"] is not None:
        before = text[: repos.start("value")].rstrip() + text[repos.end("value") : repos.end()]
        if after.lstrip().startswith("-"):
            return None
    if not before.endswith("\n"):
        before += end
    item = _FIRST_ITEM.match(after)
    if item is None and repos["value"] is None:
        return None
    indent = item["indent"] if item else "  "
    return before + "".join(indent + line + end for line in entry) + after
