"""The pages of the reference and the schema of the configuration, written from what the code declares.

tests/test_site.py and tests/test_config.py hold the files to them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchgate import registry
from orchgate.commands import schema
from orchgate.commands.config.command import reference_page
from orchgate.commands.shared import command_line
from orchgate.config import profiles
from orchgate.config.faults import dotted
from orchgate.config.keys import EXTEND, Key, every, fields
from orchgate.config.load import declared, renames
from orchgate.config.settings import SECTIONS
from orchgate.gate import suppressions
from orchgate.git import call
from orchgate.model import Severity, Verdict
from tests.command_lines import parser_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchgate.config.faults import At
    from orchgate.model import Rule

DOCS = Path(__file__).parent.parent / "docs"
WEIGHTS = {
    Severity.ERROR: "error: refuses",
    Severity.WARNING: "warning",
    Severity.NOTE: "note",
}
RULES_HEAD = """\
# Rules

Made from the code. `orchgate explain RULE` prints the same in a terminal. An error refuses the change, a warning and
a note are only shown; `[severity]` of the [configuration](configuration.md) changes what a rule, a family (its three
letters) or a whole check weighs. Ways to let something pass with a reason are in
[Exceptions](../guide/exceptions.md).

"""
COMMANDS_HEAD = """\
# Commands

Made from the code: what `orchgate COMMAND --help` prints. [Exit codes](exit-codes.md) has the codes of all commands,
[JSON](json.md) what each prints with `--output-format json`.

## One name for one thing

| what | option |
|---|---|
| the two ends of a change | `--base REV`, `--head REV`; pre-commit's `--from-ref` and `--to-ref` mean the same |
| how often, how many | `--runs N`, `--max-pairs N`, `--limit N` |
| how long | `--max-time 30s`, `5m`, `1h30m`; a number alone is seconds |
| say what would be done | `--dry-run` |
| fail if something would change | `--check` |
| keep showing | `--follow`; `--watch PATH` names a folder |
| a remote | `--remote NAME` |
| write to a file, replace what is there | `-o FILE`, `--force` |
| a task | `--task ID`: the id, its slug, or a beginning that no other task has |

`--task` knows the tasks that have documents here and those that have recorded runs. One that nobody knows is an
error which names the likeliest. `run`, `rlm` and `observe` also take a new task where there are no documents of
tasks at all, and a helper such as `0001-faster-start-scout` of a task that has some.

"""
CODES_HEAD = """\
# Exit codes

Made from the code. "No" and "nobody can tell" are different answers: 1 refuses, 3 could not check. Both keep a
commit or a push from landing. `rlm` keeps the codes of the codex-orchestrator command that it replaces, and
`observe` those of the program that it runs.

"""


def prose(text: str) -> str:
    """Text of the program as Markdown: what stands in backticks is code already, and nothing is HTML."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([<*_\[\]|])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def rules_page() -> str:
    rules = suppressions.every_rule()
    table = [
        f"| [{name}](#{name.lower()}) | {prose(rule.title)} | {rule.severity.value} |\n"
        for name, (_, rule) in rules.items()
    ]
    text = RULES_HEAD + "| rule | | weight |\n|---|---|---|\n" + "".join(table)
    for check in dict.fromkeys(check for check, _ in rules.values()):
        text += f"\n## Check `{check}`\n"
        text += "".join(_rule(rule) for owner, rule in rules.values() if owner == check)
    return text


def _rule(rule: Rule) -> str:
    weight = "error: could not check" if rule.refuses is not Verdict.FAIL else WEIGHTS[rule.severity]
    if rule.worst and rule.worst is not rule.severity:
        weight += f"; {rule.worst.value} in some situations"
    return (
        f"\n### {rule.id}\n\n**{prose(rule.title)}** ({weight})\n\n{prose(rule.what)}\n\n"
        f"Why: {prose(rule.why)}\n\n```text\nbad   {rule.bad}\ngood  {rule.good}\n```\n"
        + "".join(f"\nException: {prose(way)}\n" for way in rule.exceptions)
    )


def parsers() -> Iterator[tuple[str, command_line.Parser]]:
    """Every command, and behind each that has verbs the verbs."""
    for name in registry.plugins("commands"):
        parser = parser_of(name)
        yield name, parser
        for action in parser._actions:
            if isinstance(action.choices, dict):
                for verb, one in action.choices.items():
                    one.complete()
                    yield f"{name} {verb}", one


