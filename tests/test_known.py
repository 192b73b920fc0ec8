"""`.orchgate/known.json`: what was there at adoption, where there is no base to compare with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from orchgate import registry
from orchgate.cli import main
from orchgate.gate import known
from orchgate.gate.suppressions import KNOWN, WRITTEN
from orchgate.lib import files
from tests.support import checked

if TYPE_CHECKING:
    from tests.repo import Repo

HUB = "docs/hub.md"
GONE = "".join(f"- [gone {number}](gone-{number}.md)\n" for number in range(3))
LINE = {"path": HUB, "rule": "EVD001", "about": "gone-0.md", "severity": "error"}


def document(*findings: dict[str, Any], reason: str = "adopted") -> bytes:
    return json.dumps({"version": 1, "accepted": [{"reason": reason, "findings": list(findings)}]}).encode()


def accept(*options: str) -> int:
    return main(["check", "--accept-known", *options])


@pytest.fixture
def hub(repo: Repo) -> Repo:
    """A repository with three dead links."""
    repo.commit(files={HUB: GONE})
    return repo


@pytest.fixture
def adopted(hub: Repo) -> Repo:
    """The same after they were accepted."""
    assert accept("--reason", "adopted") == 0
    hub.git("add", "--all")
    hub.commit("adopt")
    return hub


def listed(repo: Repo) -> list[str]:
    text = (repo.root / KNOWN).read_text()
    return [finding["about"] for group in json.loads(text)["accepted"] for finding in group["findings"]]


@pytest.mark.slow
def test_the_default_branch_fails_before_adoption_and_passes_after_it(hub: Repo) -> None:
    before = main(["check", "--all-files"])
    accept("--reason", "adopted")
    hub.git("add", "--all")
    hub.commit("adopt")

    assert (before, main(["check", "--all-files"])) == (1, 0)


@pytest.mark.slow
def test_adoption_itself_can_be_committed(hub: Repo) -> None:
    accept("--reason", "adopted with three dead links")
    hub.stage("orchgate.toml", "")
    hub.git("add", "--all")

    report = checked("--staged")

    assert report["verdict"] == "warn"
    assert [one["message"] for one in report["diagnostics"]] == [
        "accepts 3 more findings as known: adopted with three dead links"
    ]


@pytest.mark.slow
def test_what_is_written_fits_the_schema_and_is_one_line_a_finding(adopted: Repo) -> None:
    data = (adopted.root / KNOWN).read_bytes()

    jsonschema_rs.validate(json.loads(files.read_data("schemas", "known.json")), json.loads(data))
    assert [line.count(b'"rule"') for line in data.splitlines() if b"EVD001" in line] == [1, 1, 1]


@pytest.mark.slow
def test_strict_judges_by_everything(adopted: Repo) -> None:
    assert checked("--all-files", "--strict")["verdict"] == "fail"


@pytest.mark.slow
def test_what_is_not_known_refuses_the_default_branch(adopted: Repo) -> None:
    adopted.commit(files={HUB: GONE + "[new](new.md)\n"})

    report = checked("--all-files")

    assert [one["message"] for one in report["diagnostics"] if not one["older"]] == ["new.md does not exist in docs/"]


@pytest.mark.slow
def test_without_a_reason_it_only_shrinks(adopted: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    adopted.commit(files={HUB: GONE.replace("gone-1", "new")})

    assert accept() == 1
    assert listed(adopted) == ["gone-0.md", "gone-2.md"]
    assert "1 finding not accepted, 1 error among them" in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_gone_is_said_with_the_command_that_removes_it(
    adopted: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    adopted.commit(files={HUB: "# Hub\n"})

    main(["check", "--all-files"])

    said = ".orchgate/known.json: 3 findings in it are gone\n  hint: orchgate check --accept-known\n"
    assert said in capsys.readouterr().out


def renamed(repo: Repo) -> None:
    repo.git("mv", HUB, "docs/center.md")


@pytest.mark.slow
def test_what_is_known_of_a_renamed_document_is_known_of_the_new_one(
    adopted: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed(adopted)
    adopted.commit("rename")

    code = main(["check", "--all-files"])

    said = ".orchgate/known.json: 3 findings in it are in another document now\n  hint: orchgate check --accept-known\n"
    assert (code, said in capsys.readouterr().out) == (0, True)


@pytest.mark.slow
def test_without_a_reason_it_follows_a_rename(adopted: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    renamed(adopted)

    assert accept() == 0
    assert "3 known findings (3 moved, 0 new, 0 gone)" in capsys.readouterr().out
    groups = json.loads((adopted.root / KNOWN).read_text())["accepted"]
    assert {(group["reason"], one["path"]) for group in groups for one in group["findings"]} == {
        ("adopted", "docs/center.md")
    }


@pytest.mark.slow
def test_a_change_that_renames_may_bring_the_list_along(adopted: Repo) -> None:
    renamed(adopted)
    accept()
    adopted.git("add", "--all")
    staged = checked("--staged")
    adopted.commit("rename")

    assert (staged["verdict"], checked("--all-files")["verdict"]) == ("pass", "pass")


@pytest.mark.slow
def test_a_link_that_moved_out_of_a_document_that_is_there_is_known(adopted: Repo) -> None:
    first, *others = GONE.splitlines(keepends=True)
    adopted.stage(HUB, "".join(others))
    adopted.stage("docs/other.md", first)
    staged = checked("--staged")["verdict"]
    adopted.commit("move a line")

    assert (staged, checked("--all-files")["verdict"], accept()) == ("pass", "pass", 0)


@pytest.mark.slow
def test_what_is_known_excuses_once_wherever_it_went(adopted: Repo) -> None:
    renamed(adopted)
    adopted.commit(files={"docs/center.md": GONE + "- [again](gone-0.md)\n", "docs/copy.md": GONE})

    report = checked("--all-files")

    assert sum(one["older"] for one in report["diagnostics"]) == 3
    assert sum(not one["older"] for one in report["diagnostics"]) == 4


@pytest.mark.slow
def test_what_is_known_of_a_document_that_is_there_excuses_what_lacks_in_no_other_one(repo: Repo) -> None:
    """A link may have moved to another document; an empty section has not."""
    empty = "# PRD\n\n## Goals\n\n## Non-Goals\n\nNone.\n"
    repo.commit(files={"docs/PRD-one.md": empty})
    accept("--reason", "adopted")
    repo.git("add", "--all")
    filled = empty.replace("## Goals\n", "## Goals\n\nOne.\n")
    repo.commit(files={"docs/PRD-one.md": filled, "docs/PRD-two.md": empty})

    found = [one for one in checked("documents", "--all-files")["diagnostics"] if one["rule"] == "DOC003"]

    assert [(one["path"], one["older"]) for one in found] == [("docs/PRD-two.md", False)]


def test_what_may_move_is_a_rule() -> None:
    assert {rule.id for check in registry.checks() for rule in check.rules} >= WRITTEN


def known_of(*lines: tuple[str, str, int]) -> known.Known:
    findings = ({**LINE, "path": path, "severity": severity, "count": count} for path, severity, count in lines)
    return known.parse(document(*findings))


@pytest.mark.parametrize(
    ("after", "more"),
    [
        ([("docs/b.md", "error", 2)], 0),
        ([("docs/b.md", "error", 1), ("docs/c.md", "warning", 1)], 0),
        ([("docs/a.md", "error", 2), ("docs/b.md", "error", 1)], 1),
        ([("docs/b.md", "error", 3)], 1),
        ([], 0),
    ],
)
def test_a_list_grows_only_where_more_is_known(after: list[tuple[str, str, int]], more: int) -> None:
    assert known.grown(known_of(("docs/a.md", "error", 2)), known_of(*after)).number == more


def test_a_list_grows_where_what_is_known_weighs_more() -> None:
    before, after = known_of(("docs/a.md", "warning", 2)), known_of(("docs/b.md", "error", 1))

    assert (known.grown(before, after).number, known.grown(after, before).number) == (1, 1)


@pytest.mark.slow
def test_the_last_one_takes_the_file_with_it(adopted: Repo) -> None:
    adopted.commit(files={HUB: "# Hub\n"})

    assert accept() == 0
    assert not (adopted.root / KNOWN).exists()


@pytest.mark.slow
def test_each_keeps_the_reason_it_was_accepted_for(adopted: Repo) -> None:
    adopted.commit(files={HUB: GONE + "[new](new.md)\n"})
    accept("--reason", "moved in from the wiki")

    groups = json.loads((adopted.root / KNOWN).read_text())["accepted"]

    assert {group["reason"]: len(group["findings"]) for group in groups} == {"adopted": 3, "moved in from the wiki": 1}


@pytest.mark.slow
def test_a_change_is_judged_by_its_base_and_not_by_the_list(adopted: Repo) -> None:
    """Otherwise a list of what was fixed long ago would let it come back, and anybody could write the list."""
    adopted.commit(files={HUB: "# Hub\n"})
    adopted.stage(HUB, GONE)

    assert checked("--staged")["verdict"] == "fail"


@pytest.mark.slow
def test_a_change_cannot_accept_what_it_brings(adopted: Repo) -> None:
    adopted.stage(HUB, GONE + "[new](new.md)\n")
    accept("--reason", "in a hurry")
    adopted.git("add", "--all")

    found = {one["rule"]: one["severity"] for one in checked("--staged")["diagnostics"] if not one["older"]}

    assert found == {"CFG001": "error", "EVD001": "error"}


@pytest.mark.slow
def test_a_list_that_shrinks_loosens_nothing(adopted: Repo) -> None:
    adopted.stage(HUB, GONE.replace("- [gone 1](gone-1.md)\n", ""))
    accept()
    adopted.git("add", "--all")

    assert checked("--staged")["verdict"] == "pass"


@pytest.mark.slow
def test_a_secret_is_not_written_into_it(repo: Repo) -> None:
    secret = "ghp_" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2"
    repo.commit(files={"tasks/tasks-0001-demo.md": f"# Checklist\n\n- [x] The tests pass with token = {secret}\n"})

    accept("--reason", "adopted")

    data = (repo.root / KNOWN).read_text()
    assert secret not in data
    assert "sha256:" in data
    repo.git("add", "--all")
    repo.commit("adopt")
    assert checked("evidence", "--all-files")["verdict"] == "pass"


def test_a_reason_that_holds_a_secret_is_refused(hub: Repo) -> None:
    assert accept("--reason", "token = ghp_" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2") == 2
    assert not (hub.root / KNOWN).exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--accept-known", "--staged"),
        ("--accept-known", "documents"),
        ("--accept-known", "--reason", " "),
        ("--accept-known", "--no-ignores"),
        ("--all-files", "--reason", "why"),
    ],
    ids=" ".join,
)
def test_options_that_do_not_go_together_write_nothing(hub: Repo, options: tuple[str, ...]) -> None:
    assert main(["check", *options]) == 2
    assert not (hub.root / KNOWN).exists()


def test_nothing_is_written_through_a_link(hub: Repo) -> None:
    (hub.root / "elsewhere").mkdir()
    (hub.root / ".orchgate").symlink_to("elsewhere")

    assert accept("--reason", "adopted") == 3
    assert list((hub.root / "elsewhere").iterdir()) == []


# The file as others leave it

BROKEN = {
    b"": "is not JSON",
    b"\xff": "is not UTF-8 text",
    b"[1": "is not JSON",
    b"[]": "is not an object",
    b"[" * 10_000: "is not JSON: nested too deeply",
    b'{"version": 1, "version": 1, "accepted": []}': "a key appears twice",
    b'{"version": 2, "accepted": []}': "is of version 2",
    b'{"version": 1, "accepted": [], "more": 1}': "is not an object",
    b'{"version": 1, "accepted": {}}': '"accepted" is not a list',
    b'{"version": 1, "accepted": [1]}': '"accepted" holds what is not an object',
    document(LINE, reason=" "): "accepts findings without a reason",
    document(LINE, LINE): "lists a finding twice: EVD001 docs/hub.md: gone-0.md",
    document({**LINE, "line": 3}): "a finding has a key that is not known",
    document({**LINE, "path": 3}): "a finding holds a wrong value",
    document({**LINE, "severity": "off"}): "a finding holds a wrong value",
    document({**LINE, "count": 0}): "a count is not from 1 to",
    document({**LINE, "count": 10**12}): "a count is not from 1 to",
    document({**LINE, "count": True}): "a count is not from 1 to",
    document({"rule": "EVD001"}): "holds what is no finding",
    b'{\n<<<<<<< ours\n"version": 1,\n=======\n': "line 2 is the mark of a merge conflict",
    b'{"version": NaN, "accepted": []}': "NaN is not a number",
}


@pytest.mark.parametrize(("data", "why"), BROKEN.items(), ids=BROKEN.values())
def test_a_file_that_cannot_be_read_says_why(data: bytes, why: str) -> None:
    with pytest.raises(known.KnownError) as caught:
        known.parse(data)

    assert why in caught.value.message


def test_a_byte_order_mark_is_read_over() -> None:
    assert known.parse(b"\xef\xbb\xbf" + document(LINE)) == known.parse(document(LINE))


@pytest.mark.slow
def test_a_list_that_is_a_link_is_called_one(adopted: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    (adopted.root / KNOWN).rename(adopted.root / "known.json")
    (adopted.root / KNOWN).symlink_to("../known.json")
    accepted = accept("--reason", "again")
    adopted.git("add", "--all")
    adopted.commit("link")

    assert (accepted, main(["check", "--all-files"])) == (3, 1)
    said = capsys.readouterr()
    assert "known.json: is a symbolic link, not a regular file" in said.err
    assert "is a symbolic link, not a regular file" in said.out


def test_a_huge_file_is_not_read() -> None:
    with pytest.raises(known.KnownError, match="is larger than"):
        known.parse(b" " * (known.MAX_BYTES + 1))


@pytest.mark.slow
def test_a_file_that_cannot_be_read_excuses_nothing_and_is_named(
    adopted: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    adopted.commit(files={KNOWN: "<<<<<<< ours\n"})

    assert main(["check", "--all-files"]) == 1
    printed = capsys.readouterr().out
    assert "evidence, manifests: line 1 is the mark of a merge conflict" in printed


@pytest.mark.slow
def test_a_change_that_breaks_the_file_cannot_be_checked(adopted: Repo) -> None:
    adopted.stage(KNOWN, "<<<<<<< ours\n")

    assert main(["check", "--staged"]) == 3


@pytest.mark.slow
def test_a_change_that_repairs_the_file_passes(adopted: Repo) -> None:
    data = (adopted.root / KNOWN).read_text()
    adopted.commit(files={KNOWN: "<<<<<<< ours\n"})
    adopted.stage(KNOWN, data)

    assert main(["check", "--staged"]) == 0


def test_a_broken_file_lets_nothing_pass(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit(files={"docs/a.md": "# A\n\n`docs/gone.md`\n", KNOWN: "{"})

    assert main(["check", "--all-files", "evidence"]) == 3
    assert "could not check evidence: is not JSON" in capsys.readouterr().out


@pytest.mark.slow
def test_a_broken_file_is_not_overwritten(adopted: Repo) -> None:
    adopted.write(KNOWN, "<<<<<<< ours\n")

    assert accept("--reason", "again") == 3
    assert (adopted.root / KNOWN).read_text() == "<<<<<<< ours\n"


@pytest.mark.slow
def test_lines_in_another_order_mean_the_same(adopted: Repo) -> None:
    """A merge by union mixes them up."""
    data = (adopted.root / KNOWN).read_text()
    document = json.loads(data)
    document["accepted"][0]["findings"].reverse()
    adopted.commit(files={KNOWN: json.dumps(document)})
    passed = main(["check", "--all-files"])
    accept()

    assert (passed, (adopted.root / KNOWN).read_text()) == (0, data)


@pytest.mark.slow
def test_what_is_known_as_a_warning_is_no_excuse_for_an_error(hub: Repo) -> None:
    hub.commit(files={KNOWN: document({**LINE, "severity": "warning"})})

    assert sum(one["older"] for one in checked("--all-files")["diagnostics"]) == 0


@pytest.mark.slow
def test_names_that_are_not_unicode_can_be_known(repo: Repo) -> None:
    repo.stage(b"docs/\xff.md", GONE)
    repo.commit()
    accept("--reason", "adopted")
    repo.git("add", "--all")
    repo.commit("adopt")

    assert checked("--all-files")["verdict"] == "pass"
