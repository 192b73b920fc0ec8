"""`orchgate init` after one that was stopped half-way, beside others, and over files that hold nothing."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from orchgate.cli import main
from orchgate.commands.init.hook_config import (
    FILE,
    LOCAL_ENTRY,
    ends_within,
    remote_entry,
    with_entry,
)
from orchgate.commands.init.hooks import HOOK_TYPES, without
from orchgate.config.load import load_work_tree
from tests.killing import TRACED, killed_at_each_step
from tests.repo import ORCHGATE, Repo, init

if TYPE_CHECKING:
    from pathlib import Path

    Output = pytest.CaptureFixture[str]
    State = dict[str, tuple[int, bytes]]

OTHERS = "repos:\n- repo: https://example.org/hooks\n  rev: v1\n  hooks:\n  - id: other\n"
HOOK = ".git/hooks/pre-commit"


@pytest.fixture
def _no_pre_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """pre-commit is not installed: nothing slow is started."""
    monkeypatch.setattr("orchgate.commands.init.pre_commit._program", lambda _: ())


def state(repo: Repo) -> State:
    """Every file that matters: the user's, the hooks, and what lies in our own folder."""
    paths = [path for path in sorted(repo.root.rglob("*")) if path.is_file()]
    git = {str(repo.root / ".git" / name) for name in ("index", "FETCH_HEAD")}
    return {
        str(path.relative_to(repo.root)): (path.stat().st_mode & 0o111, path.read_bytes())
        for path in paths
        if str(path) not in git
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> State:
    """What `init --native` makes of an empty repository."""
    made = init(tmp_path_factory.mktemp("whole") / "repo")
    assert made.orchgate("init", "--native").code == 0
    return state(made)


# Stopped half-way


@TRACED
@pytest.mark.slow
def test_one_that_was_killed_at_any_step_is_made_good_by_the_next(tmp_path: Path, whole: State) -> None:
    for number, run in enumerate(killed_at_each_step(ORCHGATE, "init", "--native")):
        made = init(tmp_path / f"repo-{number}")
        run(made)
        there = {line[3:] for line in made.git("status", "--porcelain", "--untracked-files=all").splitlines()}
        assert there <= {"orchgate.toml", ".gitignore"}
        again = made.orchgate("init", "--native")
        assert (again.code, state(made)) == (0, whole), again.out
        shutil.rmtree(made.root)


def limited(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 20, 100, 400, 700])
def test_a_full_disk_leaves_nothing_that_is_not_whole(tmp_path: Path, whole: State, size: int) -> None:
    made = init(tmp_path / "repo")

    done = subprocess.run(
        [ORCHGATE, "init", "--native"],
        cwd=made.root,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: limited(size),
    )

    assert (done.returncode, "cannot write" in done.stderr, "make room" in done.stderr) == (3, True, True)
    assert {name: whole.get(name) for name in state(made)}.items() <= {**state(made), **whole}.items()
    assert (made.orchgate("init", "--native").code, state(made)) == (0, whole)


@pytest.mark.slow
@pytest.mark.usefixtures("_no_pre_commit")
def test_a_configuration_that_cannot_be_replaced_stays(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.write(FILE, OTHERS)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)

    assert (main(["init"]), (repo.root / FILE).read_text()) == (3, OTHERS)


@pytest.mark.slow
def test_eight_at_once_make_what_one_makes(tmp_path: Path, whole: State) -> None:
    made = init(tmp_path / "repo")

    children = [
        subprocess.Popen([ORCHGATE, "init", "--native"], cwd=made.root, stdout=subprocess.DEVNULL) for _ in range(8)
    ]

    assert ([child.wait() for child in children], state(made)) == ([0] * 8, whole)


# Files that hold nothing, or end too early


@pytest.mark.slow
@pytest.mark.usefixtures("_no_pre_commit")
@pytest.mark.parametrize("text", ["", "\n", "  \n\t\n", "\ufeff", "\0" * 300, "\r\n"])
@pytest.mark.parametrize("name", ["orchgate.toml", FILE])
def test_a_file_that_holds_nothing_is_written(repo: Repo, capsys: Output, name: str, text: str) -> None:
    repo.write(name, text)

    code = main(["init"])

    said = capsys.readouterr().out
    assert (code, f"kept {name}" in said, f"wrote {name} (it was empty)" in said) == (0, False, True)
    assert yaml.safe_load((repo.root / FILE).read_text())["repos"]
    assert b"[diff-budget]" in (repo.root / "orchgate.toml").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("_no_pre_commit")
@pytest.mark.parametrize("text", ["# ours\n", "# ours", "\n  # a\n# b\n\n"])
@pytest.mark.parametrize("name", ["orchgate.toml", FILE])
def test_comments_alone_stay_above_what_is_written(repo: Repo, name: str, text: str) -> None:
    repo.write(name, text)

    assert main(["init"]) == 0
    assert (repo.root / name).read_text().startswith(text.rstrip() + "\n")
    assert yaml.safe_load((repo.root / FILE).read_text())["repos"]
    assert load_work_tree(str(repo.root)).origins["diff-budget.max-files"] == "orchgate.toml"