def commands_page() -> str:
    text = COMMANDS_HEAD
    for name, parser in parsers():
        text += f"{'###' if ' ' in name else '##'} {name}\n\n```text\n{parser.format_help()}```\n\n"
    return text + OLD_NAMES_HEAD + old_names()


OLD_NAMES_HEAD = """\
## Old names

These are taken for one more minor version, with a warning on standard error (`check` takes its two for good, and in
silence). `evidence push` took the remote as its first word; now it is `--remote NAME`.

"""


def old_names() -> str:
    rows = {
        f"| `{name}` | `{old}` | `{known.name}` |\n"
        for name, parser in parsers()
        for old, known in parser.old_names.items()
    }
    return f"| command | old | new |\n|---|---|---|\n{''.join(sorted(rows))}"


def exit_codes_page() -> str:
    general = "".join(f"| {code} | {meaning} |\n" for code, meaning in command_line.EXIT_CODES.items())
    rows = [
        f"| `{name}` | {code} | {prose(meaning)} |\n"
        for name, parser in parsers()
        for code, meaning in sorted(getattr(parser.module, "EXIT_CODES", {}).items())
    ]
    return (
        f"{CODES_HEAD}| code | meaning |\n|---|---|\n{general}\n## What a command means by them\n\n"
        f"| command | code | meaning |\n|---|---|---|\n{''.join(rows)}"
    )


LAYOUTS_HEAD = """\
# Layouts

Made from the code. Where the documents of a task are, and what they need, differs from project to project. A layout
is a set of defaults for all of that: `profile = "NAME"` in `orchgate.toml`. `orchgate init` recognises it by the
files that are there; whatever the configuration says itself wins. `orchgate config show` prints the outcome.

`{slug}` stands for the name of a task, `{task}` for its number and name, such as `0001-faster-start`. One of several
headings is enough where it says "or".

"""
KINDS = {
    "prd": "PRD",
    "tech-spec": "TECH_SPEC",
    "action-plan": "ACTION_PLAN",
    "checklist": "checklist",
    "mini-spec": "mini-spec",
}


def layouts_page() -> str:
    text = LAYOUTS_HEAD
    for name in profiles.NAMES:
        module = None if name == profiles.DEFAULT else registry.load("layouts", name)
        about = (
            (module.__doc__ or "").strip()
            if module
            else "The layout that `orchgate new` writes where nothing else is recognised."
        )
        signs = ", ".join(f"`{sign}`" for sign in module.SIGNS) if module else ""
        text += f"## {name}\n\n{prose(about)}\n\n"
        text += f"Recognised by {signs}.\n\n" if signs else ""
        text += _documents(profiles.presets(name).get("documents", {}))
        if others := [f"`{table}`" for table in profiles.presets(name) if table != "documents"]:
            text += f"It also has defaults of its own for {', '.join(others)}.\n\n"
    return text.rstrip() + "\n"


def _documents(preset: Mapping[str, Any]) -> str:
    defaults = {path: one.default for path, one in every(declared()["documents"])}
    rows = "| document | where | needed sections |\n|---|---|---|\n"
    needed = preset.get("required", defaults["required",])
    for kind, title in KINDS.items():
        where = preset.get("paths", {}).get(kind, defaults["paths", kind])
        sections = preset.get("required-sections", {}).get(kind, defaults["required-sections", kind])
        if where:
            places = ", ".join(f"`{one}`" for one in where)
            headings = "; ".join(one.replace(" | ", " *or* ") for one in sections)
            rows += f"| {title}{'' if kind in needed else ' (optional)'} | {places} | {headings or '-'} |\n"
    return rows + "\n"


GIT_HEAD = """\
# What git is told

Made from the code. Whatever your configuration, or that of a repository you cloned, says: these are fixed for each
call, so that the verdict is the same on every machine, nothing is written, and no program is started.

"""


