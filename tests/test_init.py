from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import yaml

from orchgate.cli import main
from orchgate.commands.init.hook_config import FILE, LOCAL_ENTRY, is_wired, new_file, remote_entry, with_entry
from orchgate.config.load import load_work_tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

    Output = pytest.CaptureFixture[str]

ENTRY = remote_entry("1.0")


@pytest.fixture
def no_pre_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """pre-commit is not installed: nothing slow is started."""
    monkeypatch.setattr("orchgate.commands.init.pre_commit._program", lambda _: ())


def files(repo: Repo) -> set[str]:
    return {path.name for path in repo.root.iterdir()} - {".git"}


def test_the_new_file_is_what_pre_commit_reads() -> None:
    made = yaml.safe_load(new_file(LOCAL_ENTRY))

    assert made["repos"][0]["hooks"][0]["id"] == "orchgate"


@pytest.mark.parametrize(
    "text",
    [
        "repos:\n- repo: a\n  hooks: []\n",
        "repos:\n  - repo: a\n    hooks: []\n",
        "# top\nfail_fast: true\nrepos:  # ours\n\n  # first\n  - repo: a\n    hooks: []\nci: {}\n",
        "repos:\r\n  - repo: a\r\n    hooks: []\r\n",
        "repos:\n  - repo: a\n    hooks: []",
        "repos: []\n",
        "repos: []  # none yet\nci: {}\n",
        "repos: []",
        "---\nrepos:\n- {repo: a, hooks: []}\n",
    ],
)
def test_an_entry_is_inserted_first_and_nothing_else_changes(text: str) -> None:
    changed = with_entry(text, ENTRY)

    assert changed is not None
    before, after = yaml.safe_load(text), yaml.safe_load(changed)
    assert (after["repos"][0]["hooks"], {**after, "repos": after["repos"][1:]}) == (
        [{"id": "orchgate"}, {"id": "orchgate-commit-msg"}],
        before,
    )


def test_every_other_byte_stays() -> None:
    text = "# é\r\nrepos:   # x\r\n\r\n  # first\r\n  -   repo: a \r\n      hooks: [ ]\r\n"
    changed = with_entry(text, ENTRY) or ""
    added = "".join(f"  {line}\r\n" for line in ENTRY)

    assert changed.replace(added, "", 1) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ci: {}\n",
        "repos: [{repo: a}]\n",
        "repos: *x\n",
        "  repos:\n  - repo: a\n",
        "repos:\n",
        "repos:\n- a: 1\nrepos:\n- b: 1\n",
        "repos:\n- repo: a\n---\nx: 1\n",
        "repos: []\n- x\n",
    ],
)
def test_an_odd_form_is_left_alone(text: str) -> None:
    assert with_entry(text, ENTRY) is None


@pytest.mark.parametrize(
    "line",
    [
        "- id: orchgate",
        "- id: 'orchgate'  # x",
        "  id: orchgate-evidence",
        "- {id: orchgate, name: x}",
        '"id": "orchgate"',
    ],
)
def test_a_wired_hook_is_recognised(line: str) -> None:
    assert is_wired(f"hooks:\n{line}\n")


@pytest.mark.parametrize("line", ["# - id: orchgate", "- id: orchgate2", "- id: my-orchgate", "- name: orchgate"])
def test_another_hook_is_not_taken_for_ours(line: str) -> None:
    assert not is_wired(f"hooks:\n{line}\n")


@pytest.mark.slow
@pytest.mark.usefixtures("no_pre_commit")
def test_init_writes_a_configuration_and_the_hooks(repo: Repo) -> None:
    assert (main(["init"]), files(repo)) == (0, {"orchgate.toml", FILE, ".gitignore"})


@pytest.mark.slow
@pytest.mark.usefixtures("no_pre_commit")
def test_the_written_configuration_is_valid(repo: Repo) -> None:
    main(["init"])

    assert load_work_tree(str(repo.root)).top.profile == "default"


