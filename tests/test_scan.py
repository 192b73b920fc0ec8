"""`orchgate scan`: many commits, and many repositories, judged by the real program with real git."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.lib import files
from orchgate.scan import clones, lines, sources, values, workers
from orchgate.scan import units as scan_units
from orchgate.scan.summary import ScanSummary
from tests.repo import ORCHGATE, Repo, clone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUDGET = "[diff-budget]\nmax-files = 2\nmax-lines = 20\n"
LARGE = "".join(f"line {number}\n" for number in range(50))


def scan(repo: Repo, *argv: str, code: int | None = None, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """The lines of a scan; the summary is the last."""
    ended = subprocess.run(
        [ORCHGATE, "scan", *argv, "--output-format", "json"],
        cwd=repo.root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    assert code is None or ended.returncode == code, ended.stdout + ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def without_seconds(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines as every scan of the same has them."""
    bare = [{name: value for name, value in line.items() if name != "seconds"} for line in found]
    if "summary" in bare[-1]:
        bare[-1]["summary"] = {name: value for name, value in bare[-1]["summary"].items() if name != "seconds"}
    return bare


@pytest.fixture
def history(repo: Repo) -> Repo:
    """Ten commits after the first; the third and the seventh are over the budget."""
    repo.commit("adopt", files={"orchgate.toml": BUDGET, "a.txt": "0\n"})
    for number in range(1, 11):
        repo.commit(f"change {number}", files={f"src/{number}.txt": LARGE if number in (3, 7) else "x\n"})
    return repo


# Commits


def test_every_commit_of_a_range_is_a_line_and_the_last_line_adds_them_up(history: Repo) -> None:
    *found, last = scan(history, "HEAD~10..HEAD", code=1)

    assert [one["unit"] for one in found] == history.git("rev-list", "--reverse", "HEAD~10..HEAD").split()
    assert [at for at, one in enumerate(found, 1) if one["verdict"] == "fail"] == [3, 7]
    assert found[2]["rules"] == found[2]["errors"] == {"DIF001": 1}
    assert (last["summary"]["unit_count"], last["summary"]["verdicts"]) == (10, {"pass": 8, "fail": 2})
    assert last["summary"]["rules"][0] == {
        "rule": "DIF001",
        "unit_count": 2,
        "unit_rate": 0.2,
        "refused_unit_count": 2,
        "finding_count": 2,
    }
    assert [one["unit"] for one in last["summary"]["worst"]] == [found[2]["unit"], found[6]["unit"]]


def test_a_commit_is_judged_as_check_judges_it(history: Repo) -> None:
    for one in scan(history, "HEAD~10..HEAD")[:-1]:
        report = history.report("--commit", one["commit"])

        assert (one["verdict"], list(one["rules"])) == (
            report["verdict"],
            sorted({found["rule"] for found in report["diagnostics"]}),
        )


def test_lines_keep_their_schema(history: Repo, tmp_path: Path) -> None:
    kept = tmp_path / "lines.jsonl"
    scan(history, "HEAD~3..HEAD", "--output", str(kept))
    found = json.loads(files.read_data("schemas", "scan.json"))

    for line in kept.read_text().splitlines():
        jsonschema.validate(json.loads(line), found)


def test_however_many_processes_judge_the_lines_are_the_same(history: Repo) -> None:
    assert without_seconds(scan(history, "HEAD", "--jobs", "1")) == without_seconds(
        scan(history, "HEAD", "--jobs", "3")
    )


def test_a_whole_history_begins_with_its_first_commit(history: Repo) -> None:
    *found, _ = scan(history, "HEAD")

    assert [one["unit"] for one in found] == history.git("rev-list", "--reverse", "HEAD").split()


def test_a_merge_is_what_it_brought_to_its_line(history: Repo) -> None:
    history.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    history.commit("on the side", files={"side/1.txt": LARGE})
    history.git("checkout", "--quiet", "main")
    history.git("merge", "--quiet", "--no-ff", "--no-edit", "side")

    every = scan(history, "HEAD~1..HEAD")[:-1]
    line = scan(history, "HEAD~1..HEAD", "--first-parent")[:-1]

    assert [one["verdict"] for one in every] == ["fail", "fail"]
    assert [one["unit"] for one in line] == [history.git("rev-parse", "HEAD")]


