"""`orchgate evidence`: what holds the claims of documents. Each verb is a file of its own, `_evidence_<verb>.py`."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

    from orchgate.model import Verdict

SUMMARY = "pin what documents cite, verify it, summarize it, and move it with the repository"
_PREFIX = "_evidence_"


def verbs() -> tuple[str, ...]:
    """The verbs, sorted; nothing is imported."""
    files = os.listdir(os.path.dirname(os.path.abspath(__file__)))
    return tuple(sorted(file[len(_PREFIX) : -3] for file in files if file.startswith(_PREFIX) and file.endswith(".py")))


def _load(verb: str) -> ModuleType:
    return importlib.import_module(f"orchgate.commands.{_PREFIX}{verb}")


def arguments(parser: argparse.ArgumentParser) -> None:
    listed = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in verbs():
        module = _load(verb)
        module.arguments(listed.add_parser(verb, help=module.SUMMARY, description=module.SUMMARY, allow_abbrev=False))


def run(args: argparse.Namespace) -> Verdict | int:
    result: Verdict | int = _load(args.verb).run(args)
    return result
