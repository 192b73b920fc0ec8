"""The task list, `tasks/index.json`: which tasks there are, and their status."""

from __future__ import annotations

import re

from orchgate.errors import Unreadable
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.markdown.parts import is_markdown

if TYPE_CHECKING:
    from array import array
    from collections.abc import Collection, Iterator, Mapping

MAX_BYTES = 16 * 1024 * 1024
_DATED = lazy(r"\d{8}-(?=.)")
_SEPARATORS = lazy(r"[\s_-]+")


class TaskEntry(NamedTuple):
    """One task. `status` is normalised, "" for none; `paths` are its documents as (dotted key, path).

    `number` is its place in the list.
    """

    id: str
    slug: str
    title: str
    status: str
    completed: bool
    paths: tuple[tuple[str, str], ...]
    raw: Mapping[str, object]
    number: int = -1

    @property
    def names(self) -> tuple[str, ...]:
        """Names that the task may have, the likeliest first; a date at the start of the id is not part of any."""
        whole = _DATED.sub("", self.id, count=1)
        joined = f"{self.id}-{self.slug}" if self.id and self.slug else ""
        return tuple(dict.fromkeys(name for name in (joined, self.slug, whole, self.id) if name))

    def mentions(self, words: Collection[str]) -> bool:
        """Whether one of the words is in its names or paths."""
        text = "\n".join((self.id, self.slug, *(path for _, path in self.paths)))
        return any(word in text for word in words)


class Places(NamedTuple):
    """Where the tasks of a list begin and end in its bytes; nothing where that is not certain."""

    starts: array[int]
    ends: array[int]


class TaskList(NamedTuple):
    """The list as read from `path`; `text` is kept for line numbers."""

    path: str
    text: str
    items: tuple[TaskEntry, ...]

    @property
    def whole(self) -> TaskList:
        return self

    @property
    def lists_any(self) -> bool:
        return bool(self.items)

    def mentioning(self, words: Collection[str]) -> list[TaskEntry]:
        """The tasks with one of the words in their names or paths."""
        return [item for item in self.items if item.mentions(words)]

    def line_of(self, value: str) -> int:
        """The first line with a string value; 0 when it is spelled in a way that is not found."""
        return line_of(self.text, value)


def line_of(text: str, value: str) -> int:
    """The first line of a text with a string value; 0 when it is spelled in a way that is not found."""
    import json

    for spelling in (json.dumps(value, ensure_ascii=False), json.dumps(value)):
        at = text.find(spelling)
        if at >= 0:
            return text.count("\n", 0, at) + 1
    return 0


def normal_status(value: object) -> str:
    """`In Progress`, `in_progress` and `in-progress` are one status."""
    return _SEPARATORS.sub("-", value.strip().casefold()) if isinstance(value, str) else ""


def read_task_list(path: str, content: bytes) -> TaskList:
    """The tasks of an index file: `{"items": […]}` or a bare list. Raises Unreadable for anything else."""
    text = decode(path, content)
    data = parse(path, text)
    items = data.get("items") if isinstance(data, dict) else data
    if not isinstance(items, list):
        raise Unreadable(path, 'has no list of tasks; expected {"items": […]}')
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise Unreadable(path, f"items[{number}]: expected an object, got {_kind(item)}")
    return TaskList(path, text, tuple(entry_of(item, number) for number, item in enumerate(items)))


def decode(path: str, content: bytes) -> str:
    """The text of an index file. Raises Unreadable."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"is not UTF-8 (byte {error.start})") from error


def parse(path: str, text: str) -> object:
    """The JSON value of an index file, with or without a byte order mark. Raises Unreadable."""
    from orchgate.lib import json_data

    try:
        return json_data.parse(text.removeprefix("\ufeff"))
    except json_data.TooDeepError as error:
        raise Unreadable(path, "is nested too deeply") from error
    except ValueError as error:
        raise Unreadable(path, f"is not valid JSON: {error}") from error


def entry_of(raw: Mapping[str, object], number: int = -1) -> TaskEntry:
    return TaskEntry(
        _text(raw.get("id")),
        _text(raw.get("slug")),
        _text(raw.get("title")),
        normal_status(raw.get("status")),
        bool(raw.get("completed_at")),
        tuple(_paths(raw)),
        raw,
        number,
    )


def _paths(raw: Mapping[str, object]) -> list[tuple[str, str]]:
    """The documents an item names: `path`, `relates_to`, and the values of `paths`."""
    nested = raw.get("paths")
    values = [(key, raw.get(key)) for key in ("path", "relates_to")]
    values += [(f"paths.{key}", value) for key, value in nested.items()] if isinstance(nested, dict) else []
    return [(key, value) for key, value in values if isinstance(value, str) and is_markdown(value)]


def _text(value: object) -> str:
    """Ids are sometimes written as numbers."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _kind(value: object) -> str:
    return {"str": "a string", "list": "an array", "NoneType": "null", "bool": "true or false"}.get(
        type(value).__name__, "a number"
    )


