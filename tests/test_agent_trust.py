"""What an agent, or its validator, does that nobody should take for progress, and what of it is written down."""

from __future__ import annotations

import itertools
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from orchgate.agent import loop, workspace
from orchgate.agent.iterations import STATE, Iteration, Iterations, LoopEnding, LoopPlan
from orchgate.agent.workspace import WatchedPlaces
from orchgate.lib import working_time
from orchgate.runs.state import Fold
from tests.journals import events_of
from tests.manifest_samples import own
from tests.repo import ORCHGATE
from tests.runs import events, manifest
from tests.test_recorded_commands import TOKEN
from tests.test_rlm import COUNTS, Loops

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.slow


@pytest.fixture
def loops(repo: Repo) -> Loops:
    repo.commit(files={"a.py": "x = 1\n", ".gitignore": ".runs/\nout/\n"})
    return Loops(repo)


def passes_at(*numbers: int) -> str:
    """A validator that passes only when it is asked for the n-th time."""
    wanted = "|".join(map(str, numbers))
    count = "n=$(($(cat .git/asked 2>/dev/null || echo 0) + 1)); echo $n > .git/asked"
    return f"sh -c '{count}; case $n in {wanted}) exit 0;; esac; exit 1'"


def asked(loops: Loops) -> int:
    return int((loops.repo.root / ".git" / "asked").read_text())


# A validator that passes only sometimes


def test_a_pass_on_a_work_tree_that_failed_is_asked_again_and_is_none(loops: Loops) -> None:
    result = loops.run("true", passes_at(2))

    turns = loops.state()["iterations"]
    assert (result.code, loops.ended()[0], asked(loops)) == (3, "no-progress", 3), result.out
    assert [(one["validatorExitCode"], one.get("flaky", False)) for one in turns] == [(1, False), (1, True)]
    assert (loops.state()["flaky"], manifest(loops.folder)["flaky"]) == (True, ["validator-2"])
    assert "the validator is flaky: it passed and failed on the same work tree (iteration 2)" in result.out
    assert loops.repo.orchgate("check", "manifests", "--all-files").code == 0


def test_a_pass_that_is_confirmed_ends_the_loop_and_is_still_called_flaky(loops: Loops) -> None:
    result = loops.run("true", passes_at(2, 3, 4), "--max-iterations", "5")

    stage = manifest(loops.folder)["commands"][-1]
    assert (result.code, asked(loops), loops.ended()) == (0, 4, ("passed", 0)), result.out
    assert (len(stage["attempts"]), stage["flaky"], "flaky" in result.out) == (3, True, True)
    assert loops.repo.orchgate("check", "manifests", "--all-files").code == 0


def test_a_validator_once_flaky_is_asked_again_about_another_work_tree_too(loops: Loops) -> None:
    loops.run("test -e .git/go && echo x >> a.py; true", passes_at(2, 4))
    loops.repo.write(".git/go")
    result = loops.repo.orchgate("rlm", "--resume", "latest", "--max-iterations", "3")

    assert (result.code, loops.ended()[0], asked(loops)) == (3, "max-iterations", 5), result.out


def test_a_pass_after_a_change_is_not_asked_again(loops: Loops) -> None:
    result = loops.run(COUNTS, passes_at(2))

    assert (result.code, asked(loops), loops.state()["flaky"]) == (0, 2, False), result.out


def test_a_pass_that_cannot_be_confirmed_in_time_is_none(loops: Loops) -> None:
    slow = (
        passes_at(2)
        .replace("exit 0;;", "touch .git/late; exit 0;;")
        .replace("n=", "test -e .git/late && sleep 99; n=", 1)
    )
    result = loops.run("true", slow, "--max-time", "3s", "--max-iterations", "9")

    assert (result.code, loops.ended()[0]) == (3, "max-minutes"), result.out
    assert loops.repo.orchgate("check", "manifests", "--all-files").code == 0


def turn(number: int, tree: str, *, changed: bool, passed: bool = False, flaky: bool = False) -> Iteration:
    return Iteration(
        number, None, None, "succeeded", True, changed, None, "", False, False, 0, None, passed, tree, flaky
    )


@pytest.mark.parametrize(
    ("earlier", "last", "doubt"),
    [
        ([], ("a", False), False),
        ([turn(1, "a", changed=True)], ("b", True), False),
        ([turn(1, "a", changed=True)], ("a", False), True),
        ([turn(1, "a", changed=True), turn(2, "b", changed=True)], ("a", True), True),  # it went back
        ([turn(1, "", changed=True)], ("", True), False),  # nobody knows
        ([turn(1, "a", changed=True, flaky=True)], ("b", True), True),
    ],
)
def test_a_pass_is_in_doubt(earlier: list[Iteration], last: tuple[str, bool], doubt: bool) -> None:
    assert loop.in_doubt([*earlier, turn(9, last[0], changed=last[1], passed=True)]) is doubt


# Edits where an agent has no business


def outside(loops: Loops, shell: str) -> list[str]:
    loops.run(shell, "true", "--max-iterations", "1")
    found: list[str] = loops.state()["iterations"][0].get("outside", [])
    return found


