"""Which tools a stage starts, and what is found out about each without starting it; and those that are asked."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING

import pytest

from orchgate.git.state import around
from orchgate.runs.used_tools import MOST_FOLDERS, UsedTools, find
from orchgate.tools import ask, kept, programs, reading
from orchgate.tools.ask import version_in
from tests.runs import TASK, Project, until
from tests.work import no_hang

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchgate.runs.used_tools import Facts
    from tests.repo import Repo
TOKEN = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
NATIVE = b"\x7fELF of no machine\n"


def program(path: Path, content: str | bytes = NATIVE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o755)
    return path


def tools_started(used: UsedTools, argv: Sequence[str], shell: str, environ: Mapping[str, str]) -> list[Facts]:
    """As a run looks at a stage in its top folder."""
    cwd = used.root
    known = used.known(argv, cwd, environ)
    return programs.of_stage(argv, shell, used, cwd, environ) if known is None else known


class Machine:
    """A work tree, and folders beside it in which tools are."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.tree = top / "tree"
        self.bin = top / "bin"
        self.tree.mkdir()
        self.bin.mkdir()
        self.used = UsedTools(str(self.tree), None)

    def tool(self, name: str, content: str | bytes = NATIVE) -> Path:
        return program(self.bin / name, content)

    def environment(self, where: Path, python: str = "3.12.4", **packages: str) -> Path:
        """A virtual environment with a native interpreter, and packages by name, each with a script of its name."""
        base = program(self.top / "base" / "bin" / f"python{python[:4]}")
        (where / "bin").mkdir(parents=True)
        (where / "bin" / "python").symlink_to(base)
        (where / "pyvenv.cfg").write_text(f"home = x\nversion = {python}\n")
        for name, version in packages.items():
            info = where / "lib" / f"python{python[:4]}" / "site-packages" / f"{name}-{version}.dist-info"
            info.mkdir(parents=True)
            (info / "entry_points.txt").write_text(f"[console_scripts]\n{name} = {name}:main\n")
            program(where / "bin" / name, f"#!{where}/bin/python\nfrom {name} import main\n")
        return where

    def of(self, *argv: str, shell: str = "", path: Sequence[str] = (), **environ: str) -> list[Facts]:
        folders = os.pathsep.join((*path, str(self.bin)))
        return tools_started(self.used, argv, shell, {"PATH": folders, **environ})

    def known(self, *argv: str, shell: str = "", path: Sequence[str] = (), **environ: str) -> list[tuple[object, ...]]:
        """Name, version and source of each tool."""
        found = self.of(*argv, shell=shell, path=path, **environ)
        return [(one["name"], one["version"], one["source"]) for one in found]


@pytest.fixture
def project(repo: Repo) -> Project:
    return Project(repo)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# What nobody says a version of: the digest of its file


def test_a_native_program_is_known_by_its_digest(machine: Machine) -> None:
    machine.tool("tool")

    assert machine.of("tool") == [
        {"name": "tool", "version": None, "sha256": hashlib.sha256(NATIVE).hexdigest(), "source": "file"}
    ]


def test_a_program_that_changed_during_the_run_is_another_one(machine: Machine) -> None:
    machine.tool("tool")
    first = machine.of("tool")
    machine.tool("tool", b"\x7fELF of another\n")

    assert machine.of("tool") != first


def test_of_a_large_program_parts_are_hashed_its_size_and_its_ends_among_them(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WHOLE_BYTES", 1024)
    digests = set()
    for content in (b"\x7fELF" + b"\0" * 300_000, b"\x7fELF" + b"\0" * 300_001, b"\x7fELF" + b"\0" * 299_999 + b"1"):
        machine.tool("tool", content)
        (one,) = machine.of("tool")
        assert one["source"] == "parts"
        digests.add(one["sha256"])

    assert len(digests) == 3


def test_a_sparse_file_of_four_gigabytes_is_not_read_as_a_whole(machine: Machine) -> None:
    os.truncate(machine.tool("tool"), 4 << 30)

    assert machine.known("tool") == [("tool", None, "parts")]


def test_what_is_no_file_is_passed_over_and_a_loop_of_links_too(machine: Machine, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    os.mkfifo(odd / "tool", 0o755)
    (odd / "loop").symlink_to("loop")
    (odd / "folder").mkdir()

    assert [machine.known(name, path=(str(odd),)) for name in ("tool", "loop", "folder", "missing")] == [[]] * 4
    machine.tool("tool")
    assert machine.known("tool", path=(str(odd),)) == [("tool", None, "file")]


def test_a_path_of_ten_thousand_folders_is_not_looked_through(machine: Machine) -> None:
    machine.tool("tool")

    assert machine.known("tool", path=["/nowhere"] * 10_000) == []
    assert machine.known("tool", path=["/nowhere"] * (MOST_FOLDERS - 1)) != []


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000, "\udcff", ".", "/", "/dev/null", "/dev/stdin"])
def test_an_impossible_name_is_no_tool(machine: Machine, name: str) -> None:
    assert machine.known(name) == []


