"""Whatever the settings, attributes, names and contents: the budget counts what `git diff --numstat -z -M` counts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.counting import by_unidiff, facts, numstat
from tests.repo import Repo, init
from tests.scoping import budget_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

LINES = "".join(f"line {number}\n" for number in range(1, 31))


@pytest.fixture
def changed(repo: Repo) -> Repo:
    """A staged change of every ordinary kind; `hidden.txt` is a text file that some tests hide."""
    repo.commit(
        "base",
        {
            "edited.txt": LINES,
            "hidden.txt": LINES,
            "moved.txt": LINES + "moved\n",
            "copied.txt": LINES + "copied\n",
            "removed.txt": "gone\n",
            "sub/deep.txt": "a\nb\n",
            "binary.bin": b"a\0b\n",
            "ä ö.txt": "x\n",
        },
    )
    repo.stage("edited.txt", LINES.replace("line 3\n", "  line three\n").replace("line 20\n", ""))
    repo.stage("hidden.txt", LINES + "more\n")
    repo.git("mv", "moved.txt", "sub/moved.txt")
    repo.stage("sub/moved.txt", LINES + "moved and edited\n")
    repo.stage("copy.txt", LINES + "copied\n")
    repo.git("rm", "-q", "removed.txt")
    repo.stage("sub/deep.txt", "b\na\n")
    repo.stage("binary.bin", b"a\0c\n")
    repo.stage("ä ö.txt", "y\n")
    repo.stage("new.txt", "1\n2\n3\n")
    return repo


EXPECTED = {
    "binary.bin": (0, 0),
    "copy.txt": (31, 0),
    "edited.txt": (1, 2),
    "hidden.txt": (1, 0),
    "new.txt": (3, 0),
    "removed.txt": (0, 1),
    "sub/deep.txt": (1, 1),
    "sub/moved.txt": (1, 1),
    "ä ö.txt": (1, 1),
}


def test_clean_repository_counts_what_git_counts(changed: Repo) -> None:
    assert (facts(), numstat(changed)) == (EXPECTED, EXPECTED)


def test_clean_repository_has_nothing_hidden(changed: Repo) -> None:
    assert budget_of(staged=True).findings == ()


# Settings

SETTINGS = [
    {"diff.external": "/bin/true"},
    {"color.diff": "always", "color.ui": "always", "diff.colorMoved": "zebra", "diff.wsErrorHighlight": "all"},
    {"diff.orderFile": "/no/such/file"},
    {"diff.noprefix": "true"},
    {"diff.mnemonicPrefix": "true"},
    {"diff.srcPrefix": "x y/", "diff.dstPrefix": "\n/"},
    {"diff.renames": "false"},
    {"diff.renames": "copies"},
    {"diff.renameLimit": "1"},
    {"diff.relative": "true"},
    {"diff.submodule": "log"},
    {"diff.ignoreSubmodules": "all"},
    {"diff.algorithm": "patience"},
    {"diff.algorithm": "histogram", "diff.indentHeuristic": "false"},
    {"diff.interHunkContext": "50"},
    {"diff.context": "9"},
    {"diff.suppressBlankEmpty": "true"},
    {"diff.wordRegex": "."},
    {"diff.dirstat": "files", "diff.statGraphWidth": "1"},
    {"core.pager": "/bin/false", "pager.diff": "true"},
    {"core.quotePath": "true"},
    {"core.bigFileThreshold": "1"},
    {"core.fsmonitor": "/bin/false"},
    {"core.whitespace": "tab-in-indent", "apply.whitespace": "error"},
    {"core.autocrlf": "true", "core.safecrlf": "false"},
    {"core.ignoreCase": "true", "core.precomposeUnicode": "true"},
    {"i18n.logOutputEncoding": "UTF-16", "i18n.commitEncoding": "latin1"},
    {"submodule.recurse": "true", "status.showUntrackedFiles": "no"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: ",".join(f"{k}={v!r}" for k, v in settings.items()))
def test_no_setting_changes_a_count(changed: Repo, settings: dict[str, str]) -> None:
    for key, value in settings.items():
        changed.git("config", key, value)
    outcome = budget_of(staged=True)

    assert (facts(), outcome.findings) == (EXPECTED, ())


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: ",".join(f"{k}={v!r}" for k, v in settings.items()))
def test_no_setting_spoils_the_patch(changed: Repo, settings: dict[str, str]) -> None:
    for key, value in settings.items():
        changed.git("config", key, value)
    counted, shown = by_unidiff("HEAD")

    assert counted == shown


@pytest.mark.parametrize(
    "variables",
    [
        {"GIT_EXTERNAL_DIFF": "/bin/true"},
        {"GIT_DIFF_OPTS": "--unified=50 -u20"},
        {"GIT_PAGER": "/bin/false", "PAGER": "/bin/false", "LESS": "-X"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "diff.noprefix", "GIT_CONFIG_VALUE_0": "true"},
        {"GIT_CONFIG_PARAMETERS": "'diff.external=/bin/true' 'core.quotePath=true'"},
        {"GIT_TRACE": "1", "GIT_TRACE2": "1", "GIT_TRACE_SETUP": "1"},
        {"LANG": "de_DE.UTF-8", "LANGUAGE": "de", "LC_ALL": "de_DE.UTF-8"},
        {"GIT_LITERAL_PATHSPECS": "0", "GIT_ICASE_PATHSPECS": "1"},
        {"GIT_DEFAULT_HASH": "sha256", "GIT_PREFIX": "sub/", "TERM": "dumb"},
    ],
    ids=",".join,
)
def test_no_variable_changes_a_count(changed: Repo, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert facts() == EXPECTED


def test_settings_of_the_user_change_nothing(changed: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text(
        "[diff]\nnoprefix\nexternal = /bin/true\n[color]\nui = always\n"
        f"[core]\nattributesFile = {tmp_path / 'attributes'}\n"
    )
    (tmp_path / "attributes").write_text("*.txt -diff\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))

    assert facts() == EXPECTED


# Attributes


def by_attributes(repo: Repo, where: str, line: str) -> None:
    if where == "committed":
        repo.commit("attributes", {".gitattributes": line})
        repo.git("reset", "-q", "--soft", "HEAD~1")
        repo.git("rm", "-q", "--cached", ".gitattributes")
    elif where == "info":
        (repo.root / ".git" / "info").mkdir(exist_ok=True)
        (repo.root / ".git" / "info" / "attributes").write_text(line)
    else:
        repo.write(".gitattributes", line)


@pytest.mark.parametrize("where", ["work tree", "info", "committed"])
@pytest.mark.parametrize(
    "line", ["hidden.txt -diff\n", "hidden.txt binary\n", "*.txt -diff -text\n", "* -diff\n"], ids=str.strip
)
def test_hidden_text_is_counted(changed: Repo, where: str, line: str) -> None:
    by_attributes(changed, where, line)

    assert facts() == EXPECTED


def test_hidden_text_is_reported(changed: Repo) -> None:
    by_attributes(changed, "work tree", "*.txt -diff\n*.bin -diff\n")
    found = [(finding.rule, finding.location.path) for finding in budget_of(staged=True).findings]

    assert found == [("DIF002", path) for path in EXPECTED if path != "binary.bin"]


def test_attribute_that_comes_with_the_change_itself_is_reported(repo: Repo) -> None:
    repo.stage(".gitattributes", "*.md -diff\n")
    repo.stage("a.md", "1\n2\n")

    assert [finding.message for finding in budget_of(staged=True).findings] == [
        "a git attribute hides the diff of this text file (+2 -0 lines, counted)"
    ]


def test_textconv_driver_changes_nothing(changed: Repo) -> None:
    changed.git("config", "diff.none.textconv", "true")
    changed.git("config", "diff.none.cachetextconv", "true")
    by_attributes(changed, "work tree", "* diff=none\n")

    assert facts() == EXPECTED


@pytest.mark.parametrize("setting", [("diff.none.binary", "true"), ("diff.none.command", "/bin/true")])
def test_diff_driver_changes_nothing(changed: Repo, setting: tuple[str, str]) -> None:
    changed.git("config", *setting)
    by_attributes(changed, "work tree", "* diff=none\n")

    assert facts() == EXPECTED


def test_hidden_range_is_counted_too(changed: Repo) -> None:
    by_attributes(changed, "info", "* -diff\n")
    changed.commit("change")

    assert facts(commit="HEAD") == EXPECTED


def test_hidden_file_of_a_bare_repository_is_counted(
    changed: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed.commit("change")
    changed.git("clone", "-q", "--bare", "--template=", ".", str(tmp_path / "bare"))
    (tmp_path / "bare" / "info").mkdir(exist_ok=True)
    (tmp_path / "bare" / "info" / "attributes").write_text("* -diff\n")
    monkeypatch.chdir(tmp_path / "bare")

    assert facts(commit="HEAD") == EXPECTED


def test_hidden_rename_without_an_edit_hides_nothing(repo: Repo) -> None:
    repo.commit("base", {"a.txt": LINES})
    repo.git("mv", "a.txt", "b.txt")
    by_attributes(repo, "work tree", "* -diff\n")

    assert (facts(), budget_of(staged=True).findings) == ({"b.txt": (0, 0)}, ())


def test_hidden_removals_and_additions_are_not_paired(repo: Repo) -> None:
    # Among a thousand others git gives up looking for renames; among the hidden few it would find one.
    repo.commit("base", {"a.txt": LINES, **{f"old/{n}": f"{n}\n" * 9 for n in range(40)}})
    repo.git("rm", "-q", "-r", "old", "a.txt")
    for number in range(40):
        repo.write(f"new/{number}", f"{number + 1000}\n" * 9)
    repo.write("b.txt", LINES + "b\n")
    repo.git("add", "-A")
    by_attributes(repo, "info", "*.txt -diff\n")

    assert facts() == numstat_without_attributes(repo)


def numstat_without_attributes(repo: Repo) -> dict[str, tuple[int, int]]:
    attributes = repo.root / ".git" / "info" / "attributes"
    hidden = attributes.read_text()
    attributes.unlink()
    counts = numstat(repo)
    attributes.write_text(hidden)
    return counts


def test_many_hidden_files_fit_on_no_command_line(repo: Repo) -> None:
    for number in range(1100):
        repo.write(f"{'long' * 40}/{number}.txt", "1\n2\n")
    repo.git("add", "-A")
    by_attributes(repo, "info", "* -diff\n")

    assert set(facts().values()) == {(2, 0)}


def test_hidden_file_that_is_too_large_cannot_be_measured(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchgate.checks.diff_budget.MAX_BYTES", 10)
    repo.stage("big.txt", LINES)
    by_attributes(repo, "info", "* -diff\n")

    assert [(finding.rule, finding.message) for finding in budget_of(staged=True).findings] == [
        ("DIF003", "lines cannot be counted: larger than 10 bytes (231)")
    ]


def test_binary_file_that_is_too_large_is_a_binary_file(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchgate.checks.diff_budget.MAX_BYTES", 10)
    repo.stage("big.bin", b"\0" * 100_000)

    assert budget_of(staged=True).findings == ()


def test_ignored_file_may_hide(repo: Repo) -> None:
    repo.commit("configuration", {"orchgate.toml": '[diff-budget]\nignore = ["*.min.js"]\n'})
    repo.stage("a.min.js", "1\n2\n")
    by_attributes(repo, "info", "* -diff\n")

    assert (facts(), budget_of(staged=True).findings) == ({"a.min.js": (2, 0)}, ())


def test_merge_with_a_hidden_edit_of_its_own_is_counted(repo: Repo) -> None:
    repo.commit("base", {"a.txt": LINES})
    repo.git("checkout", "-q", "-b", "feature")
    repo.commit("feature", {"a.txt": LINES.replace("line 5\n", "feature\n")})
    repo.git("checkout", "-q", "main")
    repo.commit("main", {"a.txt": LINES.replace("line 5\n", "main\n")})
    assert repo.attempt("git", "merge", "feature").code == 1
    by_attributes(repo, "info", "* -diff\n")
    repo.stage("a.txt", LINES.replace("line 5\n", "both\nof them\n"))

    assert facts() == {"a.txt": (2, 1)}


# Names

NAMES = [
    b"line\nbreak.txt",
    b"\ndiff --git a\nb",
    b'quo"te.txt',
    b"it's.txt",
    b"back\\slash.txt",
    b"a b/ c b/d",
    b"x b/x",
    b"b/a/b",
    b"tab\there.txt",
    b"\x1b[31mred",
    b"bell\x07",
    b"\xff\xfe.txt",
    b"latin-\xe4.txt",
    b"-dash.txt",
    b"--output=x",
    b":colon.txt",
    b":(top)magic",
    b":/x",
    b"a/b -> c",
    b"a => b",
    b"{a => b}/c",
    "unicode-ä-日本-🙂.txt".encode(),
    "e\u0301 decomposed".encode(),
    "\u2028 separator \u202e".encode(),
    b"n" * 200,
    b"d/" * 60 + b"deep",
    b" leading and trailing ",
    b"*",
    b"[a]?",
    b"dev/null",
    b"@@ -1 +1 @@",
    b"carriage\rreturn",
    b"formfeed\x0c",
    b"$(touch x)`touch y`",
    b"HEAD",
]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_odd_name_is_counted(repo: Repo, name: bytes) -> None:
    repo.write(name, LINES)
    repo.git("add", "-A")
    repo.commit()
    repo.write(name, LINES.replace("line 7\n", "seven\n7\n"))
    repo.git("add", "-A")

    assert facts() == numstat(repo) == {os.fsdecode(name): (2, 1)}


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_odd_name_is_found_in_the_patch(repo: Repo, name: bytes) -> None:
    repo.write(name, LINES)
    repo.write(b"zz", "other\n")
    repo.git("add", "-A")
    counted, shown = by_unidiff(None)

    assert counted == shown


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_odd_name_hides_nothing(repo: Repo, name: bytes) -> None:
    repo.write(name, LINES)
    repo.git("add", "-A")
    by_attributes(repo, "info", "* -diff\n")

    assert facts() == {os.fsdecode(name): (30, 0)}


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_rename_to_an_odd_name_is_one_file(repo: Repo, name: bytes) -> None:
    repo.commit("base", {"plain.txt": LINES})
    (repo.root / "plain.txt").unlink()
    repo.write(name, LINES + "more\n")
    repo.git("add", "-A")

    assert facts() == numstat(repo) == {os.fsdecode(name): (1, 0)}


def test_odd_names_all_at_once_keep_their_own_counts(repo: Repo) -> None:
    for lines, name in enumerate(NAMES, 1):
        repo.write(name, "x\n" * lines)
    repo.git("add", "-A")
    counted, shown = by_unidiff(None)

    assert facts() == counted == shown == {os.fsdecode(name): (lines, 0) for lines, name in enumerate(NAMES, 1)}


# Contents

CONTENTS = {
    "form feed": (b"a\x0cb\n", b"a\x0cc\x0c\n"),
    "U+2028": ("a\u2028b\n".encode(), "a\u2028c\u2029\u0085\n".encode()),
    "lone CR": (b"a\rb\n", b"a\rc\rd\n"),
    "only CR": (b"", b"a\rb\rc\r"),
    "CRLF": (b"a\r\nb\r\n", b"a\r\nc\r\n"),
    "CRLF to LF": (b"a\r\nb\r\n", b"a\nb\n"),
    "vertical tab and separators": (b"x\n", b"\x0b\n\x1c\n\x1d\x1e\n"),
    "no newline at the end": (b"a\nb", b"a\nc"),
    "newline at the end added": (b"a", b"a\n"),
    "newline at the end removed": (b"a\n", b"a"),
    "emptied": (b"a\nb\n", b""),
    "filled": (b"", b"a\nb\n"),
    "only blank lines": (b"\n\n\n", b"\n\n\n\n\n"),
    "text that looks like a patch": (
        b"x\n",
        b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\n\\ No newline at end of file\n",
    ),
    "lines that look like headers": (b"-- a/x\n++ b/x\n", b"-- a/y\n++ b/y\n"),
    "not UTF-8": (b"\xff\xfe\xe4\n", b"\xff\xfe\xe5\n\x80\n"),
    "UTF-16": ("a\nb\n".encode("utf-16"), "a\nc\n".encode("utf-16")),
    "surrogates in UTF-8": (b"\xed\xa0\x80\n", b"\xed\xb0\x80\n"),
    "NUL at byte 7,999": (b"", b"x\n" * 3999 + b"\0\n"),
    "NUL as byte 8,000": (b"", b"y" + b"x\n" * 3999 + b"\0\n"),
    "NUL at byte 8,001": (b"", b"x\n" * 4000 + b"\0\n"),
    "NUL as the first byte": (b"\0", b"\0\n"),
    "binary to text": (b"\0\n", b"a\n"),
    "text to binary": (b"a\n", b"\0\n"),
    "one line of a megabyte": (b"x", b"x" * 1_000_000),
    "many hunks": (
        b"".join(b"%d\n" % n for n in range(2000)),
        b"".join(b"%d\n" % (n - n % 7 // 6) for n in range(2000)),
    ),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=list(CONTENTS))
def test_odd_content_is_counted(repo: Repo, content: tuple[bytes, bytes]) -> None:
    repo.commit("base", {"file": content[0]})
    repo.stage("file", content[1])

    assert facts() == numstat(repo)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=list(CONTENTS))
def test_odd_content_is_read_in_the_patch(repo: Repo, content: tuple[bytes, bytes]) -> None:
    repo.commit("base", {"file": content[0], "other": "1\n"})
    repo.stage("file", content[1])
    repo.stage("other", "2\n")
    counted, shown = by_unidiff("HEAD")

    assert counted == shown


@pytest.mark.parametrize("content", CONTENTS.values(), ids=list(CONTENTS))
def test_odd_content_is_counted_where_it_is_hidden(repo: Repo, content: tuple[bytes, bytes]) -> None:
    repo.commit("base", {"file": content[0]})
    repo.stage("file", content[1])
    expected = numstat(repo)
    by_attributes(repo, "info", "* -diff\n")

    assert facts() == expected


# Kinds of change


def test_mode_change_is_a_file_without_lines(repo: Repo) -> None:
    repo.commit("base", {"run.sh": LINES})
    repo.git("update-index", "--chmod=+x", "run.sh")

    assert facts() == {"run.sh": (0, 0)}


@pytest.mark.parametrize("line", ["", "* -diff\n"], ids=["shown", "hidden"])
def test_mode_change_with_an_edit_counts_the_edit(repo: Repo, line: str) -> None:
    repo.commit("base", {"run.sh": LINES})
    repo.stage("run.sh", LINES + "more\n")
    repo.git("update-index", "--chmod=+x", "run.sh")
    by_attributes(repo, "info", line)

    assert facts() == {"run.sh": (1, 0)}


@pytest.mark.parametrize("line", ["", "* -diff\n"], ids=["shown", "hidden"])
def test_file_that_becomes_a_symlink_is_one_file(repo: Repo, line: str) -> None:
    repo.commit("base", {"file": "1\n2\n", "target": "t\n"})
    (repo.root / "file").unlink()
    (repo.root / "file").symlink_to("target")
    repo.git("add", "-A")
    by_attributes(repo, "info", line)

    assert facts() == {"file": (1, 2)}


def test_symlink_that_becomes_a_file_is_one_file(repo: Repo) -> None:
    (repo.root / "link").symlink_to("nowhere")
    repo.git("add", "-A")
    repo.commit()
    (repo.root / "link").unlink()
    repo.stage("link", "1\n2\n")

    assert facts() == numstat(repo) == {"link": (2, 1)}


def test_dangling_symlink_counts_its_target(repo: Repo) -> None:
    (repo.root / "link").symlink_to("no\nwhere")
    repo.git("add", "-A")

    assert facts() == numstat(repo) == {"link": (2, 0)}


def test_file_that_becomes_a_folder_is_two_changes(repo: Repo) -> None:
    repo.commit("base", {"thing": "1\n2\n"})
    (repo.root / "thing").unlink()
    repo.write("thing/inside", "9\n8\n7\n")
    repo.git("add", "-A")

    assert facts() == numstat(repo) == {"thing": (0, 2), "thing/inside": (3, 0)}


def test_folder_that_becomes_a_file_is_two_changes(repo: Repo) -> None:
    repo.commit("base", {"thing/inside": "9\n8\n7\n"})
    repo.git("rm", "-q", "-r", "thing")
    repo.stage("thing", "1\n2\n")

    assert facts() == numstat(repo) == {"thing": (2, 0), "thing/inside": (0, 3)}


def test_pure_rename_is_one_file_without_lines(repo: Repo) -> None:
    repo.commit("base", {"a.txt": LINES})
    repo.git("mv", "a.txt", "b.txt")

    assert facts() == {"b.txt": (0, 0)}


@pytest.mark.parametrize("line", ["", "* -diff\n"], ids=["shown", "hidden"])
def test_rename_with_edits_counts_the_edits(repo: Repo, line: str) -> None:
    repo.commit("base", {"a.txt": LINES})
    repo.git("mv", "a.txt", "sub\\dir.txt")
    repo.stage("sub\\dir.txt", LINES.replace("line 9\n", ""))
    by_attributes(repo, "info", line)

    assert facts() == {"sub\\dir.txt": (0, 1)}


def test_case_only_rename_is_one_file(repo: Repo) -> None:
    repo.commit("base", {"readme.md": LINES})
    repo.git("mv", "readme.md", "README.md")

    assert facts() == numstat(repo) == {"README.md": (0, 0)}


def test_swapped_files_are_two_edits(repo: Repo) -> None:
    repo.commit("base", {"a": "1\n" * 5, "b": "2\n" * 7})
    repo.stage("a", "2\n" * 7)
    repo.stage("b", "1\n" * 5)

    assert facts() == numstat(repo) == {"a": (7, 5), "b": (5, 7)}


def test_copy_is_an_addition(repo: Repo) -> None:
    repo.commit("base", {"a": LINES})
    repo.stage("b", LINES)

    assert facts() == numstat(repo) == {"b": (30, 0)}


def test_more_renames_than_git_looks_for_are_counted_as_git_counts_them(repo: Repo) -> None:
    for number in range(60):
        repo.write(f"old/{number}", LINES + f"{number}\n")
    repo.git("add", "-A")
    repo.commit()
    repo.git("config", "diff.renameLimit", "3")
    repo.git("mv", "old", "new")
    for number in range(60):
        repo.write(f"new/{number}", LINES + f"{number}\nmore\n")
    repo.git("add", "-A")

    assert set(facts().values()) == {(1, 0)}


def gitlink(repo: Repo, oid: str) -> None:
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{oid},sub")


def test_added_submodule_is_one_file(repo: Repo) -> None:
    repo.commit("base", {"a": "a\n"})
    gitlink(repo, "1" * 40)

    assert facts() == numstat(repo) == {"sub": (1, 0)}


def test_bumped_submodule_is_one_file(repo: Repo) -> None:
    gitlink(repo, "1" * 40)
    repo.commit("base")
    gitlink(repo, "2" * 40)
    counted, shown = by_unidiff("HEAD")

    assert facts() == counted == shown == {"sub": (1, 1)}


def test_hidden_submodule_is_one_file(repo: Repo) -> None:
    gitlink(repo, "1" * 40)
    repo.commit("base")
    gitlink(repo, "2" * 40)
    by_attributes(repo, "info", "* -diff\n")

    assert facts() == {"sub": (1, 1)}


def test_removed_submodule_is_one_file(repo: Repo) -> None:
    gitlink(repo, "1" * 40)
    repo.commit("base")
    repo.git("rm", "-q", "--cached", "sub")

    assert facts() == numstat(repo) == {"sub": (0, 1)}


@pytest.mark.parametrize("line", ["", "* -diff\n"], ids=["shown", "hidden"])
def test_submodule_that_becomes_a_file_is_one_file(repo: Repo, line: str) -> None:
    gitlink(repo, "1" * 40)
    repo.commit("base")
    repo.git("rm", "-q", "--cached", "sub")
    repo.stage("sub", "1\n2\n")
    expected = numstat(repo)
    by_attributes(repo, "info", line)

    assert facts() == expected


def test_sha256_repository_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = init(tmp_path / "sha256", "--object-format=sha256")
    made.commit("base", {"a.txt": LINES, "b.txt": LINES})
    monkeypatch.chdir(made.root)
    made.git("mv", "a.txt", "c.txt")
    made.stage("c.txt", LINES + "c\n")
    made.stage("b.txt", "b\n")
    expected = numstat(made)
    by_attributes(made, "info", "* -diff\n")

    assert facts() == expected
