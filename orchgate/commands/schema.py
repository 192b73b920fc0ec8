"""`orchgate schema`: the JSON schemas this version goes by."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from orchgate import registry
from orchgate.errors import UsageError
from orchgate.lib import resources
from orchgate.model import Verdict

if TYPE_CHECKING:
    import argparse

SUMMARY = "print a JSON schema: of the configuration, the report, a manifest"
ABOUT = "Without NAME, lists the schemas."
EXAMPLES = ("orchgate schema", "orchgate schema config")
SUFFIX = ".json"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="a schema's name")


def run(args: argparse.Namespace) -> Verdict:
    known = [name.removesuffix(SUFFIX) for name in resources.names("schemas") if name.endswith(SUFFIX)]
    if not args.name:
        sys.stdout.writelines(name + "\n" for name in known)
        return Verdict.PASS
    name = args.name.removesuffix(SUFFIX)
    if name not in known:
        raise UsageError(f"unknown schema {args.name}; {registry.nearest(name, known)}")
    sys.stdout.write(resources.read("schemas", name + SUFFIX))
    return Verdict.PASS
