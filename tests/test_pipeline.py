"""Pipelines of both configurations: how they are read, found and ordered, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.config.entries import ResultFile
from orchgate.config.load import load_work_tree
from orchgate.errors import ConfigError, OrchgateError, UsageError
from orchgate.runs.implementation_gate import NAME
from orchgate.runs.pipeline import CODEX_FILE, MAX_NESTING, find, load_all, load_codex, order, parse_codex
from orchgate.runs.stages import Pipeline, Stage

if TYPE_CHECKING:
    from pathlib import Path


def parsed(document: object) -> dict[str, Pipeline]:
    return parse_codex(json.dumps(document).encode())


def command(name: str, **more: object) -> dict[str, Any]:
    return {"kind": "command", "id": name, "title": name, "command": "true", **more}


def one(*stages: object, **more: object) -> Pipeline:
    """The pipeline `p` of a codex.orchestrator.json with these stages."""
    return parsed({"pipelines": [{"id": "p", "title": "P", "stages": list(stages)}], **more})["p"]


def pipeline(*stages: Stage, name: str = "p") -> Pipeline:
    return Pipeline(name, name, stages)


def stage(name: str, *needs: str, calls: str = "") -> Stage:
    return Stage(name, name, argv=() if calls else ("true",), needs=needs, pipeline=calls)


def levels(*stages: Stage) -> list[list[str]]:
    return [[stage.id for stage in level] for level in order(pipeline(*stages))]


def loaded(root: Path, toml: str = "", codex_document: object = None) -> dict[str, Pipeline]:
    (root / "orchgate.toml").write_text(toml)
    if codex_document is not None:
        (root / CODEX_FILE).write_text(json.dumps(codex_document))
    return load_all(str(root), load_work_tree(str(root)))


TOML = """
[pipelines.diagnostics]
title = "Diagnostics"
env = { LEVEL = "1", SHARED = "p" }
max-parallel = 3
[[pipelines.diagnostics.stages]]
id = "build"
run = ["python", "-m", "build"]
[[pipelines.diagnostics.stages]]
id = "test"
title = "All tests"
shell = "pytest -q | tee log"
env = { SHARED = "s" }
cwd = "packages/a"
needs = ["build"]
timeout-seconds = 600
retries = 1
retry-delay-seconds = 0.5
allow-failure = true
inputs = ["orchgate/**"]
results = "report.xml"
metrics = "metrics.json"
summary-hint = "see the report"
[[pipelines.diagnostics.stages]]
id = "deploy"
pipeline = "deploy"
[[pipelines.deploy.stages]]
id = "push"
run = ["git", "push"]
"""


def test_every_key_of_a_stage_arrives(tmp_path: Path) -> None:
    assert loaded(tmp_path, TOML)["diagnostics"].stages[1] == Stage(
        id="test",
        title="All tests",
        shell="pytest -q | tee log",
        env={"LEVEL": "1", "SHARED": "s"},
        cwd="packages/a",
        timeout_seconds=600.0,
        retries=1,
        retry_delay_seconds=0.5,
        allow_failure=True,
        needs=("build",),
        inputs=("orchgate/**",),
        results=(ResultFile("report.xml"),),
        metrics="metrics.json",
        summary_hint="see the report",
    )


@pytest.mark.parametrize("key", ["junit", "results"])
def test_a_new_name_of_a_key_makes_no_other_pipeline(tmp_path: Path, key: str) -> None:
    """Baselines and the cache are of a definition."""
    text = "[[pipelines.p.stages]]\nid='a'\nrun=['true']\n{}='r.xml'\n[[pipelines.p.stages]]\nid='b'\nrun=['true']\n"
    digest = loaded(tmp_path, text.format(key))["p"].digest

    assert digest == "4235bf841ae951b5e40458c1411cda79135343734471fe51dca1cb34ecd4a210"


def test_files_of_results_are_paths_or_tables(tmp_path: Path) -> None:
    text = "[[pipelines.p.stages]]\nid='a'\nrun=['true']\nresults=['a.xml', {path='b/*', format='ctrf'}]\n"

    assert loaded(tmp_path, text)["p"].stages[0].results == (ResultFile("a.xml"), ResultFile("b/*", "ctrf"))


def test_a_pipeline_knows_where_it_is_defined(tmp_path: Path) -> None:
    assert loaded(tmp_path, TOML)["deploy"].source == "orchgate.toml"


def test_a_pipeline_has_its_limit_of_parallel_stages(tmp_path: Path) -> None:
    assert loaded(tmp_path, TOML)["diagnostics"].max_parallel == 3


def test_titles_default_to_ids(tmp_path: Path) -> None:
    deploy = loaded(tmp_path, TOML)["deploy"]

    assert (deploy.title, deploy.stages[0].title) == ("deploy", "push")


def test_a_stage_may_be_a_pipeline(tmp_path: Path) -> None:
    called = loaded(tmp_path, TOML)["diagnostics"].stages[2]

    assert (called.kind, called.command, called.pipeline) == ("subpipeline", None, "deploy")


def test_words_are_joined_as_a_person_would_type_them() -> None:
    assert Stage("a", "a", argv=("echo", "two words", "$x")).command == "echo 'two words' '$x'"


def test_a_shell_line_is_its_own_command() -> None:
    assert Stage("a", "a", shell="echo $x | wc").command == "echo $x | wc"


def test_without_a_configuration_there_is_only_the_gates_own_pipeline(tmp_path: Path) -> None:
    assert list(load_all(str(tmp_path), load_work_tree(str(tmp_path)))) == [NAME]


def test_our_own_definition_wins_over_the_other_file(tmp_path: Path) -> None:
    other = {"pipelines": [{"id": "deploy", "title": "Other", "stages": [command("x")]}]}

    assert loaded(tmp_path, TOML, other)["deploy"].source == "orchgate.toml"


def test_pipelines_of_both_files_are_known(tmp_path: Path) -> None:
    other = {"pipelines": [{"id": "other", "title": "Other", "stages": [command("x")]}]}

    assert list(loaded(tmp_path, TOML, other)) == ["diagnostics", "deploy", "other", NAME]


def test_ours_may_call_the_other_files(tmp_path: Path) -> None:
    other = {"pipelines": [{"id": "deploy", "title": "Other", "stages": [command("x")]}]}
    toml = "[[pipelines.a.stages]]\nid = 'a'\npipeline = 'deploy'"

    assert find(loaded(tmp_path, toml, other), "a").stages[0].pipeline == "deploy"


# --- the digest


@pytest.mark.slow
def test_the_digest_is_the_same_in_another_process(tmp_path: Path) -> None:
    loaded(tmp_path, TOML)
    program = (
        "import sys; from orchgate.config.load import load_work_tree; from orchgate.runs.pipeline import load_all;"
        "print(load_all(sys.argv[1], load_work_tree(sys.argv[1]))['diagnostics'].digest)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )

    assert told.stdout.strip() == loaded(tmp_path, TOML)["diagnostics"].digest


def test_titles_do_not_change_the_digest(tmp_path: Path) -> None:
    before = loaded(tmp_path, TOML)["diagnostics"].digest

    assert loaded(tmp_path, TOML.replace("All tests", "Tests"))["diagnostics"].digest == before


@pytest.mark.parametrize("change", [("-m", "-P"), ("600", "601"), ('SHARED = "s"', 'SHARED = "t"'), ("report", "r")])
def test_what_decides_a_run_changes_the_digest(tmp_path: Path, change: tuple[str, str]) -> None:
    before = loaded(tmp_path, TOML)["diagnostics"].digest

    assert loaded(tmp_path, TOML.replace(*change))["diagnostics"].digest != before


def test_the_order_of_variables_does_not_change_the_digest() -> None:
    one_way, other_way = ({"A": "1", "B": "2"}, {"B": "2", "A": "1"})

    assert Stage("a", "a", env=one_way).definition == Stage("a", "a", env=other_way).definition


# --- the order


def test_independent_stages_share_a_level() -> None:
    assert levels(stage("a"), stage("b")) == [["a", "b"]]


def test_a_stage_comes_after_what_it_needs() -> None:
    assert levels(stage("c", "a", "b"), stage("b", "a"), stage("a")) == [["a"], ["b"], ["c"]]


def test_stages_of_a_level_keep_their_order() -> None:
    assert levels(stage("a"), stage("z", "a"), stage("m", "a"), stage("b", "a")) == [["a"], ["z", "m", "b"]]


def test_a_sequential_pipeline_runs_one_after_another() -> None:
    sequential = pipeline(stage("a"), stage("b"))._replace(sequential=True)

    assert [len(level) for level in order(sequential)] == [1, 1]


def test_a_cycle_is_named_along_the_needs() -> None:
    with pytest.raises(
        ConfigError, match=r"^pipelines\.p\.stages: .* in a circle: '(a' -> 'b|b' -> 'c|c' -> 'a)' -> '"
    ):
        order(pipeline(stage("a", "b"), stage("b", "c"), stage("c", "a")))


def test_a_need_of_a_stage_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^pipelines\.p\.stages\[0\]\.needs: no stage 'x' in this pipeline$"):
        order(pipeline(stage("a", "x")))


def test_a_thousand_stages_in_a_row_have_a_thousand_levels() -> None:
    row = [stage("s0"), *(stage(f"s{number}", f"s{number - 1}") for number in range(1, 1000))]

    assert len(levels(*row)) == 1000


@pytest.mark.slow
@given(st.data())
def test_every_order_meets_every_need(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    needs = [data.draw(st.sets(st.integers(0, number - 1))) if number else set() for number in range(count)]
    stages = [stage(f"s{number}", *(f"s{need}" for need in needs[number])) for number in range(count)]

    place = {stage.id: level for level, stages in enumerate(order(pipeline(*stages))) for stage in stages}

    assert all(place[need] < place[stage.id] for stage in stages for need in stage.needs)


# --- finding


def test_an_unknown_pipeline_is_a_wrong_command_line() -> None:
    with pytest.raises(UsageError, match=r"^there is no pipeline 'x'$"):
        find({}, "x")


def test_an_unknown_pipeline_brings_the_nearest_and_all() -> None:
    known = {name: pipeline(stage("a"), name=name) for name in ("diagnostics", "docs")}

    with pytest.raises(UsageError) as caught:
        find(known, "diagnostic")

    assert caught.value.hint == "did you mean diagnostics? there are: diagnostics, docs"


def test_a_repository_without_pipelines_says_how_to_define_one() -> None:
    with pytest.raises(UsageError) as caught:
        find({}, "x")

    assert "orchgate.toml" in caught.value.hint


def test_a_pipeline_without_stages_can_prove_nothing() -> None:
    with pytest.raises(ConfigError, match=r"^pipelines\.p\.stages: expected at least one stage$"):
        find({"p": pipeline()}, "p")


def test_a_call_of_an_unknown_pipeline_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^pipelines\.p\.stages\[1\]\.pipeline: there is no pipeline 'q'$"):
        find({"p": pipeline(stage("a"), stage("b", calls="q"))}, "p")


def test_a_pipeline_that_calls_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"call each other in a circle: 'p' -> 'p'$"):
        find({"p": pipeline(stage("a", calls="p"))}, "p")


def test_a_circle_of_pipelines_is_named() -> None:
    circle = {
        name: pipeline(stage("a", calls=called), name=name) for name, called in (("p", "q"), ("q", "r"), ("r", "q"))
    }

    with pytest.raises(ConfigError, match=r"in a circle: '(q' -> 'r' -> 'q|r' -> 'q' -> 'r)'$"):
        find(circle, "p")


def test_a_broken_pipeline_does_not_hinder_the_others() -> None:
    known = {"p": pipeline(stage("a", calls="p")), "q": pipeline(stage("a"), name="q")}

    assert find(known, "q").id == "q"


def test_a_broken_pipeline_is_found_through_a_call() -> None:
    known = {"p": pipeline(stage("a", calls="q")), "q": pipeline(stage("a", "a"), name="q")}

    with pytest.raises(ConfigError, match=r"^pipelines\.q\.stages"):
        find(known, "p")


def test_calls_that_double_at_every_step_are_refused() -> None:
    known = {
        f"p{number}": pipeline(
            stage("a", calls=f"p{number + 1}"), stage("b", calls=f"p{number + 1}"), name=f"p{number}"
        )
        for number in range(60)
    }
    known["p60"] = pipeline(stage("a"), name="p60")

    with pytest.raises(ConfigError, match=r"unfolds to .* stages, limit 10000$"):
        find(known, "p0")


@pytest.mark.slow
def test_calls_may_not_nest_without_end() -> None:
    known = {f"p{number}": pipeline(stage("a", calls=f"p{number + 1}"), name=f"p{number}") for number in range(3000)}
    known["p3000"] = pipeline(stage("a"), name="p3000")

    with pytest.raises(ConfigError, match=f"call each other 3001 deep, limit {MAX_NESTING}$"):
        find(known, "p0")


# --- codex.orchestrator.json


def test_a_stage_of_the_other_file_arrives() -> None:
    written = command(
        "a", command="exit 2", cwd="x", env={"A": "1"}, allowFailure=True, summaryHint="h", timeoutMs=1500
    )

    assert one(written).stages == (
        Stage("a", "a", (), "exit 2", {"A": "1"}, "x", 1.5, allow_failure=True, summary_hint="h"),
    )


def test_its_stages_run_strictly_in_order() -> None:
    assert one(command("a")).sequential


def test_a_stage_set_is_unfolded() -> None:
    unfolded = one(command("first"), {"kind": "stage-set", "ref": "s"}, stageSets={"s": [command("a"), command("b")]})

    assert [stage.id for stage in unfolded.stages] == ["first", "a", "b"]


def test_a_set_that_stands_twice_gets_distinct_ids() -> None:
    reference = {"kind": "stage-set", "ref": "s"}

    unfolded = one(reference, command("a-2"), reference, reference, stageSets={"s": [command("a")]})

    assert [stage.id for stage in unfolded.stages] == ["a", "a-2", "a-3", "a-4"]


def test_a_call_of_another_pipeline_arrives() -> None:
    called = one({"kind": "subpipeline", "id": "child", "title": "C", "pipeline": "q", "optional": True}).stages[0]

    assert (called.kind, called.pipeline, called.allow_failure, called.shell) == ("subpipeline", "q", True, "")


def test_keys_nobody_knows_are_let_through() -> None:
    written = command("a", session={"reuse": True}, somethingNew=[1])

    assert one(written, defaultPipeline="p", runtimeMode="cli").stages[0].shell == "true"


def test_null_is_the_same_as_nothing() -> None:
    assert one(command("a", cwd=None, env=None, allowFailure=None, title=None)).stages[0].title == "a"


def test_a_file_without_pipelines_has_none() -> None:
    assert parsed({}) == {}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "codex.orchestrator.json: expected one object, got a list"),
        (None, "codex.orchestrator.json: expected one object, got null"),
        ({"pipelines": {}}, "pipelines: expected a list, got {}"),
        ({"pipelines": [5]}, "pipelines[0]: expected an object, got 5"),
        ({"pipelines": [{"stages": []}]}, "pipelines[0].id: required key is missing"),
        ({"pipelines": [{"id": ""}]}, "pipelines[0].id: expected some text"),
        ({"pipelines": [{"id": "p", "title": 5}]}, "pipelines[0].title: expected a string, got 5"),
        ({"pipelines": [{"id": "p"}, {"id": "p"}]}, "pipelines[1].id: 'p' is already a pipeline of this file"),
        ({"stageSets": []}, None),
        ({"stageSets": [1]}, "stageSets: expected an object, got [1]"),
        ({"stageSets": {"a": {}}}, "stageSets.a: expected a list, got {}"),
        ({"stageSets": {"a b": [1]}}, 'stageSets."a b"[0]: expected an object, got 1'),
        (
            {"stageSets": {"a": [{"kind": "stage-set", "ref": "b"}]}},
            'stageSets.a[0].kind: expected one of "command", "subpipeline", got "stage-set"',
        ),
    ],
)
def test_a_malformed_file_is_named_by_its_dotted_path(document: object, message: str | None) -> None:
    if message is None:
        assert parsed(document) == {}
        return
    with pytest.raises(ConfigError) as caught:
        parsed(document)

    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"id": "a"}, 'kind: expected one of "command", "subpipeline", "stage-set", got null'),
        (command("a", kind="agent"), "kind: expected one of"),
        ({"kind": "stage-set"}, "ref: required key is missing"),
        ({"kind": "stage-set", "ref": "x"}, "ref: there is no stage set 'x'"),
        ({"kind": "command", "id": "a"}, "command: required key is missing"),
        (command("a", command=["true"]), 'command: expected a string, got ["true"]'),
        (command("a", command=" "), "command: expected some text"),
        (command(""), "id: expected some text"),
        (command("a", env=["A=1"]), 'env: expected a table, got ["A=1"]'),
        (command("a", env={"A": 1}), "env.A: expected a string, got 1"),
        (command("a", env={"A=B": "1"}), "env: 'A=B' cannot be the name of a variable"),
        (command("a", allowFailure="yes"), 'allowFailure: expected true or false, got "yes"'),
        (command("a", timeoutMs=0), "timeoutMs: expected milliseconds"),
        (command("a", command="echo \0"), "shell: holds a character that cannot be in a command"),
        (command("a", command="echo \ud83d"), "shell: holds a character that cannot be in a command"),
        ({"kind": "subpipeline", "id": "a"}, "pipeline: required key is missing"),
    ],
)
def test_a_malformed_stage_is_named_by_its_dotted_path(written: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        one(written)

    assert caught.value.message.startswith(f"pipelines[0].stages[0].{message}")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' + b"9" * 10_000 + b"}", b"\xef\xbb\xbf{}"],
    ids=["empty", "torn", "utf-16", "deep", "huge number", "byte order mark"],
)
def test_what_is_not_json_is_said(content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^codex\.orchestrator\.json: not valid JSON: "):
        parse_codex(content)


def test_an_error_says_in_which_file_it_stands(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, TOML, {"pipelines": 5})

    assert caught.value.hint == "fix it in codex.orchestrator.json"


def test_a_folder_of_that_name_is_said(tmp_path: Path) -> None:
    (tmp_path / CODEX_FILE).mkdir()

    with pytest.raises(ConfigError, match=r"^codex\.orchestrator\.json is a directory, not a regular file$"):
        load_codex(str(tmp_path))


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / CODEX_FILE)

    with pytest.raises(ConfigError, match="is a named pipe"):
        load_codex(str(tmp_path))


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["pipelines", "stageSets", "stages", "id", "kind", "ref", "command", "env"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(document: object) -> None:
    try:
        read = parsed(document)
    except OrchgateError:
        return
    assert all(isinstance(found, Pipeline) for found in read.values())


# --- what cannot be started


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ('run = ["echo", "\\u0000"]', "pipelines.p.stages[0].run"),
        ('shell = "\\u0000"', "pipelines.p.stages[0].shell"),
        ('run = ["a"]\nenv = { "A=B" = "1" }', "pipelines.p.stages[0].env"),
        ('run = ["a"]\nenv = { A = "\\u0000" }', "pipelines.p.stages[0].env"),
        ('run = ["a"]\ncwd = "\\u0000"', "pipelines.p.stages[0].cwd"),
        ('run = [""]', "pipelines.p.stages[0].run[0]"),
    ],
)
def test_text_that_no_system_can_start_is_refused(tmp_path: Path, line: str, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"[[pipelines.p.stages]]\nid = 'a'\n{line}")

    assert path in caught.value.message


def test_a_stage_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r" pipelines\.p\.stages\[0\]\.id: expected a name"):
        loaded(tmp_path, "[[pipelines.p.stages]]\nid = ' '\nshell = 'true'")