def with_item(path: str, text: str, item: Mapping[str, object]) -> str:
    """The text of an index with one more task at its end and nothing else changed. Raises Unreadable."""
    import json

    data = parse(path, text)
    items = data.get("items") if isinstance(data, dict) else data
    if not isinstance(items, list):
        raise Unreadable(path, 'has no list of tasks; expected {"items": […]}')
    items.append(item)
    changed = _inserted(text, item)
    if changed is None or parse(path, changed) != data:
        changed = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    return changed


def _inserted(text: str, item: Mapping[str, object]) -> str | None:
    """The text with the item before the bracket that closes the list; None when that bracket is not certain."""
    import json

    close = text.rfind("]")
    match = re.search(r'"items"\s*:\s*\[|\A\ufeff?\s*\[', text)
    if match is None or close < match.end() or text[close + 1 :].strip(" \t\r\n}"):
        return None
    newline = "\r\n" if "\r\n" in text else "\n"
    outer = re.match(r"\s*", text[match.end() :])
    assert outer is not None
    empty = not text[match.end() : close].strip()
    own = "    " if empty else outer[0].rpartition("\n")[2]
    one_line = not empty and "\n" not in outer[0]
    step = re.match(rf"\{{\s*?\n{own}([ \t]+)", text[match.end() + outer.end() :])
    dumped = json.dumps(item, ensure_ascii=False, indent=None if one_line else (step[1] if step else "  "))
    if one_line:
        return text[:close].rstrip() + ", " + dumped + text[close:]
    dumped = dumped.replace("\n", newline + own)
    head = text[: match.end()] if empty else text[:close].rstrip() + ","
    tail = newline + own[: len(own) // 2] if empty else text[len(text[:close].rstrip()) : close]
    return head + newline + own + dumped + tail + text[close:]


def with_status(listed: TaskList, entry: TaskEntry, status: str, date: str) -> str:
    """The text of a list with one task's status set, and its `completed_at` where the list keeps one; nothing else.

    `date` is a day such as 2026-02-14. Raises Unreadable.
    """
    data = parse(listed.path, listed.text)
    items = data.get("items") if isinstance(data, dict) else data
    number = entry.number
    assert isinstance(items, list)
    values: dict[str, object] = {"status": status}
    if "completed_at" in items[number] and not items[number]["completed_at"]:
        values["completed_at"] = date
    items[number].update(values)
    for start, end in _spans(listed.text, number):
        text = listed.text[start:end]
        for key, value in values.items():
            text = _with_value(text, key, value)
        changed = listed.text[:start] + text + listed.text[end:]
        if parse(listed.path, changed) == data:
            return changed
    # A key that is there twice, as after a merge: nobody knows which counts.
    name = next(iter(entry.names), "the task")
    raise Unreadable(listed.path, f"the status of {name} cannot be set in the text of this file", "set it by hand")


def _spans(text: str, number: int) -> Iterator[tuple[int, int]]:
    """Where an item of the list may begin and end in the text of an index."""
    import json

    decoder = json.JSONDecoder()
    for match in re.finditer(r'"items"\s*:\s*\[|\A\ufeff?\s*\[', text):
        at = end = match.end()
        try:
            for _ in range(number + 1):
                at = end + len(text[end:]) - len(text[end:].lstrip(" \t\r\n,"))
                _, end = decoder.raw_decode(text, at)
        except ValueError:
            continue
        yield at, end


def _with_value(text: str, key: str, value: object) -> str:
    """One object's text with another value of a key of its own; the key is added in front where it has none."""
    import json

    written = json.dumps(value, ensure_ascii=False)
    for match in re.finditer(rf'"{key}"(\s*:\s*)("(?:[^"\\]|\\.)*"|null|true|false|-?[\d.eE+-]+)', text):
        before = text[1 : match.start()]
        if before.count("{") == before.count("}"):
            return f'{text[: match.start()]}"{key}"{match[1]}{written}{text[match.end() :]}'
    lead = re.match(r"\{\s*", text)
    return f'{lead[0]}"{key}": {written},{lead[0][1:] or " "}{text[lead.end() :]}' if lead else text
