"""Runs the command that an item names, and records the run as one of that item."""

from __future__ import annotations

from orchgate.acceptance.findings import recorded_words
from orchgate.acceptance.proof import PIPELINE
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs.stages import Pipeline, Stage

if TYPE_CHECKING:
    from orchgate.acceptance.proof import Proof
    from orchgate.runner.pipeline_run import Finished
    from orchgate.runner.session import RunSettings

WITHIN = "ORCHGATE_ACCEPTANCE"  # set for such a command: one that asks for the checks of its task runs none again
TITLE = 120  # characters


def prove(settings: RunSettings, proof: Proof, timeout_seconds: float) -> Finished:
    """Runs one command to its end. Raises OrchgateError when that could not be recorded."""
    from orchgate.runner import pipeline_run

    words, command = recorded_words(proof.item)
    title = clip(words, TITLE)
    stage = Stage(
        PIPELINE, title, shell=proof.item.command, timeout_seconds=timeout_seconds, env={WITHIN: proof.document.path}
    )
    accepts = {"document": proof.document.path, "item": words, "command": command}
    return pipeline_run.run(settings._replace(accepts=accepts), Pipeline(PIPELINE, title, (stage,)))
