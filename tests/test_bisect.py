"""`orchgate bisect` on real histories, with programs that are several times as slow: few pairs are enough."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema
import pytest

from orchgate.cli import main
from orchgate.commands.shared import options
from tests.published import closed
from tests.repo import ORCHGATE, Repo, clone, init
from tests.runs import Project, living, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.repo import Result

SCHEMA = closed("bisect")
# Whoever is bound to a repository by its environment is no clean stage: that one fails.
WORK = 'test -z "$GIT_DIR$GIT_INDEX_FILE$PRE_COMMIT" || exit 9\ni=0\nwhile [ $i -lt $(cat {n}) ]; do i=$((i+1)); done\n'
FAST, SLOW = "1000\n", "8000\n"
BROKEN = "exit 7 # "
COMMAND = ("--", "sh", "work.sh")


def work(rounds: str) -> dict[str, str | bytes]:
    return {"work.sh": WORK.replace("$(cat {n})", rounds.strip())}


def history(repo: Repo, *rounds: str) -> list[str]:
    """A commit for each number of rounds; their ids."""
    return [repo.commit(f"change {number}", work(one)) for number, one in enumerate(rounds)]


def bisect(repo: Repo, good: str, bad: str, *args: str, env: Mapping[str, str] | None = None) -> Result:
    return repo.orchgate("bisect", "--good", good, "--bad", bad, *(args or COMMAND), env=env)


def document(repo: Repo, good: str, bad: str, *args: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON of a bisection, once it fits its schema."""
    completed = subprocess.run(
        [ORCHGATE, "bisect", "--output-format", "json", "--good", good, "--bad", bad, *(args or COMMAND)],
        cwd=repo.root,
        capture_output=True,
        env={**os.environ, **(env or {})},
        check=False,
    )
    assert completed.stdout, completed.stderr.decode()
    found: dict[str, Any] = json.loads(completed.stdout)
    jsonschema.validate(found, SCHEMA)
    return found


# A history with a step, two commits that cannot be built, and a subject that wants to paint the terminal


