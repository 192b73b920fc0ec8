"""What is made or loaded when it is first used: the commit path pays only for the regular expressions it needs."""

from __future__ import annotations

import re
import sys

from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType
    from typing import AnyStr

    def lazy(source: AnyStr, flags: int | re.RegexFlag = 0) -> re.Pattern[AnyStr]:
        """Stands for the class below: it answers like a compiled pattern."""

else:

    class lazy:  # noqa: N801 -- used like a function
        """A pattern that compiles itself on the first use of any of its methods."""

        def __init__(self, source: str | bytes, flags: int = 0) -> None:
            self._source = source
            self._flags = flags

        def __getattr__(self, name: str) -> object:
            # Reached only while the method is not yet in the instance: later calls cost a plain attribute look-up.
            value = getattr(re.compile(self._source, self._flags), name)
            setattr(self, name, value)
            return value


def module(name: str) -> ModuleType:
    """A module by its full name, as `importlib.import_module` has it, which costs as much as three modules."""
    __import__(name)
    return sys.modules[name]


def dates() -> ModuleType:
    """`datetime`, without the second set of its classes that the module of Python 3.11 has, in Python."""
    try:
        return module("_datetime")
    except ImportError:
        return module("datetime")