@pytest.mark.slow
@pytest.mark.usefixtures("no_pre_commit")
def test_a_repository_of_codex_orchestrator_gets_its_profile(repo: Repo) -> None:
    repo.write("codex.orchestrator.json", "{}")
    main(["init"])

    assert load_work_tree(str(repo.root)).top.profile == "codex-orchestrator"


@pytest.mark.usefixtures("no_pre_commit")
def test_an_existing_configuration_is_kept(repo: Repo) -> None:
    repo.write("pyproject.toml", "[tool.orchgate.diff-budget]\nmax-files = 3\n")
    main(["init"])

    assert files(repo) == {"pyproject.toml", FILE, ".gitignore"}


@pytest.mark.usefixtures("no_pre_commit")
def test_a_broken_configuration_is_said_and_nothing_is_written(repo: Repo) -> None:
    repo.write("orchgate.toml", "[diff-budgt]\n")

    assert (main(["init"]), files(repo)) == (2, {"orchgate.toml"})


@pytest.mark.slow
@pytest.mark.usefixtures("no_pre_commit")
def test_a_dry_run_writes_nothing(repo: Repo, capsys: Output) -> None:
    assert (main(["init", "--dry-run"]), files(repo), "would write orchgate.toml" in capsys.readouterr().out) == (
        0,
        set(),
        True,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("no_pre_commit")
@pytest.mark.parametrize(
    "text", ["repos: [{repo: a}]  # ours\n", "x: &a [{repo: a}] # ours\nrepos: *a\n", "ci: {} # ours\n"]
)
def test_a_form_without_a_place_for_lines_is_written_anew(repo: Repo, text: str) -> None:
    repo.write(FILE, text)

    code = main(["init"])

    made = (repo.root / FILE).read_text()
    assert (code, yaml.safe_load(made)["repos"][0]["hooks"][0]["id"], "# ours" in made) == (0, "orchgate", True)


@pytest.mark.usefixtures("no_pre_commit")
@pytest.mark.parametrize("kind", ["symlink", "folder", "bytes"])
def test_a_hook_configuration_that_is_no_plain_text_file_is_left_alone(repo: Repo, kind: str) -> None:
    path = repo.root / FILE
    if kind == "symlink":
        repo.write("real.yaml", "repos: []\n")
        path.symlink_to("real.yaml")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"repos: []\n\xff")

    assert main(["init"]) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("no_pre_commit")
def test_remote_names_the_published_version(repo: Repo) -> None:
    main(["init", "--published"])

    assert yaml.safe_load((repo.root / FILE).read_text())["repos"][0]["rev"].startswith("v")


@pytest.mark.slow
@pytest.mark.usefixtures("no_pre_commit")
def test_without_pre_commit_the_command_is_printed(repo: Repo, capsys: Output) -> None:
    main(["init"])

    assert "pre-commit install" in capsys.readouterr().out


@pytest.mark.slow
def test_a_second_run_changes_nothing_and_says_so(repo: Repo, capsys: Output) -> None:
    main(["init"])
    before = snapshot(repo)
    capsys.readouterr()

    code = main(["init"])

    assert (code, snapshot(repo) == before, "nothing to do" in capsys.readouterr().out) == (0, True, True)


@pytest.mark.slow
def test_the_hooks_are_installed_by_pre_commit(repo: Repo) -> None:
    main(["init"])

    assert {"pre-commit", "pre-merge-commit", "commit-msg", "pre-push"} <= set(os.listdir(repo.root / ".git" / "hooks"))


def test_pre_commit_that_would_refuse_is_not_a_success(repo: Repo, capsys: Output) -> None:
    repo.git("config", "core.hooksPath", ".hooks")

    code = main(["init", "--runner", "pre-commit"])

    assert (code, "--native" in capsys.readouterr().err, files(repo)) == (3, True, set())


@pytest.mark.slow
def test_native_hooks_call_the_gate_and_are_executable(repo: Repo) -> None:
    assert main(["init", "--native"]) == 0

    hook = repo.root / ".git" / "hooks" / "pre-push"
    assert (os.access(hook, os.X_OK), "hook pre-push" in hook.read_text()) == (
        True,
        True,
    )