@pytest.mark.slow
def test_what_is_checked_out_changes_no_line(history: Repo, tmp_path: Path) -> None:
    before = scan(history, "HEAD~10..HEAD")
    ends = (history.git("rev-parse", "HEAD~10"), history.git("rev-parse", "HEAD"))
    history.git("checkout", "--quiet", "-b", "other", "HEAD~5")
    history.write(".gitattributes", "* -diff\n")
    history.write("orchgate.toml", "broken")
    bare = clone(history, tmp_path / "bare", "--bare")

    for place in (history, bare):
        assert without_seconds(scan(place, "..".join(ends))) == without_seconds(before)


def test_a_variable_that_lifts_a_limit_now_lifts_none_of_the_past(history: Repo) -> None:
    found = scan(history, "HEAD~10..HEAD", env={"DIFF_BUDGET_OVERRIDE_REASON": "now", "GITHUB_HEAD_REF": "release/1"})

    assert found[-1]["summary"]["verdicts"] == {"pass": 8, "fail": 2}


def test_a_commit_is_judged_as_of_the_day_it_was_made(repo: Repo) -> None:
    """That a review is overdue by now is no fault of a commit of last year."""
    documents = "# PRD\n\nLast Review: 2026-01-30\n"
    repo.commit(files={"orchgate.toml": "", "docs/PRD-0001-x.md": documents})

    assert "DOC007" not in scan(repo, "HEAD")[0]["rules"]


def test_a_history_before_adoption_is_judged_by_a_file_or_a_profile(repo: Repo, tmp_path: Path) -> None:
    repo.commit()
    repo.commit(files={"a.txt": LARGE})
    config = tmp_path / "strict.toml"
    config.write_text(BUDGET)

    own, named = scan(repo, "HEAD~1..HEAD")[0], scan(repo, "HEAD~1..HEAD", "--config", str(config))[0]
    layout = scan(repo, "HEAD~1..HEAD", "--profile", "codex-orchestrator")[0]

    assert (own["verdict"], own["configuration"]) == ("pass", "profile default")
    assert (named["verdict"], named["configuration"]) == ("fail", "strict.toml")
    assert (layout["verdict"], layout["configuration"]) == ("pass", "profile codex-orchestrator")


def test_a_profile_for_the_others_loosens_nothing_by_a_file_that_holds_no_configuration(repo: Repo) -> None:
    repo.commit()
    repo.commit(files={"pyproject.toml": "[project]\nname = 'x'\n"})
    repo.commit(files={"pyproject.toml": "[project]\nname = 'y'\n"})

    found = scan(repo, "HEAD~2..HEAD", "--profile", "codex-orchestrator")[:-1]
    assert [one["rules"] for one in found] == [{}, {}]


def test_a_commit_that_cannot_be_judged_is_named_and_the_others_go_on(history: Repo) -> None:
    broken = history.commit("broken", files={"orchgate.toml": "no toml"})
    history.commit("repaired", files={"orchgate.toml": BUDGET})

    *found, last = scan(history, "HEAD~2..HEAD", code=3)

    assert [one["verdict"] for one in found] == ["broken", "pass"] or found[1]["verdict"] == "warn"
    assert found[0]["unit"] == broken
    assert "orchgate.toml:1" in found[0]["error"]
    assert last["summary"]["unjudged_unit_count"] == 1


def test_a_commit_whose_parent_was_cut_off_is_named(history: Repo, tmp_path: Path) -> None:
    shallow = Repo(tmp_path / "shallow")
    history.git("clone", "--quiet", "--template=", "--depth=2", f"file://{history.root}", str(shallow.root))

    *found, _ = scan(shallow, "HEAD", code=3)

    assert [one["verdict"] for one in found] == ["broken", "pass"]
    assert "is not here" in found[0]["error"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "one of them"),
        (("HEAD~1..HEAD", "--repositories", "x"), "one of them"),
        (("HEAD~1...HEAD",), "REV..REV"),
        (("HEAD~1..HEAD", "--profile", "codex"), "no profile"),
        (("HEAD~1..HEAD", "--config", "none.toml"), "No such file"),
        (("--repositories", "none.txt"), "No such file"),
        (("HEAD~1..HEAD", "--output", "none/lines.jsonl"), "No such file"),
        (("HEAD~1..HEAD", "--jobs", "0"), "whole number"),
    ],
)
def test_wrong_usage_is_said(history: Repo, argv: tuple[str, ...], said: str) -> None:
    code, out = history.orchgate("scan", *argv)

    assert (code, said in out) == (2, True), out


