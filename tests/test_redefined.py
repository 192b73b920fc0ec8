"""A pipeline that is changed together with the code: both sides are run as the base defines it (PRF007)."""

from __future__ import annotations

import datetime
import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.git.repository import open_repository
from orchgate.runs.stages import Stage
from orchgate.speed import definition, work_trees
from orchgate.speed.push import findings
from orchgate.speed.push.bounds import PushRequest
from orchgate.speed.sampling import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.speed.definition import PipelineChange
    from tests.repo import Repo

GATE = '[performance]\npipeline = "bench"\nmax-seconds = 10\n'
STAGE = '[[pipelines.bench.stages]]\nid = "{id}"\nrun = ["sh", "{script}"]\n'
WORK = STAGE.format(id="work", script="work.sh")
OTHER = STAGE.format(id="other", script="other.sh")
CONFIG = GATE + WORK + OTHER
ONCE = "mkdir -p .runs/t/cli/r; : > .runs/t/cli/r/manifest.json\n"
TWICE = ONCE + ": > .runs/t/cli/r/manifest.json\n"  # slower in a way that no machine hides
FILES = {
    "orchgate.toml": CONFIG,
    "work.sh": ONCE,
    "other.sh": ":\n",
    "fast.sh": ":\n",
    ".gitignore": ".runs/\nout/\n",
}
HURRIED = CONFIG.replace("= 10", "= 1")  # where the verdict does not matter
CODEX = "codex.orchestrator.json"


def codex(*commands: str) -> str:
    """A file of the other orchestrator whose pipeline `bench` runs these shell lines."""
    stages = [{"kind": "command", "id": f"s{number}", "command": line} for number, line in enumerate(commands)]
    return json.dumps({"pipelines": [{"id": "bench", "stages": stages}]})


def change(repo: Repo, files: Mapping[str, str], base: Mapping[str, str] = {}) -> None:
    """`main` as above, and a branch with a change."""
    repo.commit("Start", {**FILES, **base})
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit("Change", files)


def judged(repo: Repo, *checks: str) -> dict[str, Any]:
    return repo.report("--base", "main", "performance", *checks)


def rules(report: dict[str, Any]) -> set[tuple[str, str]]:
    """Rule and severity of all findings but those that times make by chance: probably slower, cannot tell."""
    found = {(one["rule"], one["severity"]) for one in report["diagnostics"] if one["rule"] != "PRF004"}
    return found - {("PRF001", "warning"), ("PRF006", "warning")}


def messages(report: dict[str, Any], rule: str = "PRF007") -> str:
    return "\n".join(one["message"] for one in report["diagnostics"] if one["rule"] == rule)


# No way around

EVASIONS: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "the only stage renamed": (
        {"orchgate.toml": GATE + WORK.replace('"work"', '"work2"')},
        {"orchgate.toml": GATE + WORK},
    ),
    "another command": ({"orchgate.toml": CONFIG.replace("work.sh", "fast.sh")}, {}),
    "an empty pipeline": ({"orchgate.toml": GATE + "[pipelines.bench]\nstages = []\n"}, {}),
    "no gate at all": ({"orchgate.toml": "[diff-budget]\nmax-files = 9\n"}, {}),
    "a codex file": ({CODEX: codex(":")}, {CODEX: codex("sh work.sh"), "orchgate.toml": GATE}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EVASIONS)
def test_a_slower_push_is_refused_however_it_edits_its_pipeline(repo: Repo, name: str) -> None:
    edits, base = EVASIONS[name]
    change(repo, {"work.sh": TWICE, **edits}, base)

    assert rules(judged(repo)) == {("PRF002", "error"), ("PRF007", "warning")}


@pytest.mark.slow
def test_a_change_cannot_narrow_what_is_relevant_to_what_it_leaves_alone(repo: Repo) -> None:
    change(repo, {"work.sh": TWICE, "orchgate.toml": CONFIG.replace("max-seconds", 'paths = ["src/**"]\nmax-seconds')})

    assert rules(judged(repo)) == {("PRF002", "error")}


MAY_FAIL = HURRIED.replace('"work.sh"]', '"work.sh"]\nallow-failure = true')


