"""What commands share that talk to a server through git: options, its own words, and a tidy end."""

from __future__ import annotations

import contextlib
import sys

from orchgate.commands.shared import options
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from orchgate.commands.shared.command_line import Parser
    from orchgate.git.store.reference import Connection

    Say = Callable[[str], None]


def add_arguments(parser: Parser) -> None:
    """Which server is asked, and how long it may say nothing."""
    parser.add_argument("--remote", default="", metavar="NAME", help="a remote (that of this branch, or origin)")
    parser.add_argument(
        "--timeout",
        type=options.up_to(options.DAY),
        metavar="TIME",
        help="give up on a server that sends nothing for so long, such as 30s (60s when asked what it has, 5m while "
        "contents travel; waiting for a password does not count)",
    )


def note(connection: Connection, say: Say) -> None:
    """Says what was wrong and did not stop us, and what the server said."""
    for line in (*connection.messages, *connection.notes):
        say(line)


@contextlib.contextmanager
def online(say: Say) -> Iterator[None]:
    """Around what talks to a server: its own words are shown when it fails, and a signal ends it tidily."""
    import signal

    from orchgate.git.store.server import ServerRefused

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    ours = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    except ServerRefused as error:
        for line in error.messages:
            say(line)
        raise
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def said(args: argparse.Namespace) -> Iterator[tuple[list[str], Say]]:
    """Around what talks to a server: a list of what is said where JSON is wanted, and how to say it.

    What was said when it fails belongs to the error.
    """
    lines: list[str] = []
    as_json = args.output_format == "json"
    say = lines.append if as_json else _print
    try:
        with online(say):
            yield lines, say
    except OrchgateError:
        if as_json:
            sys.stderr.writelines(f"orchgate: {escape(line)}\n" for line in lines)
        raise


def _print(line: str) -> None:
    sys.stdout.write(escape(line) + "\n")
