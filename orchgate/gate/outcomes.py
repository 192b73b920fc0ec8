"""What checks found in a whole tree, kept for the next time, in `.git/orchgate/cache/`.

An outcome is kept under a key that says all it follows from: what is in the tree and in those it is compared with, the
configuration, what was asked of the check, and our own code (see `lib.cache`). What it asked of the disk and of the day
stands in it with the answers, and is asked again (see `gate.asked`). An outcome with anything else to it is not kept,
nor is one of what could not be read.
"""

from __future__ import annotations

import hashlib
import json
import operator
import zlib
from itertools import groupby

from orchgate.gate.asked import Asked
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property
from orchgate.model import CheckResult, Diagnostic, Finding, Location, Severity, Step, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.config.settings import Config
    from orchgate.gate.asked import Answers
    from orchgate.gate.context import Context
    from orchgate.git.objects import Blobs
    from orchgate.git.snapshot import Snapshot
    from orchgate.lib.cache import Cache
    from orchgate.model import Check

KIND = "outcome"


class Kept(NamedTuple):
    """The result of a check as it was; what it silenced by comments, and the documents that hold such comments."""

    result: CheckResult
    used: tuple[tuple[Location, str], ...] = ()
    marked: tuple[str, ...] = ()


class Outcomes:
    """Those of one judgement of a whole tree. `how` is everything besides the context that a result follows from."""

    def __init__(self, cache: Cache, blobs: Blobs, ctx: Context, how: Sequence[object]) -> None:
        self.cache = cache
        self.blobs = blobs
        self._ctx = ctx
        self._how = how

    @cached_property
    def _key(self) -> bytes:
        ctx = self._ctx
        return _digest((*self._how, *_change(ctx), *_way(ctx), *_content(ctx.snapshot)))

    @cached_property
    def way(self) -> bytes:
        """A key of how is judged, whatever it is."""
        return _digest((*self._how, *_way(self._ctx)))

    def asked(self) -> Asked:
        """For the questions of one check."""
        ctx = self._ctx
        return Asked(ctx.root, ctx.artifacts.roots, ctx.today)

    def find(self, check: Check) -> Kept | None:
        """What a check found the last time; None where there is nothing that still holds."""
        data = self.cache.read(KIND, check.id.encode() + b" " + self._key)
        if data is None:
            return None
        try:
            kept, answers = _read(data)
            return kept if self.asked().still(answers) else None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def may_keep(self, result: CheckResult, asked: Asked) -> bool:
        """Whether a result follows from nothing but its key and what was asked."""
        return self.blobs.settled and not (asked.lost or result.crash or result.troubles or result.uncompared)

    def keep(self, check: Check, kept: Kept, asked: Asked, texts: Mapping[str, bytes]) -> None:
        """Keeps a result for the next time; `texts` are what is written already of documents, see `text_of`."""
        content = b"\n".join(_written(kept, asked, texts))
        self.cache.write(KIND, check.id.encode() + b" " + self._key, content)


def of(ctx: Context, how: Sequence[object]) -> Outcomes | None:
    """Where outcomes of this judgement are kept; None where they are not: of a change, of a folder, in CI."""
    repository = ctx.repository if ctx.scope.whole_tree else None
    cache = repository.cache if repository else None
    return Outcomes(cache, repository.blobs, ctx, how) if repository and cache else None


def is_kept(check: Check) -> bool:
    """Whether outcomes of a check are kept: of those that are about documents, which are many and seldom change."""
    return check.of_tree and check.in_documents


def _digest(facts: Iterable[object]) -> bytes:
    digest = hashlib.sha256()
    for one in facts:
        digest.update(repr(one).encode("utf-8", "surrogateescape") + b"\n")
    return digest.digest()


def _change(ctx: Context) -> Iterator[object]:
    """The change that is judged, apart from its trees."""
    scope = ctx.scope
    yield from (scope.kind, scope.base, scope.head, scope.beside, scope.origin, scope.settled)
    yield "" if scope.unknown is None else (scope.unknown.message, scope.unknown.hint)
    yield [tuple(change) for change in scope.changes]


def _way(ctx: Context) -> Iterator[object]:
    """All that a check may take from its context unnoticed, apart from the change and the trees."""
    yield from (_configuration(one) for one in (ctx.config, ctx.proposed, ctx.accepted))
    yield from (ctx.unread, sorted(ctx.named), ctx.as_finished, ctx.layout)


def _configuration(config: Config | None) -> object:
    if config is None:
        return None
    source = config.source
    return config.values, sorted(config.origins.items()), source.file, source.text, source.shadowed, source.named


def _content(tree: Snapshot) -> Iterator[str]:
    return (f"{mode} {oid} {path}" for path, (mode, oid) in tree.entries.items())


# -- As bytes: a line of JSON for what weighs, and one for what is older ---------------------------------


