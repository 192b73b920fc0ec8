"""Tools of a stored baseline, a line of text each, and in what those that stages would start now differ from them."""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs.run import Tool
from orchgate.tools.differences import differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.runs.stages import Stage
    from orchgate.runs.used_tools import Facts, UsedTools

MOST = 100  # tools of a record
LONGEST_NAME = 120  # characters
_TEXT = lazy(r"(?P<version>.*?) ?(?:(?P<parts>parts )?sha256:(?P<sha256>[0-9a-f]{64}))?")


def texts(tools: Iterable[Tool]) -> dict[str, str]:
    """What a record keeps of tools by name; nothing of one that was several, or of which nothing is known."""
    found: dict[str, set[str]] = {}
    for tool in tools:
        found.setdefault(tool.name, set()).add(_text(tool))
    one = {name: next(iter(known)) for name, known in sorted(found.items()) if len(known) == 1}
    return {name: text for name, text in list(one.items())[:MOST] if text and len(name) <= LONGEST_NAME}


def _text(tool: Tool) -> str:
    digest = f"{'parts ' if tool.source == 'parts' else ''}sha256:{tool.sha256}" if tool.sha256 else ""
    return " ".join(filter(None, (tool.version, digest)))


def of_texts(known: Mapping[str, str]) -> Iterator[Tool]:
    """The tools of a record."""
    for name, text in known.items():
        if found := _TEXT.fullmatch(text):
            source = "parts" if found["parts"] else "file"
            yield Tool(name=name, version=found["version"] or None, sha256=found["sha256"], source=source)


def now(used: UsedTools, stages: Iterable[tuple[Stage, str, Mapping[str, str]]]) -> list[Tool]:
    """The tools that stages would start now, each in its folder with its variables, and those that were asked."""
    found: list[Facts] = [*used.declared]
    for stage, cwd, environ in stages:
        known = used.known(stage.argv, cwd, environ)
        if known is None:
            from orchgate.tools.programs import of_stage

            known = of_stage(stage.argv, stage.shell, used, cwd, environ)
        found += known
    return [from_facts(tool) for tool in {tuple(one.values()): one for one in found}.values()]


def from_facts(known: Facts) -> Tool:
    name, version, sha256, source = map(known.get, ("name", "version", "sha256", "source"))
    return Tool(name=name or "?", version=version, sha256=sha256, source=source or "")


def since(known: Mapping[str, str], tools: Sequence[Tool]) -> tuple[str, ...]:
    """In what tools differ from those of a record, in words."""
    return tuple(f"{words} since the baseline" for words in differences(of_texts(known), tools))
