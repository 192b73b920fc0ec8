"""What every reader of benchmark results gives: the time of each benchmark by name, and why others have none.

The files are written by other people's tools under the control of what is judged: they may be torn, hostile or absurd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 5_000  # benchmarks
LONGEST_NAME = 500
LARGEST = 16 * 1024 * 1024  # bytes of JSON, what no reader needs left out
_NANOSECONDS = 1e-9
_LARGEST_NUMBER = 1e300


class FormatError(OrchgateError):
    """The file is not what it is said to be. The message goes on from its path: "is empty"."""


class Failed(NamedTuple):
    """Stands for the time of a benchmark that has none."""

    why: str


class Times(NamedTuple):
    """Seconds by benchmark, and for those that cannot be compared why."""

    seconds: dict[str, float]
    failed: dict[str, str]


def gathered(entries: Iterable[tuple[object, object]], *, least: bool = False) -> Times:
    """The times of benchmarks that come as name and seconds. With `least`, the least counts of several.

    Raises FormatError where there is none, or more than MOST.
    """
    seconds: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name, value in entries:
        shown, problem = _name(name)
        problem = problem or _problem(value)
        if problem:
            failed.setdefault(shown, problem)
        elif shown not in seconds:
            seconds[shown] = float(value)  # type: ignore[arg-type]  # _problem has seen to it
        elif least:
            seconds[shown] = min(seconds[shown], float(value))  # type: ignore[arg-type]
        else:
            failed.setdefault(shown, "the name occurs twice")
        if len(seconds) + len(failed) > MOST:
            raise FormatError(f"holds more than {MOST} benchmarks")
    if not seconds and not failed:
        raise FormatError("holds no benchmark")
    return Times({name: value for name, value in seconds.items() if name not in failed}, failed)


def nanoseconds(value: object) -> object:
    """A number of nanoseconds in seconds; anything else as it is, to be refused by its kind."""
    if _is_number(value) and abs(value) <= _LARGEST_NUMBER:  # type: ignore[arg-type]
        return value * _NANOSECONDS  # type: ignore[operator]
    return value


def document(content: bytes, **hooks: Any) -> Any:
    """A JSON document. Raises FormatError."""
    from orchgate.lib import json_data

    if not content.strip():
        raise FormatError("is empty")
    if len(content) > LARGEST:
        raise FormatError(f"is longer than {LARGEST} bytes")
    try:
        return json_data.parse(content.decode("utf-8-sig"), **hooks)
    except UnicodeDecodeError as error:
        raise FormatError("is not UTF-8") from error
    except json_data.TooDeepError as error:
        raise FormatError("is nested too deep") from error
    except ValueError as error:  # not JSON, or an integer of thousands of digits
        raise FormatError(f"is not JSON, or cut off: {str(error)[:100]}") from error


def table(value: object, key: str, what: str) -> Any:
    """An entry of an object. Raises FormatError, which names `what` writes it, where either is not there."""
    if not isinstance(value, dict) or key not in value:
        raise FormatError(f'has no "{key}": it was not written by {what}')
    return value[key]


def _name(name: object) -> tuple[str, str]:
    """A name as it can be told, and what is wrong with it."""
    if not isinstance(name, str):
        return ascii(name)[:80], "the name is not a string"
    if len(name) > LONGEST_NAME:
        return f"{name[:60]}…", f"the name has {len(name)} characters, limit {LONGEST_NAME}"
    if not name.strip() or not name.isprintable():
        return ascii(name)[1:-1], "the name is empty or holds control characters"
    return name, ""


def _problem(value: object) -> str:
    if isinstance(value, Failed):
        return value.why
    if not _is_number(value):
        return f"its time is {_kind(value)}, not a number"
    if not abs(value) <= _LARGEST_NUMBER:  # type: ignore[arg-type]  # NaN and the infinities are not, either
        return f"its time is {str(value)[:40]}"
    return "" if value > 0 else f"its time is {str(value)[:40]}"  # type: ignore[operator]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: object) -> str:
    kinds = {bool: "true or false", str: "a string", list: "an array", dict: "an object"}
    return kinds.get(type(value), "missing")
