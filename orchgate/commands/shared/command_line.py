"""Command lines: a parser that answers in our own words, verbs, and what stands below every `--help`."""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Mapping

from orchgate.errors import UsageError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType
    from typing import Any, NoReturn

    from orchgate.commands.shared.options import Renamed
    from orchgate.model import Verdict

# One table for all commands; those that mean something else by a code say so in their own EXIT_CODES.
EXIT_CODES = {
    0: "passed, also with warnings; done",
    1: "refused, failed, or something would change",
    2: "wrong usage or configuration",
    3: "could not check, or not decided",
    4: "internal error",
    130: "interrupted",
}
WIDTH = 80  # of a terminal that nobody has made wider


class Formatter(argparse.RawDescriptionHelpFormatter):
    """argparse makes one for each option, and asks shutil for the width, whose import costs a commit 4 %."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns() - 2)


def columns() -> int:
    """As `shutil.get_terminal_size` has it."""
    with contextlib.suppress(ValueError):
        if (columns := int(os.environ.get("COLUMNS", "0"))) > 0:
            return columns
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


class Parser(argparse.ArgumentParser):
    """What it refuses is a UsageError. Where `takes_command` is set, all behind a `--` goes to `command`, a tuple."""

    takes_command = False
    refused: type[UsageError] = UsageError

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": Formatter, **options})
        self.old_names: dict[str, Renamed] = {}
        self.module: ModuleType | Verb | None = None  # whose texts --help shows
        self.later: Callable[[], ModuleType | Verb] | None = None  # what describes it, once somebody asks

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        self.complete()
        given = list(args or ())
        end = given.index("--") if "--" in given else len(given)
        words = list(self._current(given[:end]))
        if not self.takes_command:  # argparse itself forgets where a `--` stood
            found, rest = super().parse_known_args(words + given[end:], namespace)
        else:
            found, rest = super().parse_known_args(words, namespace)
            found.command = tuple(given[end + 1 :])
            if end < len(given) and not found.command:
                self.error("-- is followed by no command")
        if rest:
            self.unknown(rest[0])
        return found, rest

    def _current(self, words: Sequence[str]) -> Iterator[str]:
        """The words with old names of options replaced; each that is not silent gives a warning."""
        waiting: Renamed | None = None
        for word in words:
            name, equals, value = word.partition("=")
            if waiting is not None:
                yield waiting.value(word) if waiting.value else word
                waiting = None
            elif (known := self.old_names.get(name)) is not None:
                if not known.silent:
                    warn(f"{name} is called {known.name} now; the old name goes away in the next minor version")
                yield known.name + (equals + (known.value(value) if known.value else value) if equals else "")
                waiting = known if known.value and not equals else None
            else:
                yield word

    def complete(self) -> None:
        """Describes a parser that was only announced."""
        if self.later is not None:
            load, self.later = self.later, None
            describe(self, load())

    def format_help(self) -> str:
        if self.module is not None:
            import textwrap

            texts = (self.module.SUMMARY, self.module.ABOUT)
            filled = [textwrap.fill(one, WIDTH, break_on_hyphens=False, break_long_words=False) for one in texts]
            self.description = "\n\n".join(filled)
            examples = "\n".join(f"  {example}" for example in self.module.EXAMPLES)
            codes = "\n".join(code_lines(codes_of(self.module)))
            self.epilog = f"examples:\n{examples}\n\nexit codes:\n{codes}"
        return super().format_help()

    def unknown(self, word: str) -> NoReturn:
        """Raises for a word that is no part of this command line."""
        name = word.partition("=")[0]
        if not name.startswith("-"):
            raise self.refused(f"unexpected argument {word}", f"{self.prog} --help")
        import difflib

        near = difflib.get_close_matches(name, [*self._option_string_actions, *self.old_names], n=1, cutoff=0.6)
        meant = [self.old_names[one].name if one in self.old_names else one for one in near]
        also = f"; did you mean {meant[0]}?" if meant else ""
        raise self.refused(f"unknown option {name}{also}", f"{self.prog} --help")

    def error(self, message: str) -> NoReturn:
        """Argparse's own complaints, without its usage."""
        raise self.refused(message.removeprefix("argument "), f"{self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse does it, and names the likeliest choice."""
        if action.choices is None or value in action.choices:
            return
        from orchgate import registry

        what = f"{action.option_strings[-1]}: unknown value" if action.option_strings else f"unknown {action.dest}"
        raise self.refused(f"{what} {value}; {registry.nearest(str(value), action.choices)}", f"{self.prog} --help")


def warn(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"orchgate: {line}\n")


class HookParser(Parser):
    """Passes on what is not ours, in its order: a remote may be called `-x`."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        ours: list[str] = []
        of_git: list[str] = []
        words = iter(args or ())
        for word in words:
            if word.partition("=")[0] in self._option_string_actions:
                ours += [word, *([next(words, "")] if word == "--max-per-rule" else [])]
            else:
                of_git.append(word)
        if of_git and of_git[0].startswith("-"):
            self.unknown(of_git[0])
        found, rest = super().parse_known_args([*ours, *of_git[:1]], namespace)
        found.args = [word for word in of_git[1:] if word != "--"]
        return found, rest


def parser_of(module: ModuleType, prog: str) -> Parser:
    """The parser of a command, which describes itself to it later."""
    return (HookParser if hasattr(module, "WORDS_OF_GIT") else Parser)(prog=prog)


def describe(parser: Parser, module: ModuleType | Verb) -> None:
    """Gives a parser its arguments and its texts: what a command does, by default too, examples, and exit codes.

    A command says SUMMARY, ABOUT, EXAMPLES, and EXIT_CODES where its codes mean more than the table says.
    """
    parser.module = module
    module.arguments(parser)


def codes_of(module: ModuleType | Verb) -> Mapping[int, str]:
    """What each exit code of a command means."""
    own: Mapping[int, str] = getattr(module, "EXIT_CODES", {})
    return own if getattr(module, "ONLY_OWN_CODES", False) else {**EXIT_CODES, **own}


class Verb(NamedTuple):
    """A verb that is no module of its own, described as one."""

    SUMMARY: str
    ABOUT: str
    EXAMPLES: tuple[str, ...]
    arguments: Callable[[Parser], None] = lambda _: None
    EXIT_CODES: Mapping[int, str] = {}


def add_verbs(
    parser: argparse.ArgumentParser,
    verbs: Mapping[str, ModuleType | Verb] | Sequence[str],
    *,
    package: str = "",
    own: Mapping[str, ModuleType | Verb] | None = None,
    required: bool = True,
) -> None:
    """The verbs of a command, each described as a command is.

    Those that are only named are files of the package, of which one is imported when it is asked for.
    """
    from orchgate import registry

    listed = parser.add_subparsers(dest="verb", metavar="VERB", required=required, parser_class=Parser)
    known = verbs if isinstance(verbs, Mapping) else own or {}
    for name in verbs:
        if name in known:
            describe(listed.add_parser(name, help=known[name].SUMMARY), known[name])
        else:
            module = f"{package}.{name}"
            announced = listed.add_parser(name, help=registry.summary(module))
            announced.later = functools.partial(importlib.import_module, module)


def run_verb(package: str, args: argparse.Namespace) -> Verdict | int:
    result: Verdict | int = importlib.import_module(f"{package}.{args.verb}").run(args)
    return result


def code_lines(codes: Mapping[int, str]) -> Iterator[str]:
    """One for each code, broken where it is too long for a terminal."""
    for code, meaning in sorted(codes.items()):
        line = f"  {code:<4} {meaning}"
        if len(line) > WIDTH:
            import textwrap

            line = textwrap.fill(line, WIDTH, subsequent_indent=" " * 7, break_on_hyphens=False)
        yield line
