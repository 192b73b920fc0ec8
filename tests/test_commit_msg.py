"""The commit-msg hook: what only the message can excuse is decided with it, by real git and real pre-commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.commands.init.hook_config import FILE, LOCAL_ENTRY, new_file
from tests.repo import ORCHGATE, PRE_COMMIT, Repo, Result

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

STRICT = '[diff-budget]\nmax-files = 3\n[specs]\ncode = ["src/**"]\n'
REASON = "Diff-Budget-Override: generated"
EXCUSED = f"Add files\n\n{REASON}\n"


def install(repo: Repo, *hooks: str) -> None:
    for hook in hooks:
        repo.write(f".git/hooks/{hook}", f'#!/bin/sh\nexec "{ORCHGATE}" hook {hook} "$@"\n')
        (repo.root / ".git" / "hooks" / hook).chmod(0o755)


@pytest.fixture
def bare_hooks(repo: Repo) -> Repo:
    """A budget of three files and a hook before commits, none for the message."""
    repo.commit("base", {"orchgate.toml": STRICT, "VERSION": "1.0\n"})
    install(repo, "pre-commit", "pre-merge-commit")
    return repo


@pytest.fixture
def gated(bare_hooks: Repo) -> Repo:
    """The same with the hook for the message."""
    install(bare_hooks, "commit-msg")
    return bare_hooks


def stage_many(repo: Repo, number: int = 5) -> None:
    for count in range(number):
        repo.stage(f"f{count}")


def commit(repo: Repo, message: str, *options: str, **env: str) -> Result:
    return repo.attempt("git", "commit", *options, "-m", message, env=env)


def landed(repo: Repo) -> str:
    return repo.git("log", "-1", "--format=%s")


def test_override_in_the_message_lifts_the_budget(gated: Repo) -> None:
    stage_many(gated)
    told = commit(gated, EXCUSED)

    assert (told.code, "DIF004" in told.out, landed(gated)) == (0, True, "Add files")


def test_a_commit_that_passes_says_so_once(gated: Repo) -> None:
    gated.stage("a")
    told = commit(gated, "Add a file")

    assert (told.code, told.out.count("orchgate: passed")) == (0, 1)


def test_message_without_an_override_is_refused(gated: Repo) -> None:
    stage_many(gated)
    told = commit(gated, "Add files")

    assert (told.code, "the commit message decides" in told.out, landed(gated)) == (1, True, "base")


@pytest.mark.parametrize("body", ["Diff-Budget-Override:", "Diff-Budget-Override: ", "words\nDiff-Budget-Override: x"])
def test_override_without_a_reason_or_a_paragraph_is_none(gated: Repo, body: str) -> None:
    stage_many(gated)

    assert commit(gated, f"Add files\n\n{body}").code == 1


def test_without_the_hook_the_commit_is_refused_and_the_hint_names_the_command(bare_hooks: Repo) -> None:
    stage_many(bare_hooks)
    told = commit(bare_hooks, EXCUSED)

    assert (told.code, "orchgate init --native" in told.out) == (1, True)


def test_the_command_of_the_hint_installs_the_hook(bare_hooks: Repo) -> None:
    for hook in ("pre-commit", "pre-merge-commit"):
        (bare_hooks.root / ".git" / "hooks" / hook).unlink()
    made = bare_hooks.orchgate("init", "--native")
    stage_many(bare_hooks)

    assert (made.code, commit(bare_hooks, EXCUSED).code) == (0, 0)


@pytest.mark.parametrize(
    "script",
    ["#!/bin/sh\n# orchgate hook commit-msg\n", "#!/bin/sh\necho orchgate\n", ""],
    ids=["comment", "another", "empty"],
)
def test_hook_that_does_not_ask_the_gate_is_none(gated: Repo, script: str) -> None:
    gated.write(".git/hooks/commit-msg", script)
    stage_many(gated)

    assert commit(gated, EXCUSED).code == 1


def test_hook_that_git_will_not_run_is_none(gated: Repo) -> None:
    (gated.root / ".git" / "hooks" / "commit-msg").chmod(0o644)
    stage_many(gated)

    assert commit(gated, EXCUSED).code == 1


def test_hooks_elsewhere_are_found_where_git_looks(gated: Repo) -> None:
    gated.git("config", "core.hooksPath", ".husky/_")
    gated.write(".husky/commit-msg", f'"{ORCHGATE}" hook commit-msg "$1"\n')
    for hook in ("pre-commit", "commit-msg"):
        gated.write(f".husky/_/{hook}", f'#!/bin/sh\nexec "{ORCHGATE}" hook {hook} "$@"\n')
    gated.write(".husky/_/commit-msg", '#!/bin/sh\nsh -e "$(dirname "$0")/../$(basename "$0")" "$@"\n')
    for hook in ("pre-commit", "commit-msg"):
        (gated.root / ".husky" / "_" / hook).chmod(0o755)
    stage_many(gated)

    assert (commit(gated, "Add files").code, commit(gated, EXCUSED).code) == (1, 0)


def test_version_may_change_in_a_release_commit(gated: Repo) -> None:
    gated.stage("VERSION", "1.1\n")
    gated.stage("notes.txt")
    refused = commit(gated, "Release")

    assert (refused.code, commit(gated, "Release\n\nVersion-Bump: 1.1").code) == (1, 0)


def test_task_may_be_named_by_the_message(gated: Repo) -> None:
    gated.commit("packet", {"docs/TECH_SPEC-a.md": "# TECH_SPEC - a\n", "tasks/tasks-0001-a.md": "# a\n"})
    gated.stage("src/a.py")
    refused = commit(gated, "Code")

    assert (refused.code, commit(gated, "Code\n\nTask: 0001-a").code) == (1, 0)


def test_what_no_message_excuses_is_refused_before_it_is_written(gated: Repo) -> None:
    gated.stage("docs/a.md", "[gone](nowhere.md)\n")
    told = commit(gated, "Link", GIT_EDITOR="touch ../asked")

    assert (told.code, "EVD001" in told.out, "hook: commit-msg" in told.out) == (1, True, False)


# Every kind of commit


def test_commit_of_everything(gated: Repo) -> None:
    stage_many(gated)
    commit(gated, EXCUSED)
    for count in range(5):
        gated.write(f"f{count}", "y\n")

    assert (commit(gated, "Edit", "-a").code, commit(gated, EXCUSED, "-a").code) == (1, 0)


def test_commit_of_some_paths(gated: Repo) -> None:
    gated.commit("start", {f"f{count}": "x\n" for count in range(5)})
    for count in range(5):
        gated.write(f"f{count}", "y\n")
    paths = [f"f{count}" for count in range(5)]
    refused = gated.attempt("git", "commit", "-m", "Edit", "--", *paths)
    few = gated.attempt("git", "commit", "-m", "Edit", "--", *paths[:2])

    assert (refused.code, few.code) == (1, 0)


def test_amended_message_counts_for_what_is_added(gated: Repo) -> None:
    gated.commit("start", {"a": "a\n"})
    stage_many(gated)

    assert (commit(gated, "Again", "--amend").code, commit(gated, EXCUSED, "--amend").code) == (1, 0)


def test_merge_that_carries_more_than_its_sides(gated: Repo) -> None:
    gated.git("checkout", "-q", "-b", "other")
    gated.commit("theirs", {"a": "theirs\n"})
    gated.git("checkout", "-q", "main")
    gated.commit("ours", {"a": "ours\n"})
    gated.attempt("git", "merge", "other")
    gated.stage("a", "both\n")
    stage_many(gated)

    assert (commit(gated, "Merge").code, commit(gated, f"Merge\n\n{REASON}").code) == (1, 0)


def test_clean_merge_needs_no_excuse(gated: Repo) -> None:
    gated.git("checkout", "-q", "-b", "other")
    gated.commit("theirs", {f"t{count}": "t\n" for count in range(5)})
    gated.git("checkout", "-q", "main")
    gated.commit("ours", {"a": "ours\n"})

    assert gated.attempt("git", "merge", "--no-edit", "other").code == 0


def test_commit_from_a_folder_below(gated: Repo) -> None:
    stage_many(gated)
    (gated.root / "sub").mkdir()

    assert gated.attempt("git", "commit", "-m", EXCUSED, cwd=gated.root / "sub").code == 0


# Messages from an editor


def edited(repo: Repo, tmp_path: Path, script: str, *options: str, **settings: str) -> Result:
    """A commit whose editor is a shell script that gets the message's file."""
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\n{script}\n")
    editor.chmod(0o755)
    config = [part for key, value in settings.items() for part in ("-c", f"{key.replace('_', '.')}={value}")]
    return repo.attempt("git", *config, "commit", *options, env={"GIT_EDITOR": str(editor)})


