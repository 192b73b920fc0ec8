"""`orchgate schema`: the JSON schemas this version goes by, and whose they are."""

from __future__ import annotations

import argparse
import sys

from orchgate import registry
from orchgate.commands.shared import command_line, work_tree
from orchgate.errors import UsageError
from orchgate.lib import files
from orchgate.lib.text import aligned
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._document import headed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

SUMMARY = "list the JSON schemas and whose they are, or print one"
ABOUT = "Without NAME, lists the schemas: which command prints what a schema describes, or which file holds it."
EXAMPLES = ("orchgate schema", "orchgate schema report", "orchgate schema --output-format json")
SUFFIX = ".json"
VERSION = 1
# Of schemas that no command prints by its option.
FILES: Mapping[str, str] = {
    "activity": "artifacts/activity.json of an observed run",
    "agent": "`orchgate hook agent TOOL`",
    "baseline": ".orchgate/baseline.json",
    "codex-manifest-2026-01": "manifests of codex-orchestrator, January 2026",
    "codex-manifest-2026-06": "manifests of codex-orchestrator, June 2026",
    "config": "orchgate.toml",
    "error": "every command that ends in an error",
    "known": ".orchgate/known.json",
    "manifest-v1": ".runs/TASK/cli/RUN/manifest.json",
    "origin": "origin.json beside a run of another clone",
    "state": "out/TASK/state.json",
}


def arguments(parser: command_line.Parser) -> None:
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="a schema's name")
    formats, what = ("text", "json", "markdown"), "of the list; a schema is always JSON (%(default)s)"
    parser.add_argument("--output-format", choices=formats, default="text", help=what)
    parser.set_defaults(schemas=("schemas",))


class PublishedSchema(NamedTuple):
    """A schema, the commands that print what it describes, and where else that stands, "" for nowhere."""

    name: str
    document: Mapping[str, Any]
    commands: tuple[str, ...]
    place: str

    @property
    def owners(self) -> str:
        """In words: `orchgate baseline show, record`."""
        verbs: dict[str, list[str]] = {}
        for one in self.commands:
            name, _, verb = one.partition(" ")
            verbs.setdefault(name, []).append(verb)
        commands = ", ".join(_call(name, known) for name, known in verbs.items())
        return ", ".join(filter(None, (f"orchgate {commands}" if commands else "", self.place)))


def _call(name: str, verbs: list[str]) -> str:
    """`baseline show, record`, or `tasks [check, close]` where the command prints it also without a verb."""
    listed = ", ".join(filter(None, verbs))
    if not listed:
        return name
    return f"{name} [{listed}]" if "" in verbs else f"{name} {listed}"


def run(args: argparse.Namespace) -> Verdict:
    if args.name:
        return _print(args.name)
    match args.output_format:
        case "json":
            work_tree.print_json(headed("schemas", {"schemas": [_listed(one) for one in published()]}, VERSION))
        case "markdown":
            sys.stdout.write(page())
        case _:
            sys.stdout.writelines(line + "\n" for line in _lines())
    return Verdict.PASS


def names() -> list[str]:
    return [name.removesuffix(SUFFIX) for name in files.data_names("schemas") if name.endswith(SUFFIX)]


def _print(given: str) -> Verdict:
    name, known = given.removesuffix(SUFFIX), names()
    if name not in known:
        raise UsageError(f"unknown schema {given}; {registry.nearest(name, known)}")
    sys.stdout.write(files.read_data("schemas", name + SUFFIX))
    return Verdict.PASS


def parsers() -> Iterator[tuple[str, command_line.Parser]]:
    """Every command, and behind each that has verbs the verbs, as they are typed."""
    for name in registry.plugins("commands"):
        module = registry.load("commands", name)
        parser = command_line.parser_of(module, f"orchgate {name}")
        command_line.describe(parser, module)
        yield name, parser
        for action in parser._actions:  # noqa: SLF001 -- argparse has no other way to list them
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                for verb, one in action.choices.items():
                    one.complete()
                    yield f"{name} {verb}", one


def schemas_of(parser: command_line.Parser) -> tuple[str, ...]:
    """The schemas of what a command prints as JSON; () for one that prints none."""
    return tuple(parser.get_default("schemas") or ())


def published() -> list[PublishedSchema]:
    import json

    owned: dict[str, list[str]] = {}
    for command, parser in parsers():
        for name in schemas_of(parser):
            owned.setdefault(name, []).append(command)
    return [
        PublishedSchema(name, json.loads(files.read_data("schemas", name + SUFFIX)), tuple(owned.get(name, ())), place)
        for name in names()
        for place in (FILES.get(name, ""),)
    ]


