"""Commit messages and the trailers in them, read by ourselves: git's own reading obeys the user's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.git.call import Git

MAX_BYTES = 32 * 1024 * 1024  # of a message in the making; `commit --verbose` puts the whole diff below it
# `log.showSignature` would run gpg and print what it says, `i18n.logOutputEncoding` would garble a reason.
_PINNED = ("--no-show-signature", "--no-color", "--no-notes", "--encoding=UTF-8", "-z", "--format=%H %P%n%B")
_TRAILER = lazy(r"(?P<name>[A-Za-z0-9][A-Za-z0-9-]*)[ \t]*:(?P<value>.*)")
_PICKED = lazy(r"\(cherry picked from commit [0-9a-f]+\)")
_SEPARATOR = lazy(r"\s*|-{3,}\s*")  # a blank line, or what GitHub puts below the messages it squashes
_SQUASHED = "Squashed commit of the following:"
_SCISSORS = "------------------------ >8 ------------------------"
_COMMENTS = "#;@!$%^&|:"  # what `core.commentChar = auto` chooses from


class Commit(NamedTuple):
    """A commit's parents and the trailers of its message."""

    oid: str
    parents: tuple[str, ...]
    trailers: Mapping[str, tuple[str, ...]]


def commits(git: Git, span: Sequence[str]) -> tuple[Commit, ...]:
    """The commits that arguments of `git log` name, each before its parents. Raises GitError."""
    output = git("log", "--topo-order", *_PINNED, *span, "--").decode("utf-8", "replace")
    records = (record.partition("\n") for record in output.split("\0") if record.strip())
    return tuple(Commit(*_ids(ids), trailers(message)) for ids, _, message in records)


def _ids(line: str) -> tuple[str, tuple[str, ...]]:
    oid, *parents = line.split()
    return oid, tuple(parents)


def trailers(message: str) -> dict[str, tuple[str, ...]]:
    """Trailers by lower-case name: of every paragraph but the subject's that consists of nothing else.

    Squashed messages and co-authors put other paragraphs below. A trailer without a value says nothing.
    """
    found: dict[str, list[str]] = {}
    if _SQUASHED in message:  # `git merge --squash` indents what it squashes
        message = "\n".join(line.removeprefix("    ") for line in message.split("\n"))
    for paragraph in list(_paragraphs(message))[1:]:
        for name, value in _all_trailers(paragraph):
            if any(character.isalnum() for character in value):
                found.setdefault(name.lower(), []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def _paragraphs(message: str) -> Iterator[list[str]]:
    lines: list[str] = []
    for line in (*message.replace("\r\n", "\n").split("\n"), ""):
        if not _SEPARATOR.fullmatch(line):
            lines.append(line)
        elif lines:
            yield lines
            lines = []


def _all_trailers(lines: list[str]) -> list[tuple[str, str]]:
    """The trailers of a paragraph; none when it holds anything else."""
    found: list[tuple[str, str]] = []
    for line in lines:
        if line[0] in " \t" and found:
            name, value = found[-1]
            found[-1] = (name, f"{value} {line.strip()}".strip())
        elif match := _TRAILER.fullmatch(line):
            found.append((match["name"], match["value"].strip()))
        elif not _PICKED.fullmatch(line.strip()):
            return []
    return found


def in_the_making(git: Git, path: str, *, edited: bool) -> str:
    """The message that git is about to take from a file, without what git will strip from it.

    `edited` says whether an editor was open: only then are comments stripped by default. Raises OrchgateError.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise OrchgateError(f"the commit message {path} cannot be read: {error.strerror}") from error
    settings = _settings(git)
    lines = text.replace("\r\n", "\n").split("\n")
    mark = _comment_mark(settings, lines)
    end = next((number for number, line in enumerate(lines) if line == f"{mark} {_SCISSORS}"), len(lines))
    cleanup = settings.get("commit.cleanup", "default")
    strips = cleanup == "strip" or (cleanup == "default" and edited)
    return "\n".join(line for line in lines[:end] if not (strips and line.startswith(mark)))


def _settings(git: Git) -> dict[str, str]:
    asked = git.attempt("config", "-z", "--get-regexp", r"^(core\.comment(char|string)|commit\.cleanup)$")
    records = (record.partition("\n") for record in asked.stdout.decode("utf-8", "replace").split("\0") if record)
    return {key: value for key, _, value in records}


def _comment_mark(settings: Mapping[str, str], lines: Sequence[str]) -> str:
    mark = settings.get("core.commentstring") or settings.get("core.commentchar") or "#"
    if mark != "auto":
        return mark
    last = next((line for line in reversed(lines) if line.strip()), "")  # git's own words stand below the message
    return last[0] if last and last[0] in _COMMENTS else "#"
