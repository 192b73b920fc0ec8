"""What is read without argparse is what argparse would have read."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from orchgate import registry
from orchgate.commands.shared import command_line, options

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchgate.commands.shared.command_line import Parser

FIRST = {"hook": ["pre-commit"]}  # words without which a command is none
READ = [
    name
    for name in registry.plugins("commands")
    if options.read_flags(registry.load("commands", name).arguments, FIRST.get(name, [])) is not None
]


@pytest.mark.parametrize("name", READ)
def test_every_command_is_read_as_by_its_parser(name: str) -> None:
    module = registry.load("commands", name)
    declared = options.Flags()
    module.arguments(declared)

    others = [*FIRST.get(name, []), *(["documents", "specs"] if declared.others else [])]
    for words in [[*pair, *others] for count in (0, 1, 2) for pair in combinations(declared.named, count)]:
        parser = command_line.parser_of(module, f"orchgate {name}")
        command_line.describe(parser, module)
        read = options.read_flags(module.arguments, words)
        assert read is not None
        assert vars(read) == vars(parser.parse_args(words)), words


def test_what_hooks_ask_for_is_read_without_argparse() -> None:
    check = registry.load("commands", "check").arguments

    assert [
        options.read_flags(check, words) is not None for words in ([], ["--staged"], ["documents", "--all-files", "-q"])
    ] == [True] * 3
    hook = registry.load("commands", "hook").arguments
    lines = (
        "pre-commit",
        "commit-msg .git/COMMIT_EDITMSG",
        "pre-push origin git@example.com:a/b.git",
        "--strict pre-commit",
    )
    assert [options.read_flags(hook, line.split()) is not None for line in lines] == [True] * 4


@pytest.mark.parametrize(
    "words", ["", "post-commit", "pre-push -x", "pre-push -- a", "pre-commit --strict a", "--help"]
)
def test_any_other_hook_is_left_to_argparse(words: str) -> None:
    assert options.read_flags(registry.load("commands", "hook").arguments, words.split()) is None


@pytest.mark.parametrize(
    "words",
    ["--staged=1", "documents -q specs", "--stage", "--base HEAD", "-qv", "--", "--help", "--from-ref", "--nothing"],
)
def test_anything_else_is_left_to_argparse(words: str) -> None:
    assert options.read_flags(registry.load("commands", "check").arguments, words.split()) is None


def _needs_a_value(parser: Parser) -> None:
    parser.add_argument("--task", required=True)


def _takes_a_pipeline(parser: Parser) -> None:
    parser.add_argument("pipeline", nargs="?", default="")


def _converts_its_default(parser: Parser) -> None:
    parser.add_argument("--limit", type=int, default="5")


def _is_set_twice(parser: Parser) -> None:
    parser.add_argument("--strict", action="store_true")
    parser.set_defaults(strict=True)


def _has_verbs(parser: Parser) -> None:
    parser.add_subparsers(dest="verb")


def _takes_a_command(parser: Parser) -> None:
    parser.takes_command = True


@pytest.mark.parametrize(
    "arguments", [_needs_a_value, _takes_a_pipeline, _converts_its_default, _is_set_twice, _has_verbs, _takes_a_command]
)
def test_so_is_a_command_whose_defaults_are_more_than_values(arguments: Callable[[Parser], None]) -> None:
    assert options.read_flags(arguments, []) is None
