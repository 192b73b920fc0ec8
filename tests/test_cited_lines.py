"""EVD013: a line that a document cites of a file that cannot be read is no line that was checked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.evidence import references

if TYPE_CHECKING:
    from tests.repo import Repo

LOG = "out/0001-demo/bench.log"


def checked(repo: Repo, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    repo.git("add", "docs")
    code = main(["check", "--staged", "evidence"])
    return code, capsys.readouterr().out


@pytest.mark.slow
def test_lines_of_a_file_too_large_to_count_are_not_passed(
    repo: Repo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "MAX_BYTES", 10)
    repo.commit("code", {"src/long.py": "print(1)\n" * 9, "src/short.py": "1\n"})
    repo.write("docs/a.md", "[b](../src/short.py#L1)\n")
    assert checked(repo, capsys)[0] == 0

    repo.write("docs/a.md", "[a](../src/long.py#L3)\n")
    code, out = checked(repo, capsys)

    assert (code, "src/long.py" in out, "is larger than 10 bytes" in out) == (3, True, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_lines_of_a_log_that_cannot_be_read_are_not_passed(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write(".git/info/exclude", "out/\n")
    repo.write(LOG, "one\ntwo\n")
    repo.write("docs/a.md", f"[log](../{LOG}#L2)\n")
    assert checked(repo, capsys)[0] == 0

    (repo.root / LOG).chmod(0)
    code, out = checked(repo, capsys)

    assert (code, LOG in out, "cannot be read" in out) == (3, True, True)
