"""What runs in a folder full of modules with the names of ours imports none of them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.repo import ORCHGATE, init

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

# What some command may import beyond what the ones below do.
OTHERS = """argparse ddsketch fcntl filelock git gitdb gzip hashlib html json jsonschema jsonschema_rs lzma msgspec
    pickle pkgutil psutil pydoc re resource rich secrets sitecustomize socket sqlite3 statistics subprocess tomllib
    traceback typing_extensions unidiff urllib usercustomize uuid xml yaml zlib"""
COMMANDS = ("--version", "--help", "check", "check --all-files --output-format json", "hook pre-commit", "status",
            "metrics", "explain EVD001", "hotspots", "report", "nonsense")  # fmt: skip
TRAP = "import os\nopen(os.environ['TRAP'], 'a').write(__name__ + ' ')\n"
LISTED = "import sys; print(*[name.split('.')[0] for name in sys.modules])"
RUN = f"from orchgate.cli import main; main(['check', '--all-files']); print(); {LISTED}"
MODULE = (sys.executable, "-m", "orchgate")


def modules(code: str, cwd: Path) -> set[str]:
    """Names of the top-level modules that a process has in the end."""
    shown = subprocess.run([sys.executable, "-P", "-c", code], cwd=cwd, capture_output=True, check=True)
    return set(shown.stdout.decode().splitlines()[-1].split())


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """The modules that we import, but for those that python takes before us: they are the same in every repository."""
    root = init(tmp_path_factory.mktemp("names") / "repo").root
    early = modules(f"import runpy, importlib.util; {LISTED}", root)
    return frozenset((modules(RUN, root) | set(OTHERS.split())) - early - {"orchgate"})


@pytest.fixture
def trapped(repo: Repo, names: frozenset[str], monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository with a module of every one of these names."""
    for name in names:
        repo.write(f"{name}.py", TRAP)
    repo.stage("a.md", "# Note\n\n[a](json.py)\n")
    monkeypatch.setenv("TRAP", str(repo.root / "sprung"))
    return repo


def sprung(repo: Repo) -> str:
    trap = repo.root / "sprung"
    return trap.read_text() if trap.exists() else ""


def test_the_traps_are_there(trapped: Repo) -> None:
    assert {"json.py", "subprocess.py", "argparse.py", "re.py", "msgspec.py"} <= set(os.listdir(trapped.root))


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_python_m_orchgate_imports_nothing_of_the_current_folder(trapped: Repo, command: str) -> None:
    trapped.attempt(*MODULE, *command.split())

    assert sprung(trapped) == ""


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_the_console_script_imports_nothing_of_the_current_folder(trapped: Repo, command: str) -> None:
    trapped.attempt(ORCHGATE, *command.split())

    assert sprung(trapped) == ""


@pytest.mark.slow
def test_python_m_orchgate_still_judges(trapped: Repo) -> None:
    trapped.write("json.py", TRAP)
    trapped.git("rm", "-q", "--cached", "--ignore-unmatch", "json.py")

    assert trapped.attempt(*MODULE, "check", "--staged", "evidence").code == 1


@pytest.mark.slow
@pytest.mark.parametrize("start", [MODULE, (ORCHGATE,)], ids=["module", "script"])
def test_a_process_that_starts_itself_again_imports_nothing_either(trapped: Repo, start: tuple[str, ...]) -> None:
    env = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    trapped.attempt(*start, "check", env=env)

    assert sprung(trapped) == ""


@pytest.mark.slow
def test_a_run_in_two_processes_imports_nothing_either(trapped: Repo) -> None:
    for at in range(1500):
        trapped.write(f"docs/note-{at}.md", "text\n")
    trapped.git("add", "--all")
    trapped.attempt(*MODULE, "check", "--all-files")

    assert sprung(trapped) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["contextlib", "types", "functools"])
def test_what_python_took_before_our_first_line_is_named_and_nothing_is_judged(repo: Repo, name: str) -> None:
    found = importlib.util.find_spec(name)
    assert found is not None
    assert found.origin is not None
    with open(found.origin, "rb") as file:
        repo.write(f"{name}.py", file.read())
    result = repo.attempt(*MODULE, "--version")

    assert (result.code, f"took its own {name} from the current folder" in result.out) == (3, True), result.out


@pytest.mark.slow
@pytest.mark.parametrize("options", [("-P",), ("-I",), ("-P", "-X", "utf8")])
def test_the_way_around_that_works(repo: Repo, options: tuple[str, ...]) -> None:
    repo.write("contextlib.py", TRAP)
    result = repo.attempt(sys.executable, *options, "-m", "orchgate", "--version", env={"TRAP": "sprung"})

    assert (result.code, sprung(repo)) == (0, "")


@pytest.mark.slow
def test_a_safe_path_in_the_environment_works_too(repo: Repo) -> None:
    repo.write("contextlib.py", TRAP)
    result = repo.attempt(*MODULE, "--version", env={"TRAP": "sprung", "PYTHONSAFEPATH": "1"})

    assert (result.code, sprung(repo)) == (0, "")
