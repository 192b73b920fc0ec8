"""`orchgate new` beside others of its kind, and after one that was killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.commands.new.packet import NOTHING, unfinished
from orchgate.lib.files import sha256_hex
from tests.killing import TRACED, killed_at_each_step
from tests.repo import ORCHGATE, Repo, init

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIST = '{"items": []}\n'
SLUGS = [f"task-{letter}" for letter in "abcdefgh"]
DOCUMENTS = ("docs/PRD-{0}.md", "docs/TECH_SPEC-{0}.md", "docs/ACTION_PLAN-{0}.md", "tasks/tasks-{1}-{0}.md")


def listed(repo: Repo) -> list[tuple[str, str]]:
    items = json.loads((repo.root / "tasks/index.json").read_text())["items"]
    return [(item["id"], item["slug"]) for item in items]


def packet(slug: str, number: str) -> set[str]:
    return {path.format(slug, number) for path in DOCUMENTS}


def written(repo: Repo) -> set[str]:
    """What git sees that is new or changed, the list aside."""
    lines = repo.git("status", "--porcelain", "--untracked-files=all").splitlines()
    return {line.split(maxsplit=1)[1] for line in lines} - {"tasks/index.json"}


def kept(repo: Repo) -> list[str]:
    """What lies in our own folder of the git folder."""
    return [str(path) for path in (repo.root / ".git/orchgate").rglob("*") if path.is_file()]


def started(repo: Repo, step: str = "files.create", *args: str) -> None:
    """`orchgate new` that is killed when it comes to a step for the second time."""
    program = (
        "import os, signal, sys\nfrom orchgate.lib import files\nfrom orchgate.cli import main\n"
        "count = 0\n"
        f"real = {step}\n"
        "def dying(*args, **kwargs):\n"
        "    global count\n"
        "    count += 1\n"
        "    if count == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(*args, **kwargs)\n"
        f"{step} = dying\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "new", *(args or ("faster-start",))],
        cwd=repo.root,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("index", [LIST, None])
def test_eight_at_once_get_eight_numbers_and_eight_entries(repo: Repo, index: str | None) -> None:
    repo.commit(files={} if index is None else {"tasks/index.json": index})

    children = [subprocess.Popen([ORCHGATE, "new", slug], cwd=repo.root, stdout=subprocess.DEVNULL) for slug in SLUGS]
    codes = [child.wait() for child in children]

    found = {match[2]: match[1] for path in written(repo) if (match := re.search(r"tasks-(\d+)-(.*)\.md", path))}
    assert (codes, sorted(found), len(set(found.values()))) == ([0] * 8, SLUGS, 8)
    assert written(repo) == {path for slug, number in found.items() for path in packet(slug, number)}
    assert kept(repo) == []
    if index == LIST:
        assert sorted(listed(repo)) == sorted((number, slug) for slug, number in found.items())


@pytest.mark.slow
def test_one_slug_eight_times_is_one_packet(repo: Repo) -> None:
    repo.commit(files={"tasks/index.json": LIST})

    children = [subprocess.Popen([ORCHGATE, "new", "one"], cwd=repo.root, stderr=subprocess.PIPE) for _ in SLUGS]
    said = [child.communicate()[1] for child in children]

    codes = [child.returncode for child in children]
    # Whoever comes before the first has had its last word finds that nothing is missing.
    assert (0 in codes, sum(b"already exists" in one for one in said)) == (True, codes.count(3))
    assert (set(codes) <= {0, 3}, written(repo), listed(repo)) == (True, packet("one", "0001"), [("0001", "one")])


@pytest.mark.slow
def test_linked_work_trees_do_not_hinder_each_other(repo: Repo, tmp_path: Path) -> None:
    repo.commit(files={"tasks/index.json": LIST})
    repo.git("worktree", "add", "-q", str(tmp_path / "linked"))
    trees = [repo, Repo(tmp_path / "linked")]

    children = [
        subprocess.Popen([ORCHGATE, "new", slug], cwd=trees[number % 2].root, stdout=subprocess.DEVNULL)
        for number, slug in enumerate(SLUGS)
    ]
    codes = [child.wait() for child in children]

    assert (codes, [[number for number, _ in sorted(listed(tree))] for tree in trees]) == (
        [0] * 8,
        [["0001", "0002", "0003", "0004"]] * 2,
    )


# Killed


@TRACED
@pytest.mark.slow
def test_one_that_was_killed_at_any_step_is_taken_up(tmp_path: Path) -> None:
    # The copies stand for repositories in which nothing has happened yet.
    origin = init(tmp_path / "origin")
    origin.commit(files={"tasks/index.json": LIST})
    for number, run in enumerate(killed_at_each_step(ORCHGATE, "new", "faster-start", "--title", "Quick")):
        repo = Repo(tmp_path / f"repo-{number}")
        shutil.copytree(origin.root, repo.root)
        run(repo)
        assert written(repo) <= packet("faster-start", "0001")
        json.loads((repo.root / "tasks/index.json").read_text())
        again = repo.orchgate("new", "faster-start", "--title", "Quick")
        # The first was not killed. The last step is the one by which it forgets what it has begun.
        assert again.code == (0 if number else 3), again.out
        assert (written(repo), listed(repo)) == (packet("faster-start", "0001"), [("0001", "faster-start")])
        assert kept(repo) == []
        shutil.rmtree(repo.root)


@pytest.mark.slow
def test_it_goes_on_with_its_number_its_title_and_its_mini_spec(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit(files={"tasks/index.json": LIST})
    started(repo, "files.create", "faster-start", "--task", "0040", "--title", "Quick start", "--mini-spec")

    code = main(["new", "faster-start"])

    said = capsys.readouterr().out
    assert (code, "0040-faster-start was left unfinished before: this is what was missing" in said) == (0, True)
    assert written(repo) == packet("faster-start", "0040") | {"tasks/specs/0040-faster-start.md"}
    assert "Quick start" in (repo.root / "docs/TECH_SPEC-faster-start.md").read_text()


@pytest.mark.slow
def test_what_is_said_to_be_written_is_what_was_missing(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit()
    started(repo)
    there = written(repo)
    main(["new", "faster-start"])

    said = {line.removeprefix("wrote ") for line in capsys.readouterr().out.splitlines() if line.startswith("wrote ")}

    assert (len(there), said) == (1, packet("faster-start", "0001") - there)


@pytest.mark.slow
def test_another_packet_does_not_take_its_number(repo: Repo) -> None:
    repo.commit()
    started(repo)
    main(["new", "other"])
    main(["new", "faster-start"])

    assert written(repo) == packet("other", "0002") | packet("faster-start", "0001")


@pytest.mark.slow
def test_what_somebody_worked_on_meanwhile_stays(repo: Repo) -> None:
    repo.commit()
    started(repo)
    (path,) = written(repo)
    repo.write(path, "# Mine\n")

    assert (main(["new", "faster-start", "--title", "Other"]), (repo.root / path).read_text()) == (0, "# Mine\n")


@pytest.mark.slow
def test_another_title_is_in_all_documents(repo: Repo) -> None:
    repo.commit()
    started(repo)
    main(["new", "faster-start", "--title", "Something else"])

    specs = [path for path in written(repo) if path.startswith("docs")]
    assert [path for path in specs if "Something else" not in (repo.root / path).read_text()] == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["asked for", "taken meanwhile"])
def test_under_another_number_nothing_of_the_old_one_stays(repo: Repo, how: str) -> None:
    repo.commit(files={"orchgate.toml": '[documents]\nrequired = ["checklist", "prd"]\npackets = "docs/{task}.md"\n'})
    started(repo)
    begun = written(repo)
    if how == "taken meanwhile":
        repo.commit(files={"tasks/tasks-0001-other.md": "# Other\n"})

    code = main(["new", "faster-start", *(("--task", "0002") if how == "asked for" else ())])

    assert (code, len(begun)) == (0, 1)
    assert written(repo) == {"docs/0002-faster-start.md", "tasks/tasks-0002-faster-start.md"}


@pytest.mark.slow
def test_an_interrupt_leaves_no_document(repo: Repo) -> None:
    repo.commit(files={"tasks/index.json": LIST})
    program = (
        "import sys\nfrom orchgate.lib import files\nfrom orchgate.cli import main\n"
        "real = files.replace\n"
        "def interrupted(path, *args, **kwargs):\n"
        "    if path.endswith('index.json'):\n"
        "        raise KeyboardInterrupt\n"
        "    return real(path, *args, **kwargs)\n"
        "files.replace = interrupted\n"
        "sys.exit(main(['new', 'faster-start']))\n"
    )

    code = repo.attempt(sys.executable, "-c", program).code

    assert (code, written(repo), listed(repo)) == (130, set(), [])
    assert (main(["new", "faster-start"]), listed(repo)) == (0, [("0001", "faster-start")])


# A note that is no note


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 2, "task": "0009-x", "title": "", "mini_spec": false, "documents": {}}',
        '{"version": 1, "task": 9, "title": "", "mini_spec": false, "documents": {}}',
        '{"version": 1, "task": "0009-x", "title": "", "mini_spec": false, "documents": [1]}',
        '{"version": 1, "task": "0009-x", "title": "", "mini_spec": false, "documents": {"a\\u0000b": []}}',
        '{"version": 1, "task": "0009-x", "title": "", "mini_spec": false, "documents": {"a\\ud800b": []}}',
        '{"version": 1, "task": "0009\\u0000", "title": "", "mini_spec": false, "documents": {}}',
        "[" * 9999,
    ],
)
def test_a_note_that_we_did_not_write_counts_for_nothing(repo: Repo, content: str) -> None:
    repo.write(".git/orchgate/new/faster-start.json", content)

    assert unfinished(str(repo.root), "faster-start") == NOTHING
    assert (main(["new", "faster-start"]), written(repo)) == (0, packet("faster-start", "0001"))


@pytest.mark.slow
@pytest.mark.parametrize("path", ["../outside", "/etc/hostname", ".git/HEAD", "a/../../b"])
def test_a_note_leads_to_nothing_outside(repo: Repo, path: str) -> None:
    (repo.root.parent / "outside").write_text("mine\n")
    known = {path: [sha256_hex(b"mine\n")]}
    note = {"version": 1, "task": "0009-faster-start", "title": "T", "mini_spec": False, "documents": known}
    repo.write(".git/orchgate/new/faster-start.json", json.dumps(note))

    assert (main(["new", "faster-start"]), (repo.root.parent / "outside").read_text()) == (3, "mine\n")


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [lambda folder: folder.write_text(""), lambda folder: folder.symlink_to("/proc")])
def test_without_a_place_for_the_note_it_works_as_well(repo: Repo, spoil: Callable[[Path], object]) -> None:
    spoil(repo.root / ".git/orchgate")

    assert (main(["new", "faster-start"]), written(repo)) == (0, packet("faster-start", "0001"))


@pytest.mark.slow
def test_a_list_reached_by_a_link_inside_is_replaced_where_it_is(repo: Repo) -> None:
    repo.write("lists/all.json", LIST)
    (repo.root / "tasks").mkdir()
    (repo.root / "tasks/index.json").symlink_to("../lists/all.json")

    main(["new", "faster-start"])

    assert ((repo.root / "tasks/index.json").is_symlink(), listed(repo)) == (True, [("0001", "faster-start")])


@pytest.mark.slow
def test_a_list_keeps_its_permissions(repo: Repo) -> None:
    repo.write("tasks/index.json", LIST)
    (repo.root / "tasks/index.json").chmod(0o640)

    main(["new", "faster-start"])

    assert os.stat(repo.root / "tasks/index.json").st_mode & 0o777 == 0o640
