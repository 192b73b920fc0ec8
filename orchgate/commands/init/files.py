"""The files that `orchgate init` writes: what is there, whether it is whole, and how it gets its text."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from orchgate.commands.init import hook_config
from orchgate.config import load, source
from orchgate.errors import ConfigError, OrchgateError
from orchgate.git.snapshot import WorkTree
from orchgate.lib import files
from orchgate.runs import implementation_gate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.config.settings import Config

CODEX = "codex.orchestrator.json"
MAX_BYTES = 1024 * 1024  # of a file that is looked into
_NOTHING = "\0\ufeff \t\r\n"  # a power cut leaves zeros
_CUT = "what was there was cut short"
_AGAIN = "fix it, or move it away, then run `orchgate init` again"
CONFIGURATION = """\
# How strict the gate is. Everything has a default: delete what you do not change.
# `orchgate check --show-config` prints the values in force, `orchgate schema config` all keys.
profile = "{profile}"

[diff-budget]
max-files = 25
max-lines = 800

# [diff-budget.areas.docs]                  # counted apart, with its own limit
# paths = ["docs/**", "tasks/**", "*.md"]
# max-lines = 1500

# [version-bump]
# allow-branches = ["release/*"]            # elsewhere a version stays as it is
"""


class Write(NamedTuple):
    """One file to write; `said` tells what it is about, `new` that nothing is there yet."""

    path: str
    text: str
    said: str
    executable: bool = False
    new: bool = False


def planned(root: str, path: str, text: str, about: str = "", *, executable: bool = False) -> Write:
    said = f"{path} ({about})" if about else path
    return Write(path, text, said, executable, new=not os.path.lexists(os.path.join(root, path)))


def write(root: str, planned_: Write) -> None:
    """Raises WriteError; then what was there is there still."""
    path = os.path.join(root, planned_.path)
    files.make_folders(os.path.dirname(path))
    put = files.create if planned_.new else files.replace
    put(path, planned_.text.encode("utf-8"), executable=planned_.executable)


def read(path: str) -> str | None:
    """The text of a file with its line ends; None when it cannot be read as text."""
    try:
        return files.read(path, MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def is_blank(text: str) -> bool:
    """Whether a file holds nothing that anybody wrote."""
    return not text.strip(_NOTHING)


def is_comment(text: str) -> bool:
    """Whether a file holds comments and nothing that has an effect."""
    lines = (line.strip() for line in text.splitlines())
    return all(not line or line.startswith("#") or line == "---" for line in lines)


def is_executable(path: str) -> bool:
    try:
        return bool(stat.S_IMODE(os.stat(path).st_mode) & 0o111)
    except OSError:
        return False


def configuration(root: str) -> Write | str:
    """What has to be done about `orchgate.toml`. Raises ConfigError, OrchgateError."""
    path = os.path.join(root, source.FILE)
    text = None if os.path.islink(path) else read(path)
    wholes = list(_configurations(root))
    if text is None:
        return _kept(root) or planned(root, source.FILE, *wholes[0])
    if is_blank(text):
        if source.is_nested(WorkTree(root)):
            message = f"{source.FILE} is empty, and hides the configuration in {source.PYPROJECT}"
            raise OrchgateError(message, f"rm {source.FILE}")
        return planned(root, source.FILE, wholes[0][0], "it was empty")
    if any(_is_cut(text, whole) for whole, _ in wholes):
        return planned(root, source.FILE, wholes[0][0], _CUT)
    if is_comment(text):
        return planned(root, source.FILE, _below(text, wholes[0][0]), "below the comments that were there")
    return _kept(root) or source.FILE


def settings(root: str, configuration_: Write | str) -> Config:
    """The configuration as it will be. Raises ConfigError."""
    if isinstance(configuration_, str):
        return load.load_work_tree(root)
    import tomllib

    return load.build(source.Source(source.FILE, tomllib.loads(configuration_.text)))


def _kept(root: str) -> str:
    """What is there already; "" for nothing. Raises ConfigError."""
    try:
        found = source.find(WorkTree(root))
        load.build(found)
    except ConfigError as error:
        raise ConfigError(error.message, error.hint or _AGAIN, error.others) from error
    return f"{found.file}: the configuration is there" if found.file else ""


def _configurations(root: str) -> Iterator[tuple[str, str]]:
    """The texts that we write, and why; the one for this repository first."""
    gate = implementation_gate.text(implementation_gate.commands(implementation_gate.on_disk(root)), measured=False)
    codex = CONFIGURATION.format(profile="codex-orchestrator"), f"profile codex-orchestrator, because of {CODEX}"
    plain = CONFIGURATION.format(profile="default") + "\n" + gate, ""
    # A repository of that tool has pipelines of its own, a gate most likely among them.
    yield from (codex, plain) if os.path.isfile(os.path.join(root, CODEX)) else (plain, codex)


def _is_cut(text: str, whole: str) -> bool:
    """Whether a text is the beginning of one of ours and ends where nobody would have ended it."""
    if not whole.startswith(text) or text == whole:
        return False
    following = whole[len(text) :].partition("\n")[0]
    return not text.endswith("\n") or bool(following and not following.startswith("#")) or is_comment(text)


def _below(text: str, whole: str) -> str:
    return text.rstrip() + "\n\n" + whole


def pre_commit(root: str, entry: tuple[str, ...], message_entry: str) -> Write | str | None:
    """What has to be done about pre-commit's configuration; None for a form that is not changed. Raises OrchgateError.

    `message_entry` is the version for which the hook of the message is added where it alone is missing.
    """
    path, file = os.path.join(root, hook_config.FILE), hook_config.FILE
    if not os.path.lexists(path):
        return planned(root, file, hook_config.new_file(entry))
    text, linked = read(path), os.path.islink(path)
    if text is None:
        return None
    if not linked:
        if is_blank(text):
            return planned(root, file, hook_config.new_file(entry), "it was empty")
        if hook_config.is_cut(text):
            return planned(root, file, hook_config.new_file(entry), _CUT)
        if is_comment(text):
            return planned(root, file, _below(text, hook_config.new_file(entry)), "below the comments that were there")
    _require_whole(text)
    if hook_config.is_wired(text):
        return _with_message_hook(root, text, message_entry, linked=linked)
    changed = None if linked else hook_config.with_entry(text, entry)
    return None if changed is None else planned(root, file, changed, "orchgate first, the rest as it was")


def _require_whole(text: str) -> None:
    """Raises OrchgateError for a configuration that was cut, or that pre-commit cannot read."""
    file = hook_config.FILE
    if hook_config.ends_within(text):
        message = f"{file} ends in the middle of orchgate's own lines: what followed them is lost"
        raise OrchgateError(message, "restore the file from git, or delete those lines, then run `orchgate init` again")
    if fault := hook_config.fault(text):
        raise OrchgateError(f"{file}:{fault}", _AGAIN)


def _with_message_hook(root: str, text: str, version: str, *, linked: bool) -> Write | str:
    """The change to a configuration that runs our checks: the hook that reads the message, where it is missing."""
    there = f"{hook_config.FILE}: orchgate is one of its hooks"
    if hook_config.reads_message(text) or linked:
        return there
    changed = hook_config.with_entry(text, hook_config.message_entry(text, version))
    return planned(root, hook_config.FILE, changed, "a hook for the commit message") if changed else there
