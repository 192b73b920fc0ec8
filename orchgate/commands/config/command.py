"""`orchgate config`: what is in force and where it comes from, every key there is, and old names made new.

The page of the documentation that the declarations of all keys add up to is here, too.
"""

from __future__ import annotations

import os
import sys

from orchgate.commands.config.plain import plain
from orchgate.commands.shared import command_line, options
from orchgate.config.faults import as_toml, dotted
from orchgate.config.keys import CHANGE, FEWER, MORE, ONCE_SET, Key, every, name_of
from orchgate.config.load import declared
from orchgate.config.settings import SECTIONS
from orchgate.errors import ConfigError, UsageError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from orchgate.config.faults import At
    from orchgate.config.settings import Config
    from orchgate.config.source import Source
    from orchgate.git.repository import Repository

SUMMARY = "show the configuration in force, list all keys, rename old ones, or bring shared ones"
ABOUT = "Works on orchgate.toml, or [tool.orchgate] in pyproject.toml; each VERB has a --help of its own."
EXAMPLES = ("orchgate config show", "orchgate config keys diff-budget", "orchgate config migrate --dry-run")
EXIT_CODES = {1: "`migrate --check` would change something; what `update` found is not what is pinned"}
VERSION = 1


def _migrating(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    what = "change nothing, and exit with 1 if something would change"
    parser.add_argument("--check", action="store_true", help=what)
    options.output_format(parser, "config-migration")


def _updating(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accept", action="store_true", help="pin what is there now, and say what that changes")
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    what = "change nothing, and exit with 1 if something is not what is pinned, or is not here"
    parser.add_argument("--check", action="store_true", help=what)
    options.output_format(parser, "config-update")


def _listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", nargs="?", default=None, metavar="TABLE", help="such as documents (all of them)")
    options.output_format(parser, "config-keys")


VERBS = {
    "show": command_line.Verb(
        "print every value in force, and where it comes from",
        "What judges the change is shown, and what the work tree says instead.",
        ("orchgate config show", "orchgate config show --output-format json"),
        lambda parser: options.output_format(parser, "config-values"),
    ),
    "keys": command_line.Verb(
        "list the keys with their defaults",
        "Without TABLE, of all tables.",
        ("orchgate config keys", "orchgate config keys diff-budget"),
        _listing,
    ),
    "migrate": command_line.Verb(
        "rewrite the configuration file so that every key has its name of today",
        "Comments stay. Without options, the file is changed.",
        ("orchgate config migrate --dry-run", "orchgate config migrate --check"),
        _migrating,
    ),
    "update": command_line.Verb(
        "bring the shared configurations that this one extends, or pin them anew",
        "Without options, fetches what is not here yet and has to be what is pinned. No check asks another machine.",
        ("orchgate config update", "orchgate config update --accept", "orchgate config update --check"),
        _updating,
        {1: "something is not what is pinned, or with --check is not here", 3: "an address could not be asked"},
    ),
    "reference": command_line.Verb(
        "print the page of the documentation about all keys",
        "Written as Markdown to standard output.",
        ("orchgate config reference",),
    ),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    command_line.add_verbs(parser, VERBS)


def run(args: argparse.Namespace) -> Verdict | int:
    match args.verb:
        case "show":
            return _show(args.output_format)
        case "keys":
            return _keys(args.table, args.output_format)
        case "migrate":
            return _migrate(args.output_format, dry_run=args.dry_run, check=args.check)
        case "update":
            return _update(args.output_format, accept=args.accept, dry_run=args.dry_run, check=args.check)
        case _:
            sys.stdout.write(reference_page())
            return Verdict.PASS


def _show(output: str) -> Verdict:
    from orchgate.gate import session
    from orchgate.git import scope
    from orchgate.model import ScopeRequest

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
    from orchgate.outputs._document import headed, problem, write

    facts = {
        "judging": dict(_values(config)),
        "work_tree": dict(_values(here)) if here else None,
        "problems": [problem("unreadable", why)] if why else [],
    }
    write(headed("config-values", facts, VERSION), sys.stdout)


def _values(config: Config) -> Iterator[tuple[str, object]]:
    from orchgate.config.loosening import table_of

    for key, value in table_of(config).items():
        yield key, {"value": plain(value), "origin": config.origin(key)}


def _keys(table: str | None, output: str) -> Verdict:
    from orchgate.config.kinds import nearest

    tables = declared()
    if table is not None and table not in tables:
        raise UsageError(f"there is no table {table!r}", nearest(table, filter(None, tables)))
    wanted = tables if table is None else (table,)
    found = [key for name in wanted for key in every(tables[name], (name,) if name else ())]
    if output == "json":
        from orchgate.outputs._document import headed, write

        write(headed("config-keys", {"keys": [_key_json(path, one) for path, one in found]}, VERSION), sys.stdout)
        return Verdict.PASS
    for path, one in found:
        sys.stdout.write(f"{dotted(path)} = {as_toml(one.default, 60)}  # {one.help}\n")
    return Verdict.PASS


def _key_json(path: At, one: Key) -> dict[str, object]:
    return {
        "key": dotted(path),
        "default": plain(one.default),
        "description": one.help,
        "loosened_by": _LOOSER.get(one.looser),
        "is_extendable": one.extendable,
        "old_name": one.was or None,
    }


def _migrate(output: str, *, dry_run: bool, check: bool) -> Verdict:
    from orchgate.gate import session

    with session.opened() as repository:
        root = _root(repository)
    found = _migration(root)
    writes = bool(found.renamed) and not (dry_run or check)
    if writes:
        from orchgate.commands.config.update import write_configuration

        write_configuration(root, found.source.file, found.text)
    if output == "json":
        _print_migration(found, written=writes)
    else:
        sys.stdout.writelines(line + "\n" for line in _migration_lines(found, written=writes))
    return Verdict.FAIL if check and found.renamed else Verdict.PASS


def _update(output: str, *, accept: bool, dry_run: bool, check: bool) -> Verdict:
    if accept and check:
        raise UsageError("--accept and --check exclude each other", "--accept --dry-run says what would change")
    from orchgate.commands.config import update
    from orchgate.commands.config.fetched import fetch
    from orchgate.config.shared.layers import ACCEPT
    from orchgate.gate import session

    with session.opened() as repository:
        root = _root(repository)
        committed = repository.looked_up(repository.head) if repository.head else None
        found = update.looked_at(root, fetch, accept=accept, everything=check, committed=committed)
    writes = not (dry_run or check)
    if writes:
        update.write(root, found)
    if output == "json":
        from orchgate.outputs._document import headed, write

        write(headed("config-update", update.facts(found, written=writes), VERSION), sys.stdout)
    else:
        sys.stdout.writelines(escape(line) + "\n" for line in update.lines(found, written=writes))
        if found.is_behind and not accept:
            sys.stdout.write(f"  hint: {ACCEPT}\n")
    behind = found.is_behind and not accept
    return Verdict.FAIL if behind or (check and found.writes) else Verdict.PASS


def _root(repository: Repository) -> str:
    if not repository.root:
        raise UsageError("a bare repository has no file to rewrite", "run it in a clone")
    return repository.root


class _Migration(NamedTuple):
    """A configuration file, its text with the names of today, and each old name with its place."""

    source: Source
    text: str
    renamed: tuple[tuple[At, At, tuple[int, int]], ...]


def _migration(root: str) -> _Migration:
    from orchgate.config.load import build
    from orchgate.config.source import KeyPositions, find
    from orchgate.git.snapshot import WorkTree

    source = find(WorkTree(root))  # without what it extends: that is rewritten where it is shared
    if not (renamed := build(source).renamed):
        return _Migration(source, source.text, ())
    from orchgate.config.migrate import migrated

    places = KeyPositions(source)
    listed = tuple((old, new, places.of(old, key=True)) for old, new in renamed)
    return _Migration(source, migrated(source), listed)


def _migration_lines(found: _Migration, *, written: bool) -> Iterator[str]:
    source = found.source
    if not found.renamed:
        yield f"{source.file or 'there is no configuration file'}: nothing to rename"
        return
    for old, new, (line, column) in found.renamed:
        yield f"{source.file}:{line}:{column}: {escape(dotted(old))} -> {escape(dotted(new))}"
    yield from (f"wrote {source.file}",) if written else map(escape, _difference(found))


def _difference(found: _Migration) -> Iterator[str]:
    import difflib

    file = found.source.file
    old, new = (one.splitlines(keepends=True) for one in (found.source.text, found.text))
    return (line.rstrip("\r\n") for line in difflib.unified_diff(old, new, file, file))


def _print_migration(found: _Migration, *, written: bool) -> None:
    from orchgate.outputs._document import headed, write

    names = [
        {"old_name": dotted(old), "new_name": dotted(new), "line": line or None, "column": column or None}
        for old, new, (line, column) in found.renamed
    ]
    facts = {"path": found.source.file or None, "renamed": names, "written": written, "diff": list(_difference(found))}
    write(headed("config-migration", facts, VERSION), sys.stdout)


INTRODUCTION = """\
# Configuration

`orchgate.toml` at the top of the repository, or the same tables under `[tool.orchgate]` in `pyproject.toml`. Everything
has a default; an empty file is fine. `orchgate config show` prints what is in force and where it comes from,
`orchgate config migrate` renames old keys. This page is made from the declarations (`orchgate config reference`).

A change is judged by the configuration of its base. The last column says which edit of a key is reported as weakening
the gate (CFG001): more of it, less of it, or any change. A key that is marked + is a list that `extend-NAME` adds to,
so that the defaults stay.
"""
_LOOSER = {MORE: "more", FEWER: "less", CHANGE: "any change", ONCE_SET: "any change once it is set"}


def reference_page() -> str:
    """docs/reference/configuration.md."""
    return "\n".join(_page_lines()) + "\n"


def _page_lines() -> Iterator[str]:
    yield INTRODUCTION
    tables = declared()
    for name in ("", *sorted(filter(None, tables))):
        yield f"## `[{name}]`" if name else "## At the top"
        if name not in SECTIONS:
            yield f"\nOf the check `{name_of(tables[name])}`."
        yield "\n| key | default | what it is | weakened by |\n|---|---|---|---|"
        for path, one in every(tables[name]):
            mark = " +" if one.extendable else ""
            was = f" (was `{one.was}`)" if one.was else ""
            cells = (f"`{dotted(path)}`{mark}", _shown_default(one), one.help + was, _LOOSER.get(one.looser, ""))
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        yield ""


def _shown_default(one: Key) -> str:
    return f"`{as_toml(one.default, 160)}`" if one.default not in ("", (), {}) else ""