class Story(NamedTuple):
    repo: Repo
    commits: list[str]
    env: Mapping[str, str]
    result: Result


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Bisected once, from a subfolder, with a hook's variables around it and a change that is not committed."""
    folder = tmp_path_factory.mktemp("story")
    hermetic = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
        "ORCHGATE_TREES": str(folder / "trees"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in hermetic.items():
            patch.setenv(name, value)
        yield told(init(folder / "repo"), hermetic)


def told(repo: Repo, env: Mapping[str, str]) -> Story:
    rounds = [FAST, FAST, FAST, BROKEN + FAST, BROKEN + FAST, FAST, SLOW, SLOW, SLOW]
    commits = []
    for number, one in enumerate(rounds):
        script = BROKEN + "\n" if one.startswith(BROKEN) else str(work(one)["work.sh"])
        subject = "slow down \x1b[31m in red, with a subject that is far too long for any line of a terminal"
        files: dict[str, str | bytes] = {"sub/work.sh": script, "number": str(number)}
        commits.append(repo.commit(subject if number == 6 else f"change {number}", files))
    repo.write("sub/work.sh", "exit 1\n")
    hook = {"GIT_INDEX_FILE": str(repo.root / ".git" / "index"), "PRE_COMMIT": "1"}
    argv = ("bisect", "--good", commits[0], "--bad", commits[-1], *COMMAND)
    result = repo.orchgate(*argv, cwd=repo.root / "sub", env=hook)
    return Story(repo, commits, env, result)


def again(story: Story, *options: str) -> Result:
    argv = ("bisect", "--good", story.commits[0], "--bad", story.commits[-1], *options, *COMMAND)
    return story.repo.orchgate(*argv, cwd=story.repo.root / "sub", env=story.env)


@pytest.mark.slow
def test_the_first_line_is_the_commit(story: Story) -> None:
    assert story.result.code == 0, story.result.out
    assert story.result.out.startswith(f"first slower: {story.commits[6][:12]} slow down \\x1b[31m in red, ")


@pytest.mark.slow
def test_it_says_how_sure_it_is_and_what_the_parent_took(story: Story) -> None:
    assert re.fullmatch(r"  CPU time .* against its parent; [> 0-9]+ % sure", story.result.out.splitlines()[1])


@pytest.mark.slow
def test_what_cannot_be_built_is_skipped_with_the_reason(story: Story) -> None:
    assert f"note: skipped {story.commits[4][:12]}: stage command fails (exit 7)" in story.result.out


def test_no_line_is_wider_than_a_terminal(story: Story) -> None:
    wide = [line for line in story.result.out.splitlines() if len(line) > 80]

    assert [line for line in wide if not line.startswith(("  hint: ", "  note: "))] == []


@pytest.mark.slow
def test_the_next_command_shows_the_commit(story: Story) -> None:
    assert f"  hint: git show {story.commits[6][:12]}\n" in story.result.out


@pytest.mark.slow
def test_what_is_not_committed_is_left_alone(story: Story) -> None:
    assert story.repo.git("status", "--porcelain") == "M sub/work.sh"


@pytest.mark.slow
def test_the_same_command_answers_from_what_was_measured(story: Story) -> None:
    result = again(story, "--output-format", "json")
    found = json.loads(result.out)
    jsonschema.validate(found, SCHEMA)

    assert (result.code, found["outcome"], found["first_slower"]["commit"]) == (0, "found", story.commits[6])
    assert found["pair_count"] == found["earlier_pair_count"] > 20


def state_of(repo: Repo) -> Path:
    (path,) = (repo.root / ".git" / "orchgate" / "bisect").glob("*.jsonl")
    return path


@pytest.fixture
def state(story: Story) -> Iterator[Path]:
    """The file of the state, which the test may damage."""
    path = state_of(story.repo)
    kept = path.read_bytes()
    yield path
    path.write_bytes(kept)


@pytest.mark.slow
def test_a_line_that_was_never_finished_did_not_happen(story: Story, state: Path) -> None:
    with state.open("ab") as file:
        file.write(b'{"why":"vis')

    assert again(story).out.startswith("first slower: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        b"\x00\xff",
        b"[]",
        b'{"why": "visit", "older": "0", "newer": "1", "base": 1, "head": 1, "head_first": true}',
        b'{"skipped": "%(good)s"}',
        b'{"why": "visit", "older": "%(good)s", "newer": "%(bad)s", "base": NaN, "head": 1, "head_first": true}',
        b'{"why": "visit", "older": "%(good)s", "newer": "%(bad)s", "base": 0, "head": 1, "head_first": true}',
        b'{"why": "visit", "older": "%(bad)s", "newer": "%(good)s", "base": 1, "head": 1, "head_first": true}',
        b'{"why": "maybe", "older": "%(good)s", "newer": "%(bad)s", "base": 1, "head": 1, "head_first": true}',
    ],
)
def test_a_damaged_state_is_named_with_its_line(story: Story, state: Path, line: bytes) -> None:
    ends = {b"good": story.commits[0].encode(), b"bad": story.commits[-1].encode()}
    head, *rest = state.read_bytes().splitlines(keepends=True)
    state.write_bytes(b"".join([head, (line % ends if b"%(" in line else line) + b"\n", *rest]))

    result = again(story)

    assert (result.code, "line 2 is damaged" in result.out, "--fresh" in result.out) == (3, True, True)


@pytest.mark.slow
def test_a_state_of_a_later_version_is_refused(story: Story, state: Path) -> None:
    state.write_bytes(state.read_bytes().replace(b'"version":1', b'"version":2', 1))

    assert again(story).code == 3


# Ranges, merges, pipelines


@pytest.fixture
def adjacent(repo: Repo) -> list[str]:
    """A fast commit and a slow one right after it."""
    return history(repo, FAST, SLOW)


@pytest.mark.slow
def test_where_only_the_last_can_be_built_a_range_is_named(repo: Repo) -> None:
    commits = [
        repo.commit("good", work(FAST)),
        *(repo.commit(f"broken {number}", {"work.sh": f"exit {number}\n"}) for number in (4, 5)),
        repo.commit("bad", work(SLOW)),
    ]

    result = bisect(repo, commits[0], commits[-1])

    assert result.code == 3
    assert result.out.startswith("one of 3 commits made it slower; only the last of them can be measured\n")
    assert [f"  {commit[:12]} " in result.out for commit in commits[1:]] == [True, True, True]


