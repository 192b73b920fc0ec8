"""Runs the command that an item names, and records the run as one of that item."""

from __future__ import annotations

from orchgate.acceptance.findings import recorded_words
from orchgate.acceptance.proof import PIPELINE
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs.stages import Pipeline, Stage

if TYPE_CHECKING:
    from orchgate.acceptance.clauses import AcceptedItem
    from orchgate.acceptance.proof import Proof
    from orchgate.runner.pipeline_run import Finished
    from orchgate.runner.session import RunSettings

WITHIN = "ORCHGATE_ACCEPTANCE"  # set for such a command: one that asks for the checks of its task runs none again
TITLE = 120  # characters


def prove(settings: RunSettings, proof: Proof, timeout_seconds: float) -> Finished:
    """Runs one command to its end. Raises OrchgateError when that could not be recorded."""
    from orchgate.runner import pipeline_run

    words, command = recorded_words(proof.item)
    accepts = {"document": proof.document.path, "item": words, "command": command}
    pipeline = pipeline_of(proof.item, proof.document.path, timeout_seconds)
    return pipeline_run.run(settings._replace(accepts=accepts), pipeline)


def pipeline_of(item: AcceptedItem, document: str, timeout_seconds: float | None) -> Pipeline:
    """What runs the command of an item of a document, by its repository path."""
    title = clip(recorded_words(item)[0], TITLE)
    stage = Stage(PIPELINE, title, shell=item.command, timeout_seconds=timeout_seconds, env={WITHIN: document})
    return Pipeline(PIPELINE, title, (stage,))