@pytest.mark.slow
@pytest.mark.parametrize(("before", "found"), [(ONCE, {("PRF005", "warning")}), ("exit 4\n", set())])
def test_a_stage_that_may_fail_and_did_not_before_is_said(repo: Repo, before: str, found: set[Any]) -> None:
    change(repo, {"work.sh": "exit 3\n"}, {"orchgate.toml": MAY_FAIL, "work.sh": before})

    assert rules(judged(repo)) == found


# What still runs


@pytest.mark.slow
def test_another_command_is_a_warning_while_the_base_s_still_runs_as_fast(repo: Repo) -> None:
    change(repo, {"orchgate.toml": HURRIED.replace("work.sh", "fast.sh")}, {"orchgate.toml": HURRIED})
    report = judged(repo)

    assert (rules(report), "changes the command of stage work: sh work.sh -> sh fast.sh" in messages(report)) == (
        {("PRF007", "warning")},
        True,
    )


@pytest.mark.slow
def test_a_new_stage_is_a_note(repo: Repo) -> None:
    more = STAGE.format(id="more", script="fast.sh")
    change(repo, {"orchgate.toml": HURRIED + more}, {"orchgate.toml": HURRIED})
    report = judged(repo)

    assert (rules(report), "this change adds stage more (" in messages(report)) == ({("PRF007", "note")}, True)


COSTS = {
    "fast.sh": r"[\d.]+ m?s of CPU time, [\d.]+ m?s in all",
    "missing.sh": r"fails: exit \d+",
    "long.sh": "cost not measured: a run takes more than 0.1 s",
}


@pytest.mark.slow
@pytest.mark.parametrize("script", COSTS)
def test_a_new_stage_is_listed_with_what_it_costs(repo: Repo, script: str) -> None:
    after = {**FILES, "orchgate.toml": CONFIG + STAGE.format(id="more", script=script), "long.sh": "sleep 600\n"}
    found = difference(repo, {"orchgate.toml": CONFIG, **FILES}, after)
    repository = open_repository(str(repo.root), {})
    try:
        head, seconds = repository.require_commit("HEAD"), 0.1 if script == "long.sh" else 100.0
        costs = work_trees.added_costs(repository, head, found, environ=os.environ, prepare=(), seconds=seconds)
    finally:
        repository.close()

    assert re.fullmatch(COSTS[script], costs["more"]), costs


@pytest.mark.slow
def test_a_definition_is_said_to_change_where_nothing_else_does(repo: Repo) -> None:
    narrow = CONFIG.replace("max-seconds", 'paths = ["src/**"]\nmax-seconds')
    change(repo, {"orchgate.toml": narrow.replace("work.sh", "fast.sh")}, {"orchgate.toml": narrow})
    report = judged(repo)

    assert (rules(report), report["checks"][0]["examined"]) == ({("PRF007", "warning")}, {"measured pairs": 0})


# What cannot be run any more


@pytest.mark.slow
def test_a_script_that_the_base_runs_may_not_just_disappear(repo: Repo) -> None:
    repo.commit("Start", FILES)
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.git("rm", "--quiet", "work.sh")
    repo.commit("Change", {"orchgate.toml": CONFIG.replace("work.sh", "fast.sh")})
    report = judged(repo)

    assert rules(report) == {("PRF007", "error")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "script"),
    [
        ('shell = "cd tools && sh ./bench.sh"', "tools/bench.sh"),
        ('run = ["python3", "-m", "tools.bench"]', "tools/bench.py"),
        ('run = ["./bench.sh"]\ncwd = "tools"', "tools/bench.sh"),
        ('run = ["pytest", "suite"]', "suite/test_it.py"),
        ('run = ["sh", "-c", "exit 127"]\ncwd = "old"', "old/x"),
    ],
)
def test_a_script_is_missed_however_it_was_named(repo: Repo, run: str, script: str) -> None:
    toml = GATE + f'[[pipelines.bench.stages]]\nid = "work"\n{run}\n'
    repo.commit("Start", {"orchgate.toml": toml, "tools/other": "x\n", script: "x\n"})
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.git("mv", script, "elsewhere")
    repo.commit("Change")
    asked = question(repo)
    said = findings.failed_at_head(asked, Failure("head", "work", "exit 1", ""))
    asked.repository.close()

    assert (said.rule, said.message.partition("this change removes ")[2]) in {
        ("PRF007", script),
        ("PRF007", script.partition("/")[0]),
    }


