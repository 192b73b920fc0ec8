"""What our own command line says to a command as somebody would paste it."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import re
import shlex
from typing import TYPE_CHECKING

from orchgate import registry
from orchgate.commands.shared import command_line
from orchgate.errors import UsageError

if TYPE_CHECKING:
    from orchgate.commands.shared.command_line import Parser


COMMANDS = registry.plugins("commands")
VERBS = [
    f"{name} {verb}" for name in ("baseline", "config", "evidence") for verb in registry.load("commands", name).VERBS
]
NAMES = {f"orchgate {name}" for name in (*COMMANDS, *VERBS)}  # in a sentence, for the command as such
TICKED = re.compile(r"`(orchgate [^`]+)`")
MENTIONED = re.compile(rf"\borchgate (?:{'|'.join(COMMANDS)})\b")
PROSE = re.compile(r"[,;] | (?:or|then|shows|says|brings|takes|writes|keeps|gives|lists) ")


@functools.cache
def parser_of(command: str) -> Parser:
    module = registry.load("commands", command)
    parser: Parser = command_line.parser_of(module, f"orchgate {command}")
    command_line.describe(parser, module)
    return parser


def refused_words(line: str) -> str:
    """Why a command line is refused; "" when it is taken without a word. Nothing is run."""
    words = list(itertools.dropwhile(re.compile(r"\w+=.*").fullmatch, shlex.split(line)))
    words = words[: words.index(">")] if ">" in words else words
    if words[:1] != ["orchgate"]:
        return f"not a command of ours: {line}"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parser_of(words[1]).parse_args(words[2:])
    except UsageError as error:
        return error.message
    return said.getvalue()  # an old name


def hint_fault(hint: str) -> str:
    """Why a hint is neither a bare command nor a sentence with its commands in backticks; "" when it is one."""
    if "--no-verify" in hint:
        return "advertises --no-verify"
    for part in TICKED.findall(hint):
        if part not in NAMES and (said := refused_words(part)):
            return f"{part}: {said}"
    if hint.startswith("git ") and PROSE.search(hint):
        return "neither a command nor a sentence"
    if re.match("(orchgate|git) ", hint):
        commands = [part for part in hint.split(" && ") if part.startswith("orchgate ")]
        return next((said for command in commands if command not in NAMES and (said := refused_words(command))), "")
    return "a command outside of backticks" if MENTIONED.search(re.sub(r"`[^`]*`", "", hint)) else ""
