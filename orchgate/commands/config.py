"""`orchgate config`: what is in force and where it comes from, every key there is, and old names made new."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from orchgate.commands.shared import options
from orchgate.errors import ConfigError, UsageError
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from orchgate.config.settings import Config
    from orchgate.config.source import Source

SUMMARY = "show the configuration in force, list all keys, or rename old ones"
ABOUT = "Works on orchgate.toml, or [tool.orchgate] in pyproject.toml; each VERB has a --help of its own."
EXAMPLES = ("orchgate config show", "orchgate config keys diff-budget", "orchgate config migrate --dry-run")
EXIT_CODES = {1: "`migrate --check` would change something"}
VERSION = 1


def _migrating(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    what = "change nothing, and exit with 1 if something would change"
    parser.add_argument("--check", action="store_true", help=what)


def _listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", nargs="?", default=None, metavar="TABLE", help="such as documents (all of them)")


VERBS = {
    "show": options.Verb(
        "print every value in force, and where it comes from",
        "What judges the change is shown, and what the work tree says instead.",
        ("orchgate config show", "orchgate config show --output-format json"),
        options.output_format,
    ),
    "keys": options.Verb(
        "list the keys with their defaults",
        "Without TABLE, of all tables.",
        ("orchgate config keys", "orchgate config keys diff-budget"),
        _listing,
    ),
    "migrate": options.Verb(
        "rewrite the configuration file so that every key has its name of today",
        "Comments stay. Without options, the file is changed.",
        ("orchgate config migrate --dry-run", "orchgate config migrate --check"),
        _migrating,
    ),
    "reference": options.Verb(
        "print the page of the documentation about all keys",
        "Written as Markdown to standard output.",
        ("orchgate config reference",),
    ),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    options.add_verbs(parser, VERBS)


def run(args: argparse.Namespace) -> Verdict | int:
    match args.verb:
        case "show":
            return _show(args.output_format)
        case "keys":
            return _keys(args.table)
        case "migrate":
            return _migrate(dry_run=args.dry_run, check=args.check)
        case _:
            from orchgate.config.reference import page

            sys.stdout.write(page())
            return Verdict.PASS


def _show(output: str) -> Verdict:
    from orchgate.gate import session
    from orchgate.git import scope
    from orchgate.git.target import ScopeRequest

    with session.opened() as repository:
        ctx = session.context(repository, scope.target(repository, ScopeRequest(), os.environ), os.environ)
        here, why = work_tree(repository.root)
    show(ctx.config, here, why, output)
    return Verdict.PASS


def work_tree(root: str) -> tuple[Config | None, str]:
    """The configuration on disk; None with the reason where there is none that can be read."""
    from orchgate.config.load import load_work_tree

    try:
        return (load_work_tree(root), "") if root else (None, "a bare repository has no work tree")
    except ConfigError as error:
        return None, error.message


def show(config: Config, here: Config | None, why: str, output: str) -> None:
    """Writes the values in force, as TOML or JSON, with those of the work tree where they differ."""
    from orchgate.config.loosening import table_of

    judging, on_disk = table_of(config), table_of(here) if here else {}
    if output == "json":
        _as_json(config, here, why)
        return
    from orchgate.config.faults import toml

    for key, value in judging.items():
        differs = key in on_disk and on_disk[key] != value
        also = f"; in the work tree {toml(on_disk[key])}" if differs else ""
        sys.stdout.write(f"{escape(key)} = {escape(toml(value))}  # {escape(config.origin(key) + also)}\n")
    if why:
        sys.stdout.write(f"# the configuration of the work tree cannot be read: {escape(why)}\n")


def _as_json(config: Config, here: Config | None, why: str) -> None:
    import json

    from orchgate import __version__

    document = {
        "format": "orchgate-config",
        "version": VERSION,
        "orchgate": __version__,
        "judging": dict(_values(config)),
        "work_tree": dict(_values(here)) if here else None,
        "problems": [{"code": "unreadable", "message": why, "hint": ""}] if why else [],
    }
    json.dump(document, sys.stdout, indent=2, ensure_ascii=True)
    sys.stdout.write("\n")


def _values(config: Config) -> Iterator[tuple[str, object]]:
    from orchgate.config.loosening import table_of

    for key, value in table_of(config).items():
        yield key, {"value": _plain(value), "origin": config.origin(key)}


def _plain(value: object) -> object:
    """A value as JSON has it; a table without what is not set in it."""
    if hasattr(value, "_asdict"):
        found = {name.replace("_", "-"): one for name, one in value._asdict().items() if one not in (None, "", (), {})}
        return _plain(found)
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _keys(table: str | None) -> Verdict:
    from orchgate.config.faults import as_toml, dotted
    from orchgate.config.keys import every
    from orchgate.config.kinds import nearest
    from orchgate.config.load import declared

    tables = declared()
    if table is not None and table not in tables:
        raise UsageError(f"there is no table {table!r}", nearest(table, filter(None, tables)))
    for name in tables if table is None else (table,):
        for path, one in every(tables[name], (name,) if name else ()):
            sys.stdout.write(f"{dotted(path)} = {as_toml(one.default, 60)}  # {one.help}\n")
    return Verdict.PASS


def _migrate(*, dry_run: bool, check: bool) -> Verdict:
    from orchgate.gate import session

    with session.opened() as repository:
        root = repository.root
    if not root:
        raise UsageError("a bare repository has no file to rewrite", "run it in a clone")
    return _rewrite(root, dry_run=dry_run, check=check)


def _rewrite(root: str, *, dry_run: bool, check: bool) -> Verdict:
    from orchgate.config.faults import dotted
    from orchgate.config.load import build
    from orchgate.config.source import Places, find
    from orchgate.git.snapshot import WorkTree

    source = find(WorkTree(root))
    renamed = build(source).renamed
    if not renamed:
        where = source.file or "there is no configuration file"
        sys.stdout.write(f"{where}: nothing to rename\n")
        return Verdict.PASS
    from orchgate.config.migrate import migrated

    text = migrated(source)
    places = Places(source)
    for old, new in renamed:
        line, column = places.of(old, key=True)
        sys.stdout.write(f"{source.file}:{line}:{column}: {escape(dotted(old))} -> {escape(dotted(new))}\n")
    if dry_run or check:
        _say_difference(source, text)
        return Verdict.FAIL if check else Verdict.PASS
    _write(root, source, text)
    sys.stdout.write(f"wrote {source.file}\n")
    return Verdict.PASS


def _say_difference(source: Source, text: str) -> None:
    import difflib

    old, new = (one.splitlines(keepends=True) for one in (source.text, text))
    for line in difflib.unified_diff(old, new, source.file, source.file):
        sys.stdout.write(escape(line.rstrip("\r\n")) + "\n")


def _write(root: str, source: Source, text: str) -> None:
    from orchgate.lib import files

    path = os.path.join(root, source.file)
    if os.path.islink(path):
        raise UsageError(f"{source.file} is a symbolic link", "put the file itself there")
    mark = b"\xef\xbb\xbf" if files.read(path, 3 + len(source.text.encode())).startswith(b"\xef\xbb\xbf") else b""
    files.replace(path, mark + text.encode(), executable=False)
