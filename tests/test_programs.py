from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.errors import Unreadable
from orchgate.git.snapshot import FolderSnapshot
from orchgate.plan_commands.definitions import (
    Definitions,
    codex_pipelines,
    hook_ids,
    make_targets,
    near,
    nox_sessions,
    npm_scripts,
)
from orchgate.plan_commands.requested_names import RequestedName, requested_names, started_programs
from orchgate.plan_commands.shell import script
from tests.support import write_tree

if TYPE_CHECKING:
    from pathlib import Path


def asked(line: str) -> list[tuple[str, str, str]]:
    found = [
        request for command in script(line)[0] for one in started_programs(command) for request in requested_names(one)
    ]
    return [(request.kind, request.name, request.folder) for request in found]


def test_npm_scripts_are_the_keys_of_scripts() -> None:
    assert npm_scripts("package.json", b'{"scripts": {"lint": "x", "a:b": "y"}}').defined == ("lint", "a:b")


def test_a_dependency_may_be_run_by_name() -> None:
    assert npm_scripts("package.json", b'{"devDependencies": {"@x/vite": "1"}}').also == {"vite"}


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"scripts": []}', b"\xff", b"[" * 100_000])
def test_a_package_that_cannot_be_read_says_so(data: bytes) -> None:
    with pytest.raises(Unreadable):
        npm_scripts("package.json", data)


@pytest.mark.parametrize(
    ("text", "defined"),
    [
        ("all: a b\n\tcc x:y\n", ("all",)),
        ("a b : c\n", ("a", "b")),
        ("a::\nb &: c\n", ("a", "b")),
        ("X := a:b\nY ?= c\nZ = d: e\n", ()),
        (".PHONY: clean up\n", ("clean", "up")),
        ("a \\\n  b: c\n", ("a", "b")),
        ("# a: b\n", ()),
        ("define X\na: b\nendef\nc:\n", ("c",)),
        ("a: ; echo b: c\n", ("a",)),
        ("a: X = 1\n", ("a",)),
    ],
)
def test_make_targets(text: str, defined: tuple[str, ...]) -> None:
    assert make_targets("Makefile", text.encode()).defined == defined


@pytest.mark.parametrize(
    "text", ["include x.mk\n", "-include x\n", "%.o: %.c\n", "$(X): y\n", "$(eval $(call r))\n", ".DEFAULT:\n"]
)
def test_a_makefile_that_may_define_more_is_open(text: str) -> None:
    assert make_targets("Makefile", text.encode()).open


def test_a_long_makefile_is_read_in_linear_time() -> None:
    assert make_targets("Makefile", b"define\n" * 20_000 + b"a " * 100_000).defined == ()


@pytest.mark.parametrize(
    ("text", "defined", "is_open"),
    [
        ("@nox.session\ndef a(s): ...\n", ("a",), False),
        ("@session(python=['3.11'])\ndef a(s): ...\n", ("a",), False),
        ("@nox.session(name='b-c')\ndef a(s): ...\n", ("b-c",), False),
        ("@nox.session\n@nox.parametrize('x', [1])\ndef a(s, x): ...\n", ("a",), False),
        ("@nox.session(name=NAME)\ndef a(s): ...\n", (), True),
        ("@nox.session(**options)\ndef a(s): ...\n", (), True),
        ("for n in X:\n    nox.session(f, name=n)\n", (), True),
        ("from common import *\n", (), True),
        ("def helper(): ...\n@other\ndef a(): ...\n", (), False),
    ],
)
def test_nox_sessions(text: str, defined: tuple[str, ...], is_open: bool) -> None:
    names = nox_sessions("noxfile.py", text.encode())

    assert (names.defined, names.open) == (defined, is_open)


def test_hook_ids_and_aliases_but_not_comments() -> None:
    text = b"repos:\n- hooks:\n  - id: a # x\n    alias: \"b\"\n  - {id: 'c'}\n  # - id: d\n"

    assert hook_ids(".pre-commit-config.yaml", text).defined == ("a", "b", "c")


