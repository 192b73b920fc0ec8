"""One digest of all that a pipeline does, the pipelines it calls included; equal digests may be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.lib.digest import sha256_hex
from orchgate.secrets.redact import redacted_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchgate.runs.stages import Pipeline


def pipeline_hash(pipelines: Mapping[str, Pipeline], pipeline: Pipeline) -> str:
    """SHA-256 in hex; for a pipeline that calls no other, the `digest` of its plan and its journal."""
    reached = {pipeline.id: pipeline}
    waiting = [pipeline]
    while waiting:
        called = {stage.pipeline for stage in waiting.pop().stages if stage.pipeline}
        new = [pipelines[name] for name in called if name in pipelines and name not in reached]
        reached |= {one.id: one for one in new}
        waiting += new
    return combined(pipeline.digest, (one.digest for one in reached.values()))


def combined(own: str, reached: Iterable[str]) -> str:
    """The hash from the digests of a pipeline and of all it reaches, in any order."""
    others = set(reached) - {own}
    return sha256_hex("\n".join((own, *sorted(others)))) if others else own


def command_hash(argv: Sequence[str], folder: str = "") -> str:
    return sha256_hex("\0".join((*argv, folder)))


def command_name(argv: Sequence[str], folder: str = "") -> str:
    """What stands for a pipeline's id where a command was measured: `-- pytest -q`, and the folder it ran in.

    Without secrets: it is committed.
    """
    import shlex

    return f"-- {shlex.join(redacted_words(argv))}" + (f" # in {folder}" if folder else "")
