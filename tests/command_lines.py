"""What our own command line says to a command as somebody would paste it."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from typing import TYPE_CHECKING

from orchgate import registry
from orchgate.commands.shared import options
from orchgate.errors import UsageError

if TYPE_CHECKING:
    from orchgate.commands.shared.options import Parser


def parser_of(command: str) -> Parser:
    module = registry.load("commands", command)
    parser: Parser = getattr(module, "PARSER", options.Parser)(prog=f"orchgate {command}")
    options.describe(parser, module)
    return parser


def refused_words(line: str) -> str:
    """Why a command line is refused; "" when it is taken without a word. Nothing is run."""
    words = [word for word in shlex.split(line) if not re.fullmatch(r"\w+=.*", word)]
    if words[:1] != ["orchgate"]:
        return f"not a command of ours: {line}"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parser_of(words[1]).parse_args(words[2:])
    except UsageError as error:
        return error.message
    return said.getvalue()  # an old name