def _written(kept: Kept, asked: Asked, texts: Mapping[str, bytes]) -> Iterator[bytes]:
    result = kept.result
    numbered = list(enumerate(result.diagnostics))
    yield _json(
        {
            "asked": asked.answers,
            "fields": [result.id, result.verdict.value, dict(result.examined), dict(result.facts), result.headline],
            "current": [row_of(one) for _, one in numbered if not one.older],
            "places": [at for at, one in numbered if not one.older],
            "older": result.older,
            "used": sorted(kept.used),
            "marked": kept.marked,
        }
    )
    yield zlib.compress(b"[" + b",".join(_older(result.diagnostics, texts)) + b"]", 1)


def _older(diagnostics: Iterable[Diagnostic], texts: Mapping[str, bytes]) -> Iterator[bytes]:
    for path, those in groupby(diagnostics, key=lambda one: one.finding.location.path):
        found = list(those)
        older = [one for one in found if one.older]
        if older:
            yield texts[path] if path in texts and len(older) == len(found) else text_of(older)


def text_of(diagnostics: Iterable[Diagnostic]) -> bytes:
    """Rows of diagnostics, with commas between them."""
    rows = [row_of(one) for one in diagnostics]
    return _json(rows)[1:-1] if rows else b""


# One for all: `json.dumps` makes another one for each of thousands of documents.
_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def _json(value: object) -> bytes:
    return _ENCODER.encode(value).encode()


def row_of(one: Diagnostic) -> list[object]:
    """A diagnostic without what can be told from where it stands: its check, and whether it is older."""
    finding: list[object] = [*one.finding]
    finding[4] = one.finding.severity and one.finding.severity.value
    return [one.severity.value, one.suppressed, one.in_source, *finding]


def diagnostic_of(check: str, row: list[Any], *, older: bool) -> Diagnostic:
    weight, suppressed, in_source, rule, location, message, hint, severity, excuse, sought, lifted, listed, *rest = row
    steps, about, own, documents = rest
    finding = Finding(
        rule,
        Location(*location),
        message,
        hint,
        _SEVERITIES[severity],
        excuse,
        tuple(sought),
        lifted,
        tuple(listed),
        tuple(Step(*step) for step in steps),
        tuple(about),
        own,
        tuple(documents),
    )
    return Diagnostic(check, Severity(weight), finding, suppressed, older, in_source)


_SEVERITIES: dict[str | None, Severity | None] = {None: None, **{one.value: one for one in Severity}}


def _read(content: bytes) -> tuple[Kept, Answers]:
    """What was kept, and what it asked. Raises ValueError and the like for what nobody here has written."""
    head, _, older = content.partition(b"\n")
    kept = json.loads(head)
    check, verdict, examined, facts, headline = kept["fields"]
    current = tuple(diagnostic_of(check, row, older=False) for row in kept["current"])
    fields = (check, Verdict(verdict), (), examined, facts, (), 0.0, None, (), headline)
    if kept["older"]:
        places, number = kept["places"], operator.index(kept["older"])
        if len(places) != len(current) or not set(places) <= set(range(len(places) + number)):
            raise ValueError("places")
        result: CheckResult = KeptResult.of(fields, current, places, number, older)
    else:
        result = CheckResult(*fields)._replace(diagnostics=current)
    used = tuple((Location(*location), rule) for location, rule in kept["used"])
    return Kept(result, used, tuple(kept["marked"])), kept["asked"]


class KeptResult(CheckResult):
    """A result with thousands of older findings, which are counted, and read where somebody wants to see them."""

    _parts: tuple[tuple[Diagnostic, ...], list[int], int, bytes]

    @classmethod
    def of(cls, fields: Iterable[Any], *parts: Any) -> KeptResult:
        """`parts` are what is not older, its places among all, the number of the others, and those as they are kept."""
        made = cls._make(fields)
        made.__dict__["_parts"] = parts
        return made

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:  # in the place of the field
        current, places, number, older = self._parts
        beside = dict(zip(places, current, strict=True))
        try:
            rows = [diagnostic_of(self.id, row, older=True) for row in json.loads(zlib.decompress(older))]
            if len(rows) != number:
                raise ValueError("number")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, zlib.error):
            # Made by somebody: what is not older was told from it already.
            rows = [one for one in self.anew().diagnostics if one.older]
            number = len(rows)
        others = iter(rows)
        return tuple(beside.get(at) or next(others) for at in range(len(places) + number))

    @property
    def anew(self) -> Callable[[], CheckResult]:
        found: Callable[[], CheckResult] = self.__dict__["_anew"]
        return found

    def else_by(self, anew: Callable[[], CheckResult]) -> KeptResult:
        """This result, with what judges anew where the older findings cannot be read."""
        self.__dict__["_anew"] = anew
        return self

    @property
    def current(self) -> tuple[Diagnostic, ...]:
        return self._parts[0]

    @property
    def older(self) -> int:
        return self._parts[2]

    def with_current(self, current: tuple[Diagnostic, ...]) -> CheckResult:
        return self.of(self, current, *self._parts[1:]).else_by(self.anew)

    def _replace(self, **changes: Any) -> CheckResult:  # type: ignore[override]
        return CheckResult(*self)._replace(**{"diagnostics": self.diagnostics, **changes})
