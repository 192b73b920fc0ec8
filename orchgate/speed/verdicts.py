"""What is kept of a question: how it was answered, the raw pairs, and how much of the error budgets is spent.

The same question asked again goes on where it stopped. Its budgets are split over the sittings: 2/3 for the first, then
2/9, 2/27 and so on, which is never more than all of it, however often somebody pushes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.model import Severity
from orchgate.verdict.values import Pair, Sitting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VERSION = 3  # of the rule as well: what was judged by another one is judged again
_FIRST_SHARE = 2 / 3
_LONGEST = 16 << 20  # bytes of an entry once it is unpacked


class Key(NamedTuple):
    """What a judgement is about: two trees, a digest of everything that was asked of them, and the kind of machine."""

    base: str
    head: str
    asked: str
    machine: str


class Said(NamedTuple):
    """One finding as it was said."""

    rule: str
    message: str
    hint: str
    severity: Severity


class Ran(NamedTuple):
    """How long a run of a tree took, in seconds; `at_least`: it was not over by then. `at` is an ISO 8601 time."""

    tree: str
    seconds: float
    at_least: bool = False
    at: str = ""


class Entry(NamedTuple):
    """What is kept of one question, judged `at` an ISO 8601 time; "" for never.

    `conclusive`: asking again would bring nothing new, and `said` is the answer, from `judged` pairs. `pairs` are
    those of all `sittings`, to be gone on with; `spent` counts the shares that were handed out, also to pushes that are
    still measuring.
    """

    at: str = ""
    conclusive: bool = False
    judged: int = 0
    said: tuple[Said, ...] = ()
    pairs: tuple[Pair, ...] = ()
    sittings: tuple[Sitting, ...] = ()
    spent: int = 0

    def follows(self, other: Entry) -> bool:
        """Whether this is what other pushes may have made of an entry. An older one that somebody put back is not."""
        return self.spent >= other.spent and self.pairs[: len(other.pairs)] == other.pairs


def share(spent: int) -> float:
    """The fraction of the error budgets for the sitting after so many. All of them add up to 1."""
    return float(_FIRST_SHARE * (1 - _FIRST_SHARE) ** spent)


def encoded(entry: Entry) -> bytes:
    import json
    import zlib

    said = [{**one._asdict(), "severity": one.severity.value} for one in entry.said]
    pairs = [[dict(one.base), dict(one.head), one.head_first, *map(dict, one[3:])] for one in entry.pairs]
    told = {"version": VERSION, **entry._asdict(), "said": said, "pairs": pairs}
    # zlib rather than a denser packing: a hook imports it anyway, and samples shrink to a fifth.
    return zlib.compress(json.dumps(told, separators=(",", ":")).encode("ascii"))


def decoded(data: bytes | None) -> Entry | None:
    """An entry as it was encoded; None for anything else, such as one of another version."""
    import json
    import zlib

    if data is None:
        return None
    try:
        return _built(json.loads(zlib.decompressobj().decompress(data, _LONGEST)))
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _built(told: Mapping[str, Any]) -> Entry:
    """Raises ValueError, TypeError, KeyError, AttributeError."""
    counts = told["judged"], told["spent"]
    if told["version"] != VERSION or not all(isinstance(one, int) for one in counts):
        raise ValueError
    said = tuple(
        Said(str(one["rule"]), str(one["message"]), str(one["hint"]), Severity(one["severity"])) for one in told["said"]
    )
    pairs = tuple(_pair(*one) for one in told["pairs"])
    sittings = tuple(Sitting(int(begun), int(planned), float(of)) for begun, planned, of in told["sittings"])
    return Entry(str(told["at"]), told["conclusive"] is True, counts[0], said, pairs, sittings, counts[1])


def _pair(base: Mapping[str, float], head: Mapping[str, float], head_first: bool, *reasons: Mapping[str, str]) -> Pair:
    sides = [{str(name): _rounded(float(value)) for name, value in side.items()} for side in (base, head)]
    rest = [{str(name): str(why) for name, why in side.items()} for side in reasons]
    return Pair(sides[0], sides[1], head_first is True, *rest)


def _rounded(value: float) -> float:
    """A value to nine digits, which no clock has; counts are exact."""
    return value if value.is_integer() else float(f"{value:.9g}")


def plain(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Pairs as they are when they are read again."""
    return tuple(_pair(*pair) for pair in pairs)


def digest(parts: Iterable[object]) -> str:
    """SHA-256, in hex, of values whose `ascii` says all there is to say about them."""
    import hashlib

    return hashlib.sha256("\0".join(map(ascii, parts)).encode("ascii")).hexdigest()
