"""The tools of a run: what is recorded of them, and in what those of two runs differ."""

from __future__ import annotations

import json

import pytest

from orchgate.errors import OrchgateError
from orchgate.runs import events, state
from orchgate.runs.decode import is_valid
from orchgate.runs.run import Run, Tool, checked, from_manifest
from orchgate.tools import stored
from orchgate.tools.counterparts import told_apart
from orchgate.tools.differences import differences, sentence, words_of
from orchgate.verdict import baseline
from tests.baselines import record
from tests.journals import events_of
from tests.manifest_samples import june, own


def tool(name: str, version: str = "", sha256: str = "", source: str = "file") -> Tool:
    return Tool(name=name, version=version or None, sha256=sha256 * 64 or None, source=source)


NODE_20, NODE_22 = tool("node", "20.11.0", source="asked"), tool("node", "22.1.0", source="asked")
PYTHON_A, PYTHON_B = tool("python", "3.12", "a"), tool("python", "3.12", "b")
GCC_A, GCC_B = tool("gcc", sha256="a"), tool("gcc", sha256="b")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((), (), ()),
        ((NODE_20,), (NODE_20,), ()),
        ((NODE_20,), (NODE_22,), ("node 20.11.0 → 22.1.0",)),
        ((GCC_A,), (GCC_B,), ("gcc: another file (sha256 aaaaaaaaaaaa → bbbbbbbbbbbb)",)),
        ((GCC_A, NODE_20), (NODE_22, GCC_A), ("node 20.11.0 → 22.1.0",)),
        ((NODE_20,), (NODE_20, NODE_22), ("node 20.11.0 → 20.11.0 and 22.1.0",)),
        ((PYTHON_A,), (PYTHON_B,), ("python 3.12: another file (sha256 aaaaaaaaaaaa → bbbbbbbbbbbb)",)),
        # Not known is no difference: not started here, no version on one side, a digest of something else.
        ((NODE_20,), (), ()),
        ((NODE_20,), (tool("node", sha256="a"),), ()),
        ((tool("node", sha256="a", source="parts"),), (tool("node", sha256="b"),), ()),
        ((tool("cargo", source="shim"),), (tool("cargo", source="shim"),), ()),
        ((NODE_20, tool("node", source="shim")), (NODE_22,), ()),
    ],
)  # fmt: skip
def test_tools_that_are_known_to_differ_are_named(
    before: tuple[Tool, ...], after: tuple[Tool, ...], expected: tuple[str, ...]
) -> None:
    assert differences(before, after) == expected


def test_a_long_version_is_cut_in_words() -> None:
    assert differences([tool("x", "1" * 500)], [tool("x", "2" * 500)]) == (f"x {'1' * 59}… → {'2' * 59}…",)


def test_of_many_differences_some_are_named() -> None:
    assert sentence([f"t{number} 1 → 2" for number in range(10)]).endswith("t7 1 → 2 and 2 more")


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (NODE_20, "node 20.11.0"),
        (GCC_A, "gcc (sha256 aaaaaaaaaaaa)"),
        (tool("python", "3.12", "a"), "python 3.12 (sha256 aaaaaaaaaaaa)"),
        (tool("cargo", source="shim"), "cargo (version not known: a shim chooses it)"),
    ],
)
def test_a_tool_is_told_with_what_is_known_of_it(one: Tool, words: str) -> None:
    assert words_of(one) == words


# What a journal says of tools, its manifest says


def test_a_manifest_lists_each_tool_once_in_the_order_of_the_journal() -> None:
    first, *rest = events_of(own())
    start = next(event for event in rest if event["event"] == "start")
    start["tools"] = [GCC_A.asdict(), NODE_20.asdict()]
    first["tools"] = [NODE_20.asdict()]

    document = state.manifest([first, *rest])

    assert document["tools"] == [NODE_20.asdict(), GCC_A.asdict()]
    assert is_valid(document, "orchgate")
    assert checked(document).tools == (NODE_20, GCC_A)


def test_a_manifest_without_tools_has_no_such_key() -> None:
    assert "tools" not in state.manifest(events_of(own()))