def test_an_empty_range_is_said(history: Repo) -> None:
    assert history.orchgate("scan", "HEAD..HEAD") == (0, "0 commits: nothing was judged\n")


def test_the_summary_fits_on_an_ordinary_screen(history: Repo) -> None:
    code, out = history.orchgate("scan", "HEAD~10..HEAD", "--verbose")

    assert code == 1
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert "  DIF001        2    20%        2         2" in out
    assert f"orchgate check --commit {history.git('rev-parse', 'HEAD~7')[:12]}`\n" in out


# A file that keeps the lines


def kept_lines(path: Path) -> list[dict[str, Any]]:
    return without_seconds([json.loads(line) for line in path.read_text().splitlines()])[1:]


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 40, 300, 1000, 2500])
def test_a_scan_goes_on_after_its_last_whole_line(history: Repo, tmp_path: Path, cut: int) -> None:
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    scan(history, "HEAD~10..HEAD", "--output", str(whole))
    torn.write_bytes(whole.read_bytes()[:cut])

    printed = scan(history, "HEAD~10..HEAD", "--output", str(torn), code=1)

    assert kept_lines(torn) == kept_lines(whole) == without_seconds(printed)


def test_a_scan_that_is_done_is_not_done_again(history: Repo, tmp_path: Path) -> None:
    kept = tmp_path / "lines.jsonl"
    scan(history, "HEAD~10..HEAD", "--output", str(kept))
    before = kept.read_text()

    scan(history, "HEAD~10..HEAD", "--output", str(kept), code=1)

    assert kept.read_text() == before


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("HEAD~9..HEAD",), "another range"),
        (("HEAD~10..HEAD", "--profile", "codex-orchestrator"), "another profile"),
        (("HEAD~10..HEAD", "--config", "orchgate.toml"), "another configuration"),
        (("HEAD~10..HEAD", "--first-parent"), "first-parent"),
    ],
)
def test_the_file_of_another_scan_is_refused(history: Repo, tmp_path: Path, argv: tuple[str, ...], said: str) -> None:
    kept = tmp_path / "lines.jsonl"
    scan(history, "HEAD~10..HEAD", "--output", str(kept))
    before = kept.read_bytes()

    code, out = history.orchgate("scan", *argv, "--output", str(kept))

    assert (code, said in out) == (2, True), out
    assert kept.read_bytes() == before


def test_the_file_of_another_version_is_refused(history: Repo, tmp_path: Path) -> None:
    kept = tmp_path / "lines.jsonl"
    scan(history, "HEAD~3..HEAD", "--output", str(kept))
    first, rest = kept.read_text().split("\n", 1)
    kept.write_text(json.dumps({**json.loads(first), "orchgate": "0.0.1"}) + "\n" + rest)

    code, out = history.orchgate("scan", "HEAD~3..HEAD", "--output", str(kept))

    assert (code, "another version" in out) == (2, True), out


@pytest.mark.parametrize("content", ["# Notes\n", "my notes", '{"format":"other"}\n', "[1]\n", "\0\1\2"])
def test_a_file_that_is_not_of_a_scan_is_left_alone(history: Repo, tmp_path: Path, content: str) -> None:
    kept = tmp_path / "notes"
    kept.write_text(content)

    code, out = history.orchgate("scan", "HEAD~3..HEAD", "--output", str(kept))

    assert (code, "not the file of a scan" in out) == (2, True), out
    assert kept.read_text() == content