WRITE = 'f="$1"; { printf "Add files\\n\\n%s\\n"; cat "$f"; } > "$f.new"; mv "$f.new" "$f"'


@pytest.mark.parametrize("options", [(), ("-v",), ("-v", "-v"), ("--cleanup=scissors",)], ids=" ".join)
def test_written_message_is_read_without_gits_own_words(gated: Repo, tmp_path: Path, options: tuple[str, ...]) -> None:
    stage_many(gated)

    assert edited(gated, tmp_path, WRITE % REASON, *options).code == 0


def test_diff_below_the_scissors_is_no_message(gated: Repo, tmp_path: Path) -> None:
    gated.stage("note", f"x\n\n{REASON}\n")
    stage_many(gated)
    append = (
        f'printf "Add\\n" > "$1.new"; cat "$1" >> "$1.new"; printf "\\n\\n{REASON}\\n" >> "$1.new"; mv "$1.new" "$1"'
    )

    assert edited(gated, tmp_path, append, "-v").code == 1


@pytest.mark.parametrize("mark", ["#", ";", "auto"])
def test_comment_is_no_trailer(gated: Repo, tmp_path: Path, mark: str) -> None:
    stage_many(gated)
    shown = "#" if mark == "auto" else mark
    script = f'{{ printf "Add files\\n\\n{shown} {REASON}\\n"; cat "$1"; }} > "$1.new"; mv "$1.new" "$1"'

    assert edited(gated, tmp_path, script, core_commentChar=mark).code == 1


