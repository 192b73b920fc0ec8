"""What a command line measures: `PIPELINE`, or `-- CMD` with whatever options CMD has."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from orchgate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Parser(argparse.ArgumentParser):
    """Leaves everything behind a `--` alone, in `command`, a tuple: argparse itself forgets where it stood."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        given = list(args or ())
        end = given.index("--") if "--" in given else len(given)
        found, rest = super().parse_known_args(given[:end], namespace)
        found.command = tuple(given[end + 1 :])
        if end < len(given) and not found.command:
            self.error("-- is followed by no command")
        return found, rest


def check(args: Any) -> None:
    """Raises UsageError when both a pipeline and a command are named."""
    if args.pipeline and args.command:
        raise UsageError("a pipeline or a command, not both", "orchgate … PIPELINE, or orchgate … -- CMD")


def folder(root: str) -> str:
    """The folder, counted from the top of a work tree, in which a command line was typed; "" at the top."""
    inner = os.path.relpath(os.path.realpath(os.getcwd()), os.path.realpath(root))
    return "" if inner == os.curdir or inner.startswith(os.pardir) else inner
