"""Values that cost little to declare. Half a million instructions go into each NamedTuple class, on every commit."""

from __future__ import annotations

from typing import dataclass_transform


@dataclass_transform(frozen_default=True)
class Light:
    """A value whose annotated names are its fields, given by place or by name; type checkers hold callers to them."""

    _names: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        cls._names = tuple(cls.__annotations__)

    def __init__(self, *args: object, **named: object) -> None:
        self.__dict__.update(zip(self._names, args, strict=False), **named)
