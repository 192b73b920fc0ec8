"""What was found in the parts of a whole tree, kept for the next time, in `.git/orchgate/cache/`.

One entry a check and a way to judge holds the tree that was judged last: its state, what was asked of the disk with
the answers, and its parts, each with the names of all it rests on. Of these are taken that rest on nothing that is
otherwise now. A document with comments that silence findings is judged each time, as is whatever is a link.
"""

from __future__ import annotations

import json
import operator
from array import array
from functools import lru_cache

from orchgate.gate.asked import name_of
from orchgate.gate.outcomes import diagnostic_of, text_of
from orchgate.gate.whole.noted import CONTENT
from orchgate.gate.whole.parts import Part, TreeState, packed, unlike
from orchgate.git.snapshot import TreeEntry
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import Any

    from orchgate.gate.asked import Answers, Asked
    from orchgate.gate.outcomes import Kept, Outcomes
    from orchgate.gate.whole.parts import Parts
    from orchgate.model import Check, Diagnostic

KIND = "parts"
# Rules that are not about one document by itself, and are looked for each time.
ONCE = frozenset(("EVD010", "EVD015"))


class KeptParts:
    """The parts of one check: those that were kept and still hold, and what of them is used."""

    def __init__(self, check: str, now: TreeState, kept: _KeptState | None, asked: Asked) -> None:
        """`asked` compares answers; its own are not those of the judgement."""
        self._check = check
        self._now = now
        self._found: dict[str, tuple[Diagnostic, ...]] = {}
        self._texts: Mapping[str, bytes] = kept.texts if kept else {}
        self._parts: dict[tuple[str, ...], Part] = {}
        self._numbers: dict[tuple[str, ...], tuple[int, ...]] = {}
        self.answers: dict[str, dict[str, bool | str]] = {}  # those that are the same now
        self.used: list[tuple[str, ...]] = []
        if kept is not None:
            self._take_over(kept, asked)

    def _take_over(self, kept: _KeptState, asked: Asked) -> None:
        changed = unlike(self._now, kept.state)
        if changed is None:
            return
        otherwise = set(asked.changed(kept.answers))
        for kind, answers in kept.answers.items():
            same = {about: answer for about, answer in answers.items() if (kind, about) not in otherwise}
            self.answers[kind] = same
        numbers = _numbers(changed.union(name_of(*question) for question in otherwise))
        for part in kept.parts:
            if numbers.isdisjoint(_unpacked(part.names)):
                for documents, counted in part.things:
                    if changed.isdisjoint(CONTENT + path for path in documents):
                        self._parts[documents] = part
                        self._numbers[documents] = counted
                        self._found.update((path, self._read(kept.texts.get(path, b""))) for path in documents)

    def _read(self, text: bytes) -> tuple[Diagnostic, ...]:
        return tuple(diagnostic_of(self._check, row, older=False) for row in json.loads(b"[" + text + b"]"))

    @property
    def any(self) -> bool:
        return bool(self._parts)

    def take(
        self, documents: tuple[str, ...], count: int, without: frozenset[str] | None
    ) -> tuple[bool, tuple[int, ...]] | None:
        """As `parts.Recalled`."""
        part = self._parts.get(documents)
        if part is None or len(self._numbers[documents]) != count:
            return None
        self.used.append(documents)
        same = without is not None and without.isdisjoint(CONTENT + path for path in documents)
        return same and _is_apart(part.names, without), self._numbers[documents]

    def diagnostics(self) -> Iterator[Diagnostic]:
        """What was found in the things that are used."""
        for documents in self.used:
            for path in documents:
                yield from self._found[path]

    def written(
        self, new: Iterable[Part], answers: Answers, found: Iterable[Diagnostic], each_time: Collection[str]
    ) -> tuple[bytes, dict[str, bytes]]:
        """The parts that are used, and new ones, and the texts of their documents.

        Documents that are judged `each_time` are among others of things that are not kept, or hold comments that may
        silence what was found.
        """
        rows: dict[str, list[Diagnostic]] = {}
        astray: set[str] = set(each_time)  # documents whose findings do not all stand in them
        for one in found:
            rows.setdefault(one.finding.location.path, []).append(one)
            if one.finding.documents and one.finding.location.path not in one.finding.documents:
                astray.update(one.finding.documents)
        used = ((self._parts[documents], documents, self._numbers[documents]) for documents in self.used)
        parts = [*_regrouped(used), *new]
        astray |= _twice(path for part in parts for documents, _ in part.things for path in documents)
        kept = [part._replace(things=tuple(one for one in part.things if astray.isdisjoint(one[0]))) for part in parts]
        kept = [part for part in kept if part.things]
        paths = {path for part in kept for documents, _ in part.things for path in documents}
        taken = {path for documents in self.used for path in documents}
        texts = {path: self._texts.get(path, b"") if path in taken else _own(rows.get(path, ())) for path in paths}
        content = _content(self._now, kept, _needed(answers, kept), texts)
        return content, {path: texts[path] for path in paths & rows.keys() if _is_own(rows[path])}


