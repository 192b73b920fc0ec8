"""Whether a change touches what a pipeline runs: "no" is said only where it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.git.snapshot import FolderSnapshot
from orchgate.runs.stages import Stage
from orchgate.speed.push.reach import named, untouched
from tests.support import write_tree

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "work.py": "import helpers\n",
    "helpers.py": "from lib import deep\n",
    "lib/deep.py": "",
    "lib/more/data.bin": "",
    "bench/run.py": "print(1)\n",
    "bench/table.json": "{}",
    "other/thing.py": "",
    "notes.txt": "",
    "run.sh": ". ./steps.sh\n",
    "steps.sh": "python3 work.py\n",
    "Makefile": "all:\n\tpython3 work.py\n",
}


def stage(*argv: str, shell: str = "", cwd: str = "", inputs: tuple[str, ...] = ()) -> Stage:
    return Stage("s", "s", argv, shell, cwd=cwd, inputs=inputs)


@pytest.mark.parametrize(
    ("ran", "path", "shown"),
    [
        (stage("python3", "work.py"), "notes.txt", True),
        (stage("python3", "work.py"), "other/thing.py", True),
        (stage("python3", "work.py"), "work.py", False),
        (stage("python3", "work.py"), "helpers.py", False),
        (stage("python3", "work.py"), "lib/deep.py", False),
        (stage("python3", "work.py"), "lib/more/data.bin", False),
        (stage("python3", "work.py"), "orchgate.toml", False),
        (stage("python3.12", "-I", "bench/run.py"), "bench/table.json", False),
        (stage("python3", "-m", "bench.run"), "bench/table.json", False),
        (stage("python3", "run.py", cwd="bench"), "bench/table.json", False),
        (stage("python3", "-m", "bench.run"), "other/thing.py", True),
        (stage("sh", "run.sh"), "lib/deep.py", False),
        (stage("sh", "-c", "python3 bench/run.py && exit 3"), "notes.txt", True),
        (stage("sh", "-c", "exit 3"), "work.py", True),
        (stage(shell="cd bench && python3 run.py"), "bench/run.py", False),
        (stage(shell="make all"), "notes.txt", False),
        (stage("sh", "-c", "make all"), "notes.txt", False),
        (stage(shell="$TOOL all"), "notes.txt", False),
        (stage("pytest", "-q"), "notes.txt", False),
        (stage("python3", "-m", "pytest"), "notes.txt", False),
        (stage("node", "--test"), "notes.txt", False),
        (stage("env", "A=1", "make"), "notes.txt", False),
        (stage("./run.sh"), "other/thing.py", True),
        (stage("pytest", inputs=("work.py", "lib/**")), "notes.txt", True),
        (stage("pytest", inputs=("work.py", "lib/**")), "lib/deep.py", False),
        (stage("pytest", inputs=("$CI", "!lib/**")), "notes.txt", False),
        (stage("python3", "-c", "print(1)", "."), "notes.txt", False),
    ],
    ids=str,
)
def test_what_a_stage_runs_is_found_by_what_its_files_name(tmp_path: Path, ran: Stage, path: str, shown: bool) -> None:
    tree = FolderSnapshot(str(write_tree(tmp_path, FILES)))

    assert untouched([ran], tree, {path}) is shown


def test_a_file_too_large_to_read_leaves_it_open(tmp_path: Path) -> None:
    tree = FolderSnapshot(str(write_tree(tmp_path, FILES | {"work.py": "#" * 300_000})))

    assert not untouched([stage("python3", "work.py")], tree, {"notes.txt"})


@pytest.mark.parametrize(
    ("ran", "path", "is_named"),
    [
        (stage("python3", "docs/build.py"), "docs/build.py", True),
        (stage("python3", "docs/build.py"), "docs/guide.md", True),
        (stage("sphinx-build", "-W", "docs", "out/html"), "docs/guide.md", True),
        (stage("make", "--directory=docs"), "docs/guide.md", True),
        (stage("python3", "build.py", cwd="docs"), "docs/guide.md", True),
        (stage(shell="cd docs && make html"), "docs/guide.md", True),
        (stage("python3", "linked.py"), "docs/build.py", True),
        (stage("sh", "there/build.py"), "docs/build.py", True),
        (stage("sh", "circle/build.py"), "docs/build.py", False),
        (stage("python3", "outside.py"), "docs/build.py", False),
        (stage("ruff", "check", "."), "docs/build.py", False),
        (stage("tool", "--option="), "docs/build.py", False),
        (stage("python3", "work.py"), "docs/build.py", False),
    ],
    ids=str,
)
def test_what_a_command_names_is_found_through_links(tmp_path: Path, ran: Stage, path: str, is_named: bool) -> None:
    root = write_tree(tmp_path, FILES | {"docs/build.py": "", "docs/guide.md": ""})
    for link, target in (
        ("linked.py", "docs/build.py"),
        ("there", "docs"),
        ("circle", "circle"),
        ("outside.py", "/usr/docs/build.py"),
    ):
        (root / link).symlink_to(target)

    assert (path in named([ran], FolderSnapshot(str(root)))) is is_named
