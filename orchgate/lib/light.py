"""Values that cost little to declare.

Half a million instructions and more go into each NamedTuple class, because its annotations are compiled one by one.
`orchgate check --staged` declares dozens on every commit; those with many fields, or many of a kind, are of this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass_transform(frozen_default=True)
class Light:
    """A value whose annotated names are its fields, given by place or by name; type checkers hold callers to them.

    It has what code asks of a NamedTuple, and is equal to another of its class with equal fields. It is no tuple.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _field_defaults: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)
        cls._field_defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}

    def __init__(self, *args: object, **named: object) -> None:
        self.__dict__.update(self._field_defaults)
        self.__dict__.update(zip(self._fields, args, strict=False), **named)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.__dict__.values())

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def _replace(self, **changes: object) -> Self:
        return type(self)(**{**self.__dict__, **changes})

    def _asdict(self) -> dict[str, Any]:
        return dict(self.__dict__)