def question(repo: Repo) -> PushRequest:
    """What a push of the change asks."""
    repository = open_repository(str(repo.root), {})
    base, head = repository.require_commit("main"), repository.require_commit("HEAD")
    config, now = definition.config_of(repository, base, "base"), datetime.datetime.now(datetime.UTC)
    return PushRequest(repository, config, base, head, repository.tree(base), {}, now, lambda _: None)


@pytest.mark.slow
def test_a_preparation_that_head_has_no_files_for_is_no_broken_code(repo: Repo) -> None:
    toml = GATE + 'setup = ["sh", "ready.sh"]\n' + WORK
    repo.commit("Start", {**FILES, "orchgate.toml": toml, "ready.sh": ":\n"})
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.git("rm", "--quiet", "ready.sh")
    repo.commit("Change")

    assert "performance.setup fails at head" in messages(judged(repo))


@pytest.mark.slow
def test_code_that_is_broken_is_still_called_that(repo: Repo) -> None:
    change(repo, {"work.sh": "exit 3\n"})

    assert rules(judged(repo)) == {("PRF005", "error")}


# A base without


@pytest.mark.slow
@pytest.mark.parametrize("base", ["", WORK])
def test_a_pipeline_that_the_change_introduces_is_judged_from_the_next_push_on(repo: Repo, base: str) -> None:
    change(repo, {"orchgate.toml": CONFIG, "work.sh": TWICE}, {"orchgate.toml": base})
    report = judged(repo)

    assert (report["verdict"], rules(report)) == ("pass", {("PRF007", "note")})


@pytest.mark.slow
def test_a_configuration_that_cannot_be_read_is_no_base_and_no_pass(repo: Repo) -> None:
    change(repo, {"orchgate.toml": CONFIG, "work.sh": TWICE}, {"orchgate.toml": "pipeline = ["})

    assert rules(judged(repo)) == {("PRF003", "warning")}


# Never twice


@pytest.mark.slow
def test_the_check_of_the_configuration_alone_measures_nothing(repo: Repo) -> None:
    change(repo, {"orchgate.toml": CONFIG.replace("work.sh", "fast.sh"), "work.sh": "exit 3\n"})

    assert rules(repo.report("--base", "main", "configuration")) == {("CFG001", "warning")}


# What differs


def difference(repo: Repo, before: Mapping[str, str], after: Mapping[str, str]) -> PipelineChange:
    base = repo.commit("Before", before)
    for path in before.keys() - after.keys():
        repo.git("rm", "--quiet", path)
    head = repo.commit("After", after)
    repository = open_repository(str(repo.root), {})
    try:
        config = definition.config_of(repository, base, "base")
        return definition.between(repository, base, head, config.performance.pipeline, config)
    finally:
        repository.close()


