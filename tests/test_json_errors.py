"""Whoever asks for JSON gets exactly one document, also where there is nothing but an error to tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orchgate import cli
from orchgate.cli import main
from orchgate.errors import Unreadable
from orchgate.outputs import _document
from tests.published import valid
from tests.repo import ORCHGATE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

    Output = pytest.CaptureFixture[str]

JSON = ("--output-format", "json")


def error_of(capsys: Output, code: int, *argv: str) -> dict[str, Any]:
    """The error that a command line ends in: one valid document on standard output, and a line on the other."""
    assert main(list(argv)) == code
    out, err = capsys.readouterr()
    document: dict[str, Any] = valid(json.loads(out), "error")
    assert document["exit_code"] == code
    assert err.startswith("orchgate: ")
    return document


@pytest.mark.parametrize(
    "argv",
    [
        ("chek", *JSON),
        (*JSON, "check"),
        ("--output-format=json", "status"),
        ("status", "--frob", *JSON),
        ("status", "--output-format=json", "--limit", "x"),
        ("status", "--limit", "x", "--output-form", "json"),
        ("tasks", "check", *JSON),
        ("evidence", "pul", *JSON),
        ("run", *JSON, "--", "x"),
        ("hook", *JSON),
        (*JSON,),
        ("schema", "reprot", *JSON),
    ],
)
def test_wrong_usage_is_told_as_json_wherever_it_is_asked_for(argv: tuple[str, ...], capsys: Output) -> None:
    assert error_of(capsys, 2, *argv)["error"]["code"] == "usage"


@pytest.mark.parametrize(
    "argv",
    [
        ("status", "--limit", "x"),
        ("perf", "--limit", "--", *JSON),
        ("observe", "--watch", "--output-format"),
        ("status", "--limit", "x", *JSON, "--output-format", "text"),
    ],
)
def test_who_does_not_ask_for_json_gets_none(argv: tuple[str, ...], capsys: Output) -> None:
    main(list(argv))

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (("observe", *JSON, "make"), True),
        (("observe", "--task", "x", *JSON, "--", "make"), True),
        (("observe", "make", *JSON), False),
        (("observe", "--task=x", "make", *JSON), False),
        (("perf", "--", "make", *JSON), False),
    ],
)
def test_the_options_of_an_observed_program_are_its_own(argv: tuple[str, ...], wanted: bool) -> None:
    assert _document.wants_json(argv) == wanted


def test_every_fault_of_a_configuration_has_its_place(repo: Repo, capsys: Output) -> None:
    repo.stage("orchgate.toml", 'colour = 1\n\n[diff-budget]\nmax-files = "many"\n')

    found = error_of(capsys, 2, "check", "--staged", *JSON)

    assert [(one["code"], one["path"], one["line"], one["column"]) for one in found["problems"]] == [
        ("configuration", "orchgate.toml", 1, 1),
        ("configuration", "orchgate.toml", 4, 13),
    ]


def test_what_is_no_toml_has_its_place(repo: Repo, capsys: Output) -> None:
    repo.stage("orchgate.toml", "a = \n")

    assert error_of(capsys, 2, "check", "--staged", *JSON)["error"]["line"] == 1


def test_outside_of_a_repository_the_code_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    found = error_of(capsys, 3, "check", *JSON)["error"]

    assert (found["code"], "git init" in found["hint"]) == ("not_a_repository", True)


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fails(_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "_dispatch", fails)


def test_an_internal_error_is_exit_4(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    fails_with(monkeypatch, RuntimeError("a\udcff\n"))

    assert error_of(capsys, 4, "status", *JSON)["error"]["message"] == "internal error: RuntimeError: a\\xff\n"


def test_an_unreadable_file_is_named_by_its_path(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    fails_with(monkeypatch, Unreadable("a\udcff.json", "is no text"))

    found = error_of(capsys, 3, "status", *JSON)["error"]

    assert (found["code"], found["path"], found["message"]) == ("unreadable", "a\\xff.json", "is no text")


def test_who_interrupts_it_gets_json_too(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    fails_with(monkeypatch, KeyboardInterrupt())

    assert main(["status", *JSON]) == 130
    assert valid(json.loads(capsys.readouterr().out), "error")["error"]["code"] == "interrupted"


@pytest.mark.slow
def test_who_is_asked_to_end_leaves_the_same_documents_as_who_is_interrupted(repo: Repo) -> None:
    """As a CI service does it, and `timeout`; whatever is running for us ends, too."""
    repo.commit(files={"README.md": "# x\n"})
    repo.write("bin/git", "#!/bin/sh\nkill -TERM $PPID\nexec sleep 60\n")
    (repo.root / "bin" / "git").chmod(0o755)
    path = f"{repo.root}/bin{os.pathsep}{os.environ['PATH']}"
    command = [ORCHGATE, "check", "--output-format", "json", "--output-file", "sarif=out.sarif"]

    ended = subprocess.run(command, cwd=repo.root, env={**os.environ, "PATH": path}, capture_output=True, check=False)

    assert (ended.returncode, json.loads(ended.stdout)["error"]["code"]) == (130, "interrupted"), ended
    assert "interrupted" in (repo.root / "out.sarif").read_text()


def test_an_error_after_the_document_makes_no_second_one(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    def late(_: object) -> int:
        _document.write({"a": 1}, sys.stdout)
        raise RuntimeError

    monkeypatch.setattr(cli, "_dispatch", late)

    assert main(["status", *JSON]) == 4
    assert json.loads(capsys.readouterr().out) == {"a": 1}


@pytest.mark.slow
def test_a_full_disk_elsewhere_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stream is given up after it, so a real one is needed."""
    script = "import errno, sys; from orchgate import cli\n"
    script += "def full(_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
    script += "cli._dispatch = full; sys.exit(cli.main(['status', '--output-format', 'json']))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=False)

    assert (done.returncode, valid(json.loads(done.stdout), "error")["error"]["code"]) == (3, "unwritable")


# What no JSON holds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "null"),
        (float("-inf"), "null"),
        (-0.0, "0.0"),
        (-1e-9, "0.0"),
        (1 / 3, "0.333333"),
        (2**63, "null"),
        (10**400, "null"),
        (2**63 - 1, "9223372036854775807"),
        (True, "true"),
        ("a\udcffb", '"a\\\\xffb"'),
        ("\ud83d", '"\\\\ud83d"'),
        ("😀\x1b", '"\\ud83d\\ude00\\u001b"'),
        ({"\udcff": (1.0, None)}, '{"\\\\xff":[1.0,null]}'),
    ],
)
def test_values_that_readers_refuse_are_written_so_that_they_do_not(value: object, text: str) -> None:
    assert _document.text_of(value, indent=None) == text


@pytest.mark.slow
def test_a_reader_that_goes_away_gets_no_traceback(repo: Repo) -> None:
    done = subprocess.run(
        f"set -o pipefail; {ORCHGATE} config keys --frob --output-format json | true",
        shell=True,
        executable="/bin/bash",
        cwd=repo.root,
        capture_output=True,
        check=False,
    )

    assert (done.returncode in (2, 3), b"Traceback" in done.stderr) == (True, False)
