"""What a tab offers in real shells, and what `man` shows: made from the parsers, as a build makes it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchgate import registry
from orchgate.cli import GROUPS, main
from orchgate.commands.completion import FILES

if TYPE_CHECKING:
    from tests.repo import Repo

for needed in ("shtab", "argparse_manpage"):
    pytest.importorskip(needed)

TOP = Path(__file__).parent.parent
CONFIG = """\
[pipelines.tests]
stages = [{ id = "all", run = ["true"] }]
[[pipelines.diagnostics.stages]]
id = "one"
run = ["true"]
"""
# Command lines up to the tab, and what is offered among others.
LINES = {
    "orchgate ch": {"check"},
    "orchgate evidence p": {"pin", "push"},
    "orchgate check ver": {"version-bump"},
    "orchgate check --all": {"--all-files"},
    "orchgate check --base r": {"release-1"},
    "orchgate run ": {"tests", "diagnostics", "implementation-gate"},
    "orchgate run tests --task 00": {"0001-faster-start", "0002-other"},
    "orchgate resume 2026": {"2026-01-01T00-00-00-000Z-00000000"},
    "orchgate evidence push --remote ": {"origin"},
    "orchgate explain EVD00": {"EVD001", "EVD002"},
    "orchgate schema conf": {"config"},
    "orchgate init --runner l": {"lefthook"},
    "orchgate completion ": {"bash", "zsh", "fish"},
    "orchgate perf --replay samp": {"samples.jsonl"},
}


@pytest.fixture(scope="module")
def shell_files() -> Any:
    spec = importlib.util.spec_from_file_location("shell_files", TOP / "build_hooks" / "shell_files.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(shell_files: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shell-files")
    shell_files.written(str(folder))
    return folder


# A build has what `build-system.requires` names, and none of what orchgate needs when it runs.
BUILT_ALONE = """
import sys
needed = {"distributed", "duckdb", "git", "inotify_simple", "jsonschema", "jsonschema_rs", "msgspec", "obstore", "re2"}
needed |= {"rich", "ruamel", "tomlkit", "unidiff", "yaml"}
sys.modules.update(dict.fromkeys(needed))
from build_hooks import shell_files
print(*shell_files.written(sys.argv[1]))
"""


def test_a_build_needs_nothing_that_only_runs_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILT_ALONE, str(tmp_path)]

    completed = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)

    assert (completed.returncode, completed.stderr) == (0, "")
    assert {"orchgate.bash", "orchgate-history.1", "orchgate-scan.1"} <= set(completed.stdout.split())


@pytest.fixture
def populated(repo: Repo) -> Repo:
    repo.commit(files={"orchgate.toml": CONFIG, "tasks/tasks-0001-faster-start.md": "# A\n", "samples.jsonl": "\n"})
    repo.write(".runs/0002-other/cli/2026-01-01T00-00-00-000Z-00000000/manifest.json", "{}\n")
    for hostile in ("0001-$(touch ran)", "0002-`touch ran`", "0003-x;touch ran", "0004 x", "-0005"):
        repo.write(f".runs/{hostile}/cli/2026-$(touch ran)/manifest.json", "{}\n")
    repo.git("branch", "release-1")
    repo.git("branch", "release-$(touch${IFS}ran)")
    repo.git("remote", "add", "origin", str(repo.root))
    return repo


def offered(argv: list[str], script: str, repo: Repo) -> dict[str, set[str]]:
    """What a shell offers for each of the lines: the script prints `>LINE`, then a candidate a line."""
    completed = subprocess.run(argv, input=script.encode(), cwd=repo.root, capture_output=True, check=False)
    assert completed.stderr == b"", completed.stderr.decode()
    assert not (repo.root / "ran").exists()
    found: dict[str, set[str]] = {}
    for line in completed.stdout.decode().splitlines():
        if line.startswith(">"):
            found[line[1:]] = set()
        else:
            found[list(found)[-1]].add(line.partition("\t")[0].strip())
    assert not {*"".join(one for names in found.values() for one in names)} & {*"$`; "}, "the shell would run it"
    return found


def wrong(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """What is missing, and what was offered though it does not begin with the word that is completed."""
    assert list(found) == list(LINES)
    return {
        line: (wanted - found[line]) | {one for one in found[line] if not one.startswith(line.rpartition(" ")[2])}
        for line, wanted in LINES.items()
        if not wanted <= found[line] or any(not one.startswith(line.rpartition(" ")[2]) for one in found[line])
    }


@pytest.mark.slow
def test_bash_completes_commands_options_and_what_is_in_the_repository(populated: Repo, made: Path) -> None:
    words = "".join(
        f"COMP_WORDS=({line.rpartition(' ')[0]} '{line.rpartition(' ')[2]}'); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
        f"_orchgate_split 2>/dev/null; printf '>%s\\n' '{line}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        for line in LINES
    )

    assert wrong(offered(["bash", "--norc"], f"source {made}/orchgate.bash\n{words}", populated)) == {}


@pytest.mark.slow
def test_bash_completes_a_value_behind_an_equals_sign(populated: Repo, made: Path) -> None:
    """Which it takes for a word of its own."""
    split = (("--color=al", "--color = al", "3 + 1"), ("--color=", "--color =", "3"))
    words = "".join(
        f"COMP_WORDS=(orchgate check {typed}); COMP_CWORD=$(({at})); _orchgate_split 2>/dev/null\n"
        f"printf '>{line}\\n'; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        for line, typed, at in split
    )

    assert offered(["bash", "--norc"], f"source {made}/orchgate.bash\n{words}", populated) == {
        "--color=al": {"always"},
        "--color=": {"auto", "always", "never"},
    }


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_fish_completes_the_same(populated: Repo, made: Path) -> None:
    words = "".join(f"echo '>{line}'; complete -C '{line}'\n" for line in LINES)

    assert wrong(offered(["fish", "--no-config"], f"source {made}/orchgate.fish\n{words}", populated)) == {}


ZSH = """
import os, pty, select, sys, time
pid, terminal = pty.fork()
if not pid:
    os.environ.update(TERM="dumb", COLUMNS="200")
    os.execvp("zsh", ["zsh", "-f"])
