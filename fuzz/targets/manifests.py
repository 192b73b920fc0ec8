"""Manifests: read, held against their schema, their place, themselves and the journal beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fuzz.judging import Asked, judge, samples
from fuzz.violation import Violation
from orchgate.runs import decode
from orchgate.runs.inspection import contradictions
from orchgate.runs.run import checked
from tests.journals import recorded
from tests.manifest_samples import PATH, january, june, own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

JOURNAL = PATH.replace("manifest.json", "events.jsonl")


def seeds() -> Iterable[bytes]:
    yield recorded(own())["manifest.json"]
    for document in (own(), january(), june()):
        yield json.dumps(document, indent=2).encode()
    yield from samples("manifest.json")


def plain(value: Any) -> Any:
    """A value in which only what JSON tells apart differs: 1 is 1.0, but true is not 1."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value if isinstance(value, str | None) else (type(value) is bool, value)


def prepare(folder: str) -> Callable[[bytes], None]:
    whole = recorded(own())
    true = plain(json.loads(whole["manifest.json"]))

    def one(data: bytes) -> None:
        report = judge(Asked(folder, {PATH: data, JOURNAL: whole["events.jsonl"]}, {}), "manifests")
        found = any(result.troubles or result.diagnostics for result in report.checks)
        document = decode.parse(data)
        explained(document)
        if document.get("status") == "succeeded" and not found and plain(document) != true:
            raise Violation("a manifest passes that its journal does not add up to")
        list(contradictions(checked(document, PATH)))

    return one


def explained(document: dict[str, Any]) -> None:
    """What the fast decision refuses, the slow one can explain."""
    kind = decode.format_of(document)
    if kind and not decode.is_valid(document, kind) and "cannot be explained" in decode.explain(document, kind)[1]:
        raise Violation("a manifest is refused, and nobody can say why")
