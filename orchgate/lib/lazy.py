"""Regular expressions that are compiled when they are first used: the commit path pays only for those it needs."""

from __future__ import annotations

import re

from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
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