@pytest.mark.slow
def test_a_merge_says_what_it_brought_and_how_to_search_that(repo: Repo) -> None:
    (good,) = history(repo, FAST)
    repo.git("checkout", "--quiet", "-b", "topic")
    tip = [repo.commit(f"topic {number}", {"n": str(number)}) for number in range(2)][-1]
    tip = repo.commit("slow", work(SLOW))
    repo.git("checkout", "--quiet", "main")
    repo.git("merge", "--quiet", "--no-ff", "-m", "merge topic", "topic")

    result = bisect(repo, good, "main")

    assert result.out.startswith("first slower: ")
    assert "it is a merge that brought 3 commits; to search those: orchgate bisect " in result.out
    assert f"--good {good[:12]} --bad {tip[:12]} -- sh work.sh" in result.out


@pytest.mark.slow
def test_in_a_bare_repository_the_pipeline_is_what_good_defines(repo: Repo, tmp_path: Path) -> None:
    project = Project(repo)
    repo.commit("work", work(FAST))
    project.define("demo", {"id": "work", "run": ["sh", "work.sh"]})
    good = repo.git("rev-parse", "HEAD")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{good},vendored")  # a submodule, which is not here
    repo.commit("slower, and without the pipeline", {"orchgate.toml": "", **work(SLOW)})
    bare = clone(repo, tmp_path / "bare.git", "--bare")

    result = bisect(bare, good, "main", "demo")

    assert (result.code, result.out.split(":")[0]) == (0, "first slower")


# Interruptions, neighbours, full disks


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_running_and_the_same_command_goes_on(repo: Repo, adjacent: list[str]) -> None:
    argv = [ORCHGATE, "bisect", "--good", adjacent[0], "--bad", adjacent[1], *COMMAND]
    child = subprocess.Popen(argv, cwd=repo.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    folder = repo.root / ".git" / "orchgate" / "bisect"
    until(lambda: any(path.read_bytes().count(b"\n") > 3 for path in folder.glob("*")))
    other = bisect(repo, *adjacent)

    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)

    assert (other.code, "another process is measuring" in other.out) in ((3, True), (0, False))
    if other.code == 3:
        assert (child.returncode, b"interrupted; to go on: orchgate bisect " in out) == (130, True)
    until(lambda: not living("sh\x00work.sh"))  # those of other tests end, too
    found = document(repo, *adjacent, "--resume", *COMMAND)
    assert (found["outcome"], found["earlier_pair_count"] >= 2) == ("found", True)


@pytest.mark.slow
def test_a_full_disk_is_named_and_loses_nothing(repo: Repo, adjacent: list[str]) -> None:
    limited = (
        f'ulimit -f 3; trap "" XFSZ; exec {ORCHGATE} bisect --good {adjacent[0]} --bad {adjacent[1]} -- sh work.sh'
    )

    result = repo.attempt("sh", "-c", limited)
    found = document(repo, *adjacent)

    assert (result.code, "cannot write" in result.out) == (3, True)
    assert (found["outcome"], found["earlier_pair_count"] > 0) == ("found", True)


@pytest.mark.slow
def test_time_that_is_used_up_is_not_decided_and_says_how_to_go_on(repo: Repo) -> None:
    commits = history(repo, FAST, SLOW)

    result = bisect(repo, commits[0], commits[1], "--max-time", "0.001s", *COMMAND)

    assert (result.code, result.out.splitlines()[0]) == (3, "not decided: the time is used up")
    assert "hint: orchgate bisect --good " in result.out


@pytest.mark.slow
@pytest.mark.parametrize(("which", "at"), [("good", 0), ("bad", 1)])
def test_an_end_that_cannot_be_measured_is_named(repo: Repo, which: str, at: int) -> None:
    scripts = [str(work(FAST)["work.sh"]), str(work(SLOW)["work.sh"])]
    scripts[at] = "echo no such thing; exit 7\n"
    commits = [repo.commit(f"{number}", {"work.sh": script}) for number, script in enumerate(scripts)]

    result = bisect(repo, *commits)

    reason = f"{which} ({commits[at][:12]}) cannot be measured: stage command fails (exit 7): no such thing"
    assert (result.code, reason in result.out) == (3, True)


# Wrong usage: nothing runs


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    code = main(["bisect", *args])
    return code, capsys.readouterr().err


