"""The commands of a fenced block, which is a script, or a transcript in which only some lines were typed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchgate.lib.patterns import lazy
from orchgate.plan_commands.shell import script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.plan_commands.shell import Command

_HEREDOC = lazy(r"<<-?\s*['\"]?(\w+)")
_PROMPT = lazy(r"[ \t]*[$%\u276f\u279c] +(?=\S)")
_TRANSCRIPTS = frozenset({"console", "shell-session", "shellsession", "sh-session", "bash-session", "terminal"})
_SHELLS = frozenset({"sh", "bash", "shell", "zsh", "fish", "ksh", "dash", "shellscript"}) | _TRANSCRIPTS


def language(info: str) -> str:
    """The language a fence's info string names, lower case: "bash" for `{.bash .numberLines}`; "" for none."""
    first = info.strip().split(maxsplit=1)[:1]
    name = re.split(r"[\s,:{}]", first[0].lstrip("{.").rstrip("}"), maxsplit=1)[0] if first else ""
    return name.lower().removeprefix("language-")


def is_shell(name: str) -> bool:
    """Whether a language is a shell whose grammar `script` follows."""
    return name in _SHELLS


def has_prompts(text: str) -> bool:
    """Whether a line of the text starts with a prompt: then the other lines are output."""
    return any(_PROMPT.match(line) for line in text.split("\n"))


def fence_commands(text: str, folder: str | None = "") -> tuple[list[Command], str | None]:
    """The commands of a fenced block, a script or a transcript with prompts, and the folder it ends in."""
    if not has_prompts(text):
        return script(text, folder)
    found: list[Command] = []
    for start, end in _typed(text):
        part, folder = script(text[start:end], folder)
        found.extend(command._replace(offset=command.offset + start) for command in part)
    return found, folder


def _typed(text: str) -> Iterator[tuple[int, int]]:
    """The stretches of a transcript that somebody typed: prompt lines, their continuations and here-documents."""
    offset = 0
    start: int | None = None
    until = ""
    for line in text.split("\n"):
        end = offset + len(line)
        if start is None and (prompt := _PROMPT.match(line)):
            start = offset + prompt.end()
            heredoc = _HEREDOC.search(line)
            until = heredoc[1] if heredoc else ""
        if start is not None and (line.strip() == until if until else not line.rstrip("\r").endswith("\\")):
            yield start, end
            start, until = None, ""
        elif start is not None and until and _HEREDOC.search(line) is None and _PROMPT.match(line):
            yield start, end  # the here-document was never closed
            start, until = None, ""
        offset = end + 1
    if start is not None:
        yield start, len(text)