CALLS = GATE + '[[pipelines.bench.stages]]\nid = "call"\npipeline = "inner"\n'
INNER = '[[pipelines.inner.stages]]\nid = "one"\nrun = ["sh", "work.sh"]\n'
REFORMATTED = f"""\
# the same
{GATE}
[pipelines.bench]
title = "Bench"
stages = [{{id = "work", title = "W", run = ["sh", "work.sh"]}}, {{id = "other", run = ["sh", "other.sh"]}}]
"""
DIFFERENCES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "one of two renamed": (CONFIG, CONFIG.replace('"work"', '"work2"'), ("renames stage work to work2",)),
    "removed": (CONFIG, GATE + OTHER, ("removes stage work",)),
    "replaced": (CONFIG, GATE + OTHER + WORK.replace("work", "new"), ("removes stage work", "adds stage new")),
    "another order": (CONFIG, GATE + OTHER + WORK, ("runs the stages in another order",)),
    "needs": (CONFIG, GATE + WORK + 'needs = ["other"]\n' + OTHER, ("runs the stages in another order",)),
    "environment": (
        CONFIG,
        CONFIG + 'env = { TOKEN = "hush", MODE = "fast" }\n',
        ("changes env of stage other (MODE, TOKEN)",),
    ),
    "limits": (
        CONFIG,
        CONFIG + "retries = 2\nallow-failure = true\n",
        ("changes retries, allow-failure of stage other",),
    ),
    "a shell": (
        GATE + WORK,
        GATE + WORK.replace('run = ["sh", "work.sh"]', 'shell = "sh work.sh"'),
        ("runs stage work through a shell",),
    ),
    "called pipeline": (
        CALLS + INNER,
        CALLS + INNER.replace("work.sh", "fast.sh"),
        ("changes the command of stage call/one: sh work.sh -> sh fast.sh",),
    ),
    "another pipeline": (
        CONFIG + OTHER.replace("bench", "quick"),
        CONFIG.replace('"bench"', '"quick"', 1) + OTHER.replace("bench", "quick"),
        ("makes quick what is measured from the next push on",),
    ),
    "another name for the pipeline": (CONFIG, CONFIG.replace("bench", "speed"), ("renames the pipeline to speed",)),
    "preparation": (CONFIG, GATE + 'setup = ["true"]\n' + WORK + OTHER, ("changes performance.setup",)),
    "written otherwise": (CONFIG, REFORMATTED, ()),
    "a pipeline besides": (CONFIG, CONFIG + INNER, ()),
    "what is cached": (CONFIG, CONFIG + 'inputs = ["src/**"]\n', ()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFERENCES)
def test_what_a_change_does_to_the_definition_is_said(repo: Repo, name: str) -> None:
    before, after, expected = DIFFERENCES[name]

    assert difference(repo, {"orchgate.toml": before}, {"orchgate.toml": after}).phrases == expected


def nested(text: str) -> str:
    """A configuration as pyproject.toml holds it."""
    return (
        text.replace("[[", "[[tool.orchgate.")
        .replace("\n[p", "\n[tool.orchgate.p")
        .replace("[perf", "[tool.orchgate.perf")
    )


@pytest.mark.slow
def test_a_definition_that_moves_to_pyproject_is_the_same(repo: Repo) -> None:
    assert difference(repo, {"orchgate.toml": CONFIG}, {"pyproject.toml": nested(CONFIG)}).phrases == ()


@pytest.mark.slow
def test_a_definition_that_moves_to_another_orchestrator_s_file_is_the_same(repo: Repo) -> None:
    shell = GATE + '[[pipelines.bench.stages]]\nid = "s0"\nshell = "sh work.sh"\n'

    assert difference(repo, {"orchgate.toml": shell}, {"orchgate.toml": GATE, CODEX: codex("sh work.sh")}).phrases == ()


@pytest.mark.slow
def test_many_changes_are_counted_and_not_listed(repo: Repo) -> None:
    before, after = ("".join(STAGE.format(id=n, script=f"{n}{mark}") for n in range(9)) for mark in ("a", "b"))
    found = definition.findings(difference(repo, {"orchgate.toml": GATE + before}, {"orchgate.toml": GATE + after}), {})

    assert found[0].message.endswith(" and 4 more")


@pytest.mark.slow
def test_thousands_of_stages_under_other_names_are_told_apart_at_once() -> None:
    old, new = (tuple(Stage(f"{mark}{n}", "", ("true", str(n // 2))) for n in range(10_000)) for mark in "ab")
    found = definition.compared(old, new[::-1])

    assert (len(found.edits), found.edits[0], found.added) == (10_001, "renames stage a0 to b1", ())


@pytest.mark.slow
def test_no_secret_of_a_command_is_shown(repo: Repo) -> None:
    token = "ghp_" + "a1B2" * 9
    after = CONFIG.replace('"work.sh"', f'"work.sh", "--token", "{token}"')
    found = difference(repo, {"orchgate.toml": CONFIG}, {"orchgate.toml": after})

    assert "--token" in found.phrases[0]
    assert token[:12] not in found.phrases[0]
