"""What `orchgate perf` says of a pipeline that head defines otherwise than base, whose definition both sides run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.commands.perf import report
from orchgate.commands.perf.report import DefinitionChange

if TYPE_CHECKING:
    from orchgate.commands.perf.report import PerfRequest
    from orchgate.config.settings import Config, Performance
    from orchgate.git.repository import Repository
    from orchgate.speed.definition import PipelineChange
    from orchgate.speed.measurement import Measurement
    from orchgate.speed.sampling import Side


def change(repository: Repository, asked: PerfRequest, config: Config) -> PipelineChange | None:
    """What head does to the pipeline; None where only head defines it.

    Raises ConfigError where neither side does, base's cannot be run, or head's configuration cannot be read.
    """
    from orchgate.speed import definition

    try:
        return definition.between(repository, asked.base, asked.head, asked.pipeline, config)
    except definition.NoPipeline as error:
        try:
            definition.read(repository, asked.head, asked.pipeline, "head")
        except definition.NoPipeline:
            raise error from None
        return None


def told(
    repository: Repository, asked: PerfRequest, performance: Performance, found: PipelineChange, seconds: float
) -> DefinitionChange:
    """That in words; stages that head adds are run for what they cost, `seconds` being left."""
    from orchgate.speed import added, definition

    costs = added.costs(
        repository,
        asked.head,
        found,
        environ=os.environ,
        prepare=performance.setup,
        seconds=max(seconds, added.SHARE * performance.max_seconds),
    )
    return DefinitionChange(definition.findings(found, costs), definition.facts(found, costs))


def with_differences(
    repository: Repository,
    asked: PerfRequest,
    sides: tuple[Side, Side],
    measurement: Measurement,
    found: PipelineChange | None,
) -> Measurement:
    """With what else than the code differs, where it may explain what was measured."""
    from orchgate.model import Verdict
    from orchgate.speed import differences

    if measurement.judgement.verdict is Verdict.PASS:
        return measurement
    differs = (
        *differences.between(repository, sides, os.environ),
        *differences.variables(found.variables if found else ()),
        *differences.machine(repository, asked.base, asked.pipeline),
    )
    return measurement._replace(differs=differs)


def limits_note(repository: Repository, config: Config) -> tuple[str, ...]:
    """A line where the work tree's limits are other ones than those that judged, which are base's."""
    from orchgate.config.load import load_work_tree
    from orchgate.errors import ConfigError

    try:
        here = load_work_tree(repository.root) if repository.root else config
    except ConfigError:
        return ("the configuration of this work tree cannot be read: base's was used",)
    same = (here.performance, here.undecided_blocks) == (config.performance, config.undecided_blocks)
    return () if same else ("[performance] of this work tree differs from base's, which was used",)


def introduced(repository: Repository, asked: PerfRequest, reproduce: str, output: str) -> int:
    """Says that there is nothing to compare a new pipeline with, which is no reason to refuse it."""
    from orchgate.model import Verdict
    from orchgate.speed import definition
    from orchgate.speed.measurement import Measurement, Stopped
    from orchgate.speed.push.gate import tree_of
    from orchgate.speed.sampling import Side
    from orchgate.verdict.values import Judgement

    judgement = Judgement(Verdict.INCONCLUSIVE, decided=True, reason=definition.introduced(asked.pipeline).message)
    base, head = (
        Side(label, commit, tree_of(repository, commit), "", "", ())
        for label, commit in (("base", asked.base), ("head", asked.head))
    )
    measurement = Measurement((), (), judgement, (), (), Stopped.DECIDED, 0.0, 0.0, None, "")
    facts = {"definition": {"changed": [f"introduces pipeline {asked.pipeline}"], "added": []}}
    shown = report.PerfReport(asked, (base, head), measurement, reproduce, {}, (), DefinitionChange((), facts))
    if output == "json":
        report.as_json(shown)
    else:
        report.as_text(shown, dirty=False)
    return Verdict.PASS.exit_code
