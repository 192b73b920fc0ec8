"""`orchgate evidence`: what holds the claims of documents. Each verb is a file beside this one."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

    from orchgate.model import Verdict

SUMMARY = "pin what documents cite, verify it, summarize it, and move it with the repository"
VERBS = ("fetch", "pin", "push", "show", "summarize", "verify")


def _load(verb: str) -> ModuleType:
    return importlib.import_module(f"orchgate.commands.evidence.{verb}")


def arguments(parser: argparse.ArgumentParser) -> None:
    listed = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        module = _load(verb)
        module.arguments(listed.add_parser(verb, help=module.SUMMARY, description=module.SUMMARY, allow_abbrev=False))


def run(args: argparse.Namespace) -> Verdict | int:
    result: Verdict | int = _load(args.verb).run(args)
    return result
