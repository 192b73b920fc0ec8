"""Options that several commands have, how their values are read, and command lines that need no parser."""

from __future__ import annotations

import os
from types import SimpleNamespace

from orchgate.errors import UsageError
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from typing import Any


class Renamed(NamedTuple):
    """An option under its old name: what it is called now, and how an old value is written today."""

    name: str
    value: Callable[[str], str] | None = None
    silent: bool = False


_KNOWN = {"choices", "metavar", "help", "nargs"}


class NotOnlyFlagsError(Exception):
    """Something that argparse has to read."""


class Flags:
    """Takes a command's declarations, as a parser does. Any that it cannot answer for raises NotOnlyFlagsError."""

    def __init__(self) -> None:
        self.old_names: Mapping[str, Renamed] = {}  # words for argparse to read
        self.named: dict[str, str] = {}  # the option of each word
        self.first = ""  # the option of the first other word,
        self.choices: tuple[str, ...] = ()  # which is one of these
        self.others = ""  # the option of all other words
        self.values: dict[str, object] = {}

    def add_argument(
        self,
        *names: str,
        action: str = "store",
        default: object = None,
        type: object = None,  # noqa: A002 -- as argparse calls it
        **more: object,
    ) -> None:
        """What is not given has its default, which argparse would convert where it is a text."""
        words = [name for name in names if name.startswith("--")]
        if action not in ("store", "store_true", "append") or not more.keys() <= _KNOWN:
            raise NotOnlyFlagsError
        if type is not None and isinstance(default, str):
            raise NotOnlyFlagsError
        if words:
            dest = words[0][2:].replace("-", "_")
        elif more.get("nargs") == "*" and not default:
            self.others, default = names[0], []
            dest = self.others
        elif "choices" in more and not more.get("nargs") and not self.first and not self.others:
            dest = self.first = names[0]
            self.choices = tuple(more["choices"])  # type: ignore[arg-type]
        else:
            raise NotOnlyFlagsError
        if action == "store_true":
            self.named |= dict.fromkeys(names, dest)
            default = False
        self.set_defaults(**{dest: default})

    def set_defaults(self, **values: object) -> None:
        if not self.values.keys().isdisjoint(values):
            raise NotOnlyFlagsError
        self.values |= values

    def __getattr__(self, name: str) -> object:
        raise NotOnlyFlagsError

    def __setattr__(self, name: str, value: object) -> None:
        if name not in ("old_names", "named", "first", "choices", "others", "values"):
            raise NotOnlyFlagsError
        self.__dict__[name] = value


def read_flags(arguments: Callable[..., None], words: list[str]) -> SimpleNamespace | None:
    """What argparse would say of these words; None where it has to be asked."""
    flags = Flags()
    try:
        arguments(flags)
    except NotOnlyFlagsError:
        return None
    given: dict[str, object] = {flags.named[word]: True for word in words if word in flags.named}
    if others := [word for word in words if word not in flags.named]:
        start = words.index(others[0])
        if not flags.others or any(word[:1] == "-" for word in others) or words[start : start + len(others)] != others:
            return None
        given[flags.others] = others
    if flags.first:
        if not others or others[0] not in flags.choices:
            return None
        given |= {flags.first: others[0], flags.others: others[1:]}
    return SimpleNamespace(**flags.values | given)


# Options that several commands have, and how their values are read. Nothing here needs the parser.


NAME_ONE = "name a PIPELINE (`orchgate plan` lists them), or put a command behind --"


def measured(parser: Any, without: str) -> None:
    """What is run: `PIPELINE`, or `-- CMD` with whatever options CMD has. The parser is ours, or what stands for it."""
    parser.takes_command = True
    what = f"a pipeline ({without}), or a command behind --"
    parser.add_argument("pipeline", nargs="?", default="", metavar="PIPELINE | -- CMD", help=what)


def output_format(parser: argparse.ArgumentParser, *schemas: str, about: str = "(%(default)s)") -> None:
    """The option of every command that prints one thing for people and for programs; its JSON keeps these schemas."""
    parser.add_argument("--output-format", choices=("text", "json"), default="text", help=about)
    parser.set_defaults(schemas=schemas)


def output_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command whose verdict others read: in CI, on GitHub, on GitLab."""
    from orchgate import registry

    formats = registry.plugins("outputs")
    parser.add_argument(
        "--output-format", choices=formats, default="text", metavar="FORMAT", help=f"{', '.join(formats)} (%(default)s)"
    )
    what = "also write the report to PATH; may be given again, for another path"
    parser.add_argument("--output-file", type=_target, action="append", default=[], metavar="FORMAT=PATH", help=what)


def _target(text: str) -> Any:
    from orchgate.commands.shared.delivery import target

    return target(text)


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """A type for argparse: whole numbers from `least` on."""

    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
        if number < least or (most is not None and number > most):
            from argparse import ArgumentTypeError

            up_to = f" to {most}" if most is not None else " on"
            raise ArgumentTypeError(f"expected a whole number from {least}{up_to}, not {text[:40]!r}")
        return number

    return read


def scheduler(parser: argparse.ArgumentParser, what: str) -> None:
    """Whose cluster works; from the command line only, for whoever names a scheduler has programs run there."""
    parser.add_argument("--scheduler", default="", metavar="ADDRESS", help=f"{what}: tcp://HOST:PORT, or tls://…")


def refuse_both(args: argparse.Namespace) -> None:
    """Raises UsageError when both a pipeline and a command are named."""
    if args.pipeline and args.command:
        raise UsageError("a pipeline or a command, not both: name a PIPELINE, or put CMD behind --")


def folder(root: str) -> str:
    """The folder, counted from the top of a work tree, in which a command line was typed; "" at the top."""
    inner = os.path.relpath(os.path.realpath(os.getcwd()), os.path.realpath(root))
    return "" if inner == os.curdir or inner.startswith(os.pardir) else inner


# Durations: `30s`, `5m`, `1h30m`; a number alone is seconds.
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
_UNITS = {"h": HOUR, "m": MINUTE, "s": 1.0}
_FORM = lazy(r"(?a)(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def up_to(longest: float) -> Callable[[str], float]:
    """A type for argparse: seconds, more than 0 and at most `longest`."""

    def read(text: str) -> float:
        if not 0 < (seconds := _seconds(text)) <= longest:
            from argparse import ArgumentTypeError

            raise ArgumentTypeError(
                f"expected a time up to {duration_text(longest)}, such as 30s, 5m or 1h30m, not {text[:40]!r}"
            )
        return seconds

    return read


def _seconds(text: str) -> float:
    """0.0 for what is no duration."""
    found = _FORM.fullmatch(text.strip().lower())
    amounts = zip(_UNITS.values(), found.groups() if found else (), strict=False)
    return sum(unit * float(amount) for unit, amount in amounts if amount)


def duration_text(seconds: float) -> str:
    """`1h30m` of 5400.0, as an option takes it; parts of a second only where there is no whole one."""
    left, parts = round(seconds), []
    for letter, unit in _UNITS.items():
        count, left = divmod(left, int(unit))
        parts += [f"{count}{letter}"] if count else []
    return "".join(parts) or f"{seconds:g}s"