@pytest.mark.slow
def test_a_scan_that_is_killed_at_any_moment_goes_on_to_the_same_lines(history: Repo, tmp_path: Path) -> None:
    whole, kept = tmp_path / "whole.jsonl", tmp_path / "kept.jsonl"
    argv = [ORCHGATE, "scan", "HEAD", "--jobs", "2", "--output"]
    subprocess.run([*argv, str(whole)], cwd=history.root, capture_output=True, check=False)
    for wait in (0.3, 0.4, 0.5, 0.6, 0.7):
        running = subprocess.Popen([*argv, str(kept)], cwd=history.root, stdout=subprocess.DEVNULL)
        time.sleep(wait)
        running.kill()
        running.wait()

    ended = subprocess.run([*argv, str(kept)], cwd=history.root, capture_output=True, check=False)

    assert ended.returncode == 1
    assert kept_lines(kept) == kept_lines(whole)


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_done_and_leaves_no_process(history: Repo, tmp_path: Path) -> None:
    for number in range(60):
        history.commit(files={f"more/{number}.txt": "x\n"})
    kept = tmp_path / "kept.jsonl"
    argv = [ORCHGATE, "scan", "HEAD", "--jobs", "2", "--output", str(kept)]
    running = subprocess.Popen(argv, cwd=history.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not kept.exists() or kept.read_bytes().count(b"\n") < 4:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate()

    assert (running.returncode, "lines in" in said and "the same command continues there" in said) == (130, True), said
    assert kept.read_bytes().endswith(b"\n")


@pytest.mark.slow
def test_a_file_is_free_as_soon_as_its_scan_was_killed(history: Repo, tmp_path: Path) -> None:
    """Whatever the processes that judged for it are at."""
    kept = tmp_path / "kept.jsonl"
    argv = [ORCHGATE, "scan", "HEAD", "--jobs", "2", "--output", str(kept)]
    for number in range(40):
        history.commit(files={f"more/{number}.txt": "x\n"})
    running = subprocess.Popen(argv, cwd=history.root, stdout=subprocess.DEVNULL)
    while not kept.exists() or kept.read_bytes().count(b"\n") < 4:
        time.sleep(0.02)
    running.kill()
    running.wait()

    with lines.KeptLines(str(kept)) as free:
        assert free.head() is not None


# Processes


def judged_as(job: int) -> int:
    """Work that ends its process at some jobs: at 5 always, at 9 only the first time."""
    if job == 5 or (job == 9 and not os.path.exists("died")):
        Path("died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return job * job


def test_a_process_that_is_killed_is_one_job_tried_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    found = list(workers.in_order(judged_as, iter(range(40)), 3, 60.0))

    assert found[5] == workers.FailedJob("the process that judged it was killed by signal 9, twice")
    assert [one for at, one in enumerate(found) if at != 5] == [at * at for at in range(40) if at != 5]


def sleeps_at_three(job: int) -> int:
    if job == 3:
        time.sleep(600)
    return job


@pytest.mark.slow
def test_a_job_that_takes_too_long_is_given_up_and_the_others_go_on() -> None:
    found = list(workers.in_order(sleeps_at_three, iter(range(12)), 2, 1.0))

    assert found == [*range(3), workers.FailedJob("took longer than 1 s"), *range(4, 12)]


def test_jobs_are_drawn_as_there_is_room_for_their_results() -> None:
    drawn = 0

    def jobs() -> Iterator[int]:
        nonlocal drawn
        while drawn < 10_000:
            drawn += 1
            yield drawn

    results = workers.in_order(abs, jobs(), 2, 60.0)
    next(results)

    assert drawn <= 2 * workers.BLOCK * workers.AHEAD
    results.close()


@pytest.mark.slow
def test_worn_out_processes_are_replaced_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "RENEWED", 8)

    assert list(workers.in_order(abs, iter(range(100)), 2, 60.0)) == list(range(100))


# Repositories


@pytest.fixture
def listed(new_repo: Callable[[str], Repo], tmp_path: Path, repo: Repo) -> Repo:
    """A folder with a list of four repositories: one that passes, one that is refused, an empty one, and none."""
    good = new_repo("good")
    good.commit(files={"orchgate.toml": "", "README.md": "# Good\n"})
    bad = new_repo("bad")
    bad.commit(
        files={"orchgate.toml": "", "README.md": "# Bad\n", "tasks/tasks-0001-x.md": "- [x] [run](.runs/x.json)\n"}
    )
    new_repo("empty")
    (tmp_path / "list.txt").write_text(f"# ours\ngood\n{tmp_path}/bad\nempty  # nothing yet\ngone\n")
    return repo


def by_unit(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["unit"]: one for one in found[:-1]}


def test_the_default_branch_of_every_repository_is_judged_as_a_whole(listed: Repo, tmp_path: Path) -> None:
    found = scan(listed, "--repositories", "../list.txt")
    units_ = by_unit(found)
    bad = f"{tmp_path}/bad"
    report = Repo(tmp_path / "bad").report("--all-files")

    assert [one["unit"] for one in found[:-1]] == ["good", bad, "empty", "gone"]
    assert (units_["good"]["verdict"], units_["good"]["commit"]) == (
        "pass",
        Repo(tmp_path / "good").git("rev-parse", "HEAD"),
    )
    assert units_[bad]["verdict"] == report["verdict"]
    assert sorted(units_[bad]["rules"]) == sorted({one["rule"] for one in report["diagnostics"]})
    assert (units_["empty"]["verdict"], units_["empty"]["error"]) == ("broken", "is empty: its HEAD names no commit")
    assert (units_["gone"]["verdict"], units_["gone"]["error"]) == ("broken", "is not a folder")


def test_repositories_give_the_same_lines_by_one_process_and_by_many(listed: Repo) -> None:
    one, many = (scan(listed, "--repositories", "../list.txt", "--jobs", jobs) for jobs in ("1", "3"))

    assert without_seconds(one) == without_seconds(many)


@pytest.mark.slow
def test_clones_go_away_unless_they_are_to_be_kept(listed: Repo, tmp_path: Path) -> None:
    temporary, kept = tmp_path / "tmp", tmp_path / "kept"
    temporary.mkdir()
    scan(listed, "--repositories", "../list.txt", env={"TMPDIR": str(temporary)})
    assert list(temporary.iterdir()) == []

    for _ in range(2):
        found = scan(listed, "--repositories", "../list.txt", "--clones", str(kept))
        assert by_unit(found)["good"]["verdict"] == "pass"
    Repo(tmp_path / "good").commit(files={"orchgate.toml": "broken"})
    assert by_unit(scan(listed, "--repositories", "../list.txt", "--clones", str(kept)))["good"]["verdict"] == "broken"


def test_a_branch_and_a_name_may_be_given(listed: Repo, tmp_path: Path) -> None:
    good = Repo(tmp_path / "good")
    good.git("branch", "old")
    good.commit(files={"orchgate.toml": "broken"})
    (tmp_path / "list.txt").write_text("good @old old-one\ngood new-one\ngood @none none\ngood new-one\n")

    found = by_unit(scan(listed, "--repositories", "../list.txt"))

    assert [(name, one["verdict"]) for name, one in found.items()] == [
        ("old-one", "pass"),
        ("new-one", "broken"),
        ("none", "broken"),
        ("new-one (line 4)", "broken"),
    ]
    assert (found["none"]["error"], found["new-one (line 4)"]["error"]) == ("has no none", "is also named in line 2")


def test_a_repository_of_sha256_is_judged(listed: Repo, tmp_path: Path) -> None:
    other = Repo(tmp_path / "long")
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(other.root)], check=True)
    other.commit(files={"orchgate.toml": ""})
    (tmp_path / "list.txt").write_text("long\n")

    (one,) = scan(listed, "--repositories", "../list.txt", code=0)[:-1]

    assert len(one["commit"]) == 64


