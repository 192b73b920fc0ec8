"""The task list as an earlier commit read it: the few tasks that a change concerns are found without parsing all.

What is kept of a list is a line of text for each task, by the id of the list's blob. Of a list that differs from a
known one only between two of its tasks, only what is between is parsed: the rest is the same text in the same place.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import chain

from orchgate.git.objects import is_blob
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property
from orchgate.packets.tasks import MAX_BYTES, TaskEntry, entry_of, line_of, read_task_list

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from orchgate.git.snapshot import Snapshot
    from orchgate.lib.cache import Cache
    from orchgate.packets.tasks import TaskList

_LINES, _PLACES, _LATEST = "tasks", "task-places", "latest-tasks"
_FILES = ("100644", "100755")
_DEEPEST = 400  # levels of one task; deeper ones are left to who reads the whole list
_BLOCK = 1 << 14


class KeptTasks:
    """Answers as the `TaskList` of its file; that is parsed where all of it is asked for."""

    def __init__(self, path: str, tree: Snapshot, lines: bytes) -> None:
        self.path = path
        self.lines = lines
        self.tree = tree

    @cached_property
    def content(self) -> bytes:
        return self.tree.read(self.path, MAX_BYTES)

    @cached_property
    def whole(self) -> TaskList:
        return read_task_list(self.path, self.content)

    @property
    def text(self) -> str:
        return self.whole.text

    @property
    def items(self) -> tuple[TaskEntry, ...]:
        return self.whole.items

    @property
    def lists_any(self) -> bool:
        return bool(self.lines)

    @property
    def oid(self) -> str:
        return self.tree.entries[self.path].oid

    def line_of(self, value: str) -> int:
        """As that of the `TaskList`."""
        return line_of(self.content.decode("utf-8"), value)

    def mentioning(self, words: Collection[str]) -> list[TaskEntry]:
        """The tasks with one of the words in their names or paths, in the list's order; without their `raw`."""
        if not all(words):
            return self.whole.mentioning(words)
        starts = {start for word in words for start in self._found(_written(word))}
        return [task for task in map(self._task, sorted(starts)) if task.mentions(words)]

    def _found(self, word: bytes) -> Iterator[int]:
        """Where lines begin that contain a word."""
        at = self.lines.find(word)
        while at >= 0:
            yield self.lines.rfind(b"\n", 0, at) + 1
            at = self.lines.find(word, self.lines.index(b"\n", at))

    def numbered(self, number: int) -> TaskEntry:
        """A task by its number, without its `raw`."""
        return self._task(self._starts[number])

    def all(self) -> list[TaskEntry]:
        """Every task, without their `raw`."""
        return [_task_of(line, number) for number, line in enumerate(self.lines.split(b"\n")[:-1])]

    def _task(self, start: int) -> TaskEntry:
        line = self.lines[start : self.lines.index(b"\n", start)]
        return _task_of(line, bisect_left(self._starts, start))

    @cached_property
    def _starts(self) -> list[int]:
        """Where each task's line begins."""
        starts, at = [], 0
        while at < len(self.lines):
            starts.append(at)
            at = self.lines.index(b"\n", at) + 1
        return starts


def of(path: str, tree: Snapshot) -> KeptTasks | None:
    """The list of a tree that has one; None where nothing of it can be kept. Raises Unreadable."""
    entry, kept = tree.entries[path], tree.cache
    if kept is None or entry.mode not in _FILES:
        return None
    key = entry.oid.encode("ascii")
    lines = kept.shared(_LINES, key)
    if lines is None:
        content = tree.read(path, MAX_BYTES)
        if not is_blob(content, entry.oid):  # it is kept elsewhere: what is here may be gone tomorrow
            return None
        lines = _derived(kept, tree, content, key)
        if lines is None:
            lines = _kept(kept, key, content, read_task_list(path, content).items)
    return KeptTasks(path, tree, lines)


def _kept(kept: Cache, key: bytes, content: bytes, tasks: Sequence[TaskEntry]) -> bytes:
    """The lines of a list that was parsed, which are kept, and where in its text each task is."""
    lines = b"".join(map(_line, tasks))
    places = _places_in(content, len(tasks)) if len({task.names for task in tasks}) == len(tasks) else None
    _write(kept, key, lines, places)
    return lines


def _write(kept: Cache, key: bytes, lines: bytes, places: _Places | None) -> None:
    kept.write(_LINES, key, lines)
    if places is not None:
        kept.write(_PLACES, key, places.starts.tobytes() + places.ends.tobytes())
        kept.write(_LATEST, b"", key)