def test_codex_pipelines_and_the_one_that_comes_with_the_tool() -> None:
    names = codex_pipelines("codex.orchestrator.json", b'{"pipelines": [{"id": "a"}, {"id": 5}, null]}')

    assert (names.defined, names.also) == (("a",), frozenset({"rlm"}))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("npm run lint -- --fix", [("script", "lint", "")]),
        ("npm --prefix a run x", [("script", "x", "a")]),
        ("npm run x --prefix=../b", []),
        ("npm run x -w a", []),
        ("npm t", [("script", "test", "")]),
        ("cd a && yarn b:c", [("script", "b:c", "a")]),
        ("make -C a -j4 b c D=1", [("target", "b", "a"), ("target", "c", "a")]),
        ("make -I x y", []),
        ("nox -s a-3.12 'b(c=1)' -- d", [("session", "a", ""), ("session", "b", "")]),
        ("nox -r", []),
        ("pre-commit run --hook-stage manual a", [("hook", "a", "")]),
        ("pre-commit run --files a", []),
        ("orchgate run a --task b", [("pipeline", "a", "")]),
        ("npx -y @x/codex-orchestrator@1 start a", [("codex-pipeline", "a", "")]),
        ("sudo -n env A=1 timeout 5 npm run x", [("script", "x", "")]),
        ("bash -lc 'cd a && npm run x'", [("script", "x", "a")]),
        ("npm run $X && npm run <y>", []),
        ("cd $X && npm run y", []),
        ("npm", []),
        ("make", []),
        ("nox -s", []),
    ],
)
def test_names_that_a_command_asks_for(line: str, found: list[tuple[str, str, str]]) -> None:
    assert asked(line) == found


def missing(root: Path, request: RequestedName, pipelines: tuple[str, ...] = ()) -> str | None:
    found = Definitions(FolderSnapshot(str(root)), pipelines).missing(request)
    return found and (found.file or "no " + found.wanted_file)


def test_npm_looks_in_the_folders_above(tmp_path: Path) -> None:
    write_tree(tmp_path, {"package.json": '{"scripts": {"a": ""}}', "x/y/z": ""})

    assert missing(tmp_path, RequestedName("script", "b", "x/y")) == "package.json"


def test_a_folder_that_is_not_there_tells_nothing(tmp_path: Path) -> None:
    assert missing(tmp_path, RequestedName("script", "b", "gone")) is None


def test_a_symlink_to_a_definition_tells_nothing(tmp_path: Path) -> None:
    write_tree(tmp_path, {"real": "{}"})
    (tmp_path / "package.json").symlink_to("real")

    assert missing(tmp_path, RequestedName("script", "b", "")) is None


def test_no_makefile_at_all(tmp_path: Path) -> None:
    assert missing(tmp_path, RequestedName("target", "b", "")) == "no Makefile"


def test_make_prefers_the_file_that_make_prefers(tmp_path: Path) -> None:
    write_tree(tmp_path, {"GNUmakefile": "a:\n", "Makefile": "b:\n"})

    assert missing(tmp_path, RequestedName("target", "b", "")) == "GNUmakefile"


def test_a_built_in_rule_may_make_a_program(tmp_path: Path) -> None:
    write_tree(tmp_path, {"prog.c": ""})

    assert missing(tmp_path, RequestedName("target", "prog", "")) is None


def test_a_pipeline_may_come_from_either_place(tmp_path: Path) -> None:
    write_tree(tmp_path, {"codex.orchestrator.json": '{"pipelines": [{"id": "a"}]}'})

    assert [missing(tmp_path, RequestedName("pipeline", name, ""), ("b",)) for name in "abc"] == [
        None,
        None,
        "the configuration",
    ]


def test_the_nearest_name_is_found_among_huge_ones() -> None:
    assert near("lnit" * 1, ("x" * 100_000, "lint")) == "lint"