def _listed(one: PublishedSchema) -> dict[str, object]:
    found = {"name": one.name, "title": one.document["title"], "commands": list(one.commands)}
    return {**found, "place": one.place.strip("`") or None, "schema_id": one.document["$id"]}


def _lines() -> Iterator[str]:
    rows = [(one.name, one.owners.replace("`", "")) for one in published()]
    yield from ("  ".join(row).rstrip() for row in aligned([("SCHEMA", "WHOSE"), *rows]))
    yield "\n`orchgate schema NAME` prints one."


PAGE_HEAD = """\
# JSON

Made from the code. Every command that prints data takes `--output-format json`. Standard output then holds exactly one
document (`status --follow` prints one a line, `observe` one in the last line, behind what its program printed), and
standard error is for people, as ever. Exit codes do not change.

## What all documents have in common

- `format`, `version` and `orchgate` say what a document is, by which version of that format, and who wrote it. The
  version changes when something is taken away or gets another meaning, not when something is added: **ignore what you
  do not know**. The schemas do so, too.
- Names are `snake_case`. A number's name ends in its unit: `_seconds`, `_bytes`, `_count`, `_fraction` (0.05 is 5 %),
  `_rate`, `_probability`. Where a list mixes units, `unit` says which: `seconds`, `bytes` or `count`.
- Moments are UTC as in RFC 3339. Ids are `task_id`, `run_id`, `pipeline_id`, `stage_id`, `machine_id`.
- No value is `null`, never an empty text or 0. There is no NaN, no infinity and no integer beyond 64 bits; numbers have
  at most six decimals.
- Paths are those of the repository, with `/`; what lies outside of it is absolute. A byte of a name that is not
  UTF-8 is written out, as in `caf\\xe9`.
- `problems` lists what could not be read: `code`, `message`, `hint`, `path`, `line`, `column`. A document with
  problems is not whole.
- What ends in an error prints the [error document](#error) instead of its own, whether a word of the command line was
  wrong, the configuration, or the program itself.
- A `deprecated` property is the old name of another one. Both are there for one minor version.

## Whose schema is whose

`orchgate schema NAME` prints a schema; they are JSON Schema, draft 2020-12, and refer to nothing outside.

"""


def page() -> str:
    """docs/reference/json.md."""
    return PAGE_HEAD + "".join(_page())


def _page() -> Iterator[str]:
    known = published()
    yield "| schema | what prints it, or where it is |\n|---|---|\n"
    for one in known:
        commands = [f"`orchgate {command}`" for command in one.commands]
        place = [one.place if "`" in one.place or " " in one.place else f"`{one.place}`"] if one.place else []
        yield f"| [{one.name}](#{one.name}) | {', '.join((*commands, *place))} |\n"
    for one in known:
        yield f"\n## {one.name}\n\n{_prose(one.document['title'])}.\n"
        if about := str(one.document.get("description", "")).removesuffix(POLICY).strip():
            yield f"\n{_prose(about)}\n"
        rows = list(_rows(one.document))
        yield "\n| property | what it is |\n|---|---|\n" if rows else ""
        yield from rows


POLICY = (
    "Readers ignore properties that they do not know: later versions may add some. A deprecated property is the old "
    "name of another one, and leaves in the next minor version."
)


def _rows(document: Mapping[str, Any]) -> Iterator[str]:
    """The properties at the top, of all variants, without what all documents have."""
    variants = [document, *(one for key in ("anyOf", "oneOf") for one in document.get(key, ()))]
    seen: dict[str, str] = {}
    for one in variants:
        target = document.get("$defs", {}).get(str(one.get("$ref", "")).rpartition("/")[2], one)
        for name, about in target.get("properties", {}).items():
            if not about.get("deprecated") and name not in ("format", "version", "orchgate", "$schema"):
                seen.setdefault(name, str(about.get("description", "")))
    yield from (f"| `{name}` | {_prose(about)} |\n" for name, about in seen.items())


def _prose(text: str) -> str:
    """Text as Markdown: what stands in backticks is code already, and nothing is HTML."""
    parts = text.split("`")
    for place in range(0, len(parts), 2):
        for sign in "\\<*_[]|":
            parts[place] = parts[place].replace(sign, "\\" + sign)
    return "`".join(parts)
