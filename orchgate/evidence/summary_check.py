"""EVD011: does a summary say what its runs say?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError, quoted
from orchgate.evidence import summary
from orchgate.model import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.evidence.facts import CitedRuns
    from orchgate.evidence.summary import Block
    from orchgate.markdown.document import Document
    from orchgate.references.artifacts import Artifacts

RULE = "EVD011"
_AGAIN = "write it from the runs with `orchgate evidence summarize`"
_COLUMNS = ("before", "after", "change")


def findings(document: Document, runs: CitedRuns, artifacts: Artifacts) -> Iterator[Finding]:
    """A finding for every number of the document's summaries that its runs do not bear out."""
    comments = {comment.offset for comment in document.comments}
    for block in summary.blocks(document.text):
        if (block.offset if isinstance(block, summary.Cut) else block.start) not in comments:
            continue  # in a code block: shown, not claimed
        if isinstance(block, summary.Cut):
            yield Finding(RULE, document.location(block.offset), block.message, block.hint)
        else:
            yield from _compared(document, block, runs, artifacts)


def _compared(document: Document, block: Block, runs: CitedRuns, artifacts: Artifacts) -> Iterator[Finding]:
    at = document.location(block.start)
    if block.version not in summary.VERSIONS:
        yield Finding(RULE, at, f"this summary has a form, {block.version}, that is not known here", _AGAIN)
        return
    if not block.before or not block.after:
        yield Finding(RULE, at, "this summary names no runs before or after the change", _AGAIN)
        return
    paths = (*block.before, *block.after)
    missing = [path for path in paths if not (artifacts.owns(path) and artifacts.exists(path))]
    if missing:
        message = f"cannot be recomputed: {missing[0]} is neither here nor pinned"
        yield Finding(RULE, at, message, "run `orchgate evidence pin` in the clone that has the run")
        return
    try:
        wanted = summary.render(block.pipeline, block.before, block.after, runs.facts, block.version)
        yield from _other_kinds(document, block, runs)
        yield from _other_pipelines(document, block, runs)
    except OrchgateError as error:
        message = f"cannot be recomputed: a run it names {error.message}"
        yield Finding(RULE, at, message, error.hint or "orchgate evidence fetch")
        return
    yield from _cells(document, block, wanted)


def _other_kinds(document: Document, block: Block, runs: CitedRuns) -> Iterator[Finding]:
    """Runs with stages from the cache, which an old form counts among the others, and those of which nobody knows."""
    for path in (*block.before, *block.after):
        facts, at = runs.facts(path), document.location(document.text.find(path, block.start))
        if facts.cached and block.version == 1:
            message = f"{facts.run_id} had stages from the cache, and this summary counts it among the others"
            yield Finding(RULE, at, message, _AGAIN, Severity.WARNING)
        elif facts.cached is None and facts.format == "orchgate" and block.version > 1:
            message = f"the lock does not say whether {facts.run_id} had stages from the cache"
            yield Finding(RULE, at, message, f"orchgate evidence pin {quoted(path)}")


def _other_pipelines(document: Document, block: Block, runs: CitedRuns) -> Iterator[Finding]:
    for path in (*block.before, *block.after):
        pipeline = runs.facts(path).pipeline
        if pipeline and pipeline != block.pipeline:
            at = document.location(document.text.find(path, block.start))
            yield Finding(RULE, at, f"is a run of {pipeline}, the summary is about {block.pipeline}", _AGAIN)


def _cells(document: Document, block: Block, wanted: str) -> Iterator[Finding]:
    there = summary.numbers_by_row(document.text[block.start : block.end])
    expected = summary.numbers_by_row(wanted)
    for name, (cells, offset) in there.items():
        at = document.location(block.start + offset)
        if name not in expected:
            yield Finding(RULE, at, f"{name}: its runs say nothing about that", _AGAIN)
            continue
        for column, said, is_ in zip(_COLUMNS, cells, expected[name][0], strict=False):
            if said != is_:
                yield Finding(RULE, at, f"{name}, {column}: says {said}, its runs say {is_}", _AGAIN)
    for name in expected.keys() - there.keys():
        yield Finding(RULE, document.location(block.start), f"leaves out {name}", _AGAIN, Severity.WARNING)
