"""`orchgate baseline`: what the pipelines are accepted to cost, and who accepted it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse

SUMMARY = "show, record, promote or drop the stored baseline"
RUNS = 12
_VERBS = {
    "show": "show what is recorded, and what of it is stale",
    "record": "run HEAD's pipeline several times and record what it costs",
    "promote": "make runs that are recorded already, or a candidate, the baseline",
    "drop": "take a record out; it stays in the file's history",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    from orchgate.commands.shared.options import Parser

    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for verb, summary in _VERBS.items():
        one = verbs.add_parser(verb, help=summary, description=summary, allow_abbrev=False)
        if verb != "promote":
            one.add_argument("pipeline", nargs="?", default="", metavar="PIPELINE | -- CMD", help=_target(verb))
        _OPTIONS[verb](one)
        one.add_argument("--output-format", choices=("text", "json"), default="text", help="(%(default)s)")


def _target(verb: str) -> str:
    default = "all of them" if verb == "show" else "performance.pipeline of the configuration"
    return f"a pipeline, or a command behind --; without: {default}"


def _accepting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", default="", metavar="TEXT", help="why this is accepted; others will read it")
    parser.add_argument("--replace", action="store_true", help="supersede the record that is there; needs a reason")
    parser.add_argument("--allow-dirty", action="store_true", help="although tracked files differ from the commit")


def _recording(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help="how many runs (%(default)s)")
    parser.add_argument("-o", "--output", default="", metavar="FILE", help="write a candidate for `promote --from`")
    _accepting(parser)


def _promoting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="*", metavar="RUN", help="run ids, or paths of manifests, all of one tree")
    parser.add_argument("--from", default="", dest="candidate", metavar="FILE", help="what `record -o FILE` wrote")
    parser.add_argument("--task", default="", metavar="ID", help="this task's runs; without RUN its newest of one kind")
    _accepting(parser)


def _dropping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--machine", default="", metavar="CLASS", help="of this class of machines (this machine's)")
    parser.add_argument("--purge", action="store_true", help="forget its history too")


_OPTIONS = {"show": lambda _: None, "record": _recording, "promote": _promoting, "drop": _dropping}


def run(args: argparse.Namespace) -> Verdict:
    module = importlib.import_module(f"orchgate.commands.baseline.{args.verb}")
    verdict = module.run(args)
    assert isinstance(verdict, Verdict)
    return verdict
