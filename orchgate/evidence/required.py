"""Kinds of run that a finished packet has to link, such as `diagnostics:before` and `diagnostics:after`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchgate.errors import KeptElsewhere, OrchgateError, quoted
from orchgate.lib.patterns import lazy
from orchgate.model import Finding, Location
from orchgate.runs.locate import mentioned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.config.settings import Config
    from orchgate.evidence.cited import Runs
    from orchgate.markdown.document import Document
    from orchgate.packets.packet import Packet
    from orchgate.references.artifacts import Artifacts

PHASES = {
    "before": lazy(r"\b(?:before|baseline|pre[- ]?change)\b", re.IGNORECASE),
    "after": lazy(r"\b(?:after|post[- ]?change|validation|re-?run)\b", re.IGNORECASE),
}


def required_runs(config: Config) -> tuple[str, ...]:
    """What the configuration asks for.

    Where it leaves that to the default, only pipelines count that the configuration defines: a repository that never
    ran them is not asked for their runs.
    """
    kinds = config.evidence.required_runs
    if config.origin("evidence.required-runs") != "default":
        return kinds
    return tuple(kind for kind in kinds if kind.partition(":")[0] in config.pipelines)


def missing_runs(
    packet: Packet,
    required: tuple[str, ...],
    document: Callable[[str], Document],
    artifacts: Artifacts,
    runs: Runs,
) -> Iterator[Finding]:
    """A finding for every required kind that no document of the packet links.

    None where one of the linked runs is kept elsewhere, so that nobody here knows what it is of. A phase counts when
    the line of a linked run names it; where no line does, two runs of the pipeline count as both.
    """
    linked: dict[str, dict[str, str]] = {}
    for path, line in _linked(packet, document, artifacts):
        try:
            pipeline = runs.facts(path).pipeline
        except KeptElsewhere:
            return
        except OrchgateError:
            continue  # EVD007 and the manifests check say that it cannot be read
        lines = linked.setdefault(pipeline, {})
        lines[path] = lines.get(path, "") + "\n" + line
    for kind in required:
        pipeline, _, phase = kind.partition(":")
        lines = linked.get(pipeline, {})
        if not lines or (phase and not _has_phase(lines, phase)):
            yield Finding(
                "EVD010",
                Location(packet.anchor),
                f"the packet is finished but links no run of {pipeline}"
                + (f" from {phase} the change" if phase else ""),
                f"`orchgate run {quoted(pipeline)} --task {quoted(packet.task or packet.name)}`, then link its manifest"
                + (f" on a line with the word {phase!r}" if phase else ""),
            )


def _linked(packet: Packet, document: Callable[[str], Document], artifacts: Artifacts) -> Iterator[tuple[str, str]]:
    """Manifests that the packet's documents name and that are there or pinned, each with its line."""
    for path in packet.paths:
        text = document(path)
        for manifest in mentioned(text.text, artifacts.roots):
            if artifacts.exists(manifest):
                at = text.text.find(manifest)
                while at >= 0:
                    yield manifest, text.line(at)
                    at = text.text.find(manifest, at + 1)


def _has_phase(lines: dict[str, str], phase: str) -> bool:
    words = PHASES.get(phase)
    if words is not None and any(words.search(line) for line in lines.values()):
        return True
    named = any(other.search(line) for other in PHASES.values() for line in lines.values())
    return not named and len(lines) > 1