HOSTILE = {
    "ext::sh -c touch% hacked": "ext::",
    "--upload-pack=touch hacked": "dash",
    "-u./hacked": "dash",
    "ssh://-oProxyCommand=touch%20hacked/x": "dash",
    "-oProxyCommand=x:y": "dash",
    "git@-oProxyCommand=x:y": "dash",
    "fd::17": "fd::",
    "ftp://example.org/x": "ftp",
    "transport+ext://x": "transport+ext",
    "/etc/passwd": "is not a folder",
    "/proc": "repository",
}


def test_hostile_addresses_are_refused_by_name_and_nothing_runs(listed: Repo, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(
        "".join(f"'{address}'\n" for address in (*HOSTILE, "good @--upload-pack=x", "good"))
    )

    *found, last = scan(listed, "--repositories", "../list.txt", code=3)

    assert [one["verdict"] for one in found] == ["broken"] * (len(HOSTILE) + 1) + ["pass"] or found[-2][
        "verdict"
    ] == "broken"
    wrong = [(a, f["error"]) for (a, said), f in zip(HOSTILE.items(), found, strict=False) if said not in f["error"]]
    assert wrong == []
    assert not list(tmp_path.rglob("hacked"))
    assert last["summary"]["unjudged_unit_count"] >= len(HOSTILE)


def test_credentials_of_an_address_are_never_printed(listed: Repo, tmp_path: Path) -> None:
    """The port answers nobody: nothing listens there."""
    addresses = (
        "https://ada:s3cret@127.0.0.1:1/x.git",
        "http://s3cret@127.0.0.1:1/y?token=s3cret",
        "ftp://a:s3cret@h/z",
    )
    (tmp_path / "list.txt").write_text("\n".join(addresses))
    kept = tmp_path / "lines.jsonl"

    code, out = listed.orchgate("scan", "--repositories", "../list.txt", "-v", "--output", str(kept))

    assert code == 3
    assert "s3cret" not in out + kept.read_text()
    assert "127.0.0.1:1/x.git" in out


def test_a_repository_runs_neither_its_hooks_nor_its_filters(listed: Repo, tmp_path: Path) -> None:
    good = Repo(tmp_path / "good")
    good.commit(files={".gitattributes": "* filter=evil diff=evil\n", "x.txt": "x\n"})
    hacked = tmp_path / "hacked"
    for name, value in (("filter.evil.smudge", f"touch {hacked}"), ("diff.evil.textconv", f"touch {hacked}")):
        good.git("config", name, value)
    for hook in ("post-checkout", "reference-transaction", "post-merge", "pre-receive"):
        script = good.root / ".git/hooks" / hook
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\ntouch {hacked}\n")
        script.chmod(0o755)
    good.git("config", "uploadpack.packObjectsHook", f"touch {hacked}; git pack-objects")

    scan(listed, "--repositories", "../list.txt")

    assert not hacked.exists()


def brought(source: str, patience: float = 60.0) -> values.UnitResult:
    """What is said of a repository by its address."""
    return scan_units.judge_unit(values.Judging(patience=patience), values.UnitSpec("it", "repository", source))


@pytest.mark.slow
def test_an_interrupt_leaves_no_clone_and_no_git(listed: Repo, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (tmp_path / "list.txt").write_text(f"git://127.0.0.1:{silent.getsockname()[1]}/x\ngood\n")
        running = subprocess.Popen(
            [ORCHGATE, "scan", "--repositories", "../list.txt"],
            cwd=listed.root,
            env={**os.environ, "TMPDIR": str(temporary)},
            stderr=subprocess.PIPE,
        )
        connection, _ = silent.accept()
        running.send_signal(signal.SIGINT)
        running.communicate()
        connection.settimeout(30)
        while connection.recv(1000):  # what git has sent, and then that it is gone
            pass
        connection.close()

    assert (running.returncode, list(temporary.iterdir())) == (130, [])


@pytest.mark.slow
def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = brought(f"git://127.0.0.1:{silent.getsockname()[1]}/x", patience=0.5)

    assert (found.verdict, found.error) == ("broken", "not here after 0.5 s: given up")


def test_a_repository_that_takes_too_much_room_is_given_up(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit(files={"large": os.urandom(4_000_000)})
    monkeypatch.setattr(clones, "LARGEST", 1)

    found = brought(str(repo.root))

    assert (found.verdict, "given up" in found.error) == ("broken", True), found


def test_a_repository_whose_head_names_no_branch_is_named(repo: Repo) -> None:
    repo.commit()
    repo.git("symbolic-ref", "HEAD", "refs/heads/gone")

    assert brought(str(repo.root)).error == "is empty: its HEAD names no commit"


def test_a_tag_of_what_is_no_commit_is_named(repo: Repo) -> None:
    repo.commit(files={"a": "a\n"})
    repo.git("tag", "tree", "HEAD^{tree}")
    spec = values.UnitSpec("it", "repository", str(repo.root), ref="tree")

    assert scan_units.judge_unit(values.Judging(), spec).error == "tree is no commit"


@pytest.mark.parametrize(
    "entries",
    [
        b"100644 blob %s\t../up.md\0",
        b"100644 blob %s\t\x1b[2J.md\0120000 blob %s\tlink.md\0",
        b"100644 blob %s\t" + b"x" * 5000 + b".md\0",
        b"160000 commit 1111111111111111111111111111111111111111\tmodule\0",
        b"100644 blob 2222222222222222222222222222222222222222\tmissing.md\0",
    ],
)
def test_a_hostile_tree_is_one_line(repo: Repo, entries: bytes) -> None:
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"# x\n[y](../../../etc/passwd)\n").encode()
    inner = repo.git("mktree", "-z", "--missing", stdin=entries.replace(b"../up.md", b"..").replace(b"%s", blob))
    tree = repo.git("mktree", stdin=f"040000 tree {inner}\tdocs\n".encode())
    repo.git("update-ref", "refs/heads/main", repo.git("commit-tree", "-m", "x", tree))

    *found, last = scan(repo, "HEAD")
    whole = brought(str(repo.root))

    assert (len(found), last["summary"]["unit_count"]) == (1, 1)
    assert "internal error" not in f"{found} {whole}"
    assert found[0]["verdict"] in ("pass", "warn", "fail", "broken")


def test_a_list_is_read_line_by_line() -> None:
    folder = "/lists"
    text = "# none\n\nhttps://host/a/b.git  # why\n'with space' 'A name'\n\"open\nx @main @other\n" + "y" * 5000

    found = list(sources._listed(text, folder))

    assert [(one.unit, one.source, bool(one.refused)) for one in found] == [
        ("https://host/a/b.git", "https://host/a/b.git", False),
        ("A name", "/lists/with space", True),
        ('"open', '"open', True),
        ("x@main", "x", True),
        ("y" * 40 + "…", "y" * 40 + "…", True),
    ]


# What all add up to


def result(unit: str, verdict: str, **rules: int) -> values.UnitResult:
    return values.UnitResult(unit, "commit", unit, verdict, rules, rules if verdict == "fail" else {}, 0, "", "", 1.0)


def test_the_worst_units_are_named_and_of_equals_the_first() -> None:
    summary = ScanSummary()
    for number in range(100):
        summary.add(result(f"{number:03}", "fail" if number % 5 == 0 else "pass", DIF001=1))
    summary.add(result("worst", "fail", DIF001=1, EVD001=7))

    assert [one["unit"] for one in summary.worst()] == ["worst", *(f"{number:03}" for number in range(0, 45, 5))]
    assert summary.exit_code == 1


@pytest.mark.parametrize(
    ("verdicts", "code"), [((), 0), (("pass", "warn"), 0), (("pass", "broken"), 3), (("broken", "fail"), 1)]
)
def test_the_exit_code_is_that_of_the_worst_unit(verdicts: tuple[str, ...], code: int) -> None:
    summary = ScanSummary()
    for verdict in verdicts:
        summary.add(result("x", verdict))

    assert summary.exit_code == code


def test_a_result_is_the_same_after_its_line() -> None:
    one = result("abc", "fail", DIF001=3)._replace(error="a: b", configuration="orchgate.toml", older=4)

    assert lines.result_of(json.loads(json.dumps(lines.facts_of(one)))) == one


@pytest.mark.parametrize(
    "address", ["https://h/x", "ssh://git@h/x", "git@h:x/y", "./x", "../x y", "/x", "file:///x", "x/y"]
)
def test_ordinary_addresses_are_taken(address: str) -> None:
    assert clones.refusal(address, "main") == ""


def test_a_list_of_other_bytes_than_utf_8_is_read_and_so_is_one_that_begins_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"\xef\xbb\xbfhttps://host/a\r\nhttps://host/\xe7\nhost:\xe7\n\x00\xff::\xe7\n")

    found = list(sources.repositories(str(path)).units())

    assert [one.unit for one in found[:3]] == ["https://host/a", "https://host/%E7", "ssh://host/%E7"]
    assert [bool(one.refused) for one in found] == [False, False, False, True]