@pytest.mark.slow
@pytest.mark.usefixtures("_no_pre_commit")
@pytest.mark.parametrize("options", [(), ("--published",)])
@pytest.mark.parametrize("name", ["orchgate.toml", FILE])
def test_a_file_of_ours_that_was_cut_anywhere_is_written_again_or_named(
    repo: Repo, capsys: Output, name: str, options: tuple[str, ...]
) -> None:
    main(["init", *options])
    full = (repo.root / name).read_bytes()
    meant = [full[:end] for end in range(len(full)) if full[:end].endswith(b"max-lines = 800\n")]
    for end in (*range(1, len(full) - 1, 37), len(full) - 2):
        (repo.root / name).write_bytes(full[:end])
        capsys.readouterr()
        code = main(["init", *options])
        told = capsys.readouterr()
        if code == 0 and full[:end] not in meant:
            assert f"kept {name}" not in told.out or full[end - 1 : end] == b"\n", full[:end]
            assert (repo.root / name).read_bytes() == full or full[end - 1 : end] == b"\n", full[:end]
        else:
            assert name in told.err


@pytest.mark.slow
@pytest.mark.usefixtures("_no_pre_commit")
def test_what_somebody_took_out_of_our_configuration_stays_out(repo: Repo, capsys: Output) -> None:
    main(["init"])
    text = (repo.root / "orchgate.toml").read_text()
    mine = text[: text.index("# [diff-budget.areas")]
    repo.write("orchgate.toml", mine)
    capsys.readouterr()

    assert (main(["init"]), (repo.root / "orchgate.toml").read_text()) == (0, mine)
    assert "kept orchgate.toml" in capsys.readouterr().out


@pytest.mark.usefixtures("_no_pre_commit")
def test_an_empty_file_that_hides_a_configuration_is_named(repo: Repo, capsys: Output) -> None:
    repo.write("pyproject.toml", "[tool.orchgate.diff-budget]\nmax-files = 3\n")
    repo.write("orchgate.toml", "")

    assert (main(["init"]), "rm orchgate.toml" in capsys.readouterr().err) == (3, True)


@pytest.mark.usefixtures("_no_pre_commit")
@pytest.mark.parametrize("text", ["profile = \n", "[diff-budget\n", 'profile = "def', "max = é\n"])
def test_a_configuration_that_is_no_toml_is_named(repo: Repo, capsys: Output, text: str) -> None:
    repo.write("orchgate.toml", "# mine\n" + text)

    code = main(["init"])

    told = capsys.readouterr().err
    assert (code, "orchgate.toml" in told, "run `orchgate init` again" in told) == (2, True, True)


@pytest.mark.usefixtures("_no_pre_commit")
@pytest.mark.parametrize(
    "text",
    [
        OTHERS + "- repo: local\n  hooks:\n  - id: orchgate\n    name: [\n",
        "repos:\n- repo: local\n  hooks:\n  - id: orchgate\n    name: orchgate\n    entr",
        'repos:\n- repo: "local\n  hooks:\n  - id: orchgate\n',
        "repos:\n- {repo: local, hooks: [{id: orchgate}\n",
        "repos:\n\t- repo: local\n  - id: orchgate\n",
        "repos:\n- id: orchgate\n  name: \x01\n",
    ],
)
def test_a_hook_configuration_that_is_no_yaml_is_named_with_its_place(repo: Repo, capsys: Output, text: str) -> None:
    repo.write(FILE, text)

    code = main(["init"])

    told = capsys.readouterr().err
    assert (code, FILE in told, "run `orchgate init` again" in told, (repo.root / FILE).read_text()) == (
        3,
        True,
        True,
        text,
    )


@pytest.mark.parametrize("entry", [LOCAL_ENTRY, remote_entry("1.2.3")])
@pytest.mark.parametrize("text", [OTHERS, OTHERS.replace("- repo", "  - repo").replace("\n  ", "\n    ")])
def test_our_lines_in_somebody_s_file_are_known_wherever_they_end(text: str, entry: tuple[str, ...]) -> None:
    changed = with_entry(text, entry) or ""
    start = changed.index(entry[0])
    end = changed.index("- repo: https://example.org")
    ends = [changed[:at].rstrip() for at in range(start + 8, end - 8)]
    complete = {ends[-1], *(one for one in ends if one.endswith(("pre-push, manual]", "- id: orchgate")))}

    assert [one for one in ends if one not in complete and not ends_within(one)] == []
    assert not ends_within(changed)


@pytest.mark.slow
@pytest.mark.usefixtures("_no_pre_commit")
def test_what_was_lost_behind_our_lines_is_said(repo: Repo, capsys: Output) -> None:
    changed = with_entry(OTHERS, LOCAL_ENTRY) or ""
    repo.write(FILE, changed[: changed.index("require_serial")])

    code = main(["init"])

    assert (code, "what followed them is lost" in capsys.readouterr().err) == (3, True)