def until(mark, text=b""):
    while mark not in text:
        ready, _, _ = select.select([terminal], [], [], 60)
        if not ready:
            sys.exit(f"no {mark!r} in {text!r}")
        text += os.read(terminal, 65536)
    return text
for line in (
    f"PS1=; fpath=({sys.argv[1]} $fpath); autoload -Uz compinit; compinit -u -D",
    "bindkey '^X' kill-whole-line; zle-show() { print -r -- \\"[$BUFFER]\\" }",
    "zle -N zle-show; bindkey '^Y' zle-show; print rea''dy",
):
    os.write(terminal, line.encode() + b"\\n")
until(b"ready")
for line in sys.argv[2:]:
    os.write(terminal, line.encode() + b"\\t\\x19")
    print(until(b"]").decode().rpartition("[")[2].partition("]")[0].strip())
    os.write(terminal, b"\\x18")
os.close(terminal)
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_completes_the_same(populated: Repo, made: Path) -> None:
    alone = {line: next(iter(wanted)) for line, wanted in LINES.items() if len(wanted) == 1 and "schema" not in line}

    completed = subprocess.run(
        [sys.executable, "-c", ZSH, made, *alone], cwd=populated.root, capture_output=True, check=False
    )

    assert completed.returncode == 0, completed.stderr.decode()
    assert completed.stdout.decode().splitlines() == [
        f"{line.rpartition(' ')[0]} {wanted}" for line, wanted in alone.items()
    ]


@pytest.mark.parametrize("shell", FILES)
def test_outside_of_a_repository_a_tab_is_silent(shell_files: Any, made: Path, tmp_path: Path, shell: str) -> None:
    assert "_orchgate_values" in (made / FILES[shell]).read_text()
    completed = subprocess.run(
        [
            "bash",
            "-c",
            f"source {made}/orchgate.bash; for one in tasks runs pipelines revisions; do _orchgate_$one ''; done",
        ],
        cwd=tmp_path,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
        capture_output=True,
        check=False,
    )

    assert (completed.stdout, completed.stderr) == (b"", b"")


@pytest.mark.slow
def test_every_command_has_a_page_with_its_options_examples_and_exit_codes(shell_files: Any) -> None:
    pages = shell_files.man_pages()

    assert sorted(pages) == sorted(["orchgate.1", *(f"orchgate-{name}.1" for name in registry.plugins("commands"))])
    assert all(f"orchgate\\-{name}(1)" in pages["orchgate.1"] for name in registry.plugins("commands"))
    check = pages["orchgate-check.1"]
    assert check.index(".SH NAME\norchgate\\-check \\- judge a change before it lands") < check.index(".SH OPTIONS")
    assert check.index("\\-\\-all\\-files") < check.index(".SH EXAMPLES") < check.index(".SH EXIT STATUS")
    assert "could not check, or not decided" in check


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff here")
def test_no_page_makes_the_formatter_complain(made: Path) -> None:
    pages = sorted(made.glob("*.1"))
    completed = subprocess.run(
        ["groff", "-k", "-man", "-Tutf8", "-ww", "-z", *pages], capture_output=True, check=False, cwd=made
    )

    assert (completed.returncode, completed.stderr.decode()) == (0, "")


def test_every_command_is_in_one_group_of_the_help() -> None:
    """Where it belongs is said in orchgate/cli.py."""
    grouped = [name for names in GROUPS.values() for name in names]

    assert sorted(grouped) == sorted(registry.plugins("commands"))


def test_a_shell_that_is_not_known_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "unknown shell tcsh; there are: bash, zsh, fish" in capsys.readouterr().err
