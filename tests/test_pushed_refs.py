"""Refs of one push: a tree is judged once, what is a ref's own is judged all the same, and memory is given back."""

from __future__ import annotations

import gc
import os
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from orchgate.cli import main
from orchgate.commands import hook
from orchgate.config.branches import wishes
from orchgate.errors import OrchgateError
from orchgate.gate import session
from orchgate.git import history
from orchgate.git.base import push_base
from orchgate.model import Push

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchgate.gate.pushed import JudgedRefs
    from orchgate.git.repository import Repository
    from tests.repo import Repo

STRICT = """
[diff-budget]
max-lines = 5
[specs]
paths = ["*.py"]
"""
BASE = {
    "orchgate.toml": STRICT,
    "version.json": '{"version": "1.0.0"}\n',
    "package.json": '{"version": "1.0.0"}\n',
    "docs/PRD-one.md": "# PRD\n",
    "tasks/tasks-0001-one.md": "# Task Checklist: 0001\n\n- [x] done. Evidence: [log](../gone.log)\n",
}
LARGE = {"notes.txt": "line\n" * 9}
SMALL = {"notes.txt": "line\n"}


class Branch(NamedTuple):
    """A ref of a push: a commit with these files and this message, on the remote's commit or `behind` it."""

    name: str
    message: str
    files: Mapping[str, str]
    behind: int = 0


