"""Puts lines into a YAML file, and takes them out, without touching another byte; what has no lines is written anew.

Where something stands is asked of the parser that pre-commit itself uses. Flow style (`repos: [{…}]`) leaves no place
for a line: such a file goes through ruamel.yaml, which keeps comments, quotes, order and anchors.
"""

from __future__ import annotations

import io
import json

from orchgate.commands.init.edits import line_end
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    import yaml

AGAIN = "fix it, or move it away, then run `orchgate init` again"
_DEEPEST = 40  # ruamel.yaml needs a long time for thousands of brackets
_MOST_ALIASES = 200  # a few lines of them stand for more than any memory holds


def fault(text: str) -> str:
    """Where and why a text is not YAML, as `line:column: reason`; "" when it is."""
    import yaml

    if is_undecodable(text):
        return "1:1: is not valid YAML: bytes that are not UTF-8"
    depth = aliases = 0
    try:
        for event in yaml.parse(text, Loader=_loader()):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            aliases += isinstance(event, yaml.AliasEvent)
            if depth > _DEEPEST or aliases > _MOST_ALIASES:
                return f"{_place(event.start_mark)}: is nested too deeply to be edited"
    except (yaml.YAMLError, RecursionError) as error:
        reason = getattr(error, "problem", None) or "characters that it may not hold"
        return f"{_place(getattr(error, 'problem_mark', None))}: is not valid YAML: {reason}"
    return ""


def _loader() -> Any:
    """What libyaml takes a moment for keeps the parser in Python busy for hours: 100,000 open brackets."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def is_undecodable(text: str) -> bool:
    """Whether a text had bytes that are not UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _place(mark: Any) -> str:
    return f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"


def require_valid(path: str, text: str) -> None:
    """Raises OrchgateError with file, line and column."""
    if found := fault(text):
        raise OrchgateError(f"{path}:{found}", AGAIN)


def root(text: str) -> yaml.MappingNode | None:
    """The top of a file that holds one mapping; None for anything else. The text is valid."""
    import yaml

    try:
        node = yaml.compose(text, Loader=_loader())
    except yaml.YAMLError:  # two documents
        return None
    return node if isinstance(node, yaml.MappingNode) else None


def entry(node: yaml.Node | None, key: str) -> tuple[yaml.ScalarNode, yaml.Node] | None:
    """A key of a mapping and its value."""
    import yaml

    if not isinstance(node, yaml.MappingNode):
        return None
    named = ((name, held) for name, held in node.value if isinstance(name, yaml.ScalarNode))
    return next(((name, held) for name, held in named if name.value == key), None)


def value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    found = entry(node, key)
    return found[1] if found else None


def scalar(node: yaml.Node | None) -> str:
    import yaml

    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def items(node: yaml.Node | None) -> list[yaml.Node]:
    import yaml

    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    import yaml

    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def is_null(node: yaml.Node | None) -> bool:
    import yaml

    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def is_block(node: yaml.Node | None) -> bool:
    import yaml

    return isinstance(node, yaml.CollectionNode) and not node.flow_style and bool(node.value)


def last_line(node: yaml.Node) -> int:
    """The number of the line after a node, counted from 0; comments below it are not part of it."""
    import yaml

    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        children = node.value if isinstance(node, yaml.SequenceNode) else [one for pair in node.value for one in pair]
        return max(last_line(child) for child in children)
    end: int = node.end_mark.line
    return end if node.end_mark.column == 0 and end > node.start_mark.line else end + 1


def with_lines(text: str, at: int, lines: Sequence[str]) -> str:
    """The text with lines before the line of a number, counted from 0."""
    end = line_end(text)
    parts = text.splitlines(keepends=True)
    if at >= len(parts) and parts and not parts[-1].endswith("\n"):
        parts[-1] += end
    parts[at:at] = [line + end for line in lines]
    return "".join(parts)


def without_lines(text: str, start: int, stop: int) -> str:
    parts = text.splitlines(keepends=True)
    del parts[start:stop]
    return "".join(parts)


def below_key(text: str, parents: Sequence[str], lines: Sequence[str]) -> str | None:
    """The text with lines as the first children of a key; None where they have no line of their own.

    The lines are indented from 0; the children's own indentation is added.
    """
    node: yaml.Node | None = root(text)
    indent, key = 0, None
    for name in parents:
        found = entry(node, name)
        if found is None:
            return None
        key, node = found
        indent = key.start_mark.column
    if key is None or node is None:
        return None
    plain = is_null(node) and node.start_mark.index == node.end_mark.index
    if not plain and (not is_block(node) or node.start_mark.line == key.start_mark.line):
        return None
    if not plain and text[text.rfind("\n", 0, node.start_mark.index) + 1 : node.start_mark.index].strip(" "):
        return None
    start = " " * (indent + 2 if plain else node.start_mark.column)
    return kept(text, with_lines(text, key.start_mark.line + 1, [start + line for line in lines]))


