"""`orchgate completion SHELL`: the text that lets a shell complete our command lines."""

from __future__ import annotations

import sys

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse

    from orchgate.commands.shared.command_line import Parser

SUMMARY = "print what lets bash, zsh or fish complete command lines of orchgate"
ABOUT = """\
An installation into a prefix that shells look into (/usr, /usr/local, ~/.local) needs none of this: bash, zsh and
fish find their files below its share/. For one elsewhere, such as a virtual environment, save what is printed where
your shell looks; new shells read it."""
EXAMPLES = (
    "orchgate completion bash > ~/.local/share/bash-completion/completions/orchgate",
    'orchgate completion zsh > "${fpath[1]}/_orchgate"',
    "orchgate completion fish > ~/.config/fish/completions/orchgate.fish",
)
FILES = {"bash": "orchgate.bash", "zsh": "_orchgate", "fish": "orchgate.fish"}


def arguments(parser: Parser) -> None:
    parser.add_argument("shell", choices=tuple(FILES), metavar="SHELL", help="bash, zsh or fish")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.lib import files

    sys.stdout.write(files.read_data("generated", FILES[args.shell]))
    return Verdict.PASS
