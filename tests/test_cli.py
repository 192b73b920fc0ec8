"""The command line: what it answers, with which exit code, and what it does not let a hostile folder do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orchgate import __version__, cli, registry
from orchgate.cli import main
from orchgate.errors import Unreadable
from tests.repo import ORCHGATE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder that no repository contains."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(list(argv))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# Help and version


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert answer(capsys, option) == (0, f"orchgate {__version__}\n", "")


@pytest.mark.parametrize("option", ["--help", "-h", "help"])
def test_help_lists_every_command(capsys: pytest.CaptureFixture[str], option: str) -> None:
    code, out, _ = answer(capsys, option)

    assert code == 0
    listed = out.partition("orchgate COMMAND --help")[0]
    assert sorted(re.findall(r"^  (\w+)  ", listed, re.MULTILINE)) == list(registry.plugins("commands"))


def test_no_arguments_show_the_help_and_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys) == (2, cli.help_text(), "")


def test_help_fits_on_an_ordinary_screen() -> None:
    assert max(map(len, cli.help_text().splitlines())) <= 120


@pytest.mark.parametrize("name", registry.plugins("commands"))
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = answer(capsys, name, "--help")

    assert code == 0
    assert out.startswith(f"usage: orchgate {name} ")


# Wrong usage


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["chek"], "orchgate: unknown command chek; did you mean check?\n  hint: orchgate --help\n"),
        (["--frob"], "orchgate: unknown option --frob\n  hint: orchgate --help\n"),
        (["--version", "extra"], "orchgate: unknown option --version\n  hint: orchgate --help\n"),
        (["../check"], "orchgate: unknown command ../check; did you mean check?\n"),
        (["_x\n\x1b"], "orchgate: unknown command _x\\n\\x1b; there are: baseline, "),
        (["shared"], "orchgate: unknown command shared; "),
        (["check", "--output-format", "xml"], "orchgate: --output-format: unknown value xml; "),
        (
            ["check", "--stage"],
            "orchgate: unknown option --stage; did you mean --staged?\n  hint: orchgate check --help",
        ),
        (["check", "--max-per-rule", "x"], "orchgate: --max-per-rule: expected a whole number from 0 on, not 'x'\n"),
        (["hook", "post-commit"], "orchgate: unknown hook post-commit; did you mean pre-commit?\n"),
        (["hook", "--frob"], "orchgate: unknown option --frob\n  hint: orchgate hook --help\n"),
        (["hook"], "orchgate: the following arguments are required: HOOK\n"),
        (
            ["evidence", "pul"],
            "orchgate: unknown verb pul; there are: export, fetch, pin, push, replay, show, sign, summarize, verify\n",
        ),
        (["schema", "reprot"], "orchgate: unknown schema reprot; did you mean report?\n"),
    ],
)
def test_wrong_usage_is_exit_2_on_stderr(capsys: pytest.CaptureFixture[str], argv: list[str], said: str) -> None:
    code, out, err = answer(capsys, *argv)

    assert (code, out) == (2, "")
    assert err.startswith(said)


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["evidense"], "orchgate: unknown check evidense; did you mean evidence?\n"),
        (["diff_budget"], "orchgate: unknown check diff_budget; did you mean diff-budget?\n"),
        (["--staged", "--all-files"], "orchgate: --staged and --all-files exclude each other\n"),
        (["--all-files", "--commit", "HEAD"], "orchgate: --all-files and --commit exclude each other\n"),
        (["--staged", "--base", "a"], "orchgate: --staged and --base/--head exclude each other\n"),
        (["--head", "a"], "orchgate: --head needs --base\n  hint: "),
    ],
)
def test_wrong_usage_of_check_is_exit_2(capsys: pytest.CaptureFixture[str], argv: list[str], said: str) -> None:
    code, out, err = answer(capsys, "check", *argv)

    assert (code, out) == (2, "")
    assert err.startswith(said)


def test_options_are_not_guessed_from_their_beginning(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "check", "--all")[0] == 2


# What cannot be checked


def test_outside_a_repository_is_exit_3_with_what_to_do(outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = answer(capsys, "check")

    assert (code, out) == (3, "")
    assert err.startswith("orchgate: git rev-parse: not a git repository")
    assert "  hint: run this inside a git repository, or make one: git init\n" in err


def test_git_not_on_path_is_exit_3_with_what_to_do(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    assert answer(capsys, "check") == (
        3,
        "",
        "orchgate: cannot run git: No such file or directory\n  hint: install git and put it on PATH\n",
    )


@pytest.mark.usefixtures("repo")
def test_a_revision_that_is_not_there_is_exit_3(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = answer(capsys, "check", "--base", "no-such", "--head", "HEAD")

    assert code == 3
    assert err.startswith("orchgate: no commit ")


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize("revision", ["--output=/tmp/x", "-p", "a\nb", "\x1b[2J", "..", "HEAD:", ""])
def test_a_hostile_revision_is_no_revision(capsys: pytest.CaptureFixture[str], revision: str) -> None:
    code, out, err = answer(capsys, "check", f"--commit={revision}", "--base=x")

    assert code in (2, 3)
    assert out == ""
    assert "\x1b" not in err


@pytest.mark.slow
def test_a_vanished_current_folder_is_exit_3_not_a_traceback(repo: Repo) -> None:
    gone = repo.root / "gone"
    gone.mkdir()
    shell = f'cd "{gone}" && rmdir "{gone}" && exec "{ORCHGATE}" check'

    result = repo.attempt("sh", "-c", shell)

    assert result.code == 3
    assert "Traceback" not in result.out


# The one error boundary


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", interrupted)

    assert main(["check"]) == 130


@pytest.fixture
def defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command with a defect."""

    def fails(_: object) -> int:
        raise ValueError("odd\nvalue")

    monkeypatch.setattr(cli, "_dispatch", fails)


