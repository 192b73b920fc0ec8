"""One judgement in several documents: on standard output, in files, in the summary of a step; whatever happens."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from orchgate import registry
from orchgate.cli import main
from orchgate.git.refs import public
from tests.repo import ORCHGATE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

FORMATS = registry.plugins("outputs")
ALL = [f"--output-file={name}=out.{name}" for name in FORMATS]


@pytest.fixture
def refused(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository with a change that has one error; git ignores what the tests write."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    repo.commit(files={"README.md": "# x\n", ".gitignore": "out*\n"})
    repo.stage("docs/notes.md", "See [it](gone.md).\n")
    return repo


def files(repo: Repo) -> dict[str, str]:
    return {path.suffix[1:]: path.read_text() for path in sorted(repo.root.glob("out.*"))}


@pytest.mark.slow
def test_every_format_at_once_and_the_text_as_ever(refused: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--staged"]) == 1
    alone = capsys.readouterr().out

    assert main(["check", "--staged", *ALL]) == 1
    assert capsys.readouterr().out == alone
    written = files(refused)
    assert sorted(written) == sorted(FORMATS)
    assert all("EVD001" in content for content in written.values())
    assert written["text"] == alone
    assert written["github"].endswith("::endgroup::\n" + alone)


@pytest.mark.slow
def test_a_format_is_the_same_on_standard_output(refused: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    for name in FORMATS:
        assert main(["check", "--staged", "evidence", "--output-format", name, f"--output-file={name}=out.x"]) == 1
        out, file = (_timeless(text) for text in (capsys.readouterr().out, (refused.root / "out.x").read_text()))
        assert out == file


def _timeless(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "seconds" not in line and "time=" not in line)


@pytest.mark.slow
def test_format_and_verbosity_never_change_the_verdict(refused: Repo) -> None:
    views: list[list[str]] = [["--quiet"], ["-v"], ["--statistics"], ["--max-per-rule", "1"], ["--color", "always"]]
    lines = [["--output-format", name] for name in FORMATS] + views
    call = ["check", "--staged", "evidence"]

    assert {main([*call, *line]) for line in lines} == {1}
    assert {main([*call, *line, "--exit-zero"]) for line in lines[:2]} == {0}


WRONG = {
    "no folder": (["sarif=no/out.x"], "there is no folder no"),
    "a folder": (["sarif=docs"], "is a directory"),
    "a device": (["sarif=/dev/null"], "is not a regular file"),
    "git's own file": (["sarif=.git/index"], "is git's own"),
    "standard output": (["sarif=-"], "standard output is what --output-format sarif is for"),
    "an unknown format": (["sarf=out.x"], "did you mean sarif?"),
    "no path": (["sarif"], "expected FORMAT=PATH"),
    "an empty path": (["sarif="], "expected FORMAT=PATH"),
    "twice": (["sarif=out.x", "junit=./docs/../out.x"], "sarif and junit go to the same file"),
}


@pytest.mark.slow
def test_a_file_that_cannot_be_written_is_said_before_anything_is_judged(
    refused: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, said in WRONG.values():
        assert main(["check", "--staged", *(f"--output-file={one}" for one in given)]) == 2
        out, err = capsys.readouterr()
        assert (out, said in err) == ("", True), err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_nobody_may_write_to_is_said(refused: Repo) -> None:
    (refused.root / "docs").chmod(0o500)

    assert main(["check", "--staged", "--output-file=sarif=docs/out.x"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("staged", "code"), [("[a](gone.md)\n", 1), ("nothing\n", 3)])
def test_a_file_that_could_not_be_written_in_the_end_is_never_a_pass(
    refused: Repo,
    staged: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from orchgate.lib import files as lib_files

    def full(path: str, data: bytes) -> None:
        raise lib_files.WriteError(path, "No space left on device", 28)

    refused.stage("docs/notes.md", staged)
    monkeypatch.setattr(lib_files, "replace", full)

    assert main(["check", "--staged", "--output-file=sarif=out.x", "--output-file=junit=out.y"]) == code
    out, err = capsys.readouterr()
    assert ("orchgate: " in out, err.count("No space left on device")) == (True, 2)


ERRORS = {
    "usage": (["--nope"], 2, "unknown option --nope"),
    "configuration": ([], 2, "bad: unknown key"),
    "git": (["--commit", "nowhere"], 3, "nowhere"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("options", "code", "said"), ERRORS.values(), ids=ERRORS)
def test_an_error_before_anything_is_judged_stands_in_every_document(
    refused: Repo, options: list[str], code: int, said: str
) -> None:
    if not options:
        refused.stage("orchgate.toml", "bad = 1\n")

    assert main(["check", *ALL, *(options or ["--staged"])]) == code
    assert {name for name, content in files(refused).items() if said in content} == set(FORMATS)
    sarif = json.loads(files(refused)["sarif"])["runs"][0]["invocations"][0]
    assert (sarif["executionSuccessful"], sarif["exitCode"]) == (False, code)


def test_an_error_is_a_document_on_standard_output(refused: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    for name in set(FORMATS) - {"text"}:
        assert main(["check", "--output-format", name, "--nope"]) == 2
        out, err = capsys.readouterr()
        assert ("unknown option --nope" in out, "unknown option --nope" in err) == (True, True)


@pytest.mark.slow
def test_a_check_that_crashes_is_an_error_in_every_document(refused: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchgate.checks import evidence

    def crash(ctx: object) -> NoReturn:
        raise KeyError("x")

    monkeypatch.setattr(evidence, "CHECK", evidence.CHECK._replace(run=crash))

    assert main(["check", "--staged", "evidence", *ALL]) == 4
    assert {name for name, content in files(refused).items() if "internal error" in content} == set(FORMATS)


@pytest.mark.slow
def test_an_interruption_stands_in_every_document(refused: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchgate.gate import session

    def interrupted(*args: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "judge_request", interrupted)

    assert main(["check", "--staged", *ALL]) == 130
    assert {name for name, content in files(refused).items() if "interrupted" in content} == set(FORMATS)


@pytest.mark.slow
def test_a_reader_that_goes_away_takes_nothing_from_the_files(refused: Repo) -> None:
    command = f"{ORCHGATE} check --staged --output-format sarif --output-file junit=out.junit | true"

    refused.attempt("bash", "-c", command)
    assert "EVD001" in files(refused)["junit"]


def test_what_judges_nothing_writes_nothing(refused: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--show-config", "--output-file=text=out.x"]) == 2
    assert main(["check", "--accept-known", "--output-format=sarif"]) == 2
    assert "judges nothing" in capsys.readouterr().err


# GitHub's summary of a step


@pytest.mark.slow
def test_the_summary_of_a_step_is_appended_to(refused: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("</details>")  # below which nothing is Markdown until a line is empty
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))

    assert main(["check", "--staged", "--output-format", "github"]) == 1
    assert summary.read_text().startswith("</details>\n\n<!-- orchgate: check -->\n### orchgate: refused\n")


@pytest.mark.slow
def test_a_summary_without_room_is_said_and_changes_nothing(
    refused: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * (1 << 20))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))

    assert main(["check", "--staged", "--output-format", "github"]) == 1
    assert "there is no room left" in capsys.readouterr().err
    assert summary.stat().st_size == 1 << 20


@pytest.mark.slow
@pytest.mark.parametrize("name", [".", "no/summary.md"])
def test_a_summary_that_cannot_be_written_is_said_and_changes_nothing(
    refused: Repo, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", name)

    assert main(["check", "--staged", "--output-format", "github"]) == 1
    assert "no summary of the step" in capsys.readouterr().err


# Where the repository is

ADDRESSES = {
    "https://user:token@github.com/o/r.git": "https://github.com/o/r.git",
    "https://github.com/o/r?token=x#y": "https://github.com/o/r",
    "https://user:pass/word@github.com/o/r": "",
    "git@github.com:o/r.git": "ssh://github.com/o/r.git",
    "ssh://git@host:2222/o/r": "ssh://host:2222/o/r",
    "/srv/git/r.git": "",
    "../r": "",
    "file:///srv/r": "",
    "ext::sh -c evil": "",
    "https://host/a b/ü": "https://host/a%20b/%C3%BC",
    "": "",
}


def test_an_address_is_shown_without_what_is_secret() -> None:
    assert {address: public(address) for address in ADDRESSES} == ADDRESSES