def test_trailer_between_comments_of_another_mark_is_read(gated: Repo, tmp_path: Path) -> None:
    stage_many(gated)

    assert edited(gated, tmp_path, WRITE % f"; a remark\\n{REASON}", core_commentChar=";").code == 0


# The hook by itself


@pytest.mark.parametrize("args", [(), ("a", "b")])
def test_hook_wants_one_file(gated: Repo, args: tuple[str, ...]) -> None:
    assert gated.orchgate("hook", "commit-msg", *args).code == 2


@pytest.mark.parametrize("path", ["nowhere", "."])
def test_message_that_cannot_be_read_could_not_be_checked(gated: Repo, path: str) -> None:
    assert gated.orchgate("hook", "commit-msg", path).code == 3


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"x\n\n" + b"\0" * 1000, b"\n" * 100_000], ids=len)
def test_odd_message_is_one_without_exceptions(gated: Repo, content: bytes) -> None:
    gated.write("message", content)
    stage_many(gated)

    assert gated.orchgate("hook", "commit-msg", "message").code == 1


# pre-commit


@pytest.fixture
def managed(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """The same with hooks that pre-commit runs, as `orchgate init` writes them."""
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "pre-commit"))
    entry = [line.replace("entry: orchgate", f"entry: {ORCHGATE}") for line in LOCAL_ENTRY]
    repo.commit("base", {"orchgate.toml": STRICT, FILE: new_file(entry)})
    made = repo.attempt(PRE_COMMIT, "install")
    assert made.code == 0, made.out
    return repo


def test_pre_commit_hands_the_message_over(managed: Repo) -> None:
    stage_many(managed)
    refused = commit(managed, "Add files")
    told = commit(managed, EXCUSED)

    assert (refused.code, told.code, "DIF004" in told.out) == (1, 0, True), refused.out + told.out


def test_skipped_hook_decides_nothing(managed: Repo) -> None:
    stage_many(managed)

    assert commit(managed, EXCUSED, SKIP="orchgate-commit-msg").code == 1


def test_hook_that_pre_commit_was_not_told_of_is_none(managed: Repo) -> None:
    text = (managed.root / FILE).read_text()
    managed.commit("without", {FILE: text[: text.index("      - id: orchgate-commit-msg")]})
    stage_many(managed)
    told = commit(managed, EXCUSED)

    assert (told.code, "orchgate init" in told.out) == (1, True)
