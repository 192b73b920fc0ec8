"""The README's first command, as its reader runs it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.commands.playground.play import STEPS, decided

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

COLUMNS, LINES = 80, 25


def steps_of(transcript: str) -> dict[int, list[str]]:
    """What was printed below each title, by the number of the step, the title included."""
    found = re.split(r"(?m)^(?=\d+\. )", transcript)[1:]
    found[-1] = found[-1].partition("\n\nCommitted:")[0].partition("\n\nSkipped")[0]
    return {int(text.partition(".")[0]): text.strip("\n").splitlines() for text in found}


@pytest.mark.slow
def test_the_loop_is_walked_and_what_should_not_land_does_not(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    result = repo.orchgate("try", str(tmp_path / "play"), env={"COLUMNS": str(COLUMNS)})
    steps = steps_of(result.out)

    outcomes = {number: " ".join(re.findall(r"(?m)^   => (\w+)", "\n".join(lines))) for number, lines in steps.items()}
    assert result.code == 0, result.out
    # Step 6 is checked below; on a machine that is too noisy, nothing is refused in step 10, nor excused in step 11.
    assert (outcomes[10] == "landed") == ("PRF004" in "\n".join(steps[10])), result.out
    assert {number: outcomes[number] for number in (1, 2, 3, 4, 5, 7, 8, 9, 12)} == {
        **dict.fromkeys((1, 2, 4, 5, 7, 9), "landed"),
        **dict.fromkeys((3, 8), "refused"),
        12: "",
    }
    assert outcomes[10] in {"refused", "landed"}
    assert f"=> {decided(re.sub(r'(?m)^    ', '', chr(10).join(steps[6])))}" in steps[6][-1]

    rows = [line for line in steps[6] if re.match(r" +(CPU|wall) time {3}", line)]
    assert [row for row in rows if not re.search(r"(pass|warn|fail|inconclusive|probably slower)$", row)] == [], (
        result.out
    )

    assert sorted(steps) == list(range(1, len(STEPS) + 1))
    assert {number: len(lines) for number, lines in steps.items() if len(lines) > LINES} == {}
    # Where this folder lies is as long as it is.
    wide = [line for line in result.out.replace(str(tmp_path), "").splitlines() if len(line) > COLUMNS]
    assert [line for line in wide if " " in line.strip()] == []  # a path cannot be broken

    # It takes half a minute, so the folder that it leaves is looked at here, too.
    (tmp_path / "play" / "more.txt").write_text("more\n")
    result = repo.attempt("sh", "-c", "git add more.txt && git commit -m More", cwd=tmp_path / "play")
    assert (result.code, os.path.exists(os.environ["XDG_STATE_HOME"])) == (0, False), result.out
    assert "orchgate: passed" in result.out


@pytest.mark.slow
def test_one_step_is_shown_alone_whatever_git_is_told_for_all_repositories(repo: Repo, tmp_path: Path) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text(
        f"[core]\n\thooksPath = {tmp_path}/hooks\n[commit]\n\tgpgsign = true\n[push]\n\tdefault = nothing\n"
    )
    env = {"GIT_CONFIG_GLOBAL": str(settings)}

    alone = steps_of(repo.orchgate("try", "--step", "3", env=env, cwd=tmp_path).out)
    result = repo.orchgate("try", "--fast", env=env, cwd=tmp_path)

    assert list(alone) == [3]
    assert alone[3][-1] == "   => refused"
    assert (result.code, list(steps_of(result.out))) == (0, [1, 2, 3, 4, 5, 7, 8]), result.out
    assert "Skipped steps 6, 9, 10, 11 and 12, which measure or push." in result.out
    assert not (tmp_path / "hooks").exists()


@pytest.mark.parametrize(
    ("printed", "sentence"),
    [
        ("  CPU time  0.1 s  0.3 s  fail\nfail: CPU time: base took at most 0.1 s\n", "faster"),
        ("fail: wall time changed by +90.0 %\n  memory: as before\n", "faster"),
        ("inconclusive: CPU time: cannot tell\n", "not decided"),
        ("warn: memory changed by +2.0 %\n", "no gain"),
        ("fail: memory changed by +30.0 %\n", "no gain"),
        ("pass: CPU time: not slower\n", "no gain"),
        ("", "no gain"),
    ],
)
def test_only_a_verdict_about_time_is_called_faster(printed: str, sentence: str) -> None:
    assert decided(printed).startswith(sentence)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--step", "99"], "there is no step 99; there are 12"),
        (["--step", "0"], "--step: expected a whole number from 1 on, not '0'"),
        (["--step", "10", "--fast"], "step 10 is one that --fast skips"),
        (["."], ". is not an empty folder"),
    ],
)
def test_what_cannot_be_shown_is_wrong_usage(
    repo: Repo, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repo.root)

    assert main(["try", *words]) == 2
    assert f"orchgate: {message}\n" in capsys.readouterr().err
