"""The base of a change in every shape of clone, CI system and push: a table, each row a real repository.

A row is git commands, what CI says, and the base that must be found, by the name of its commit. Where nobody can know
the base, the row has the end of the hint, which is then run as it stands: the base must be found afterwards.
"""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING, NamedTuple

import pytest

from orchgate.config.branches import wishes
from orchgate.errors import OrchgateError, WrongCheckout
from orchgate.gate import session
from orchgate.git import scope as scopes
from orchgate.model import Push, ScopeTarget
from tests.repo import ORCHGATE, Repo, Result, init
from tests.scoping import scope_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchgate.model import Scope

ZEROS = "0" * 40
ABSENT = "1" * 40


class World(NamedTuple):
    """Remotes that no test changes, and the names of their commits.

    up     main A-B-C, release/1.2 A-R, topic B-T-U, p1 B-P, pages G (a history of its own), pull/7/merge M of C and U
    fork   main A and nothing else
    odd    stable C and topic; HEAD is stable
    """

    folder: Path
    ids: Mapping[str, str]

    def words(self, line: str) -> list[str]:
        places = {name: f"file://{self.folder / name}" for name in ("up", "fork", "odd")}
        return [word.format(**places, **self.ids, zeros=ZEROS) for word in shlex.split(line)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    up = init(folder / "up")
    ids: dict[str, str] = {}

    def commit(*names: str) -> None:
        for name in names:
            ids[name] = up.commit(name, {f"{name}.txt": f"{name}\n"})

    def branch(name: str, start: str, *names: str) -> None:
        up.git("checkout", "-q", "-b", name, start)
        commit(*names)

    commit("A", "B", "C")
    branch("release/1.2", ids["A"], "R")
    branch("topic", ids["B"], "T", "U")
    branch("p1", ids["B"], "P")
    up.git("checkout", "-q", "--detach", "main")
    up.git("merge", "-q", "--no-edit", "topic")
    ids["M"] = up.git("rev-parse", "HEAD")
    up.git("update-ref", "refs/pull/7/merge", "HEAD")
    up.git("checkout", "-q", "--orphan", "pages")
    commit("G")
    up.git("checkout", "-q", "main")
    up.git("config", "uploadpack.allowFilter", "true")
    up.git("clone", "-q", "--bare", "--template=", ".", "../fork")
    fork = Repo(folder / "fork")
    for name in fork.git("for-each-ref", "--format=%(refname)").split():
        fork.git("update-ref", "-d", name)
    fork.git("update-ref", "refs/heads/main", ids["A"])
    up.git("clone", "-q", "--bare", "--template=", ".", "../odd")
    odd = Repo(folder / "odd")
    odd.git("branch", "-m", "main", "stable")
    for name in ("release/1.2", "p1", "pages"):
        odd.git("branch", "-D", name)
    return World(folder, ids)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """The empty folder in which a row is played."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_TEMPLATE_DIR", "")
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
    return Repo(folder)


def play(world: World, here: Repo, *lines: str) -> None:
    """Runs a row's git commands; `commit NAME` writes a file of that name, and commits it."""
    for line in lines:
        verb, *rest = world.words(line)
        if verb == "commit":
            here.commit(rest[0], dict.fromkeys(rest, "x\n"))
        else:
            here.git(verb, *rest)


FULL = ("clone -q {up} .",)
TOPIC = (*FULL, "checkout -q topic")
ON_MAIN = FULL
ON_RELEASE = (*FULL, "checkout -q release/1.2")
ONE_REF = (  # as GitLab's and GitHub's runners fetch
    "init -q -b main",
    "remote add origin {up}",
    "fetch -q origin +refs/heads/topic:refs/remotes/origin/topic",
    "checkout -q --detach {U}",
)
MERGE_ONLY = (
    "init -q -b main",
    "remote add origin {up}",
    "fetch -q --depth=1 origin +refs/pull/7/merge:refs/remotes/pull/7/merge",
    "checkout -q --detach {M}",
)
DETACHED = (*FULL, "checkout -q --detach {U}")
PULL_REQUEST = (*FULL, "fetch -q origin +refs/pull/7/merge:refs/remotes/pull/7/merge", "checkout -q --detach {M}")
EVERY = "'+refs/heads/*:refs/remotes/origin/*' && git remote set-head origin --auto"

KNOWN: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    # Clones
    "full clone": (TOPIC, {}, "B"),
    "default branch itself": (ON_MAIN, {}, "C"),
    "detached head": (DETACHED, {}, "B"),
    "single-branch clone of the default branch": (("clone -q --single-branch {up} .",), {}, "C"),
    "remote head unset": ((*TOPIC, "remote set-head origin -d"), {}, "B"),
    "remote of another name": (("clone -q -o upstream {up} .", "checkout -q topic"), {}, "B"),
    "remote with a slash in its name": (("clone -q -o team/up {up} .", "checkout -q topic"), {}, "B"),
    "default branch of another name": (("clone -q {odd} .", "checkout -q topic"), {}, "B"),
    "partial clone": (("clone -q --filter=blob:none {up} .", "checkout -q topic"), {}, "B"),
    "renamed remote": (("clone -q {up} .", "checkout -q topic", "remote rename origin far"), {}, "B"),
    "one fetched branch and the default one": (
        (*ONE_REF, "fetch -q origin +refs/heads/main:refs/remotes/origin/main"),
        {},
        "B",
    ),
    "fork that follows late, and its upstream": (
        ("clone -q {fork} .", "remote add upstream {up}", "fetch -q upstream", "checkout -q -b mine upstream/main"),
        {},
        "C",
    ),
    "branch of the second remote": (
        ("clone -q {fork} .", "remote add up {up}", "fetch -q up", "checkout -q -b topic up/topic"),
        {},
        "A",  # no HEAD of up is known: origin's is
    ),
    "branch of the second remote, whose head is known": (
        (
            "clone -q {fork} .",
            "remote add up {up}",
            "fetch -q up",
            "remote set-head up --auto",
            "checkout -q -b topic up/topic",
        ),
        {},
        "B",
    ),
    "local branch in the default one's name": ((*TOPIC, "branch -f main topic"), {}, "B"),
    "hotfix off a release line": ((*ON_RELEASE, "checkout -q -b hotfix", "commit fix"), {}, "R"),
    "release line itself": ((*ON_RELEASE,), {}, "A"),
    "branch that merged the default one": ((*TOPIC, "merge -q --no-edit origin/main"), {}, "C"),
    "judged tree that names itself": ((*TOPIC, "commit orchgate.toml"), {}, "B"),
    # GitHub
    "GitHub push to the default branch": (ON_MAIN, {"push": "{B}", "GITHUB_REF": "refs/heads/main"}, "B"),
    "GitHub push to a branch": (DETACHED, {"push": "{T}", "GITHUB_REF": "refs/heads/topic"}, "B"),
    "GitHub push of a new branch": (DETACHED, {"push": "{zeros}", "GITHUB_REF": "refs/heads/topic"}, "B"),
    "GitHub push to a release line": (ON_RELEASE, {"push": "{A}", "GITHUB_REF": "refs/heads/release/1.2"}, "A"),
    "GitHub pull request": (PULL_REQUEST, {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_BASE_REF": "main"}, "C"),
    "GitHub pull request of two commits' depth": (
        (*MERGE_ONLY, "fetch -q --depth=2 origin +refs/pull/7/merge:refs/remotes/pull/7/merge"),
        {"GITHUB_BASE_REF": "main", "pull_request": "{U} {C}"},
        "C",
    ),
    "GitHub pull_request_target of a checked-out head": (
        DETACHED,
        {"GITHUB_BASE_REF": "main", "pull_request_target": "{U} {C}"},
        "B",
    ),
    "GitHub merge queue": (PULL_REQUEST, {"merge_group": "{C}"}, "C"),
    "GitHub workflow_run of the checked-out commit": (DETACHED, {"workflow_run": "{U}"}, "B"),
    "GitHub schedule": (ON_MAIN, {"GITHUB_EVENT_NAME": "schedule"}, "C"),
    # Others
    "GitLab merge request": (
        DETACHED,
        {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "{B}"},
        "B",
    ),
    "GitLab merged result": (
        PULL_REQUEST,
        {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "{B}"},
        "C",
    ),
    "GitLab merge request that was merged meanwhile": (
        (*FULL, "checkout -q --detach {B}"),
        {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "{A}"},
        "A",
    ),
    "GitLab branch": (DETACHED, {"CI_COMMIT_BEFORE_SHA": "{T}", "CI_COMMIT_BRANCH": "topic"}, "B"),
    "GitLab default branch": (
        (*ONE_REF, "fetch -q origin +refs/heads/main:refs/remotes/origin/main", "checkout -q --detach {C}"),
        {"CI_COMMIT_BEFORE_SHA": "{B}", "CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main"},
        "B",
    ),
    "Buildkite": (DETACHED, {"BUILDKITE_PULL_REQUEST_BASE_BRANCH": "main"}, "B"),
    "Bitbucket": (
        DETACHED,
        {"BITBUCKET_PR_DESTINATION_BRANCH": "main", "BITBUCKET_PR_DESTINATION_COMMIT": "{C:.12}"},
        "B",
    ),
    "Azure": (DETACHED, {"SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/main"}, "B"),
    "Jenkins to a release line": (PULL_REQUEST, {"CHANGE_TARGET": "release/1.2"}, "A"),
    "Drone": (DETACHED, {"DRONE_TARGET_BRANCH": "main", "DRONE_PULL_REQUEST": "7", "DRONE_COMMIT_BEFORE": "{T}"}, "B"),
    "Drone push": (
        ON_MAIN,
        {"DRONE_TARGET_BRANCH": "main", "DRONE_BRANCH": "main", "DRONE_COMMIT_BEFORE": "{A}"},
        "A",
    ),
    "Woodpecker": (DETACHED, {"CI_COMMIT_TARGET_BRANCH": "main", "CI_PREV_COMMIT_SHA": "{T}"}, "B"),
    "Cirrus": (DETACHED, {"CIRRUS_BASE_BRANCH": "main", "CIRRUS_BASE_SHA": "{C}"}, "B"),
    "Prow": (PULL_REQUEST, {"PULL_BASE_REF": "main", "PULL_BASE_SHA": "{C}", "PULL_NUMBER": "7"}, "C"),
    "Prow after the merge": (ON_MAIN, {"PULL_BASE_REF": "main", "PULL_BASE_SHA": "{C}"}, "C"),
    "two systems that agree": (DETACHED, {"GITHUB_BASE_REF": "main", "CHANGE_TARGET": "main"}, "B"),
    # Hook runners
    "pre-commit's two ends are one": (
        TOPIC,
        {"PRE_COMMIT": "1", "PRE_COMMIT_FROM_REF": "topic", "PRE_COMMIT_TO_REF": "topic"},
        "B",
    ),
    "pre-commit's two ends": ((*TOPIC,), {"PRE_COMMIT_FROM_REF": "{T}", "PRE_COMMIT_TO_REF": "{U}"}, "T"),
    "pre-commit in CI": (DETACHED, {"PRE_COMMIT": "1", "GITHUB_BASE_REF": "main"}, "B"),
}
UNKNOWN: dict[str, tuple[tuple[str, ...], dict[str, str], str, str]] = {
    "single-branch clone": (("clone -q --single-branch -b topic {up} .",), {}, f"git fetch origin {EVERY}", "B"),
    "single-branch clone of another remote": (
        ("clone -q -o upstream --single-branch -b topic {up} .",),
        {},
        "git fetch upstream '+refs/heads/*:refs/remotes/upstream/*' && git remote set-head upstream --auto",
        "B",
    ),
    "single-branch clone of a usual name": (
        ("clone -q --single-branch -b topic {up} .", "remote set-branches origin main", "fetch -q", "checkout -q main"),
        {},
        f"git fetch origin {EVERY}",
        "C",
    ),
    "depth 1": (
        ("clone -q --depth=1 -b topic {up} .",),
        {},
        f"git fetch --unshallow origin {EVERY}",
        "B",
    ),
    "depth 1 of both branches": (
        ("clone -q --depth=1 -b topic --no-single-branch {up} .",),
        {},
        f"git fetch --unshallow origin {EVERY}",
        "B",
    ),
    "custom default branch without a head": (
        ("clone -q {odd} .", "checkout -q topic", "remote set-head origin -d"),
        {},
        f"git fetch origin {EVERY}",
        "B",
    ),
    "one fetched ref": (ONE_REF, {}, f"git fetch origin {EVERY}", "B"),
    "commit fetched without a name": (
        ("init -q", "remote add origin {up}", "fetch -q origin {U}", "checkout -q -b work FETCH_HEAD"),
        {"CI": "true"},
        f"git fetch origin {EVERY}",
        "B",
    ),
    "GitLab branch, one ref": (
        ONE_REF,
        {"CI_COMMIT_BEFORE_SHA": "{T}", "CI_COMMIT_BRANCH": "topic", "CI_DEFAULT_BRANCH": "main"},
        "git fetch origin main:refs/remotes/origin/main",
        "B",
    ),
    "GitLab branch, one ref, new": (
        ONE_REF,
        {"CI_COMMIT_BEFORE_SHA": ZEROS, "CI_COMMIT_BRANCH": "topic", "CI_DEFAULT_BRANCH": "main"},
        "git fetch origin main:refs/remotes/origin/main",
        "B",
    ),
    "GitLab merge request, one ref": (
        ONE_REF,
        {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"},
        "git fetch origin main:refs/remotes/origin/main",
        "B",
    ),
    "GitHub push, one ref": (
        ONE_REF,
        {"push": "{T}", "GITHUB_REF": "refs/heads/topic"},
        "git fetch origin main:refs/remotes/origin/main",
        "B",
    ),
    "GitHub pull request, depth 1": (
        MERGE_ONLY,
        {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_BASE_REF": "main"},
        "git fetch --unshallow origin main:refs/remotes/origin/main",
        "C",
    ),
    "GitHub push to the default branch, depth 1": (
        ("clone -q --depth=1 {up} .",),
        {"push": "{B}", "GITHUB_REF": "refs/heads/main"},
        "git fetch --unshallow origin {B}",
        "B",
    ),
    "Jenkins, target of an odd name": (
        ("clone -q --single-branch {up} .", "checkout -q -b work", "commit w"),
        {"CHANGE_TARGET": "release/1.2"},
        "git fetch origin release/1.2:refs/remotes/origin/release/1.2",
        "A",
    ),
}
WRONG: dict[str, tuple[tuple[str, ...], dict[str, str], str, str]] = {
    "pull_request_target of the base": (
        ON_MAIN,
        {"GITHUB_BASE_REF": "main", "pull_request_target": "{U} {C}"},
        "git checkout --detach {U}",
        "B",
    ),
    "pull_request_target, one ref": (
        ("clone -q --single-branch {up} .",),
        {"GITHUB_BASE_REF": "main", "pull_request_target": "{U} {C}"},
        "git fetch origin {U} && git checkout --detach {U}",
        "B",
    ),
    "workflow_run of another commit": (ON_MAIN, {"workflow_run": "{U}"}, "git checkout --detach {U}", "B"),
    "check_suite of another commit": (ON_MAIN, {"check_suite": "{U}"}, "git checkout --detach {U}", "B"),
}


def said_by_ci(world: World, here: Repo, env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a row; a name in small letters is an event of GitHub's with its commits."""
    found = {name: value.format(**world.ids, zeros=ZEROS) for name, value in env.items() if name.isupper()}
    for name, value in env.items():
        if not name.isupper():
            first, *others = value.format(**world.ids, zeros=ZEROS).split()
            event: dict[str, object] = {"repository": {"default_branch": "main"}, name: {"head_sha": first}}
            if name == "push":
                event["before"] = first
            if name.startswith("pull_request"):
                event["pull_request"] = {"head": {"sha": first}, "base": {"sha": others[0]}}
            if name == "merge_group":
                event[name] = {"base_sha": first, "base_ref": "refs/heads/main"}
            path = here.root.parent / "event.json"
            path.write_text(json.dumps(event))
            found |= {"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(path)}
    return found


def named(world: World, commit: str | None) -> str:
    """The name of a commit of the world."""
    return next((name for name, oid in world.ids.items() if oid == commit), str(commit))


@pytest.mark.slow
@pytest.mark.parametrize("row", KNOWN)
def test_base_is_found(world: World, here: Repo, row: str) -> None:
    lines, env, base = KNOWN[row]
    play(world, here, *lines)

    scope = scope_of(said_by_ci(world, here, env))

    assert (scope.unknown, named(world, scope.base)) == (None, base)


@pytest.mark.slow
@pytest.mark.parametrize("row", UNKNOWN)
def test_unknown_base_is_brought_by_the_hint(world: World, here: Repo, row: str) -> None:
    lines, env, hint, base = UNKNOWN[row]
    play(world, here, *lines)
    variables = said_by_ci(world, here, env)
    told = scope_of(variables).unknown
    assert told is not None

    ran = here.attempt("sh", "-c", told.hint)

    expected = hint.format(**world.ids) if "*" not in hint else hint
    assert (told.hint, ran.code, named(world, scope_of(variables).base)) == (expected, 0, base), ran.out


@pytest.mark.slow
@pytest.mark.parametrize("row", WRONG)
def test_checkout_that_is_not_the_change_is_mended_by_the_hint(world: World, here: Repo, row: str) -> None:
    lines, env, hint, base = WRONG[row]
    play(world, here, *lines)
    variables = said_by_ci(world, here, env)
    with pytest.raises(WrongCheckout) as told:
        scope_of(variables)

    here.attempt("sh", "-c", told.value.hint)

    assert (told.value.hint, named(world, scope_of(variables).base)) == (hint.format(**world.ids), base)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "env"),
    [
        (ON_MAIN, {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}),
        (ON_MAIN, {"CHANGE_TARGET": "main"}),
        (ON_MAIN, {"merge_group": "{C}"}),
        (ON_MAIN, {"GITHUB_EVENT_NAME": "issue_comment", "GITHUB_SHA": "{C}", "issue_comment": "{C}"}),
    ],
    ids=["GitLab", "Jenkins", "merge queue", "comment on a pull request"],
)
def test_proposed_change_that_is_not_checked_out_could_not_be_checked(
    world: World, here: Repo, lines: tuple[str, ...], env: dict[str, str]
) -> None:
    play(world, here, *lines)
    variables = said_by_ci(world, here, env)
    if "issue_comment" in env:
        (here.root.parent / "event.json").write_text(json.dumps({"issue": {"pull_request": {}}}))

    assert here.orchgate("check", env=variables).code == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "env",
    [
        {"GITHUB_BASE_REF": "main", "CHANGE_TARGET": "release/1.2"},
        {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "BITBUCKET_PR_DESTINATION_COMMIT": "{A}"},
        {"CIRRUS_BASE_SHA": "{T}", "SYSTEM_PULLREQUEST_TARGETBRANCH": "main"},
    ],
    ids="+".join,
)
def test_systems_that_name_different_bases_are_both_named(world: World, here: Repo, env: dict[str, str]) -> None:
    play(world, here, *DETACHED)
    told = scope_of(said_by_ci(world, here, env)).unknown

    assert told is not None
    assert all(name in told.message for name in env)


@pytest.mark.slow
def test_commit_of_one_system_is_not_read_for_another(world: World, here: Repo) -> None:
    play(world, here, *DETACHED)

    told = scope_of(said_by_ci(world, here, {"CHANGE_TARGET": "main", "PULL_BASE_SHA": "{A}"})).unknown

    assert told is not None
    assert "CHANGE_TARGET" in told.message


@pytest.mark.slow
@pytest.mark.parametrize("value", ["HEAD", "--output=x", "topic", "x" * 40, "1 2"])
def test_variable_that_holds_no_commit_could_not_be_read(world: World, here: Repo, value: str) -> None:
    play(world, here, *DETACHED)

    told = scope_of({"CI_COMMIT_BEFORE_SHA": value}).unknown

    assert told is not None
    assert "CI_COMMIT_BEFORE_SHA" in told.message


@pytest.mark.slow
@pytest.mark.parametrize("name", ["topic~1", "main^{commit}", "../main", "--all", "a\nb"])
def test_branch_of_a_variable_is_no_expression(world: World, here: Repo, name: str) -> None:
    play(world, here, *DETACHED)

    assert scope_of({"CHANGE_TARGET": name}).unknown is not None


@pytest.mark.slow
def test_event_that_may_be_about_another_commit_must_be_read(world: World, here: Repo) -> None:
    play(world, here, *ON_MAIN)
    told = here.orchgate("check", "documents", "--all-files", env={"GITHUB_EVENT_NAME": "workflow_run"})

    assert (told.code, "GITHUB_EVENT_PATH" in told.out) == (3, True)


def test_event_beyond_every_size_could_not_be_read(world: World, here: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    play(world, here, *DETACHED)
    variables = said_by_ci(world, here, {"push": "{T}"})
    monkeypatch.setattr("orchgate.git.ci.MAX_BYTES", 10)

    told = scope_of(variables).unknown

    assert told is not None
    assert "larger than 10 bytes" in told.message


# Other shapes of a repository


@pytest.mark.slow
def test_linked_work_tree(world: World, here: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    play(world, here, *FULL, "worktree add -q ../linked topic")
    monkeypatch.chdir(here.root.parent / "linked")

    assert named(world, scope_of().base) == "B"


@pytest.mark.slow
def test_submodule(world: World, here: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    play(world, here, "init -q", "submodule --quiet add {up} lib", "-C lib checkout -q topic")
    monkeypatch.chdir(here.root / "lib")

    assert named(world, scope_of().base) == "B"


@pytest.mark.slow
def test_bare_clone(world: World, here: Repo) -> None:
    play(world, here, "clone -q --bare {up} .")

    assert named(world, scope_of().base) == "C"


@pytest.mark.slow
def test_no_remote(here: Repo, world: World) -> None:
    play(world, here, "init -q -b main", "commit a", "checkout -q -b work", "commit b")

    assert scope_of().base == here.git("rev-parse", "main")


@pytest.mark.slow
def test_no_remote_and_the_users_own_name_for_the_default_branch(here: Repo, world: World) -> None:
    play(world, here, "init -q -b base", "commit a", "checkout -q -b work", "commit b")
    here.git("config", "init.defaultBranch", "base")

    assert scope_of().base == here.git("rev-parse", "base")


@pytest.mark.slow
def test_default_branch_says_which_one_it_is(world: World, here: Repo) -> None:
    play(world, here, "init -q -b main", "commit a", "checkout -q -b work", "commit b")
    play(world, here, "checkout -q -b live", "commit c", "checkout -q main")
    here.commit("key", {"orchgate.toml": 'default-branch = "work"\n'})
    here.git("checkout", "-q", "live")

    assert scope_of().base == here.git("rev-parse", "work")


@pytest.mark.slow
def test_ten_thousand_tracking_refs_cost_no_process_each(world: World, here: Repo, counted: list[str]) -> None:
    play(world, here, *TOPIC)
    oid = world.ids["A"]
    there = here.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    refs = sorted([*there, *(f"refs/remotes/origin/x/{number} {oid}" for number in range(10_000))])
    packed = "".join("{1} {0}\n".format(*line.split()) for line in refs)
    here.write(".git/packed-refs", f"# pack-refs with: peeled fully-peeled sorted \n{packed}")
    push(world, here, "topic", "refs/heads/topic", "{T}")
    few = len(counted)

    assert few <= 12


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every git call of the gate, by its verb."""
    from orchgate.git.call import Git

    calls: list[str] = []
    attempt = Git.attempt

    def counting(self: Git, *args: str, input: bytes = b"") -> object:  # noqa: A002 -- as the original
        calls.append(args[0])
        return attempt(self, *args, input=input)

    monkeypatch.setattr(Git, "attempt", counting)
    return calls


# Pushes


def push(world: World, here: Repo, head: str, ref: str, old: str = ZEROS, remote: str = "origin") -> Scope:
    """The scope of a pushed commit."""
    oid = here.git("rev-parse", head + "^{commit}")
    with session.opened(os.environ) as repository:
        wanted = ScopeTarget("range", oid, push=Push(remote, ref, old.format(**world.ids), oid))
        return scopes.resolve(repository, wanted, os.environ, wishes(repository))


WORK = (*FULL, "checkout -q -b work {C}", "commit w")
STACK = (*FULL, "checkout -q -b p2 origin/p1", "commit p2")
PUSHES: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "new branch": (WORK, ("work", "refs/heads/work"), "C"),
    "update in instalments": (
        (*FULL, "checkout -q topic", "commit v"),
        ("topic", "refs/heads/topic", "{U}"),
        "B",
    ),
    "update of a branch whose pull request is fetched, too": (
        (
            *FULL,
            "config --add remote.origin.fetch +refs/pull/*/head:refs/remotes/origin/pr/*",
            "update-ref refs/remotes/origin/pr/7 {U}",
            "checkout -q topic",
            "commit v",
        ),
        ("topic", "refs/heads/topic", "{U}"),
        "B",
    ),
    "update of a branch, under a second remote's name for the same address": (
        ("clone -q {up} .", "remote add again {up}", "fetch -q again", "checkout -q -b topic origin/topic", "commit v"),
        ("topic", "refs/heads/topic", "{U}"),
        "B",
    ),
    "forced over an old tip that is here": (
        (*FULL, "checkout -q -b topic {B}", "commit v"),
        ("topic", "refs/heads/topic", "{U}"),
        "B",
    ),
    "forced over an old tip that is not here": (
        (*FULL, "checkout -q -b topic {B}", "commit v"),
        ("topic", "refs/heads/topic", ABSENT),
        "B",
    ),
    "stacked branch": (STACK, ("p2", "refs/heads/p2"), "P"),
    "second branch of the same commit, grown": (
        (*FULL, "checkout -q -b again {U}", "commit v"),
        ("again", "refs/heads/again"),
        "U",
    ),
    "fork that follows its upstream": (
        ("clone -q {fork} .", "remote add upstream {up}", "fetch -q upstream", "merge -q --ff-only upstream/main"),
        ("main", "refs/heads/main", "{A}"),
        "C",
    ),
    "fork that follows, with a commit of its own": (
        (
            "clone -q {fork} .",
            "remote add upstream {up}",
            "fetch -q upstream",
            "merge -q --ff-only upstream/main",
            "commit mine",
        ),
        ("main", "refs/heads/main", "{A}"),
        "C",
    ),
    "hotfix on a release line": ((*ON_RELEASE, "commit fix"), ("HEAD", "refs/heads/release/1.2", "{R}"), "R"),
    "hotfix branch off a release line": (
        (*ON_RELEASE, "checkout -q -b hotfix", "commit fix"),
        ("hotfix", "refs/heads/hotfix"),
        "R",
    ),
    "new release line": ((*FULL, "checkout -q -b release/1.3", "commit r"), ("HEAD", "refs/heads/release/1.3"), "C"),
    "branch that merged the default one": (
        (*FULL, "checkout -q topic", "merge -q --no-edit origin/main"),
        ("topic", "refs/heads/topic", "{U}"),
        "C",
    ),
    "default branch": ((*FULL, "commit d"), ("main", "refs/heads/main", "{C}"), "C"),
    "default branch, forced back and on": (
        (*FULL, "reset -q --hard {B}", "commit d"),
        ("main", "refs/heads/main", "{C}"),
        "B",
    ),
    "default branch of another name": (
        ("clone -q {odd} .", "commit d"),
        ("stable", "refs/heads/stable", "{C}"),
        "C",
    ),
    "under another name": (WORK, ("work", "refs/heads/ada/work"), "C"),
    "for review": (WORK, ("work", "refs/for/main"), "C"),
    "tag": ((*WORK, "tag v1"), ("v1", "refs/tags/v1"), "C"),
    "annotated tag": ((*WORK, "tag -a -m v1 v1"), ("v1", "refs/tags/v1"), "C"),
    "to a remote of another name": (
        ("clone -q -o upstream {up} .", "checkout -q -b work", "commit w"),
        ("work", "refs/heads/work", ZEROS, "upstream"),
        "C",
    ),
    "to an address": (WORK, ("work", "refs/heads/work", ZEROS, "/some/where"), "C"),
    "history of its own that the remote has": (
        (*FULL, "checkout -q pages", "commit more"),
        ("pages", "refs/heads/pages", "{G}"),
        "G",
    ),
    "single-branch clone of the default branch": (
        ("clone -q --single-branch {up} .", "commit d"),
        ("main", "refs/heads/main", "{C}"),
        "C",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("row", PUSHES)
def test_push_counts_what_is_new(world: World, here: Repo, row: str) -> None:
    lines, what, base = PUSHES[row]
    play(world, here, *lines)

    scope = push(world, here, *what)

    assert (scope.unknown, named(world, scope.base)) == (None, base)


@pytest.mark.slow
def test_stacked_branch_that_merged_the_default_one_counts_its_own_files(world: World, here: Repo) -> None:
    play(world, here, *STACK, "merge -q --no-edit origin/main", "commit p3")

    assert [change.path for change in push(world, here, "p2", "refs/heads/p2").changes] == ["p2", "p3"]


@pytest.mark.slow
@pytest.mark.parametrize("ref", ["refs/notes/commits", "refs/meta/config", "refs/orchgate/evidence", "refs/x/heads/y"])
def test_metadata_holds_nothing_to_judge(world: World, here: Repo, ref: str) -> None:
    play(world, here, *WORK)

    assert (push(world, here, "work", ref).changes, ref in push(world, here, "work", ref).settled) == ((), True)


@pytest.mark.slow
def test_push_of_what_a_remote_has_is_nothing_new(world: World, here: Repo) -> None:
    play(world, here, *FULL)

    assert "nothing new" in push(world, here, "origin/topic", "refs/heads/copy").settled


@pytest.mark.slow
def test_root_push_has_no_base(world: World, here: Repo) -> None:
    play(world, here, "init -q -b main", "commit a", "remote add origin {fork}")

    assert push(world, here, "main", "refs/heads/main").base is None


@pytest.mark.slow
def test_sha256_push(here: Repo, world: World) -> None:
    play(world, here, "init -q -b main --object-format=sha256", "commit a")
    here.git("update-ref", "refs/remotes/origin/main", "HEAD")
    play(world, here, "checkout -q -b work", "commit b")

    assert push(world, here, "work", "refs/heads/work", "0" * 64).base == here.git("rev-parse", "main")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "what", "hint"),
    [
        (
            ("clone -q --single-branch -b topic {up} .", "commit v"),
            ("topic", "refs/heads/topic", "{U}"),
            f"git fetch origin {EVERY}",
        ),
        (
            ("clone -q --depth=1 -b topic {up} .", "commit v"),
            ("topic", "refs/heads/topic", "{U}"),
            f"git fetch --unshallow origin {EVERY}",
        ),
        (
            ("init -q -b main", "remote add far {up}", "commit v"),
            ("main", "refs/heads/main", "{C}", "far"),
            "git fetch far '+refs/heads/*:refs/remotes/far/*' && git remote set-head far --auto",
        ),
    ],
    ids=["single branch", "depth 1", "never fetched"],
)
def test_push_without_a_known_base_names_the_command(
    world: World, here: Repo, lines: tuple[str, ...], what: tuple[str, ...], hint: str
) -> None:
    play(world, here, *lines)
    told = push(world, here, *what).unknown
    assert told is not None

    ran = here.attempt("sh", "-c", told.hint)

    after = push(world, here, *what)
    assert (told.hint, ran.code, after.base == world.ids["B"] or "unrelated" in str(after.unknown)) == (hint, 0, True)


ORPHAN = (*FULL, "checkout -q --orphan site", "commit s")


@pytest.mark.slow
def test_first_push_of_a_history_of_its_own_is_unknown(world: World, here: Repo) -> None:
    play(world, here, *ORPHAN)
    told = push(world, here, "site", "refs/heads/site").unknown

    assert told is not None
    assert ("unrelated histories" in told.message, 'orphan-branches = ["site"]' in told.hint) == (True, True)


def allow(world: World, here: Repo, branch: str) -> None:
    """The remote's default branch gets a configuration that allows the branch."""
    play(world, here, *FULL)
    here.commit("allow", {"orchgate.toml": f'orphan-branches = ["{branch}"]\n'})
    here.git("update-ref", "refs/remotes/origin/main", "HEAD")
    play(world, here, "checkout -q --orphan site", "rm -q -r -f --cached .", "commit s")


@pytest.mark.slow
def test_first_push_of_a_history_of_its_own_may_be_allowed(world: World, here: Repo) -> None:
    allow(world, here, "si*")

    scope = push(world, here, "site", "refs/heads/site")

    assert (scope.unknown, scope.base, "orphan-branches" in scope.origin) == (None, None, True)


@pytest.mark.slow
def test_pushed_tree_does_not_allow_itself_a_history_of_its_own(world: World, here: Repo) -> None:
    play(world, here, *ORPHAN)
    here.commit("allow", {"orchgate.toml": 'orphan-branches = ["*"]\n'})

    assert isinstance(push(world, here, "site", "refs/heads/site").unknown, OrchgateError)


@pytest.mark.slow
def test_stack_pushed_at_once_counts_each_part_once(world: World, here: Repo) -> None:
    play(world, here, *FULL)
    strict = here.commit("limit", {"orchgate.toml": "[diff-budget]\nmax-files = 3\n"})
    here.git("update-ref", "refs/remotes/origin/main", strict)
    play(world, here, "checkout -q -b lower", "commit a1 a2", "checkout -q -b and-upper", "commit b1 b2")
    tips = {name: here.git("rev-parse", name) for name in ("and-upper", "lower")}  # git's order is that of the names
    lines = [f"refs/heads/{name} {oid} refs/heads/{name} {ZEROS}\n" for name, oid in tips.items()]
    told = [hooked(here, *lines), hooked(here, lines[0])]

    assert [result.code for result in told] == [0, 1], told


def hooked(here: Repo, *lines: str) -> Result:
    """The pre-push hook as git calls it."""
    here.write("../lines", "".join(lines))
    return here.attempt("sh", "-c", f'"{ORCHGATE}" hook pre-push origin x <../lines')