def kept(text: str, changed: str) -> str | None:
    """The changed text, where everything else in it still means what it meant; else None."""
    if fault(changed):
        return None
    before, after = list(_meaning(text)), list(_meaning(changed))
    same = next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), len(before))
    rest = len(before) - same
    return changed if not rest or before[same:] == after[-rest:] or _was_null(before, after, same) else None


def _was_null(before: list[tuple[object, ...]], after: list[tuple[object, ...]], at: int) -> bool:
    """Whether all that went is the nothing below a key."""
    rest = len(before) - at - 1
    return before[at][1] == "" and (not rest or before[-rest:] == after[-rest:])


def _meaning(text: str) -> Iterator[tuple[object, ...]]:
    import yaml

    for event in yaml.parse(text, Loader=_loader()):
        yield (type(event).__name__, getattr(event, "value", None), getattr(event, "anchor", None))


def without_entry(text: str, path: Sequence[str]) -> str | None:
    """The text without a key of a mapping, and without those above it that held nothing else; None if not by lines."""
    entries: list[tuple[yaml.ScalarNode, yaml.Node]] = []
    node: yaml.Node | None = root(text)
    holders: list[yaml.Node | None] = []
    for name in path:
        found = entry(node, name)
        if found is None:
            return None
        holders.append(node)
        entries.append(found)
        node = found[1]
    at = len(entries) - 1
    while at and len(getattr(holders[at], "value", ())) == 1:
        at -= 1
    if any(not is_block(holder) for holder in holders):
        return None
    key, held = entries[at]
    start, stop = key.start_mark.line, max(last_line(held), key.start_mark.line + 1)
    lines = text.splitlines()
    if lines[start][: key.start_mark.column].strip(" "):
        return None
    if start and not lines[start - 1].strip() and (stop >= len(lines) or not lines[stop].strip()):
        start -= 1
    return without_lines(text, start, stop)


def without_item(text: str, holder: yaml.Node | None, wanted: Callable[[yaml.Node], bool]) -> str | None:
    """The text without the items of a list that are `wanted`, some but not all; None if not by lines."""
    listed = items(holder)
    gone = [item for item in listed if wanted(item)]
    if not is_block(holder) or not gone or len(gone) == len(listed):
        return None
    for item in reversed(gone):
        before = text.splitlines()[item.start_mark.line][: item.start_mark.column]
        if before.strip(" ") != "-":
            return None
        text = without_lines(text, item.start_mark.line, last_line(item))
    return text


