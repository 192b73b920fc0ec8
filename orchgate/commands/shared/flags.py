"""Command lines of options that take no value, as hooks have them: what these say is known without argparse."""

from __future__ import annotations

from types import SimpleNamespace

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


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
        elif more.get("nargs") == "*" and default is None:
            self.others, default = names[0], []
            dest = self.others
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
        if name not in ("old_names", "named", "others", "values"):
            raise NotOnlyFlagsError
        self.__dict__[name] = value


def read(arguments: Callable[..., None], words: list[str]) -> SimpleNamespace | None:
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
    return SimpleNamespace(**flags.values | given)
