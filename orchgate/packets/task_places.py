"""Where the tasks of a list are in its text, and what is between the first and the last difference of two lists."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.packets.tasks import Places, TaskEntry, entry_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_DEEPEST = 400  # levels of one task; deeper ones are left to who reads the whole list
_BLOCK = 1 << 14


class TaskListDifference(NamedTuple):
    """Tasks `first` to `last` of the earlier list, which are `before`, are `after` in the later one, at `places`."""

    first: int
    last: int
    before: Sequence[Mapping[str, object]]
    after: Sequence[Mapping[str, object]]
    places: Places

    def changed(self) -> Iterator[TaskEntry]:
        """The tasks that are not the same as before, by names."""
        old = {entry_of(raw).names: raw for raw in self.before}
        tasks = (entry_of(raw, self.first + at) for at, raw in enumerate(self.after))
        return (task for task in tasks if old.get(task.names) != task.raw)


def difference(places: Places, before: bytes, after: bytes) -> TaskListDifference | None:
    """What is between the first and the last difference of two lists, of which the earlier one's places are known.

    The earlier one is a list: so is what has other tasks between its first and its last than it, and else its text.
    """
    starts, ends = places
    same = _common(before, after)
    first = bisect_right(starts, same) - 1
    end = len(before) - _common_end(before, after, min(len(before), len(after)) - same)
    last = max(bisect_left(ends, end), first)
    if first < 0 or last == len(ends):
        return None
    shift = len(after) - len(before)
    start, old = starts[first], before[starts[first] : ends[last]]
    new = after[start : ends[last] + shift]
    parsed, spans = _tasks_in(new), _spans(new)
    was = _tasks_in(old)
    if parsed is None or was is None or len(spans[0]) != len(parsed):
        return None
    moved = (
        _moved(one, first, last, [at + start for at in new], shift) for one, new in zip(places, spans, strict=True)
    )
    return TaskListDifference(first, last, was, parsed, Places(*moved))


def _moved(places: array[int], first: int, last: int, new: list[int], shift: int) -> array[int]:
    """Places in a text, of which those from `first` to `last` are others and all after them are shifted."""
    return places[:first] + array("I", new) + array("I", [at + shift for at in places[last + 1 :]])


def _tasks_in(text: bytes) -> list[dict[str, object]] | None:
    """The objects that a text lists, one at least; None for anything else."""
    from orchgate.lib import json_data

    try:
        found = json_data.parse(f"[{text.decode('utf-8')}]")
    except ValueError:
        return None
    simple = isinstance(found, list) and found and all(isinstance(one, dict) for one in found)
    return found if simple and not json_data.deeper_than(found, _DEEPEST) else None


def _spans(text: bytes, start: int = 0) -> tuple[list[int], list[int]]:
    """Where each of several values begins and ends, up to what is none."""
    import json

    decoder, letters = json.JSONDecoder(), text.decode("latin-1")  # a letter is a byte, and marks of JSON are both
    starts, ends, at = [], [], start
    try:
        while True:
            while letters[at : at + 1] in (" ", "\t", "\n", "\r", ","):
                at += 1
            _, end = decoder.raw_decode(letters, at)
            starts.append(at)
            ends.append(end)
            at = end
    except (ValueError, RecursionError):
        return starts, ends


def places_in(content: bytes, count: int) -> Places | None:
    """Where the tasks of a list are in its text, which lists none without what is there. None where that is unclear."""
    import re

    from orchgate.lib import json_data

    for match in re.finditer(rb'"items"\s*:\s*\[|\A(?:\xef\xbb\xbf)?\s*\[', content) if count else ():
        starts, ends = _spans(content, match.end())
        if len(starts) != count:
            continue
        without = content[: starts[0]] + content[ends[-1] :]
        try:
            left = json_data.parse(without.decode("utf-8").removeprefix("\ufeff"))
        except ValueError:
            continue
        if (left.get("items") if isinstance(left, dict) else left) == []:
            return Places(array("I", starts), array("I", ends))
    return None


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two texts begin with alike."""
    most, at = min(len(one), len(other)), 0
    while at < most and one[at : at + _BLOCK] == other[at : at + _BLOCK]:
        at += _BLOCK
    low, high = min(at, most), min(at + _BLOCK, most)
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_end(one: bytes, other: bytes, most: int) -> int:
    """How many bytes two texts end with alike, `most` at most."""
    size = 0
    while size < most and _ends(one, size, _BLOCK) == _ends(other, size, _BLOCK):
        size += _BLOCK
    low, high = min(size, most), min(size + _BLOCK, most)
    while low < high:
        middle = (low + high + 1) // 2
        if _ends(one, low, middle - low) == _ends(other, low, middle - low):
            low = middle
        else:
            high = middle - 1
    return low


def _ends(text: bytes, size: int, more: int) -> bytes:
    end = len(text) - size
    return text[max(end - more, 0) : end]