# Hooks


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOK_TYPES)
@pytest.mark.parametrize(
    "damage", ["no run bit", "empty", "zeros", "cut in the mark", "cut in the line", "other program"]
)
def test_a_hook_of_ours_that_git_would_not_run_is_written_again(
    repo: Repo, capsys: Output, hook: str, damage: str
) -> None:
    main(["init", "--native"])
    path = repo.root / ".git/hooks" / hook
    script = path.read_bytes()
    damaged = {
        "no run bit": script,
        "empty": b"",
        "zeros": b"\0" * 64,
        "cut in the mark": script[:20],
        "cut in the line": script[:-12],
        "other program": script.replace(b"orchgate=", b"orchgate=/gone"),
    }
    path.write_bytes(damaged[damage])
    path.chmod(0o644 if damage in {"no run bit", "empty"} else 0o755)
    capsys.readouterr()

    code = main(["init", "--native"])

    assert (code, path.read_bytes(), os.access(path, os.X_OK)) == (0, script, True)
    assert f"kept .git/hooks/{hook}" not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("#!/bin/sh\nmine\n", 0o644, "chmod +x .git/hooks/pre-commit"),
        ('#!/bin/sh\norchgate hook pre-commit "$@" || exit $?\n', 0o644, "chmod +x .git/hooks/pre-commit"),
        (
            "#!/bin/sh\n# File generated by pre-commit: https://pre-commit.com\n",
            0o755,
            "orchgate init --runner pre-commit",
        ),
    ],
)
def test_a_hook_that_git_does_not_run_or_somebody_generates_is_left_alone(
    repo: Repo, capsys: Output, text: str, mode: int, told: str
) -> None:
    repo.write(HOOK, text)
    (repo.root / HOOK).chmod(mode)

    code = main(["init", "--native"])

    assert (code, told in capsys.readouterr().out) == (3, True)
    assert ((repo.root / HOOK).read_text(), (repo.root / HOOK).stat().st_mode & 0o777) == (text, mode)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "#!/usr/bin/env bash\n",
        "#!/bin/sh\nmine\n",
        "#!/bin/sh\nmine",
        "#!/bin/sh\r\nmine\r\n",
        "mine\n",
        "#!/bin/sh\n# written by orchgate init --native\nmine\n",
        "#!/bin/sh\n# written by orchgate init --native\nexec orchgate hook pre-push\nmine\n",
    ],
)
def test_every_byte_of_somebody_else_s_hook_stays_and_comes_back(repo: Repo, text: str) -> None:
    repo.write(HOOK, text)
    (repo.root / HOOK).chmod(0o755)

    assert main(["init", "--native"]) == 0
    made = (repo.root / HOOK).read_bytes().decode()
    assert (made != text, without(made)) == (True, text)
    assert (main(["init", "--remove"]), (repo.root / HOOK).read_bytes().decode()) == (0, text)


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOK_TYPES)
def test_lines_that_somebody_added_to_our_hook_stay(repo: Repo, capsys: Output, hook: str) -> None:
    main(["init", "--native"])
    path = repo.root / ".git/hooks" / hook
    mine = path.read_text().replace("# >>>", "PATH=$PATH:/opt/bin\n# >>>") + "mine\n"
    path.write_text(mine)
    capsys.readouterr()

    assert main(["init", "--native"]) == 0
    assert without(path.read_text()) == without(mine)
    assert hook == "pre-push" or f"kept .git/hooks/{hook}" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "told"), [("folder", "mv "), ("dangling", "rm "), ("outside", "add the line")])
def test_what_is_no_file_in_a_hook_s_place_is_named(
    repo: Repo, tmp_path: Path, capsys: Output, shape: str, told: str
) -> None:
    path = repo.root / HOOK
    path.parent.mkdir(exist_ok=True)
    if shape == "folder":
        path.mkdir()
    else:
        (tmp_path / "theirs").write_text("#!/bin/sh\n")
        path.symlink_to(tmp_path / ("theirs" if shape == "outside" else "nowhere"))

    code = main(["init", "--native"])

    out = capsys.readouterr().out
    assert (code, f"{HOOK}: " in out, told in out) == (3, True, True)
    assert not (tmp_path / "nowhere").exists()
    assert shape != "outside" or (tmp_path / "theirs").read_text() == "#!/bin/sh\n"


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["no run bit", "empty", "cut", "cut at once"])
def test_a_hook_of_pre_commit_s_that_git_would_not_run_is_installed_again(repo: Repo, damage: str) -> None:
    main(["init"])
    path = repo.root / ".git/hooks/pre-push"
    script = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": script[:-40], "cut at once": script[:80]}.get(damage, script))
    path.chmod(0o644 if damage == "no run bit" else 0o755)

    code = main(["init"])

    assert (code, path.read_bytes(), os.access(path, os.X_OK)) == (0, script, True)
    assert [name for name in os.listdir(path.parent) if name.endswith(".legacy")] == []