def rewritten(path: str, text: str, change: Callable[[Any], None]) -> str:
    """The file with its data changed, comments and quotes kept, where lines alone will not do. Raises OrchgateError."""
    made = _inserted(text, change)
    if made is not None:
        return made
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    parser = YAML()
    parser.preserve_quotes = True
    parser.width = 1 << 16
    parser.allow_duplicate_keys = False
    parser.explicit_start = text.startswith("---")
    _indent_as(parser, text)
    try:
        data = parser.load(text)
        change(data)
        stream = io.StringIO()
        parser.dump(data, stream)
    except (YAMLError, TypeError, KeyError, AttributeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "it has a form that orchgate cannot change"
        raise OrchgateError(f"{path}{place}: {reason}", AGAIN) from error
    made = stream.getvalue()
    require_valid(path, made)
    return made.replace("\n", "\r\n") if line_end(text) == "\r\n" else made


def _inserted(text: str, change: Callable[[Any], None]) -> str | None:
    """The same by text put between brackets, where that is all it takes."""
    import yaml

    try:
        before, after = (yaml.load(text, Loader=_loader()) for _ in range(2))  # noqa: S506 -- the safe one
        change(after)
        made = edited_flow(text, before, after)
        same = made is not None and yaml.load(made, Loader=_loader()) == after  # noqa: S506
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return made if same else None


def _indent_as(parser: Any, text: str) -> None:
    """Lets ruamel.yaml indent lists as the file does."""
    for line, following in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        if line.rstrip().endswith(":") and following.lstrip().startswith("- "):
            offset = len(following) - len(following.lstrip()) - (len(line) - len(line.lstrip()))
            if offset >= 0:
                parser.indent(mapping=2, sequence=offset + 2, offset=offset)
            return


class _NoPlace(Exception):
    """The change is more than that, or belongs where lines are indented."""


def edited_flow(text: str, old: Any, new: Any) -> str | None:
    """A text that held the old value, now with the new one; None where it takes more than adding and leaving out."""
    import yaml

    try:
        node = yaml.compose(text, Loader=_loader())
        pieces = sorted(_pieces(text, node, old, new), reverse=True)
    except (_NoPlace, yaml.YAMLError):
        return None
    for start, stop, piece in pieces:
        text = text[:start] + piece + text[stop:]
    return text


def _pieces(text: str, node: yaml.Node | None, old: Any, new: Any) -> Iterator[tuple[int, int, str]]:
    """What has to be put where, and in place of what. Raises _NoPlace."""
    import yaml

    if old == new:
        return
    if isinstance(node, yaml.MappingNode) and isinstance(old, dict) and isinstance(new, dict):
        yield from _of_mapping(text, node, old, new)
    elif isinstance(node, yaml.SequenceNode) and isinstance(old, list) and isinstance(new, list):
        yield from _of_list(text, node, old, new)
    else:
        raise _NoPlace


def _of_mapping(
    text: str, node: yaml.MappingNode, old: dict[str, object], new: dict[str, object]
) -> Iterator[tuple[int, int, str]]:
    children = {key.value: (key, value) for key, value in node.value}
    if not old.keys() <= children.keys():
        raise _NoPlace
    for name, value in old.items():
        if name in new:
            yield from _pieces(text, children[name][1], value, new[name])
    if gone := [at for at, name in enumerate(children) if name not in new]:
        yield from _without(node, list(children.values()), gone)
    added = {name: value for name, value in new.items() if name not in old}
    if added:
        parts = [f"{json.dumps(name)}: {{}}" for name in added]
        yield _after(text, node, list(children.values()), parts, list(added.values()))


def _of_list(text: str, node: yaml.SequenceNode, old: list[Any], new: list[Any]) -> Iterator[tuple[int, int, str]]:
    pairs = [(child, child) for child in node.value]
    if old and new[: len(old)] == old:
        yield _after(text, node, pairs, ["{}"] * (len(new) - len(old)), new[len(old) :])
    elif old and new[-len(old) :] == old:
        yield _before(text, node, pairs[0][0], new[: -len(old)])
    else:
        yield from _without(node, pairs, [at for at, item in enumerate(old) if item not in new])


def _without(
    node: yaml.CollectionNode, children: list[tuple[yaml.Node, yaml.Node]], gone: list[int]
) -> Iterator[tuple[int, int, str]]:
    if not node.flow_style or not 0 < len(gone) < len(children):
        raise _NoPlace
    for at in gone:
        if at:
            yield children[at - 1][1].end_mark.index, children[at][1].end_mark.index, ""
        else:
            yield children[0][0].start_mark.index, children[1][0].start_mark.index, ""


def _after(
    text: str,
    node: yaml.CollectionNode,
    children: list[tuple[yaml.Node, yaml.Node]],
    parts: list[str],
    values: list[Any],
) -> tuple[int, int, str]:
    if not node.flow_style or not children:
        raise _NoPlace
    first, last = children[-1]
    start = _line_start(text, first)
    ends = "\r\n" if "\r\n" in text else "\n"
    shown = (part.replace("{}", _dumped(value, start), 1) for part, value in zip(parts, values, strict=True))
    between = ", " if start is None else f",{ends}{start}"
    at = last.end_mark.index
    return at, at, "".join(between + one.replace("\n", ends) for one in shown)


def _before(text: str, node: yaml.CollectionNode, first: yaml.Node, values: list[Any]) -> tuple[int, int, str]:
    if not node.flow_style:
        raise _NoPlace
    start = _line_start(text, first)
    between = ", " if start is None else f",\n{start}"
    at = first.start_mark.index
    return at, at, "".join(_dumped(value, start) + between for value in values)


def _line_start(text: str, node: yaml.Node) -> str | None:
    """The indentation of a node that begins its line; None for one that does not."""
    at = node.start_mark.index
    before = text[text.rfind("\n", 0, at) + 1 : at]
    return before if not before.strip(" \t") and "\n" in text[:at] else None


def _dumped(value: Any, start: str | None) -> str:
    if start is None:
        return json.dumps(value, ensure_ascii=False)
    step = "\t" if start.startswith("\t") else "  "
    return json.dumps(value, indent=step, ensure_ascii=False).replace("\n", f"\n{start}")