EDITS = {
    "mkdir -p .git/hooks; echo exit 0 > .git/hooks/pre-push": [".git/hooks/pre-push (new)"],
    "git config core.hooksPath /dev/null": [".git/config (changed)"],
    "mkdir -p .git/info; echo '*.x' > .git/info/attributes": [".git/info/attributes (new)"],
    "git update-ref refs/remotes/origin/main HEAD": ["ref refs/remotes/origin/main (new)"],
    "mkdir -p out/x; echo 1 > out/x/state.json": ["out/x/state.json (new)"],
    "mkdir .orchgate; echo {} > .orchgate/baseline.json": [".orchgate/baseline.json (new)"],
    "echo later > $(echo .runs/rlm/cli/*)/artifacts/prompt-01.txt": [
        ".runs/rlm/cli/RUN/artifacts/prompt-01.txt (changed)"
    ],
}


def test_edits_outside_of_the_workspace_are_named(loops: Loops) -> None:
    found = outside(loops, "; ".join(EDITS))

    named = [name.replace("RUN", loops.folder.name) for names in EDITS.values() for name in names]
    assert found == sorted(named)


@pytest.mark.parametrize(
    ("shell", "named"),
    [
        ("echo x > stages/99-other.log", ["stages (changed)"]),
        ("mkdir stages/more", ["stages (changed)"]),
        ("rm artifacts/prompt-01.txt", ["artifacts (changed)", "artifacts/prompt-01.txt (gone)"]),
        ("mkdir more", ["more (new)"]),
        ("echo {} > artifacts/state.json", ["artifacts/state.json (changed)"]),
    ],
)
def test_what_comes_into_the_loop_s_own_folder_or_leaves_it_is_named(
    loops: Loops, shell: str, named: list[str]
) -> None:
    found = outside(loops, f"cd .runs/rlm/cli/*; {shell}")

    assert found == [f".runs/rlm/cli/{loops.folder.name}/{name}" for name in named]


def test_what_comes_into_a_folder_that_an_earlier_turn_made_is_named(loops: Loops) -> None:
    into = "cd .runs/rlm/cli/*/artifacts && if test -d more; then echo x > more/new; else mkdir more; fi"
    loops.run(f"({into}); {COUNTS}", "test $(cat count) -ge 2")

    assert loops.state()["iterations"][1]["outside"] == [f".runs/rlm/cli/{loops.folder.name}/artifacts/more/new (new)"]


def test_a_log_of_an_earlier_turn_that_was_edited_is_named(loops: Loops) -> None:
    edit = "test -e count && echo x >> $(echo .runs/rlm/cli/*/stages/01-*)"
    loops.run(f"{edit}; {COUNTS}", "test $(cat count) -ge 2")

    assert loops.state()["iterations"][1]["outside"] == [
        f".runs/rlm/cli/{loops.folder.name}/stages/01-iteration-1.log (changed)"
    ]


def test_a_turn_is_looked_at_in_as_many_steps_however_many_came_before(tmp_path: Path) -> None:
    stages = tmp_path / "run" / "stages"
    stages.mkdir(parents=True)
    for number in range(300):
        (stages / f"{number}.log").touch()
    seen = workspace.look(WatchedPlaces(str(tmp_path), None, str(tmp_path / "run"), (), [str(stages / "299.log")]))

    assert list(seen) == ["run/stages", "run/stages/299.log"]


def test_in_a_long_loop_the_state_is_not_written_after_each_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "artifacts").mkdir()
    monkeypatch.setattr(working_time, "now", itertools.count().__next__)  # so that a write takes a second
    plan = LoopPlan("goal", ("true",), (), 300, None)
    fold, listed = Fold(), list[dict[str, Any]]()
    made = Iterations(fold, listed, validated=False)
    held = []
    for event in turns(300):
        fold.add(event)
        listed.append(event)
        if event["event"] == "end":
            made.begun()
            made.write(str(tmp_path), plan, None)
            held.append(len(json.loads((tmp_path / STATE).read_text())["iterations"]))
    made.write(str(tmp_path), plan, LoopEnding("complete", 0))
    whole = json.loads((tmp_path / STATE).read_text())

    assert (held[:100], len(set(held[100:])) < 15) == (list(range(1, 101)), True)
    assert ([one["n"] for one in whole["iterations"]], whole["final"]["status"]) == (list(range(1, 301)), "complete")


def turns(count: int) -> Iterator[dict[str, Any]]:
    """The events of a loop without a validator."""
    first = next(iter(events_of(own())))
    at = {"at": first["at"]}
    yield {**first, "stages": []}
    for number in range(1, count + 1):
        name = f"iteration-{number}"
        yield {"event": "stage", "stage": {"id": name, "title": name, "command": "true", "kind": "agent"}, **at}
        log = {"log_path": f"stages/{number:02}-{name}.log"}
        yield {"event": "start", "stage": number, "attempt": 1, **log, **at}
        ended = {"status": "succeeded", "exit_code": 0, "summary": None, "detail": None, "usage": None}
        yield {"event": "end", "stage": number, "attempt": 1, **ended, "iteration": {"changed": True}, **at}