@pytest.mark.slow
def test_the_same_commit_is_refused(repo: Repo, adjacent: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said = refused(capsys, "--good", "HEAD", "--bad", "main", *COMMAND)

    assert (code, "are the same commit" in said) == (2, True)


@pytest.mark.slow
def test_ends_the_wrong_way_round_are_noticed(adjacent: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said = refused(capsys, "--good", adjacent[1], "--bad", adjacent[0], *COMMAND)

    assert (code, "the wrong way round?" in said) == (2, True)
    assert f"hint: --good {adjacent[0][:12]} --bad {adjacent[1][:12]}" in said


@pytest.mark.slow
def test_a_good_commit_of_another_branch_is_refused_with_where_they_parted(
    repo: Repo, adjacent: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    repo.git("checkout", "--quiet", "-b", "other", adjacent[0])
    repo.commit("elsewhere", {"n": "1"})

    code, said = refused(capsys, "--good", "other", "--bad", "main", *COMMAND)

    assert (code, "is not an ancestor of bad" in said, f"--good {adjacent[0][:12]}" in said) == (2, True, True)


@pytest.mark.slow
@pytest.mark.parametrize("shallow", [False, True])
def test_a_good_commit_that_came_by_a_merge_is_refused(
    repo: Repo, adjacent: list[str], capsys: pytest.CaptureFixture[str], shallow: bool
) -> None:
    repo.git("checkout", "--quiet", "-b", "topic", adjacent[0])
    topic = repo.commit("topic", {"n": "1"})
    repo.git("checkout", "--quiet", "main")
    repo.git("merge", "--quiet", "--no-ff", "-m", "merge", "topic")
    if shallow:  # what is cut off is older than the line
        (repo.root / ".git" / "shallow").write_text(adjacent[0] + "\n")

    code, said = refused(capsys, "--good", topic, "--bad", "main", *COMMAND)

    assert (code, "came into" in said, f"--good {adjacent[0][:12]}" in said) == (2, True, True)


@pytest.mark.slow
def test_a_shallow_clone_says_how_to_deepen_it(
    repo: Repo, adjacent: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history(repo, FAST, SLOW, FAST)
    shallow = Repo(tmp_path / "shallow")
    repo.git("clone", "--quiet", "--depth", "2", f"file://{repo.root}", str(shallow.root))
    shallow.git("fetch", "--quiet", "--depth", "1", "origin", f"{adjacent[0]}:refs/heads/old")
    monkeypatch.chdir(shallow.root)

    missing = refused(capsys, "--good", adjacent[1], "--bad", "main", *COMMAND)
    cut_off = refused(capsys, "--good", adjacent[0], "--bad", "main", *COMMAND)

    assert [(code, "git fetch --unshallow" in said) for code, said in (missing, cut_off)] == [(3, True), (3, True)]


@pytest.mark.slow
def test_a_pipeline_that_good_does_not_have_is_named(
    repo: Repo, adjacent: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Project(repo).define("demo", {"id": "say", "run": ["true"]})

    code, said = refused(capsys, "--good", adjacent[0], "--bad", "main", "demo")

    assert (code, f"good ({adjacent[0][:12]})" in said, "there is no pipeline 'demo'" in said) == (2, True, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ("--max-time", "soon", *COMMAND),
        ("--max-time", "0s", *COMMAND),
        ("--max-time", "30d", *COMMAND),
        ("--sure", "0.4", *COMMAND),
        ("--sure", "nan", *COMMAND),
        ("--resume", *COMMAND),
        ("demo", *COMMAND),
        (),
    ],
)
def test_wrong_usage(adjacent: list[str], options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--good", adjacent[0], "--bad", adjacent[1], *options)[0] == 2


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("30s", 30), ("20m", 1200), ("1h30m", 5400), ("1.5H", 5400), ("2m5s", 125)]
)
def test_durations(text: str, seconds: float) -> None:
    assert options.up_to(1e6)(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "m30", "5 m", "-3s", "1e9s", "\u0663s", "inf", "nan", "1s1s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected a time up to 24h"):
        options.up_to(options.DAY)(text)


@pytest.mark.parametrize(("seconds", "text"), [(5400, "1h30m"), (59.6, "1m"), (7200, "2h"), (0.2, "0.2s")])
def test_a_duration_is_shown_as_it_is_typed(seconds: float, text: str) -> None:
    assert options.duration_text(seconds) == text
