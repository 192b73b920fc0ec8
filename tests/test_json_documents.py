"""Every command that prints data prints it as JSON, too: by a schema that is published, in one dialect."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.cli import main
from orchgate.commands import schema as command
from orchgate.outputs import _document
from orchgate.outputs._document import NEW_NAMES
from tests.published import closed, parts, schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.repo import Repo

JSON = ("--output-format", "json")
WITHOUT = {
    "baseline": "its verbs print",
    "config": "its verbs print",
    "evidence": "its verbs print",
    "history": "its verbs print",
    "completion": "a script for a shell",
    "evidence export": "what it writes is a format of others",
    "export": "what it writes are formats of others",
    "config reference": "a page for people; `config keys` has the same for programs",
    "hook": "git and coding agents ask, each in a protocol of its own",
    "try": "a demonstration for people",
}
ELSEWHERE = {
    "baseline record": "tests/test_baseline_command.py: it measures",
    "baseline promote": "tests/test_baseline_command.py",
    "baseline drop": "tests/test_baseline_command.py",
    "bisect": "tests/test_bisect.py: it measures",
    "evidence sign": "tests/test_evidence_sign.py: with keys",
    "resume": "prints what `run` does",
    "tasks close": "prints what `tasks check` does",
}
PARSERS = dict(command.parsers())
PRINTING = {name: parser for name, parser in PARSERS.items() if name not in WITHOUT}


@pytest.mark.parametrize("name", PRINTING)
def test_a_command_that_prints_data_offers_json_and_says_its_schema(name: str) -> None:
    formats = [action.choices for action in PRINTING[name]._actions if "--output-format" in action.option_strings]

    assert [choices for choices in formats if "json" in (choices or ())]
    assert command.schemas_of(PRINTING[name])
    assert set(command.schemas_of(PRINTING[name])) <= set(command.names())


def test_every_schema_has_an_owner() -> None:
    assert [one.name for one in command.published() if not one.owners] == []


# Real documents

CONFIG = """
[pipelines.demo]
title = "Demo"
[[pipelines.demo.stages]]
id = "one"
shell = "true"
"""
TASK = "0001-faster-start"
RUN = ".runs/0001-faster-start/cli"
CALLS: dict[str, tuple[tuple[str, ...], ...]] = {
    "new": (("new", "faster-start", "--dry-run"), ("new", "faster-start")),
    "run": (("run", "demo", "--task", TASK), ("run", "demo", "--task", TASK, "--runs", "2")),
    "check": (("check", "--all-files"), ("check", "--show-config"), ("check", "--accept-known", "--reason", "old")),
    "config show": (("config", "show"),),
    "config keys": (("config", "keys"),),
    "config migrate": (("config", "migrate", "--check"),),
    "config update": (("config", "update"),),
    "doctor": (("doctor", "--no-noise"),),
    "evidence pin": (("evidence", "pin", "out/notes.txt"), ("evidence", "pin", "--check")),
    "evidence verify": (("evidence", "verify"),),
    "evidence replay": (("evidence", "replay", "RUN-0"), ("evidence", "replay", "--base", "HEAD")),
    "evidence show": (("evidence", "show", "out/notes.txt"),),
    "evidence push": (("evidence", "push", "--remote", "origin"),),
    "evidence fetch": (("evidence", "fetch", "--remote", "origin"),),
    "evidence summarize": (
        ("evidence", "summarize", "--task", TASK, "--before", "RUN-0", "--after", "RUN-1", "--check"),
    ),
    "explain": (("explain",), ("explain", "EVD001")),
    "history push": (("history", "push", "--dry-run"), ("history", "push")),
    "history fetch": (("history", "fetch"),),
    "history show": (("history", "show", "--by", "repository,month,week,task,pipeline,stage,machine"),),
    "history compact": (("history", "compact"),),
    "history verify": (("history", "verify"),),
    "hotspots": (("hotspots", TASK),),
    "init": (("init", "--dry-run", "--native"),),
    "metrics": (("metrics",),),
    "observe": (("observe", "--task", TASK, "--", "true"),),
    "perf": (("perf", "--replay", "samples.jsonl"),),
    "plan": (("plan",), ("plan", "demo")),
    "report": (("report",),),
    "rlm": (("rlm", "--task", TASK, "--goal", "x", "--agent", "true", "--validator", "true"),),
    "scan": (("scan", "HEAD"),),
    "schema": (("schema",),),
    "status": (("status",), ("status", "latest"), ("status", "--follow")),
    "tasks": (("tasks",),),
    "tasks check": (("tasks", "check", TASK),),
    "baseline show": (("baseline", "show"),),
}


def test_every_command_is_called() -> None:
    assert set(CALLS) | set(ELSEWHERE) == set(PRINTING)


@pytest.fixture
def project(repo: Repo, tmp_path: Path) -> Repo:
    """A repository with a task, a pipeline, a remote, and what the commands look at."""
    pairs = [
        {"stream": "demo", "pair": at, "arm": arm, "order": order, "metrics": {"cpu_seconds": 0.1, "wall_seconds": 0.1}}
        for at in range(8)
        for order, arm in enumerate(("base", "head"))
    ]
    repo.commit(files={"orchgate.toml": CONFIG, ".gitignore": "/.runs/\n/out/\n"})
    repo.write("out/notes.txt", "measured\n")
    repo.write("samples.jsonl", "".join(json.dumps(one) + "\n" for one in pairs))
    repo.git("init", "--quiet", "--bare", str(tmp_path / "remote"))
    repo.git("remote", "add", "origin", str(tmp_path / "remote"))
    return repo


def documents(text: str) -> Iterator[dict[str, Any]]:
    """All that is on standard output is one document, or one a line."""
    try:
        yield json.loads(text)
    except json.JSONDecodeError:
        yield from map(json.loads, text.splitlines())


@pytest.mark.slow
def test_what_a_command_prints_keeps_its_schema(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for name, calls in CALLS.items():
        for argv in calls:
            runs = sorted(os.listdir(project.root / RUN)) if (project.root / RUN).exists() else []
            words = [runs[int(word[-1])] if word.startswith("RUN-") else word for word in argv]
            project.git("add", "--all")  # `tasks` reads what is staged
            at = words.index("--") if "--" in words else len(words)
            main([*words[:at], *JSON, *words[at:]])
            out, err = capsys.readouterr()
            try:
                for found in documents(out):
                    kept = _document.schema_of(found["format"])
                    assert kept in command.schemas_of(PRINTING[name]), (kept, found.get("error"))
                    jsonschema.validate(found, closed(kept))
                    assert f'"{project.root}/' not in json.dumps(found), "an absolute path of the repository"
            except (AssertionError, ValueError, jsonschema.ValidationError) as error:
                wrong.append((argv, str(error)[:500], err[:300]))

    assert not wrong, wrong


# One dialect

FOREIGN = {
    "activity": "a file of a run",
    "baseline": "a file",
    "codex-manifest-2026-01": "of another program",
    "codex-manifest-2026-06": "of another program",
    "config": "keys as TOML has them",
    "known": "a file",
    "manifest-v1": "a file of a run",
    "origin": "a file of a run",
    "page": "all that a page says, which has a test of its own",
    "state": "a file",
}
OURS = [name for name in command.names() if name not in FOREIGN]
# The last two are metrics, which are called as everywhere else.
HAS_UNIT = re.compile(
    r"(^|_)(seconds|bytes|count|fraction|rate|share|probability|p_value|average|processes|manifest_writes)"
    r"(_per_[a-z]+)?$"
)
# Numbers that are no measure: places, and what is counted below a name that says so.
PLAIN = {"version", "line", "column", "exit_code", "position", "index", "level", "number", "run_number", "max_parallel"}
LOOSE = {("report", one) for one in ("files", "lines", "added", "removed")}  # facts: their names belong to the check
LOOSE |= {("history", "runs")}  # as a row of figures has it


Property = tuple[str, dict[str, Any], dict[str, Any], str]


def properties(name: str) -> list[Property]:
    """Every property of a schema: its name, itself, the object that it is of, and the property that is that object."""
    return list(_properties(schema(name), schema(name), "", set()))


def _properties(node: Any, whole: dict[str, Any], under: str, seen: set[tuple[int, str]]) -> Iterator[Property]:
    if isinstance(node, list):
        for one in node:
            yield from _properties(one, whole, under, seen)
    if not isinstance(node, dict) or (id(node), under) in seen:
        return
    seen.add((id(node), under))
    if reference := node.get("$ref"):
        yield from _properties(whole["$defs"][reference.rpartition("/")[2]], whole, under, seen)
    for name, one in node.get("properties", {}).items():
        if isinstance(one, dict) and not one.get("deprecated"):
            yield name, one, node, under
            yield from _properties(one, whole, name, seen)
    for key, one in node.items():
        if key not in ("properties", "$defs"):
            yield from _properties(one, whole, under, seen)


@pytest.mark.parametrize("name", OURS)
def test_names_are_snake_case(name: str) -> None:
    odd = {one for one, *_ in properties(name) if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", one)}

    assert odd == set()


def is_number(node: dict[str, Any]) -> bool:
    kinds = node.get("type", ())
    return bool({"number", "integer"} & set([kinds] if isinstance(kinds, str) else kinds))


@pytest.mark.parametrize("name", OURS)
def test_the_name_of_a_number_ends_in_its_unit(name: str) -> None:
    odd = {
        one
        for one, about, around, under in properties(name)
        if is_number(about)
        and one not in PLAIN
        and not HAS_UNIT.search(one)
        and not HAS_UNIT.search(under)  # `cpu_seconds: {p50, p90}`
        and (name, one) not in LOOSE
        and "unit" not in around["properties"]
    }

    assert odd == set()


@pytest.mark.parametrize("name", [name for name in command.names() if name != "config" and "codex" not in name])
def test_every_property_is_described(name: str) -> None:
    bare = {one for one, about, *_ in properties(name) if not about.get("description")}

    assert (schema(name).get("title", "") != "", bare) == (True, set())


@pytest.mark.parametrize("name", OURS)
def test_readers_may_meet_what_they_do_not_know(name: str) -> None:
    found = schema(name)

    assert "Readers ignore properties that they do not know" in found["description"]
    assert [part for part in parts(found) if part.get("additionalProperties") is False] == []


@pytest.mark.parametrize("name", OURS)
def test_every_document_begins_alike(name: str) -> None:
    found = schema(name)
    tops = [found, *(found["$defs"][one["$ref"].rpartition("/")[2]] for one in found.get("oneOf", ()) if "$ref" in one)]
    tops = [one for one in (*tops, *found.get("anyOf", ())) if "properties" in one]

    assert [list(one["properties"])[:3] for one in tops] == [["format", "version", "orchgate"]] * len(tops)
    assert {one["properties"]["format"]["const"] for one in tops} == {_document.FORMATS.get(name, f"orchgate-{name}")}


def test_an_old_name_says_the_new_one() -> None:
    old = [one for name in OURS for part in parts(schema(name)) for one in [part] if one.get("deprecated") is True]

    assert [one for one in old if not re.match(r"Old (name|form|place) of `\w+(\.\w+)?`", one["description"])] == []


@pytest.mark.parametrize("name", NEW_NAMES)
def test_both_names_of_a_field_are_in_the_schema(name: str) -> None:
    text = json.dumps(schema(name))
    pairs = {pair for names in NEW_NAMES[name].values() for pair in names.items()}

    assert [pair for pair in pairs if any(f'"{one}": {{' not in text for one in pair)] == []