def git_page() -> str:
    always = list(zip(call.PINNED, call.PINNED[1:], strict=False))
    pinned = [value for option, value in always if option == "-c"]
    options = [word for word in call.PINNED[1:] if word.startswith("--")]
    online = [value for option, value in zip(call.ONLINE, call.ONLINE[1:], strict=False) if option == "-c"]
    return (
        f"{GIT_HEAD}## Every call\n\n{_listed((*options, *pinned))}\n\n"
        f"In its environment:\n\n{_listed(f'{name}={value}' for name, value in call._FIXED.items())}\n\n"
        f"Removed from it:\n\n{_listed(call._DROPPED)}\n\n"
        f"## Every diff\n\n{_listed(call.DIFF_PINNED)}\n\n"
        "## What writes, or uses the network\n\n"
        "Only `push` and `fetch` of `orchgate evidence` and `orchgate history`, and work trees for measurements:\n\n"
        f"{_listed(online)}\n\n"
        "## Work in another repository\n\n"
        "These variables tie a process to one repository. No stage and no measured program "
        f"sees them:\n\n{_listed(sorted(call.LOCAL_VARIABLES))}\n"
    )


def _listed(words: Iterable[str]) -> str:
    return "\n".join(f"- `{word}`" for word in words)


ACCURACY_HEAD = """\
# How often it is wrong

From `bench/accuracy`: recorded pairs of four small commands, on a busy and an idle machine, are replayed through the
rule and through what other tools do. None of the streams below was used to choose a constant of the rule. How they
were recorded, and the tables in full, are in
[bench/accuracy](https://github.com/orchgate/orchgate/blob/main/bench/accuracy/README.md); `python
bench/accuracy/table.py` prints them again.

## The rule

CPU time, both conditions together; in brackets the rule before this one on the same windows. "Found" is refused or
warned of as slower.

"""
RIVALS_HEAD = """\
## Beside other methods

On the idle machine, in percent of comparisons that raise an alarm. The first column is the one to look at first:
there both sides did the same work, so every alarm is false. The last column is the price: how many runs it took.

"""


def accuracy_page() -> str:
    readme = (DOCS.parent / "bench" / "accuracy" / "README.md").read_text()
    table = re.search(r"^\| \| of 32 pairs.*?(?=\n\n)", readme, re.DOTALL | re.MULTILINE)
    rivals = readme.rpartition("alarms of rules, ")[2].partition("the rivals again")[0]
    assert table is not None
    rows = [re.split(r"\s{2,}", line.strip()) for line in rivals.splitlines()[1:]]
    heads = ["rule", "same work", "+2 %", "+5 %", "+10 %", "+20 %", "runs"]
    cells = [f"| {' | '.join(row)} |\n" for row in (heads, ["---"] * len(heads), *rows)]
    return f"{ACCURACY_HEAD}{table[0]}\n{RIVALS_HEAD}{''.join(cells)}"


PAGES: Mapping[str, Callable[[], str]] = {
    "adopt/layouts.md": layouts_page,
    "decides/accuracy.md": accuracy_page,
    "reference/commands.md": commands_page,
    "reference/configuration.md": reference_page,
    "reference/exit-codes.md": exit_codes_page,
    "reference/git.md": git_page,
    "reference/json.md": schema.page,
    "reference/rules.md": rules_page,
}


def config_schema() -> dict[str, object]:
    """Draft 2020-12 schema of `orchgate.toml`. Old names are in it as deprecated."""
    top = _properties(SECTIONS[""])
    for name, table in declared().items():
        if name:
            what = {"history": "the command history", "signatures": "the check evidence"}.get(name, f"the check {name}")
            more = ", of who signs which runs" if name == "signatures" else ""
            top[name] = _table_schema(table, f"what {what} goes by{more}")
    for old, new in renames(declared()).items():
        _add_old(top, old, new)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:orchgate:schema:config-v1",
        "title": "orchgate configuration: orchgate.toml, or [tool.orchgate] in pyproject.toml",
        "type": "object",
        "properties": top,
        "additionalProperties": False,
    }


def _table_schema(table: Any, description: str) -> dict[str, object]:
    return {
        "type": "object",
        "description": description,
        "properties": _properties(table),
        "additionalProperties": False,
    }


def _properties(table: Any) -> dict[str, object]:
    found: dict[str, object] = {}
    for field, one in fields(table).items():
        name = field.replace("_", "-")
        if isinstance(one, Key):
            found[name] = {**one.kind.schema(), "description": one.help}
            if one.extendable:
                found[EXTEND + name] = {"type": "array", "description": f"more of {name}"}
        else:
            found[name] = _table_schema(one.table, one.help)
    return found


def _add_old(top: dict[str, object], old: At, new: At) -> None:
    *tables, name = old
    properties: Any = top
    for table in tables:
        properties = properties[str(table)]["properties"]
    properties[str(name)] = {"deprecated": True, "description": f"is {dotted(new)} now"}
