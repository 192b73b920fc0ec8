"""Names of `typing`, `enum`, `contextlib` and `functools` that nearly every module needs, at a price all can pay.

`typing.NamedTuple` compiles each annotation of a class, and a constructor, when the class is declared: 1.5 million
instructions; an Enum takes half a million. `orchgate check --staged` declares a hundred classes and makes values of
few. `contextlib` declares eighteen classes, of which a commit needs one. A `cached_property` of Python 3.11 takes a
lock each time, though no two threads ask for one. Type checkers see the originals; here is what our code asks of them
when it runs.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from contextlib import contextmanager as contextmanager  # noqa: PLC0414 -- others take these from here
    from contextlib import suppress as suppress  # noqa: PLC0414
    from enum import Enum as Enum  # noqa: PLC0414
    from functools import cached_property as cached_property  # noqa: PLC0414
    from typing import NamedTuple as NamedTuple  # noqa: PLC0414
    from typing import Protocol as Protocol  # noqa: PLC0414
    from typing import dataclass_transform as dataclass_transform  # noqa: PLC0414
else:
    Protocol = object

    def dataclass_transform(**_):
        return lambda cls: cls

    from functools import wraps

    try:
        from _collections import _tuplegetter as field  # the fastest one, which `collections.namedtuple` takes, too
    except ImportError:
        from operator import itemgetter

        def field(position, doc):
            return property(itemgetter(position), doc=doc)

    class cached_property:  # noqa: N801 -- as `functools` has it
        """A property that is worked out once, and kept in its instance."""

        def __init__(self, find):
            self._find = find
            self.__doc__ = find.__doc__

        def __set_name__(self, owner, name):
            self._name = name

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            found = instance.__dict__[self._name] = self._find(instance)
            return found

    new = tuple.__new__
    FIELDS = [field(position, None) for position in range(24)]
    OFTEN = 32  # values of a class, after which a compiled constructor has paid for itself
    calls = {}

    class NamedTupleType(type):
        """What a class statement with annotated names becomes."""

        def __new__(cls, name, bases, names):
            if bases and bases[0].__base__ is tuple:
                fields = tuple(names.get("__annotations__", ()))
                if len(fields) > len(FIELDS):
                    FIELDS.extend(field(position, None) for position in range(len(FIELDS), len(fields)))
                defaults = {one: names[one] for one in fields if one in names}
                names.update(zip(fields, FIELDS, strict=False))
                names.update(_fields=fields, _field_defaults=defaults, __match_args__=fields)
                names["_last"] = (*defaults.values(),)  # of those that have a default
            # What a `cached_property` works out is kept beside the fields, and is no part of the value.
            if cached_property not in map(type, names.values()):
                names["__slots__"] = ()
            return super().__new__(cls, name, bases, names)

    class NamedTuple(tuple, metaclass=NamedTupleType):
        """A tuple whose annotated names are its fields, given by place or by name."""

        __slots__ = ()

        def __new__(cls, /, *values, **named):
            calls[cls] = count = calls.get(cls, 0) + 1
            if count == OFTEN:
                cls.__new__ = staticmethod(constructor(cls))
            missing = len(cls._fields) - len(values)
            if named or not 0 <= missing <= len(cls._last):
                values = arranged(cls, values, named)
            elif missing:
                values += cls._last[-missing:]
            return new(cls, values)

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _replace(self, **changes):
            made = new(type(self), map(changes.pop, self._fields, self))
            if changes:
                raise ValueError(f"{type(self).__name__} has no field {', '.join(changes)}")
            return made

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

        def __getnewargs__(self):
            return tuple(self)

    def arranged(cls, values, named):
        """The values of all fields in order. Raises TypeError as a call of any function does."""
        rest = cls._fields[len(values) :]
        given = cls._field_defaults | named
        if len(values) > len(cls._fields) or not named.keys() <= set(rest) <= given.keys():
            return constructor(cls)(cls, *values, **named)  # says what is wrong
        return (*values, *map(given.__getitem__, rest))

    def constructor(cls):
        """What does the same at once, as `typing` has it."""
        names = ", ".join(cls._fields)
        # Names of a class of ours, none of which begins like these two.
        made = eval(f"lambda _cls, {names}: _new(_cls, ({names},))", {"_new": new})  # noqa: S307
        made.__defaults__ = (*cls._field_defaults.values(),)
        return made

    class suppress:  # noqa: N801 -- used like a function
        """Ends a block at an error of some kinds, as if nothing had been the matter."""

        def __init__(self, *kinds):
            self.kinds = kinds

        def __enter__(self):
            return None

        def __exit__(self, kind, error, trace):
            return kind is not None and issubclass(kind, self.kinds)

    def contextmanager(function):
        """That of `contextlib`, loaded by the first call of any function that it decorates."""

        @wraps(function)
        def managed(*values, **named):
            from contextlib import contextmanager

            return contextmanager(function)(*values, **named)

        return managed

    class Members(type):
        """What the names of a closed set become: its members, each of them once."""

        def __new__(cls, name, bases, names):
            values = {one: value for one, value in names.items() if one[0] != "_" and not hasattr(value, "__get__")}
            made = super().__new__(cls, name, bases, {one: names[one] for one in names if one not in values})
            made.by_value = {}
            for one, value in values.items():
                member = object.__new__(made)
                member.__dict__.update(name=one, value=value)
                made.by_value[value] = member
                type.__setattr__(made, one, member)
            return made

        def __call__(cls, value):
            try:
                return cls.by_value[value]
            except (KeyError, TypeError):
                raise ValueError(f"{value!r} is not a valid {cls.__name__}") from None

        def __iter__(cls):
            return iter(cls.by_value.values())

        def __reversed__(cls):
            return reversed(cls.by_value.values())

        def __len__(cls):
            return len(cls.by_value)

        def __contains__(cls, member):
            return isinstance(member, cls)

    class Enum(metaclass=Members):
        """A closed set: its members are its class's names, each with a value of its own."""

        def __setattr__(self, name, value):
            raise AttributeError(f"{self} does not change: {name}")

        def __reduce__(self):
            return type(self), (self.value,)

        def __str__(self):
            return f"{type(self).__name__}.{self.name}"

        def __repr__(self):
            return f"<{self}: {self.value!r}>"
