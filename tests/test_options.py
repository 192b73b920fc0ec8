"""Options have one name each, old names are taken for a while, and every text that names a command line is true."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchgate import registry
from orchgate.cli import main
from orchgate.commands.shared import command_line
from orchgate.commands.shared.command_line import Parser, Verb
from tests.command_lines import refused_words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from orchgate.commands.shared.options import Renamed

TOP = Path(__file__).parent.parent
COMMANDS = registry.plugins("commands")


def modules() -> Iterator[tuple[str, ModuleType | Verb]]:
    """Every command and every verb, by the words that a command line begins with."""
    for name in COMMANDS:
        module = registry.load("commands", name)
        yield name, module
        verbs = getattr(module, "VERBS", {})
        if not isinstance(verbs, dict):
            own = getattr(module, "OWN", {})
            verbs = {verb: own.get(verb) or importlib.import_module(f"{module.PACKAGE}.{verb}") for verb in verbs}
        yield from ((f"{name} {verb}", described) for verb, described in verbs.items())


MODULES = dict(modules())


def help_of(command: str) -> str:
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        assert main([*command.split(), "--help"]) == 0
    return stream.getvalue()


# Help


@pytest.mark.parametrize("command", MODULES)
def test_help_says_what_happens_by_default_an_example_and_the_exit_codes(command: str) -> None:
    said = help_of(command)

    assert " ".join(MODULES[command].ABOUT.split()) in " ".join(said.split())
    assert all(f"  {example}\n" in said for example in MODULES[command].EXAMPLES)
    assert all(f"\n{line}" in said for line in command_line.code_lines(command_line.codes_of(MODULES[command])))


@pytest.mark.parametrize("command", MODULES)
def test_help_fits_on_an_ordinary_screen(command: str) -> None:
    assert max(map(len, help_of(command).splitlines())) <= 80


@pytest.mark.parametrize("command", MODULES)
def test_help_explains_every_option(command: str) -> None:
    parser = Parser(prog=f"orchgate {command}")
    command_line.describe(parser, MODULES[command])

    assert [action.dest for action in parser._actions if not action.help and action.dest != "verb"] == []


@pytest.mark.parametrize("command", MODULES)
def test_examples_are_taken(command: str) -> None:
    assert MODULES[command].EXAMPLES
    assert {one: refused_words(one) for one in MODULES[command].EXAMPLES if refused_words(one)} == {}


# Old names


def old_names() -> Iterator[tuple[str, str, Renamed]]:
    for command, module in MODULES.items():
        parser = Parser(prog=f"orchgate {command}")
        command_line.describe(parser, module)
        yield from ((command, name, known) for name, known in parser.old_names.items())


OLD_NAMES = list(old_names())


@pytest.mark.parametrize(("command", "old", "known"), OLD_NAMES, ids=lambda one: str(one)[:40])
def test_an_old_name_is_taken_said_and_not_shown(
    command: str, old: str, known: Renamed, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = Parser(prog=f"orchgate {command}")
    command_line.describe(parser, MODULES[command])
    action = parser._option_string_actions[known.name]
    words = [old] if action.nargs == 0 else [old, "9"]
    required = ["x", "--task", "t"] if command == "run" else ["-"] if command == "resume" else []

    found = parser.parse_args([*words, *required])

    said = (
        ""
        if known.silent
        else f"orchgate: {old} is called {known.name} now; the old name goes away in the next minor version\n"
    )
    assert getattr(found, action.dest) not in (None, False, "", action.default)
    assert capsys.readouterr() == ("", said)
    assert not re.search(rf"{re.escape(old)}(?![\w-])", help_of(command))


def test_old_names_are_those_of_the_first_version() -> None:
    assert {(command, old): known.name for command, old, known in OLD_NAMES} == {
        ("baseline promote", "--replace"): "--force",
        ("baseline record", "--replace"): "--force",
        ("check", "--from-ref"): "--base",
        ("check", "--to-ref"): "--head",
        ("hotspots", "--top"): "--limit",
        ("init", "--remote"): "--published",
        ("perf", "--budget"): "--max-time",
        ("perf", "--pairs"): "--max-pairs",
        ("perf", "--save"): "--output",
        ("rlm", "--max-minutes"): "--max-time",
        ("run", "--repeat"): "--runs",
        ("status", "--watch"): "--follow",
    }


def test_an_old_value_is_written_in_the_new_form() -> None:
    parser = Parser(prog="orchgate rlm")
    command_line.describe(parser, MODULES["rlm"])

    assert [parser.parse_args(words).max_time for words in (["--max-time", "90s"], ["--max-minutes=1.5"])] == [
        90,
        90,
    ]


# Command lines in texts


@pytest.mark.parametrize("path", sorted((TOP / "templates").glob("*.yml")), ids=lambda path: path.name)
def test_a_command_line_of_a_template_is_taken(path: Path) -> None:
    lines = re.findall(r"(?:run: |- )(orchgate [^\n]+)", path.read_text())

    assert lines or "uses: orchgate/orchgate@" in path.read_text()
    assert [said for line in lines if (said := refused_words(line))] == []