def test_a_name_is_recorded_without_line_breaks_and_escapes(machine: Machine) -> None:
    machine.tool("a\x1b[31m\nb\udcff")

    assert machine.known("a\x1b[31m\nb\udcff") == [("a?[31m b?", None, "file")]


def test_a_program_of_the_tree_is_no_tool_and_its_interpreter_is(machine: Machine) -> None:
    program(machine.tree / "native")
    program(machine.tree / "deploy.sh", f"#!{machine.tool('interpreter')}\ntouch {machine.top}/started\n")

    assert machine.known("./native") == []
    assert machine.known("./deploy.sh") == [("interpreter", None, "file")]
    assert not (machine.top / "started").exists()


def test_scripts_that_name_each_other_as_interpreter_end(machine: Machine) -> None:
    machine.tool("one", f"#!{machine.bin}/two\n")
    machine.tool("two", f"#!{machine.bin}/one\n")

    assert machine.known("one") == [("one", None, "file")]


# What installations and packages say


def test_a_script_of_python_is_known_by_its_package_and_its_interpreter(machine: Machine) -> None:
    one = machine.environment(machine.top / "one", pytest="8.2.0")

    assert machine.known(str(one / "bin/pytest")) == [
        ("pytest", "8.2.0", "package"),
        ("python", "3.12.4", "installation"),
    ]
    assert machine.known(str(one / "bin/python"), "-m", "pytest", "-q") == [
        ("python", "3.12.4", "installation"),
        ("pytest", "8.2.0", "package"),
    ]


def test_packages_of_a_virtual_environment_in_the_work_tree_are_tools(machine: Machine) -> None:
    machine.environment(machine.tree / ".venv", pytest="8.2.0")

    assert ("pytest", "8.2.0", "package") in machine.known(shell=". .venv/bin/activate && pytest -q")
    machine.tool("uv")
    assert [name for name, *_ in machine.known("uv", "run", "pytest")] == ["uv", "pytest", "python"]


def test_a_package_that_is_installed_from_the_work_tree_is_no_tool(machine: Machine) -> None:
    one = machine.environment(machine.top / "one", mine="0.1.0")
    (info,) = one.rglob("mine-0.1.0.dist-info")
    (info / "direct_url.json").write_text(f'{{"url": "file://{machine.tree}", "dir_info": {{"editable": true}}}}')

    assert machine.known(str(one / "bin/mine")) == [("python", "3.12.4", "installation")]


def test_a_long_path_of_an_interpreter_is_found_in_the_second_line(machine: Machine) -> None:
    one = machine.environment(machine.top / "one", black="24.1.0")
    program(one / "bin/black", f"#!/bin/sh\n'''exec' {one}/bin/python \"$0\" \"$@\"\n' '''\nimport black\n")

    assert machine.known(str(one / "bin/black"))[0] == ("black", "24.1.0", "package")


def test_a_native_program_that_pip_installed_is_known_by_its_package(machine: Machine) -> None:
    one = machine.environment(machine.tree / ".venv", ruff="0.5.0")
    program(one / "bin/ruff")
    (info,) = one.rglob("ruff-0.5.0.dist-info")
    (info / "RECORD").write_text("../../../bin/ruff,sha256=x,1\n")

    assert machine.known(".venv/bin/ruff") == [("ruff", "0.5.0", "package")]


def test_the_python_that_runs_us_is_known_exactly(machine: Machine) -> None:
    (one,) = machine.of(sys.executable)

    assert one == {"name": "python", "version": sys.version.split()[0], "sha256": None, "source": "installation"}


def test_a_python_that_says_nothing_is_known_by_name_and_digest(machine: Machine) -> None:
    machine.tool("python3.99")

    (one,) = machine.of("python3.99")

    assert (one["name"], one["version"], one["source"]) == ("python", "3.99", "file")
    assert one["sha256"]


NPM = '{"name": "eslint", "version": "9.1.0"}'
HEADER = "#define NODE_MAJOR_VERSION 20\n#define NODE_MINOR_VERSION 11\n#define NODE_PATCH_VERSION 1\n\n"