def _written(text: str) -> bytes:
    """A text as it is in a line: what parts fields and lines is marked."""
    marked = text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return marked.encode("utf-8", "surrogatepass")


def _read(written: str) -> str:
    if "\\" not in written:
        return written
    return "\\".join(part.replace("\\t", "\t").replace("\\n", "\n") for part in written.split("\\\\"))


def _line(task: TaskEntry) -> bytes:
    values = (task.id, task.slug, task.title, task.status, "x" * task.completed, *chain.from_iterable(task.paths))
    return b"\t".join(map(_written, values)) + b"\n"


def _task_of(line: bytes, number: int) -> TaskEntry:
    fields = map(_read, line.decode("utf-8", "surrogatepass").split("\t"))
    name, slug, title, status, completed, *paths = fields
    return TaskEntry(
        name, slug, title, status, bool(completed), tuple(zip(paths[::2], paths[1::2], strict=True)), {}, number
    )


# -- Of a list that differs from a known one ----------------------------------------------------------


class _Places(NamedTuple):
    """Where the tasks of a list begin and end in its bytes."""

    starts: array[int]
    ends: array[int]


class _Difference(NamedTuple):
    """Tasks `first` to `last` of the earlier list, which are `before`, are `after` in the later one, at `places`."""

    first: int
    last: int
    before: Sequence[Mapping[str, object]]
    after: Sequence[Mapping[str, object]]
    places: _Places


def _derived(kept: Cache, tree: Snapshot, content: bytes, key: bytes) -> bytes | None:
    """The lines of a list from those of the latest known one; None where that does not help."""
    latest = kept.read(_LATEST, b"") or b""
    lines = kept.read(_LINES, latest) if latest else None
    earlier = tree.blob(latest.decode("ascii"), MAX_BYTES) if lines else None
    found = _difference(kept, latest, earlier, content) if earlier is not None else None
    if lines is None or found is None:
        return None
    rows = [line + b"\n" for line in lines.split(b"\n")[:-1]]  # a title may hold other ends of lines
    new = [entry_of(raw) for raw in found.after]
    others = KeptTasks("", tree, b"".join((*rows[: found.first], *rows[found.last + 1 :])))
    if not _is_unique(new, others):
        return None
    rows[found.first : found.last + 1] = map(_line, new)
    made = b"".join(rows)
    _write(kept, key, made, found.places)
    return made


def _is_unique(tasks: Sequence[TaskEntry], others: KeptTasks) -> bool:
    """Whether no two of the tasks, and none of the others, have the same names."""
    names = {task.names for task in tasks}
    if len(names) < len(tasks) or any(not one or "\n" in one[-1] for one in names):
        return False
    return all(other.names != one for one in names for other in others.mentioning(one[-1:]))


def changed(now: KeptTasks, before: KeptTasks) -> list[TaskEntry] | None:
    """The tasks that are not the same in the list before; None where only both whole lists tell."""
    kept = now.tree.cache
    if kept is None or _read_places(kept, now.oid.encode("ascii")) is None:
        return None
    found = _difference(kept, before.oid.encode("ascii"), before.content, now.content)
    if found is None:
        return None
    old = {entry_of(raw).names: raw for raw in found.before}
    tasks = [entry_of(raw, found.first + at) for at, raw in enumerate(found.after)]
    return [task for task in tasks if old.get(task.names) != task.raw]


def _read_places(kept: Cache, key: bytes) -> _Places | None:
    data = kept.read(_PLACES, key)
    if data is None:
        return None
    half = len(data) // 2
    return _Places(array("Q", data[:half]), array("Q", data[half:]))


def _difference(kept: Cache, key: bytes, before: bytes, after: bytes) -> _Difference | None:
    """What is between the first and the last difference of two lists, of which the earlier one is kept by a key.

    The earlier one is a list: so is what has other tasks between its first and its last than it, and else its text.
    """
    places = _read_places(kept, key)
    if places is None:
        return None
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
    moved = _Places(
        array("Q", [*starts[:first], *(at + start for at in spans[0]), *(at + shift for at in starts[last + 1 :])]),
        array("Q", [*ends[:first], *(at + start for at in spans[1]), *(at + shift for at in ends[last + 1 :])]),
    )
    return _Difference(first, last, was, parsed, moved)


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


def _places_in(content: bytes, count: int) -> _Places | None:
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
            return _Places(array("Q", starts), array("Q", ends))
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