def test_what_another_program_calls_tools_is_no_fault_of_its_manifest() -> None:
    assert checked({**june(), "tools": ["npm"]}).tools == ()


@pytest.mark.parametrize(
    "tools", [{}, [1], [{"name": "x"}], [{"name": "x", "version": 1, "sha256": None, "source": "file"}]]
)
def test_a_journal_whose_tools_are_no_tools_is_refused(tools: object) -> None:
    first, *rest = events_of(own())

    with pytest.raises(OrchgateError, match="has an impossible tools"):
        events.require(enumerate([{**first, "tools": tools}, *rest], 1))


# Runs of one tree that ended otherwise


def ran(status: str, *tools: Tool, **changed: object) -> Run:
    return from_manifest({**own(), "status": status, "tools": [one.asdict() for one in tools], **changed})


CLEAN = {"commit": "a" * 40, "tree": "b" * 40, "dirty": False, "branch": None}


def test_what_differs_is_told_of_a_run_of_the_same_tree_that_ended_otherwise() -> None:
    found = told_apart(ran("failed", NODE_22, git=CLEAN), [ran("succeeded", NODE_20, git=CLEAN)])

    assert found.endswith("succeeded on the same tree with other tools: node 20.11.0 → 22.1.0")


@pytest.mark.parametrize(
    "other",
    [
        ran("failed", NODE_20, git=CLEAN),  # it ended alike
        ran("cancelled", NODE_20, git=CLEAN),
        ran("succeeded", NODE_22, git=CLEAN),  # with the same tools
        ran("succeeded", git=CLEAN),  # nobody knows
        ran("succeeded", NODE_20, git={**CLEAN, "tree": "c" * 40}),
        ran("succeeded", NODE_20, git={**CLEAN, "dirty": True}),
        ran("succeeded", NODE_20, git=None),
        ran("succeeded", NODE_20, git=CLEAN, pipeline_id="another"),
    ],
)
def test_nothing_is_told_of_runs_that_cannot_be_held_against_each_other(other: Run) -> None:
    assert told_apart(ran("failed", NODE_22, git=CLEAN), [other]) == ""


# What a stored baseline keeps


PARTS = tool("node", sha256="a", source="parts")


@pytest.mark.parametrize("one", [NODE_20, GCC_A, PYTHON_A, PARTS, tool("a.b c", "x y")])
def test_a_tool_that_a_baseline_keeps_is_no_difference_to_itself(one: Tool) -> None:
    kept = stored.texts([one])

    assert stored.since(kept, [one]) == ()
    assert [(back.version, back.sha256) for back in stored.of_texts(kept)] == [(one.version, one.sha256)]


def test_a_tool_that_is_another_one_since_the_baseline_is_named() -> None:
    assert stored.since(stored.texts([NODE_20, GCC_A]), [NODE_22, GCC_A]) == (
        "node 20.11.0 → 22.1.0 since the baseline",
    )


def test_of_tools_that_were_several_or_are_not_known_a_baseline_keeps_nothing() -> None:
    assert stored.texts([NODE_20, NODE_22, tool("cargo", source="shim"), tool("x" * 200, "1")]) == {}


def test_a_baseline_is_read_with_its_tools_and_one_without_any_too() -> None:
    with_tools = record(tools=stored.texts([NODE_20, GCC_A]))
    known = baseline.Baseline({with_tools.place: with_tools})

    assert baseline.parse(baseline.render(known)) == known
    assert (
        baseline.parse(baseline.render(baseline.Baseline({record().place: record()}))).records[record().place].tools
        == {}
    )


@pytest.mark.parametrize("value", ["", 1, None, ["x"], "two\nlines"])
def test_a_tool_of_a_baseline_that_is_no_text_is_refused(value: object) -> None:
    data = json.loads(baseline.render(baseline.Baseline({record().place: record()})))

    with pytest.raises(baseline.BaselineError, match="tools"):
        baseline.parse(json.dumps({**data, f"{'.'.join(record().place)}.tools.node": value}).encode())