@pytest.mark.usefixtures("defect")
def test_a_defect_is_exit_4_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "check") == (
        4,
        "",
        (
            "orchgate: internal error: ValueError: odd\\nvalue\n"
            "  hint: run it again with ORCHGATE_DEBUG=1 and report what it prints\n"
        ),
    )


@pytest.mark.usefixtures("defect")
def test_a_defect_shows_its_traceback_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORCHGATE_DEBUG", "1")

    code, _, err = answer(capsys, "check")

    assert code == 4
    assert err.startswith("Traceback (most recent call last):\n")


def test_an_unreadable_file_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_: object) -> int:
        raise Unreadable("a\n.json", "is larger than 5 bytes", "make it smaller")

    monkeypatch.setattr(cli, "_dispatch", fails)

    assert answer(capsys, "x") == (3, "", "orchgate: a\\n.json: is larger than 5 bytes\n  hint: make it smaller\n")


# Odd surroundings


def run(repo: Repo, script: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", script],
        cwd=repo.root,
        env={**os.environ, "ORCHGATE": ORCHGATE},
        capture_output=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("argv", ["--version", "--help", "check --staged", "check --staged --output-format json"])
@pytest.mark.parametrize("where", ["> /dev/full", ">&-", ">&- 2>&-", "> /dev/full 2> /dev/full"])
def test_a_verdict_that_cannot_be_delivered_is_no_pass(repo: Repo, argv: str, where: str) -> None:
    completed = run(repo, f"$ORCHGATE {argv} {where}")

    assert completed.returncode == 3
    assert b"Traceback" not in completed.stderr
    assert b"Exception ignored" not in completed.stderr


@pytest.mark.slow
def test_a_verdict_that_no_file_may_grow_to_hold_is_no_pass(repo: Repo) -> None:
    completed = run(repo, "ulimit -f 0; trap '' XFSZ; $ORCHGATE check --staged > .git/verdict")

    assert (completed.returncode, completed.stderr) == (3, b"orchgate: cannot write: File too large\n")


@pytest.mark.slow
@pytest.mark.parametrize(("argv", "code"), [("nonsense", 2), ("check --commit nonsense", 3), ("hook pre-push <&-", 3)])
def test_what_went_wrong_is_in_the_exit_code_when_nobody_can_be_told(repo: Repo, argv: str, code: int) -> None:
    assert run(repo, f"$ORCHGATE {argv} 2> /dev/full").returncode == code


@pytest.mark.slow
@pytest.mark.parametrize("where", ["> said", "2> said", "> said 2>&1"])
def test_a_file_that_may_not_grow_takes_no_verdict(repo: Repo, where: str) -> None:
    completed = run(repo, f"ulimit -f 0; $ORCHGATE init --native {where}")

    assert (completed.returncode, b"Traceback" in completed.stderr) == (3, False)


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_pass(repo: Repo) -> None:
    # More than a pipe holds, so that the writer is still at it.
    repo.write(f"{'x' * 200}.md", "# T\n\n" + "[gone](gone.md)\n" * 3000)
    repo.git("add", ".")

    completed = run(repo, "set -o pipefail; $ORCHGATE check --staged evidence --max-per-rule 0 | head -c 1 > /dev/null")

    assert completed.returncode == 3
    assert completed.stderr == b""


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
@pytest.mark.parametrize("streams", ["", "ascii"])
def test_the_locale_changes_no_verdict(repo: Repo, streams: str) -> None:
    repo.stage("über.md", "# T\n\n[weg](weg-ü.md) [da](über.md)\n")

    result = repo.orchgate("check", "--staged", "evidence", env={**ASCII, "PYTHONIOENCODING": streams})

    assert result.code == 1
    assert " ".join(("refused", "-" if streams else "·", "1 error")) in result.out


@pytest.mark.slow
def test_what_a_stream_cannot_carry_is_written_out(repo: Repo) -> None:
    repo.stage("über.md", "# T\n\n[weg](weg-ü.md)\n")

    result = repo.orchgate("check", "--staged", "evidence", env={"PYTHONIOENCODING": "ascii"})

    assert result.out.startswith("\\xfcber.md:3:1: EVD001 weg-\\xfc.md ")


@pytest.mark.slow
def test_a_closed_standard_input_does_not_matter(repo: Repo) -> None:
    assert run(repo, "$ORCHGATE check --staged <&-").returncode == 0


@pytest.mark.slow
def test_a_push_whose_refs_cannot_be_read_is_no_pass(repo: Repo) -> None:
    completed = run(repo, "$ORCHGATE hook pre-push origin address <&-")

    assert (completed.returncode, completed.stdout) == (3, b"")
    assert completed.stderr.startswith(b"orchgate: git's list of pushed refs is missing: standard input is closed")


HOSTILE = (
    "json",
    "re",
    "typing",
    "enum",
    "tomllib",
    "datetime",
    "subprocess",
    "argparse",
    "unidiff",
    "msgspec",
    "orchgate_x",
)


@pytest.mark.slow
@pytest.mark.parametrize("argv", [(ORCHGATE,), (sys.executable, "-m", "orchgate")], ids=["script", "module"])
@pytest.mark.parametrize("safe", ["", "1"], ids=["plain", "safe-path"])
def test_modules_of_the_judged_repository_do_not_run(repo: Repo, argv: tuple[str, ...], safe: str) -> None:
    for name in HOSTILE:
        repo.stage(f"{name}.py", "open('pwned', 'w').close()\nraise SystemExit(0)\n")
    repo.stage("orchgate.toml", "[diff-budget]\nmax-files = 3\n")

    result = repo.attempt(*argv, "check", "--staged", env={"PYTHONSAFEPATH": safe})

    assert "DIF001" in result.out
    assert (result.code, (repo.root / "pwned").exists()) == (1, False)


@pytest.mark.slow
def test_nothing_is_written_to_the_repository_but_our_own_cache(repo: Repo) -> None:
    repo.commit(files={"a.md": "# A\n"})
    repo.stage("b.md", "# B\n\n[gone](gone.md)\n")
    before = _state(repo.root)

    for argv in (["check"], ["check", "--staged"], ["check", "--all-files"], ["check", "--show-config"]):
        main(argv)

    assert _state(repo.root) == before


def _state(root: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in root.rglob("*") if path.is_file() and ".git/orchgate/cache" not in str(path)]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_git_is_where_these_tests_expect_it() -> None:
    assert shutil.which("git")


# Where it cannot run

ELSEWHERE = """
import sys
for name in ("fcntl", "resource", "pwd", "grp", "termios", "pty", "tty"):
    sys.modules[name] = None  # Windows has none of these
sys.platform = "win32"
from orchgate.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("argv", ["check", "run p --task t", "perf", "evidence pin", "metrics", "--help", ""])
def test_windows_is_one_sentence(repo: Repo, argv: str) -> None:
    result = repo.attempt(sys.executable, "-c", ELSEWHERE, *argv.split())

    assert (result.code, result.out) == (
        3,
        "orchgate: orchgate runs on Linux and macOS; on Windows, use it inside WSL\n  hint: wsl --install\n",
    )


WITHOUT = """
import sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
from orchgate.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("module", "argv"), [("msgspec", "status"), ("msgspec", "metrics"), ("re2", "evidence push")])
def test_a_missing_dependency_is_named_with_what_to_do(repo: Repo, module: str, argv: str) -> None:
    repo.write(".runs/t/cli/2026-01-06T09-26-22-129Z-c2f9cb47/manifest.json", "{}\n")
    repo.write(".runs/t/metrics.json", "{}\n")

    result = repo.attempt(sys.executable, "-c", WITHOUT, module, *argv.split())

    assert (result.code, result.out) == (
        4,
        (
            f"orchgate: the module {module} cannot be imported: import of {module} halted; None in sys.modules\n"
            "  hint: reinstall orchgate in this environment: its dependencies are missing, or of another Python\n"
        ),
    )


@pytest.mark.slow
def test_a_check_without_a_dependency_says_so_too(repo: Repo) -> None:
    repo.stage("evidence/0001-x/cli/2026-01-06T09-26-22-129Z-c2f9cb47/manifest.json", "{}\n")
    repo.stage("orchgate.toml", '[evidence]\nroots = ["evidence"]\n')

    result = repo.attempt(sys.executable, "-c", WITHOUT, "msgspec", "check", "--staged", "manifests")

    assert (result.code, "the module msgspec cannot be imported" in result.out, "reinstall" in result.out) == (
        4,
        True,
        True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["relative", "/no/such/folder"])
def test_a_temporary_folder_that_is_none_is_an_error_and_no_crash(repo: Repo, folder: str) -> None:
    repo.commit(files={"a": "1\n"})
    argv = ("perf", "--base", "HEAD", "--max-pairs", "1", "--", "true")

    result = repo.orchgate(*argv, env={"TMPDIR": folder, "ORCHGATE_TREES": ""})

    assert (result.code, os.listdir(repo.root)) == (3, [".git", "a"])
    assert f"orchgate: TMPDIR is {folder}, which is not the absolute path of a directory\n" in result.out