class _KeptState:
    def __init__(self, content: bytes) -> None:
        """Raises ValueError and the like for what nobody here has written."""
        head, _, rest = content.partition(b"\n")
        kept = json.loads(head)
        entries, owners, tasks, ids = kept["state"]
        self.state = TreeState(
            {path: TreeEntry(mode, oid) for path, mode, oid in zip(*entries, strict=True)},
            dict(owners),
            frozenset(tasks),
            frozenset(ids),
        )
        self.answers: Answers = kept["answers"]
        self.texts = dict(zip(kept["texts"], _cut(rest, kept["texts"].values()), strict=True))
        names = _cut(rest[sum(map(len, self.texts.values())) :], (size for size, _ in kept["parts"]))
        self.parts = [Part(_things(things), part) for (_, things), part in zip(kept["parts"], names, strict=True)]


def _things(things: Iterable[Any]) -> tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]:
    return tuple((tuple(documents), tuple(map(operator.index, numbers))) for documents, numbers in things)


def _cut(content: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        if not 0 <= size <= len(content) - start:
            raise ValueError("cut")
        yield content[start : start + size]
        start += size


def of(outcomes: Outcomes, check: Check, now: TreeState) -> KeptParts:
    """What is kept of the parts of a check, of any tree."""
    content = outcomes.cache.read(KIND, check.id.encode() + b" " + outcomes.way)
    try:
        kept = _KeptState(content) if content is not None else None
        return KeptParts(check.id, now, kept, outcomes.asked())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return KeptParts(check.id, now, None, outcomes.asked())


def keep(outcomes: Outcomes, check: Check, kept: Kept, asked: Asked, parts: Parts) -> dict[str, bytes]:
    """Keeps the parts of a check for the next time. The texts of what was found in documents, as `text_of`."""
    new, recalled = parts.done.get(check.id, ()), parts.recalled.get(check.id)
    if not isinstance(recalled, KeptParts) or not (new or recalled.used):
        return {}
    # Which of the findings in a document are whose is not kept.
    each_time = parts.never_kept.get(check.id, set()).union(kept.marked)
    content, texts = recalled.written(new, asked.answers, kept.result.diagnostics, each_time)
    outcomes.cache.write(KIND, check.id.encode() + b" " + outcomes.way, content)
    return texts


def _own(found: Iterable[Diagnostic]) -> bytes:
    return text_of(one for one in found if one.finding.rule not in ONCE)


def _is_own(found: Iterable[Diagnostic]) -> bool:
    return all(one.finding.rule not in ONCE for one in found)


def _content(state: TreeState, parts: list[Part], answers: Answers, texts: Mapping[str, bytes]) -> bytes:
    entries = state.entries
    listed = [list(entries), [entry.mode for entry in entries.values()], [entry.oid for entry in entries.values()]]
    head = {
        "state": [listed, dict(state.owners), sorted(state.tasks), sorted(state.ids)],
        "answers": answers,
        "texts": {path: len(text) for path, text in texts.items()},
        "parts": [[len(part.names), part.things] for part in parts],
    }
    return b"".join(
        (json.dumps(head, separators=(",", ":")).encode(), b"\n", *texts.values(), *(part.names for part in parts))
    )


def _regrouped(used: Iterable[tuple[Part, tuple[str, ...], tuple[int, ...]]]) -> Iterator[Part]:
    """The parts of things, with those alone."""
    found: dict[int, tuple[Part, list[tuple[tuple[str, ...], tuple[int, ...]]]]] = {}
    for part, documents, numbers in used:
        found.setdefault(id(part), (part, []))[1].append((documents, numbers))
    yield from (part._replace(things=tuple(things)) for part, things in found.values())


def _twice(paths: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    twice: set[str] = set()
    for path in paths:
        (twice if path in seen else seen).add(path)
    return twice


def _needed(answers: Answers, parts: Iterable[Part]) -> dict[str, dict[str, bool | str]]:
    """The answers that some part rests on."""
    asked = {(kind, about): _number(name_of(kind, about)) for kind, those in answers.items() for about in those}
    every = frozenset(asked.values())
    needed = {number for part in parts if every for number in every.intersection(_unpacked(part.names))}
    return {
        kind: {about: answer for about, answer in those.items() if asked[kind, about] in needed}
        for kind, those in answers.items()
    }


def _number(name: str) -> int:
    (number,) = _numbers((name,))
    return number


def _numbers(names: Iterable[str]) -> frozenset[int]:
    return frozenset(_unpacked(packed(names)))


def _unpacked(names: bytes) -> array[int]:
    return array("I", names)


@lru_cache(maxsize=2)
def _numbers_of(names: frozenset[str]) -> frozenset[int]:
    return _numbers(names)


@lru_cache(maxsize=1024)
def _is_apart(names: bytes, others: frozenset[str]) -> bool:
    return _numbers_of(others).isdisjoint(_unpacked(names))