def test_a_program_of_npm_is_known_by_its_package_and_node_by_its_headers(machine: Machine) -> None:
    machine.tool("node")
    (machine.top / "include/node").mkdir(parents=True)
    (machine.top / "include/node/node_version.h").write_text(HEADER)
    package = machine.tree / "node_modules/eslint"
    program(package / "bin/eslint.js", "#!/usr/bin/env node\n")
    (package / "package.json").write_text(NPM)
    (machine.tree / "node_modules/.bin").mkdir()
    (machine.tree / "node_modules/.bin/eslint").symlink_to("../eslint/bin/eslint.js")
    program(machine.tool("npx"))

    assert machine.known("npx", "--no", "eslint", ".")[1:] == [
        ("eslint", "9.1.0", "package"),
        ("node", "20.11.1", "installation"),
    ]
    program(machine.tree / "node_modules/.bin/pnpm-eslint", '#!/bin/sh\nexec node "$basedir/../eslint/bin/eslint.js"\n')
    assert machine.known("node_modules/.bin/pnpm-eslint")[0] == ("pnpm-eslint", "9.1.0", "package")


def test_headers_made_to_be_slow_are_read_at_once(machine: Machine) -> None:
    machine.tool("node")
    (machine.top / "include/node").mkdir(parents=True)
    lines = HEADER.splitlines()[:2]  # without the third, where each first one was tried with each second one
    (machine.top / "include/node/node_version.h").write_text("\n".join(lines * 1_100))
    with no_hang():
        (one,) = machine.of("node")
    assert one["source"] == "file"


@pytest.mark.parametrize("damaged", ["", "[]", "{", '{"name": 1, "version": 2}', "[" * 100_000])
def test_a_damaged_package_is_not_known(machine: Machine, damaged: str) -> None:
    program(machine.tree / "node_modules/x/x.js", "#!/usr/bin/env node\n")
    (machine.tree / "node_modules/x/package.json").write_text(damaged)

    assert machine.known("node_modules/x/x.js") == []


def test_a_shim_of_pyenv_is_followed_to_the_version_of_the_folder(machine: Machine) -> None:
    top = machine.top / "pyenv"
    shim = program(top / "shims/black", '#!/usr/bin/env bash\nexec "/x/pyenv" exec "$program"\n')
    machine.environment(top / "versions/3.12.4", black="24.1.0")
    (machine.tree / ".python-version").write_text("# ours\n3.12.4\n")

    assert machine.known(str(shim))[0] == ("black", "24.1.0", "package")
    assert machine.known(str(shim), PYENV_VERSION="../../etc") == [("black", None, "shim")]
    assert machine.known(str(shim), PYENV_VERSION="3.9.1") == [("black", None, "shim")]


def test_a_program_that_chooses_is_not_taken_for_what_it_starts(machine: Machine) -> None:
    rustup = machine.tool("rustup")
    (machine.bin / "cargo").symlink_to(rustup)
    (machine.bin / "rustc").hardlink_to(rustup)

    assert machine.known("cargo", "test") == [("cargo", None, "shim")]
    assert machine.known("rustc") == [("rustc", None, "shim")]


# Which programs a command starts


@pytest.mark.parametrize(
    ("argv", "shell", "expected"),
    [
        (("env", "X=1", "nice", "-n", "5", "timeout", "-k", "1", "5", "a", "b"), "", "a"),
        (("env", "PATH=/elsewhere", "a"), "", ""),
        (("sh", "-c", "a | b"), "", "sh a b"),
        ((), "cd sub && X=1 a --flag | b > c; if c; then echo c; fi", "a b c"),
        ((), "command -v a || exec b", "b"),
        ((), "export PATH=/elsewhere; a", ""),
        ((), "a; eval $(b); c", "a"),
        ((), "a; . ./settings; c", "a"),
        ((), "$TOOL x; a", ""),
        ((), "a() { b; }; 'unclosed", "b"),
        ((), "cat <<END\nb\nEND\na", "a"),
    ],
)
def test_programs_are_told_from_a_command(machine: Machine, argv: tuple[str, ...], shell: str, expected: str) -> None:
    for name in ("a", "b", "c", "sh"):
        machine.tool(name, name.encode())

    found = [str(name) for name, *_ in machine.known(*argv, shell=shell)]

    assert " ".join(found) == expected


def test_a_line_that_is_all_brackets_says_nothing(machine: Machine) -> None:
    assert machine.known(shell="((((" * 10_000) == []
    assert machine.known(shell="bash -c '" * 1000) == []


# What is kept