@pytest.fixture
def pushing(repo: Repo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Pushes branches of that repository together: what the hook prints, and its exit code."""
    repo.commit("Older", {**BASE, "older.txt": "x\n"})
    repo.git("rm", "-q", "older.txt")
    repo.commit("Base")
    repo.git("remote", "add", "origin", "/nowhere")
    repo.git("update-ref", "refs/remotes/origin/main", "HEAD")
    monkeypatch.chdir(repo.root)

    def push(branches: Sequence[Branch]) -> str:
        lines = b"".join(map(_line, branches, _commits(repo, branches)))
        reader, writer = os.pipe()
        os.write(writer, lines)
        os.close(writer)
        with open(reader) as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            code = main(["hook", "pre-push", "origin", "/nowhere"])
        return f"{capsys.readouterr().out}exit {code}\n"

    return push


def _commits(repo: Repo, branches: Sequence[Branch]) -> list[str]:
    """A commit for each branch, made in one go."""
    parts = []
    for number, one in enumerate(branches):
        parts += [f"commit refs/made/{number}\ncommitter A <a@example.org> 1790000000 +0000\n", _data(one.message)]
        parts += [f"from refs/remotes/origin/main~{one.behind}\n", "D older.txt\n" * one.behind]
        parts += [f"M 100644 inline {path}\n{_data(text)}" for path, text in one.files.items()]
    repo.git("fast-import", "--quiet", "--force", stdin="".join(parts).encode())
    return repo.git("for-each-ref", "--sort=version:refname", "--format=%(objectname)", "refs/made").split()


def _data(text: str) -> str:
    return f"data {len(text)}\n{text}\n"


def _line(branch: Branch, oid: str) -> bytes:
    return f"refs/heads/{branch.name} {oid} refs/heads/{branch.name} {'0' * 40}\n".encode()


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The refs that were judged and not answered by the report of another one."""
    names: list[str] = []
    judge = hook._judged

    def counted(repository: object, setting: object, ref: object, *rest: JudgedRefs) -> object:
        names.append(ref.target.push.branch)  # type: ignore[attr-defined]
        return judge(repository, setting, ref, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(hook, "_judged", counted)
    return names


OVERRIDE = "Diff-Budget-Override: generated"
RAISED = {"package.json": '{"version": "2.0.0"}\n', "notes.txt": "line\n"}
CODE = {"a.py": "x = 1\n"}
# What is judged, by name, of refs that hold the same tree.
SITUATIONS = {
    "nothing of its own": (Branch("a", "One", SMALL), Branch("b", "Two", SMALL)),
    "a trailer that nobody asks for": (Branch("a", "One", LARGE), Branch("b", "Two\n\nSeen-by: B", LARGE)),
    "a reason": (Branch("a", "One", LARGE), Branch("b", f"Two\n\n{OVERRIDE}", LARGE)),
    "another reason": (Branch("a", f"One\n\n{OVERRIDE}", LARGE), Branch("b", f"Two\n\n{OVERRIDE} 2", LARGE)),
    "a branch that releases": (Branch("a", "One", RAISED), Branch("release/2", "Two", RAISED)),
    "a branch that names a task": (Branch("a", "One", CODE), Branch("0001-one", "Two", CODE)),
    "a trailer that names a task": (Branch("a", "One", CODE), Branch("b", "Two\n\nTask: 0001-one", CODE)),
    "another base": (Branch("a", "One", SMALL), Branch("b", "Two", SMALL, 1)),
}
ROOMS = tuple(f"orchgate.{room}" for room in ("config", "evidence", "gate", "git", "markdown", "model", "packets"))
ONCE = ("nothing of its own", "a trailer that nobody asks for")


@pytest.mark.slow
def test_refs_of_one_tree_are_judged_together_as_each_alone(pushing: Callable[..., str], judged: list[str]) -> None:
    found = {}
    for name, branches in SITUATIONS.items():
        alone = [_said(pushing([one])) for one in branches]
        judged.clear()
        together = _said(pushing(branches))
        # Commits of one second have no order.
        found[name] = (together in ("".join(alone), "".join(alone[::-1])), len(judged))

    assert found == {name: (True, 1 if name in ONCE else 2) for name in SITUATIONS}


def _said(output: str) -> str:
    return output.rpartition("exit")[0]


def test_two_names_of_one_commit_are_judged_once_and_the_second_brings_nothing(
    pushing: Callable[..., str], judged: list[str]
) -> None:
    names = [Branch(name, "One", SMALL) for name in ("a", "b", "c")]
    once = pushing(names[:1])
    judged.clear()

    told = pushing(names)

    assert told.startswith(_said(once))
    assert (told.count("nothing new: origin or another remote has"), judged) == (2, ["a", "b"])


def test_a_way_out_for_what_is_checked_out_is_shown_of_nothing_else(repo: Repo, pushing: Callable[..., str]) -> None:
    bounds = {**LARGE, "orchgate.toml": "[performance.metrics.diff_lines]\nmax = 1\n"}
    repo.commit("Bounds", bounds)
    repo.git("update-ref", "refs/remotes/origin/main", "HEAD")
    branches = (Branch("a", "One", {"a.txt": "line\n" * 3}), Branch("b", "Two", {"a.txt": "line\n" * 3}))
    pushing(branches)
    repo.git("update-ref", "refs/heads/main", "refs/made/0")

    together = pushing(branches)

    assert [together.count(way) for way in ("--amend", "='…' git push")] == [1, 1]


def test_a_report_that_something_went_wrong_with_is_of_one_ref(pushing: Callable[..., str], judged: list[str]) -> None:
    unreadable = {**SMALL, ".orchgate/evidence.lock": "{"}

    pushing([Branch("a", "One", unreadable), Branch("b", "Two", unreadable)])

    assert sorted(judged) == ["a", "b"]


def test_nothing_of_a_judgement_waits_for_the_collector(pushing: Callable[..., str]) -> None:
    """A push may have hundreds of refs, and no collector runs."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for name in ("a reason", "a branch that releases", "another base"):
            pushing(SITUATIONS[name])
        gc.collect()
        left = {type(one).__name__ for one in gc.garbage if type(one).__module__.startswith(ROOMS)}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

    assert left == set()


def test_what_depends_on_the_commits_of_a_ref_is_asked_for_as_such() -> None:
    """The reports of two refs are one where nobody asked; so whoever reads what is a ref's own has to say so."""
    known = {
        "checks/diff_budget.py": "whether there is one at all",
        "checks/performance.py": "with the branch, or as such: both are asked for",
        "evidence/run_trees.py": "made where OF_REF is asked for",
        "gate/context.py": "a patch is one of trees; exceptions are asked for",
        "gate/outcomes.py": "in the key of what is kept",
        "gate/session.py": "what makes a context",
    }
    package = Path(hook.__file__).parents[1]
    rooms = ("checks", "evidence", "gate", "packets", "references", "plan_commands", "config")
    files = [path for room in rooms for path in sorted((package / room).glob("*.py"))]
    pattern = re.compile(r"\b_?scope\.head\b|\btarget\.(push|head)\b")

    reading = {str(path.relative_to(package)) for path in files if pattern.search(path.read_text())}

    assert reading - {"gate/pushed.py"} == set(known)


@pytest.mark.slow
def test_the_base_of_a_ref_is_the_same_without_the_refs_that_it_has_nothing_in_common_with(repo: Repo) -> None:
    """Of histories that fork and merge at random, each ref is based with all refs before it and with those that count.

    Some branches have a tracking ref of their own, which does not count for them.
    """
    spared = 0
    for seed in range(6):
        shuffled = random.Random(seed)
        heads = _random_history(repo, shuffled)
        with session.opened(os.environ) as repository:
            new = history.new_commits(repository, list(heads.values()))
            before: list[str] = []
            for name, head in heads.items():
                apart = hook._unrelated(new, head, before)
                pushed = Push("origin", f"refs/heads/{name}", "0" * 40, head, tuple(before))
                spared += len(apart)
                assert _based(repository, pushed._replace(unrelated=apart)) == _based(repository, pushed), (seed, name)
                before.append(head)
    assert spared


def _based(repository: Repository, pushed: Push) -> object:
    try:
        found = push_base(repository, pushed, wishes(repository))
        return sorted(found.bases), found.settled
    except OrchgateError as error:
        return error.message


def _random_history(repo: Repo, shuffled: random.Random) -> dict[str, str]:
    """Branches of a repository with twenty commits, in an order of their own, and tracking refs of some commits."""
    parts: list[str] = []
    for number in range(1, 21):
        parents = shuffled.sample(range(max(1, number - 9), number), min(number - 1, shuffled.choice((1, 1, 1, 2))))
        words = [f"{'merge' if at else 'from'} :{parent}\n" for at, parent in enumerate(parents)]
        who = f"mark :{number}\ncommitter A <a@example.org> {1790000000 + number} +0000\n"
        parts += [f"commit refs/made\n{who}{_data(str(number))}", *words, "\n"]
    names = {f"b{mark}": mark for mark in shuffled.sample(range(3, 21), 9)}
    own = [(name, shuffled.randint(max(1, mark - 6), mark - 1)) for name, mark in names.items()]
    tracking = [("main", 1), *shuffled.sample(own, 5)]
    parts += [f"reset refs/heads/{name}\nfrom :{mark}\n" for name, mark in names.items()]
    parts += [f"reset refs/remotes/origin/{name}\nfrom :{mark}\n" for name, mark in tracking]
    refs = repo.git("for-each-ref", "--format=delete %(refname)", "refs/heads", "refs/remotes")
    repo.git("update-ref", "--stdin", stdin=f"{refs}\n".encode() if refs else b"")
    repo.git("fast-import", "--quiet", "--force", stdin="".join(parts).encode())
    return {name: repo.git("rev-parse", f"refs/heads/{name}") for name in names}
