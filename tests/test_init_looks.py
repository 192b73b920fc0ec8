"""`orchgate init` looks first: which runner is there, what was committed until now, and what stands in the way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import yaml

from orchgate.cli import main
from orchgate.commands.init import hooks
from orchgate.config.load import load_work_tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

    Output = pytest.CaptureFixture[str]

PLAIN = "repos:\n- repo: https://example.org/hooks\n  rev: v1\n  hooks:\n  - id: other\n"
LEFTHOOK = "# ours\npre-push:\n  jobs:\n    - name: test   # slow\n      run: 'true'\n"


@pytest.fixture(autouse=True)
def _no_installer(monkeypatch: pytest.MonkeyPatch) -> None:
    """No runner is installed: nothing slow is started."""
    monkeypatch.setattr("orchgate.commands.init.pre_commit._program", lambda _: ())
    monkeypatch.setattr("orchgate.commands.init.lefthook.find_program", lambda _: "")


def everything(repo: Repo) -> dict[str, bytes]:
    """All files but what git itself writes, and our locks."""
    there = (path for path in sorted(repo.root.rglob("*")) if path.is_file() and not path.is_symlink())
    return {
        str(path.relative_to(repo.root)): path.read_bytes()
        for path in there
        if path.relative_to(repo.root).parts[0] != ".git" or "hooks" in path.parts
    }


# Who runs the hooks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "settings", "written"),
    [
        ({"lefthook.yml": LEFTHOOK}, {}, "lefthook.yml"),
        ({"lefthook.toml": "# ours\n[pre-push.commands.x]\nrun = 'true'\n"}, {}, "lefthook.toml"),
        ({"lefthook.json": '{"pre-push": {"jobs": [{"run": "true"}]}}'}, {}, "lefthook.json"),
        ({".config/lefthook.yaml": LEFTHOOK}, {}, ".config/lefthook.yaml"),
        ({"prek.toml": "# ours\n[[repos]]\nrepo = 'local'\nhooks = []\n"}, {}, "prek.toml"),
        ({".husky/pre-commit": "npm test\n"}, {"core.hooksPath": ".husky/_"}, ".husky/pre-commit"),
        ({".husky/pre-commit": "npm test"}, {"core.hooksPath": ".husky/_"}, ".husky/pre-commit"),
        ({".husky/pre-commit": "npm test\r\n"}, {"core.hooksPath": ".husky/_"}, ".husky/pre-commit"),
        (
            {".husky/pre-push": '#!/bin/sh\n. "$(dirname -- "$0")/_/husky.sh"\n\nx\n'},
            {"core.hooksPath": ".husky"},
            ".husky/pre-push",
        ),
        (
            {"web/.husky/_/h": "x\n", "web/.husky/pre-push": "x\n"},
            {"core.hooksPath": "web/.husky/_"},
            "web/.husky/pre-push",
        ),
        ({"package.json": '{"scripts": {"prepare": "husky"}}'}, {}, ".husky/pre-push"),
        ({".githooks/pre-push": "#!/bin/sh\nx\n"}, {"core.hooksPath": ".githooks"}, ".githooks/pre-push"),
        ({".git/hooks/pre-push": '#!/bin/sh\ngit lfs pre-push "$@"\n'}, {}, ".git/hooks/pre-push"),
        ({".pre-commit-config.yaml": PLAIN}, {}, ".pre-commit-config.yaml"),
    ],
)
def test_the_runner_that_is_there_is_wired_once_and_gives_back_every_byte(
    repo: Repo, capsys: Output, files: dict[str, str], settings: dict[str, str], written: str
) -> None:
    for path, content in files.items():
        repo.write(path, content)
        (repo.root / path).chmod(0o755)
    for key, value in settings.items():
        repo.git("config", key, value)
    before = everything(repo)

    assert main(["init"]) == 0, capsys.readouterr().err
    made = everything(repo)
    assert b"orchgate" in made[written]
    assert [path for path in made if "/_/" in path and made[path] != before.get(path)] == []
    assert (main(["init"]), everything(repo)) == (0, made)
    assert (main(["init", "--remove"]), everything(repo)) == (0, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "settings"),
    [
        ({"lefthook.yml": LEFTHOOK}, {}),
        ({"lefthook.yml": "pre-push: {jobs: [{run: 'true'}]}  # ours\n"}, {}),
        ({".husky/pre-commit": "npm test\n"}, {"core.hooksPath": ".husky/_"}),
        ({".githooks/pre-push": "#!/bin/sh\nx\n"}, {"core.hooksPath": ".githooks"}),
        ({".pre-commit-config.yaml": PLAIN}, {}),
        ({".pre-commit-config.yaml": "default_install_hook_types: [pre-commit]   # one\n" + PLAIN}, {}),
        (
            {
                ".pre-commit-config.yaml": "default_install_hook_types:\n  - pre-push\ndefault_stages: [pre-push]\n"
                + PLAIN
            },
            {},
        ),
    ],
)
def test_where_no_record_is_kept_only_our_lines_go(repo: Repo, files: dict[str, str], settings: dict[str, str]) -> None:
    for path, content in files.items():
        repo.write(path, content)
        (repo.root / path).chmod(0o755)
    for key, value in settings.items():
        repo.git("config", key, value)
    main(["init"])
    (repo.root / ".git/orchgate/init.json").unlink()

    assert main(["init", "--remove"]) == 0
    left = everything(repo)
    assert {path: left[path].decode() for path in files} == files
    assert set(left) - set(files) <= {"orchgate.toml", ".gitignore"}


@pytest.mark.slow
def test_hook_types_are_added_and_the_hooks_of_others_run_when_they_did(repo: Repo) -> None:
    repo.write(".pre-commit-config.yaml", "default_install_hook_types: [pre-commit, pre-push]\n" + PLAIN)
    main(["init"])

    made = yaml.safe_load((repo.root / ".pre-commit-config.yaml").read_text())
    assert (set(made["default_install_hook_types"]), made["default_stages"]) == (
        {"pre-commit", "pre-merge-commit", "commit-msg", "pre-push"},
        ["pre-commit", "pre-push", "manual"],
    )


@pytest.mark.slow
def test_a_push_through_lefthook_gets_its_input(repo: Repo) -> None:
    repo.write("lefthook.yml", LEFTHOOK)
    main(["init"])

    made = yaml.safe_load((repo.root / "lefthook.yml").read_text())
    assert made["pre-push"]["jobs"][0]["use_stdin"] is True
    assert "orchgate hook pre-push {1} {2}" in made["pre-push"]["jobs"][0]["run"]


@pytest.mark.slow
def test_a_hook_that_asks_the_gate_already_is_left_alone(repo: Repo) -> None:
    mine = "npm test\norchgate hook pre-commit || exit 1\n"
    repo.write(".husky/pre-commit", mine)

    assert (main(["init"]), (repo.root / ".husky/pre-commit").read_text()) == (0, mine)


@pytest.mark.slow
def test_a_hook_of_an_earlier_version_is_renewed(repo: Repo) -> None:
    repo.write(
        ".git/hooks/pre-push", '#!/bin/sh\n# written by orchgate init --native\nexec /old/orchgate hook pre-push "$@"\n'
    )
    (repo.root / ".git/hooks/pre-push").chmod(0o755)
    main(["init"])

    assert hooks.INSTALL in (repo.root / ".git/hooks/pre-push").read_text()


@pytest.mark.slow
def test_an_entry_of_an_earlier_version_learns_to_say_what_is_missing(repo: Repo) -> None:
    old = "repos:\n  - repo: local\n    hooks:\n      - id: orchgate\n        name: orchgate\n"
    old += "        entry: orchgate check\n        language: system\n"
    repo.write(".pre-commit-config.yaml", old)
    main(["init"])

    found = yaml.safe_load((repo.root / ".pre-commit-config.yaml").read_text())["repos"][-1]["hooks"]
    assert (found[0]["id"], hooks.INSTALL in found[0]["entry"]) == ("orchgate", True)


@pytest.mark.slow
def test_a_hook_in_another_language_is_called_after_ours(repo: Repo) -> None:
    mine = "#!/usr/bin/env python3\nprint('mine')\n"
    repo.write(".git/hooks/pre-commit", mine)
    (repo.root / ".git/hooks/pre-commit").chmod(0o755)
    main(["init"])
    repo.git("add", "--all")

    landed = repo.attempt("git", "commit", "-m", "x")

    assert (landed.code, "mine" in landed.out, "orchgate: passed" in landed.out) == (0, True, True), landed.out
    assert (main(["init", "--remove"]), (repo.root / ".git/hooks/pre-commit").read_text()) == (0, mine)


@pytest.mark.slow
def test_what_git_says_to_a_hook_is_there_for_the_next_command_too(repo: Repo) -> None:
    repo.write(".git/hooks/pre-push", "#!/bin/sh\ncat > seen\n")
    (repo.root / ".git/hooks/pre-push").chmod(0o755)
    repo.git("init", "-q", "--bare", "../origin.git")
    repo.commit("base", {"a.txt": "a\n"})
    main(["init"])

    pushed = repo.attempt("git", "push", "../origin.git", "main", "main:other")

    assert (pushed.code, (repo.root / "seen").read_text().count("refs/heads/main ")) == (0, 3), pushed.out


# What is in the way: named, and nothing is written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "settings", "said"),
    [
        ({"lefthook.yml": "a: [\n"}, {}, "lefthook.yml:2:1: is not valid YAML"),
        ({"lefthook.toml": "[a\n"}, {}, "lefthook.toml:1:"),
        ({"lefthook.json": '{"a":\n}'}, {}, "lefthook.json:2:1: is not valid JSON"),
        ({"prek.toml": "repos = \n"}, {}, "prek.toml:1:"),
        ({".pre-commit-config.yaml": "repos: [\n"}, {}, ".pre-commit-config.yaml:2:1: is not valid YAML"),
        ({".pre-commit-config.yaml": "[" * 5000}, {}, ".pre-commit-config.yaml:1:"),
        ({"lefthook.yml": "- a\n"}, {}, "lefthook.yml:1:1"),
        ({".pre-commit-config.yaml": PLAIN, "lefthook.yml": LEFTHOOK}, {}, "--runner"),
        ({".pre-commit-config.yaml": PLAIN, ".husky/pre-commit": "x\n"}, {}, "husky (.husky/)"),
        ({".pre-commit-config.yaml": PLAIN, "prek.toml": ""}, {}, "prek (prek.toml)"),
        ({"lefthook.yml": LEFTHOOK, ".lefthook.yml": LEFTHOOK}, {}, "keep one of them"),
        ({"package.json": '{"simple-git-hooks": {"pre-commit": "x"}}'}, {}, "simple-git-hooks"),
        ({"package.json": '{"husky": {"hooks": {"pre-commit": "x"}}}'}, {}, "husky 4"),
        ({".overcommit.yml": ""}, {}, "overcommit"),
        ({}, {"core.hooksPath": "/usr/share/hooks-of-all"}, "outside of this repository"),
        ({".gitignore": "/made/\n", "made/pre-commit": "x\n"}, {"core.hooksPath": "made"}, "git ignores made"),
        ({".pre-commit-config.yaml": PLAIN}, {"core.hooksPath": ".hooks"}, "--runner"),
        ({".husky/pre-commit": "x\n"}, {"core.hooksPath": ".hooks"}, "git (core.hooksPath = .hooks)"),
        ({"orchgate.toml": "[nonsense\n"}, {}, "orchgate.toml:1:"),
    ],
)
def test_what_is_in_the_way_is_named_and_nothing_is_written(
    repo: Repo, capsys: Output, files: dict[str, str], settings: dict[str, str], said: str
) -> None:
    for path, content in files.items():
        repo.write(path, content)
    for key, value in settings.items():
        repo.git("config", key, value)
    before = everything(repo)

    for options in ([], ["--dry-run"]):
        code = main(["init", *options])
        told = capsys.readouterr().err
        assert (code in (2, 3), said in told, everything(repo) == before) == (True, True, True), told


@pytest.mark.slow
@pytest.mark.parametrize("path", [".pre-commit-config.yaml", "lefthook.yml", ".gitignore"])
def test_a_symbolic_link_is_named_and_not_followed(repo: Repo, tmp_path: Path, capsys: Output, path: str) -> None:
    (tmp_path / "theirs").write_text(PLAIN)
    (repo.root / path).symlink_to(tmp_path / "theirs")

    code = main(["init"])

    assert (code, f"{path} is a symbolic link" in capsys.readouterr().err) == (3, True)
    assert ((tmp_path / "theirs").read_text(), everything(repo)) == (PLAIN, {})


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_folder_in_which_nothing_may_be_written_is_named(
    repo: Repo, capsys: Output, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    repo.write(".git/hooks/pre-push", "#!/bin/sh\nx\n")
    (repo.root / ".git/hooks/pre-push").chmod(0o755)
    real = os.access  # the superuser may write anywhere
    monkeypatch.setattr(
        os, "access", lambda path, mode, **_: not (str(path).endswith("hooks") and mode & os.W_OK) and real(path, mode)
    )
    before = everything(repo)

    code = main(["init", *options])

    assert (code, "cannot write in .git/hooks" in capsys.readouterr().err, everything(repo)) == (3, True, before)


@pytest.mark.slow
def test_what_fails_half_way_leaves_everything_as_it_was(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.write(".husky/pre-commit", "npm test\n")
    before = everything(repo)
    real = os.rename

    def full(source: str, target: str) -> None:
        if target.endswith("pre-commit"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "rename", full)

    assert (main(["init"]), everything(repo)) == (3, before)


# What was committed until now


def grown(repo: Repo, lines: int, commits: int = 20) -> None:
    repo.commit("root", {"a.txt": "a\n"})
    for number in range(commits):
        repo.commit(f"c{number}", {f"src/{number}.py": "x\n" * lines, f"docs/{number}.md": "y\n" * 2 * lines})


@pytest.mark.slow
def test_limits_fit_what_was_committed(repo: Repo, capsys: Output) -> None:
    grown(repo, 900, commits=12)
    main(["init"])

    config = load_work_tree(str(repo.root))
    said = capsys.readouterr().out
    assert "of the last 12 commits, these limits would have refused 0" in said
    assert "would have refused 12" in said  # by the defaults
    assert (repo.root / "orchgate.toml").read_text().count("max-lines = 1000") == 1
    assert config.origins["diff-budget.max-lines"] == "orchgate.toml"


@pytest.mark.slow
def test_limits_are_never_tighter_than_the_defaults(repo: Repo) -> None:
    grown(repo, 1, commits=12)
    main(["init"])

    assert "max-lines = 800" in (repo.root / "orchgate.toml").read_text()


@pytest.mark.slow
def test_the_layout_that_is_there_is_named_with_what_shows_it(repo: Repo, capsys: Output) -> None:
    repo.write("openspec/changes/add-x/proposal.md", "# X\n")
    main(["init"])

    shown = "profile openspec, because of openspec/changes/add-x/proposal.md" in capsys.readouterr().out
    assert (load_work_tree(str(repo.root)).top.profile, shown) == ("openspec", True)


@pytest.mark.slow
def test_nothing_to_measure_is_said(repo: Repo, capsys: Output) -> None:
    main(["init"])

    assert "no commits yet: the limits are the defaults" in capsys.readouterr().out


@pytest.mark.slow
def test_the_diff_of_a_dry_run_is_one_that_git_applies(repo: Repo, capsys: Output) -> None:
    repo.write(".husky/pre-commit", "npm test")
    repo.write(".gitignore", "x\n")
    main(["init", "--dry-run"])
    (repo.root.parent / "diff").write_text(capsys.readouterr().out)

    repo.git("apply", "--unsafe-paths", str(repo.root.parent / "diff"))

    applied = everything(repo)
    repo.git("config", "core.hooksPath", ".husky/_")
    assert (main(["init"]), everything(repo)) == (0, applied)


# CI


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        ("github", ".github/workflows/orchgate.yml", None),
        ("gitlab", ".gitlab-ci.yml", None),
        ("gitlab", ".gitlab-ci.yml", "# ours\nstages: [build]\njob:\n  stage: build\n  script: ['true']\n"),
    ],
)
def test_a_job_for_ci_fetches_the_history_and_goes_again(repo: Repo, name: str, path: str, text: str | None) -> None:
    if text:
        repo.write(path, text)
    main(["init", "--ci", name])

    made = (repo.root / path).read_text()
    assert ("orchgate check" in made, "0 # a change is judged by where it left its base" in made) == (True, True)
    assert yaml.safe_load(made)
    assert (main(["init", "--remove"]), (repo.root / path).read_text() if text else None) == (0, text)


@pytest.mark.slow
def test_ci_that_does_not_ask_the_gate_is_said(repo: Repo, capsys: Output) -> None:
    repo.write(".github/workflows/test.yml", "on: push\n")
    main(["init"])

    assert "orchgate init --ci github" in capsys.readouterr().out