@pytest.mark.slow
def test_a_configuration_without_the_hook_for_the_message_gets_it(repo: Repo) -> None:
    repo.write(FILE, new_file(LOCAL_ENTRY[: LOCAL_ENTRY.index("    - id: orchgate-commit-msg")]))

    main(["init"])

    hooks = [hook["id"] for item in yaml.safe_load((repo.root / FILE).read_text())["repos"] for hook in item["hooks"]]
    assert hooks == ["orchgate-commit-msg", "orchgate"]


@pytest.mark.slow
def test_native_hooks_let_a_commit_through_that_passes(repo: Repo) -> None:
    main(["init", "--native"])
    repo.git("add", "orchgate.toml")

    assert repo.attempt("git", "commit", "-qm", "x").code == 0


@pytest.mark.slow
def test_native_twice_changes_nothing(repo: Repo, capsys: Output) -> None:
    main(["init", "--native"])
    before = snapshot(repo)
    capsys.readouterr()

    assert (main(["init", "--native"]), snapshot(repo) == before, "nothing to do" in capsys.readouterr().out) == (
        0,
        True,
        True,
    )


@pytest.mark.slow
def test_a_foreign_hook_runs_after_the_gate(repo: Repo) -> None:
    repo.write(".git/hooks/pre-commit", "#!/bin/sh\nmine\n")
    (repo.root / ".git/hooks/pre-commit").chmod(0o755)

    code = main(["init"])

    made = (repo.root / ".git/hooks/pre-commit").read_text()
    assert (code, made.startswith("#!/bin/sh\n"), made.endswith("# <<< orchgate\nmine\n")) == (0, True, True)


@pytest.mark.slow
def test_a_foreign_hook_that_calls_the_gate_is_fine(repo: Repo) -> None:
    repo.write(".git/hooks/pre-commit", '#!/bin/sh\norchgate hook pre-commit "$@" || exit $?\nmine\n')
    (repo.root / ".git/hooks/pre-commit").chmod(0o755)

    assert main(["init", "--native"]) == 0


@pytest.mark.slow
def test_native_hooks_go_where_git_looks_for_them(repo: Repo) -> None:
    repo.git("config", "core.hooksPath", ".githooks")
    main(["init", "--native"])

    assert (repo.root / ".githooks" / "pre-commit").exists()


def test_a_hooks_folder_of_all_repositories_is_left_alone(repo: Repo, tmp_path: Path) -> None:
    repo.git("config", "core.hooksPath", str(tmp_path / "shared-hooks"))

    assert (main(["init", "--native"]), (tmp_path / "shared-hooks").exists()) == (3, False)


@pytest.mark.slow
def test_native_hooks_of_a_linked_work_tree_are_those_of_its_repository(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit()
    repo.git("worktree", "add", "-q", "../linked")
    monkeypatch.chdir(repo.root.parent / "linked")
    main(["init", "--native"])

    assert (repo.root / ".git/hooks/pre-commit").exists()


@pytest.mark.slow
def test_init_works_from_a_folder_below(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo.root / "a").mkdir()
    monkeypatch.chdir(repo.root / "a")
    main(["init", "--native"])

    assert (files(repo), (repo.root / ".git/hooks/pre-push").exists()) == ({"a", "orchgate.toml", ".gitignore"}, True)


def test_outside_of_a_repository_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["init"]) == 3


def test_a_bare_repository_has_nothing_to_set_up(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.git("init", "--bare", "-q", "../bare.git")
    monkeypatch.chdir(repo.root.parent / "bare.git")

    assert main(["init"]) == 3


@pytest.mark.slow
def test_a_folder_in_the_place_of_a_file_is_said(repo: Repo) -> None:
    (repo.root / "orchgate.toml").mkdir()

    assert main(["init", "--native"]) in (2, 3)


def snapshot(repo: Repo) -> dict[str, tuple[int, bytes]]:
    paths = [path for path in sorted(repo.root.rglob("*")) if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}