def test_another_branch_is_named_and_a_commit_to_the_own_one_is_not(loops: Loops) -> None:
    work = "echo x >> a.py; git commit -qam more; echo x > new.txt"

    assert outside(loops, f"{work}; git checkout -qb other") == ["HEAD (changed)", "ref refs/heads/other (new)"]


def test_another_run_that_was_edited_or_removed_is_named_and_a_new_one_is_not(loops: Loops) -> None:
    loops.repo.write("orchgate.toml", "[[pipelines.demo.stages]]\nid = 'a'\nrun = ['true']\n")
    for _ in range(2):
        assert loops.repo.orchgate("run", "demo", "--task", "0001-demo").code == 0
    one, other = sorted((loops.repo.root / ".runs/0001-demo/cli").iterdir())
    edits = f"echo >> {one}/manifest.json; rm -r {other}; env -u ORCHGATE_TASK_ID orchgate run demo --task 0001-demo"
    found = outside(loops, f"PATH={os.path.dirname(ORCHGATE)}:$PATH; {edits}")

    folder = ".runs/0001-demo/cli"
    names = [f"{folder}/{one.name}/manifest.json (changed)"]
    names += [f"{folder}/{other.name}/{name} (gone)" for name in ("events.jsonl", "manifest.json")]
    assert found == sorted(names)


def test_what_is_outside_is_said_on_the_screen_and_in_the_manifest(loops: Loops) -> None:
    result = loops.run("git config a.b c", "true")

    said = "changed outside of the workspace: .git/config (changed)"
    assert f"iteration 1 {said}" in result.out
    assert said in manifest(loops.folder)["commands"][0]["status_detail"]


# The record of the loop itself


@pytest.mark.parametrize("shell", ["git clean -qfdx", "rm .runs/rlm/cli/*/events.jsonl"])
def test_a_record_that_was_removed_ends_the_loop_at_once_and_is_put_back(loops: Loops, shell: str) -> None:
    result = loops.run(f"test -e count && git config a.b c && {shell}; {COUNTS}", "false", "--max-iterations", "9")

    told = manifest(loops.folder)
    assert (result.code, loops.ended()) == (10, ("record-removed", 10)), result.out
    assert "changed outside of the workspace: .git/config (changed)" in result.out
    assert (told["status_detail"], [one["event"] for one in events(loops.folder)][-1]) == (
        "agent:record-removed",
        "finish",
    )
    assert len(told["commands"]) in (1, 3)  # `git clean` takes the count with it


def test_a_record_that_was_replaced_ends_the_loop_with_what_happened(loops: Loops) -> None:
    result = loops.run("cd .runs/rlm/cli/*; cp events.jsonl x; mv x events.jsonl", "false")

    assert (result.code, "events.jsonl was replaced" in result.out) == (10, True), result.out


def test_a_validator_that_removes_the_record_is_noticed_too(loops: Loops) -> None:
    result = loops.run(COUNTS, "sh -c 'rm -rf .runs; exit 0'")

    assert (result.code, loops.ended()) == (10, ("record-removed", 10)), result.out


def test_a_line_that_was_added_to_the_record_ends_the_loop(loops: Loops) -> None:
    result = loops.run("echo {} >> $(echo .runs/rlm/cli/*)/events.jsonl", "true")

    assert (result.code, loops.ended()[0]) == (10, "record-changed"), result.out


# Secrets


class Told(NamedTuple):
    logs: str
    heard: str
    folder: Path


@pytest.fixture
def told(loops: Loops) -> Told:
    """A loop whose agent and validator print a secret, in two pieces as it happens."""
    piece, rest = TOKEN[:9], TOKEN[9:]
    says = f"printf %s {piece}; sleep 0.05; echo {rest}"
    loops.repo.write(".git/says.sh", says + "\n")
    loops.run(f"{COUNTS}; . .git/says.sh; cat > .git/heard", "sh -c '. .git/says.sh; test $(cat count) -ge 2'")
    logs = "".join(path.read_text() for path in sorted(loops.folder.glob("stages/*.log")))
    return Told(logs, (loops.repo.root / ".git" / "heard").read_text(), loops.folder)


def test_what_agent_and_validator_print_is_kept_and_passed_on_without_secrets(told: Told) -> None:
    everything = "".join(path.read_text() for path in told.folder.rglob("*") if path.is_file())

    assert (TOKEN[9:] in everything, TOKEN[9:] in told.heard) == (False, False)
    assert (told.logs, "[secret: github-token]" in told.heard) == ("[secret: github-token]\n" * 4, True)
    sizes = [stage["output_bytes"] for stage in manifest(told.folder)["commands"]]
    assert sizes == [len(TOKEN) + 1] * 4


def test_the_state_is_what_the_manifest_says(told: Told) -> None:
    document: dict[str, Any] = json.loads((told.folder / "artifacts" / "state.json").read_text())

    assert (document["final"], document["flaky"]) == ({"status": "passed", "exitCode": 0}, False)