def test_a_digest_is_kept_by_the_file_but_not_of_one_that_changed_just_now(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = NATIVE * 2000
    folders = (str(program(tmp_path / "bin/tool", content).parent),)

    def look() -> tuple[object, str]:
        """The digest that a run tells, and what is kept of it afterwards."""
        environ = {"PATH": folders[0]}
        repository = around(str(repo.root), {})
        file = find("tool", "", folders)
        assert file
        assert repository
        with repository:
            (known,) = tools_started(UsedTools(str(repo.root), repository), ("tool",), "", environ)
            return known["sha256"], UsedTools(str(repo.root), repository).kept(file.key)

    digest = hashlib.sha256(content).hexdigest()
    assert look() == (digest, "")
    monkeypatch.setattr(kept, "SETTLED_SECONDS", -1e9)
    assert look() == (digest, f"file {digest}")
    assert look() == (digest, f"file {digest}")
    program(tmp_path / "bin/tool", content[::-1])
    assert look()[0] == hashlib.sha256(content[::-1]).hexdigest()


# Those that are asked


@pytest.mark.parametrize(
    ("name", "printed", "version"),
    [
        ("node", b"v20.11.0\n", "20.11.0"),
        ("pytest", b"pytest 8.2.0\n", "8.2.0"),
        ("python", b"Python 3.12.3\n", "3.12.3"),
        ("gcc", b"gcc (Debian 12.2.0) 12.2.0\nCopyright\n", "(Debian 12.2.0) 12.2.0"),
        ("go", b"go version go1.22.1 linux/amd64\n", "go1.22.1 linux/amd64"),
        ("java", b'openjdk version "17.0.15" 2025-04-15\n', 'openjdk version "17.0.15" 2025-04-15'),
        ("x", b"\n\x1b[1mx\x1b[0m version 1.2\x1b]0;title\x07\n", "1.2"),
        ("x", b"xyz 1.2\n", "xyz 1.2"),
        ("x", b"", ""),
        ("x", b"\xff\xfe\n", "\ufffd\ufffd"),
    ],
)
def test_a_version_is_the_first_line_without_the_name(name: str, printed: bytes, version: str) -> None:
    assert version_in(name, printed) == version


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing takes too long, however busy the machine is."""
    monkeypatch.setattr(ask, "SECONDS", 60.0)
    monkeypatch.setattr(ask, "ALL_SECONDS", 120.0)


def asked(machine: Machine, declared: str, **environ: str) -> list[tuple[object, ...]]:
    ask.ask((declared,), machine.used, {"PATH": f"{machine.bin}{os.pathsep}{os.defpath}", **environ})
    return [(one["name"], one["version"], one["source"]) for one in machine.used.declared[:1]]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("script", "known"),
    [
        ("echo tool 1.2.3", ("tool", "1.2.3", "asked")),
        ("read x; echo tool ${x}4.5", ("tool", "4.5", "asked")),
        ("echo unknown option; exit 2", ("tool", None, "file")),
        ("kill -9 $$", ("tool", None, "file")),
        ("yes 1.2.3", ("tool", None, "file")),
        (f"echo 1.0 {TOKEN}", ("tool", "1.0 [secret: github-token]", "asked")),
    ],
)
def test_a_declared_tool_is_asked_and_what_it_does_instead_is_no_answer(
    machine: Machine, script: str, known: tuple[object, ...]
) -> None:
    machine.tool("tool", f"#!/bin/sh\n{script}\n")

    assert asked(machine, "tool") == [known]


def test_a_tool_that_hangs_is_ended_with_all_that_it_started(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "SECONDS", 0.2)
    machine.tool("tool", f"#!/bin/sh\nsleep 600 & echo $! > {machine.top}/child\nsleep 600\n")

    assert asked(machine, "tool") == [("tool", None, "file")]
    if (machine.top / "child").exists():
        child = int((machine.top / "child").read_text() or 0)
        until(lambda: not child or not _lives(child))


def _lives(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_a_declared_program_of_the_work_tree_is_not_started(machine: Machine) -> None:
    program(machine.tree / "bin/deploy", f"#!/bin/sh\ntouch {machine.top}/started\n")

    asked(machine, "deploy", PATH=f"{machine.tree}/bin{os.pathsep}{os.defpath}")

    assert not (machine.top / "started").exists()


@pytest.mark.usefixtures("patient")
def test_a_tool_that_was_asked_is_not_told_of_once_more_by_its_stage(machine: Machine) -> None:
    machine.tool("tool", "#!/bin/sh\necho 1.2\n")
    asked(machine, "tool")

    assert machine.known("tool") == [("tool", "1.2", "asked")]


# Runs


def tools_of(project: Project) -> Mapping[str, tuple[object, object]]:
    return {one["name"]: (one["version"], one["source"]) for one in project.manifest().get("tools", ())}


@pytest.mark.slow
def test_a_run_records_the_tools_of_its_stages_once_and_starts_none_of_them(project: Project, tmp_path: Path) -> None:
    marker = tmp_path / "asked"
    program(tmp_path / "bin/tool", f'#!/bin/sh\n[ $# = 0 ] || touch "{marker}"\n')
    project.define("demo", {"id": "one", "run": ["tool"]}, {"id": "two", "run": ["tool"]})

    project.run(env={"PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"})

    assert tools_of(project)["tool"] == (None, "file")
    assert [one["name"] for one in project.manifest()["tools"]].count("tool") == 1
    assert not marker.exists()
    assert str(tmp_path) not in str(project.manifest()["tools"])
    assert "tools" not in project.entries()[-1]
    assert project.repo.orchgate("check", "manifests", "--all-files").code == 0


@pytest.mark.slow
def test_a_run_that_is_resumed_with_another_tool_has_both(project: Project, tmp_path: Path) -> None:
    script = '#!/bin/sh\n[ "$1" = --version ] && echo "tool %s" && exit 0\nexit %s\n'
    program(tmp_path / "bin/tool", script % ("1.0", 1))
    (project.root / "orchgate.toml").write_text('tools = ["tool"]\n')
    project.define("demo", {"id": "one", "run": ["tool"]})
    env = {"PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"}
    project.run(env=env)
    program(tmp_path / "bin/tool", script % ("2.0", 0))

    project.repo.orchgate("resume", "latest", env=env)

    assert project.manifest()["status"] == "succeeded"
    versions = [one["version"] for one in project.manifest()["tools"] if one["name"] == "tool"]
    assert versions in (["1.0", "2.0"], ["2.0"], ["1.0"], [None])  # a busy machine may not get an answer
    assert project.repo.orchgate("check", "manifests", "--all-files").code == 0


@pytest.mark.slow
def test_where_two_runs_of_a_tree_end_differently_the_tools_that_differ_are_named(
    project: Project, tmp_path: Path
) -> None:
    for version, code in (("1.0", 0), ("2.0", 1)):
        known = Machine(made(tmp_path / version))
        known.environment(known.top / "venv", tool=version)
        program(known.top / "base/bin/python3.12", f"#!/bin/sh\nexit {code}\n")
    project.define("demo", {"id": "one", "run": ["tool"]})

    codes = [
        project.run(env={"PATH": f"{tmp_path}/{version}/venv/bin{os.pathsep}{os.environ['PATH']}"}).code
        for version in ("1.0", "2.0")
    ]

    good, bad = (folder.name for folder in project.folders())
    assert codes == [0, 1]
    shown = project.repo.orchgate("status", bad).out
    assert "tools: tool 2.0" in shown
    assert f"run {good} succeeded on the same tree with other tools: tool 1.0 → 2.0" in shown
    assert "other tools" not in project.repo.orchgate("status").out
    assert "tool 1.0 → 2.0" in project.repo.orchgate("report", "-o", "-").out


@pytest.mark.slow
def test_evidence_that_disagrees_on_one_tree_names_the_tools_that_differ(project: Project, tmp_path: Path) -> None:
    project.repo.commit("start", {".gitignore": ".runs/\nout/\n"})
    project.repo.orchgate("new", "demo", "--task", TASK)
    project.define("demo", {"id": "one", "run": ["tool"]})
    for version, code in (("1.0", 0), ("2.0", 1)):
        known = Machine(made(tmp_path / version))
        known.environment(known.top / "venv", tool=version)
        program(known.top / "base/bin/python3.12", f"#!/bin/sh\nexit {code}\n")
        project.run(env={"PATH": f"{known.top}/venv/bin{os.pathsep}{os.environ['PATH']}"})
    good, bad = (folder.name for folder in project.folders())
    with (project.root / f"tasks/tasks-{TASK}.md").open("a") as checklist:
        checklist.writelines(
            f"- [x] Works {place}. Evidence: `.runs/{TASK}/cli/{run}/manifest.json`\n"
            for place, run in (("here", good), ("there", bad))
        )

    summarized = project.repo.orchgate("evidence", "summarize", "--task", TASK, "--before", good, "--after", bad)
    pinned = project.repo.orchgate("evidence", "pin", "--task", TASK)
    project.repo.git("add", "--all")
    found = project.repo.orchgate("check", "evidence")

    assert "tools differ, too: tool 1.0 → 2.0" in summarized.out
    assert pinned.code == 0
    assert f"run {good} succeeded on the same tree with other tools: tool 1.0 → 2.0" in found.out
    assert "EVD011" not in found.out  # the table says what its runs say


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder
