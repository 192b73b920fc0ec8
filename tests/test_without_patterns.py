"""What a commit is told without a regular expression is what the expression would say, which is dearer to compile."""

from __future__ import annotations

import datetime
import re
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.git.trees import _holds_mode
from orchgate.lib.paths import compile_glob, matches
from orchgate.markdown.blocks import front_matter_end
from orchgate.markdown.document import _is_other_block, _is_rule
from orchgate.packets.layout import stem
from orchgate.packets.naming import _plain, document_name, leading_id
from orchgate.packets.progress import date_of
from orchgate.references import targets

if TYPE_CHECKING:
    from collections.abc import Callable

RULE = re.compile(r"[ \t]*([-*_])[ \t]*(?:\1[ \t]*){2,}$")
OTHER_BLOCK = re.compile(r"[ \t]*(?:#{1,6}(?:[ \t]|$)|\||>)")
FRONT_END = re.compile(r"\n(?:---|\.\.\.)[ \t]*(?=\n|$)")
TASK = re.compile(r"(?:[A-Za-z]{1,10}-)?\d+-(?P<slug>.+)", re.DOTALL)
ID = re.compile(r"(\d{4})(?:-|\Z)")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
MODE = re.compile(rb"[0-7]{5,6} ")
KIND = re.compile(r"prd(?: mirror)?(?:\s+-\s*|\s*[:|]\s*|$)(?P<rest>.*)", re.DOTALL)
NAMED = re.compile(r"(?:task\s+)?#?(?P<id>\d{4})(?:\s*[-:|]|\s|$)")
BARE = re.compile(r"[^\s`<>()\[\]{},;\"'|*…]+")


GONE = (
    *("deleted", "Removed", "renames", "retired", "archive", "dropped", "moved", "move it", "moving it", "replaced"),
    *("former", "history", "absent", "missing", "no longer", "not present", "not exist", "not found", "not created"),
    *("not added", "does not exist", "never", "without", "pruned", "purged", "cleaned"),
)
LOCAL = (
    *(
        "file:///a",
        "file:/a",
        "/Users/a/b",
        "/home/a/b",
        "/root/a/b",
        "/Volumes/a/b",
        "/private/a/b",
        "/var/folders/a/b",
    ),
    *("/mnt/c/a/b", "/tmp/a", "~/a", "~me/a", "C:\\a", "c:/a"),
)


def pieces(*words: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(words), max_size=8).map("".join)


@given(pieces("-", "*", "_", " ", "\t", "a", "--"))
def test_a_rule(line: str) -> None:
    assert _is_rule(line) == (RULE.match(line) is not None)


@given(pieces("#", "######", " ", "\t", "|", ">", "a"))
def test_what_is_no_paragraph(line: str) -> None:
    assert _is_other_block(line) == (OTHER_BLOCK.match(line) is not None)


@given(pieces("---", "...", "\n", " ", "\t", "a", "-", "\n---\n"))
def test_where_front_matter_ends(rest: str) -> None:
    text = "---\n" + rest
    found = FRONT_END.search(text, 3)

    assert front_matter_end(text) == (found.end() if found else 0)


@given(pieces("a", "AB", "1", "0042", "-", "é", "٣", "\n", "abcdefghijk"))
def test_what_names_of_a_task_have_in_common(name: str) -> None:
    found = TASK.fullmatch(name)

    assert stem(name) == (found["slug"] if found else name)


@given(pieces("0042", "1", "-", "a", "٣٣٣٣", " "))
def test_the_id_that_a_name_begins_with(name: str) -> None:
    found = ID.match(name)

    assert leading_id(name) == (found[1] if found else "")


@given(pieces("prd", " mirror", " ", "-", ":", "|", "task ", "#", "0042", "1", "x"))
def test_what_a_title_names(rest: str) -> None:
    text = _plain("prd" + rest)
    kind = KIND.fullmatch(text)
    left = kind["rest"] if kind else text
    task = NAMED.match(left)
    found = document_name("prd" + rest)

    assert (found.kind == "prd", found.task_id, found.rest) == (kind is not None, task["id"] if task else "", left)


@given(pieces("2026", "-", "02", "1", "W", ":", "٣"))
def test_a_date(value: str) -> None:
    try:
        expected = datetime.date.fromisoformat(value) if DATE.fullmatch(value) else None
    except ValueError:
        expected = None

    assert date_of(value) == expected


@given(st.lists(st.sampled_from([b" ", b"0", b"7", b"8", b"10064", b"\xff"]), max_size=20).map(b"".join))
def test_whether_an_id_may_be_the_end_of_a_mode(oid: bytes) -> None:
    assert _holds_mode(oid) == (MODE.search(oid) is not None)


PARTS = st.sampled_from(["a", "b", "*", "a*", "?"])


@given(
    st.lists(PARTS, min_size=1, max_size=4).map("/".join),
    st.sampled_from(["", "/", "/**"]),
    st.lists(st.sampled_from(["a", "b", "ab", ""]), min_size=1, max_size=5).map("/".join),
)
def test_a_glob_of_folders(start: str, end: str, path: str) -> None:
    whole = start + ("/**" if end == "/" else end)

    assert matches(path, (start + end,)) == (compile_glob(whole).fullmatch(path) is not None)


@given(pieces("a", "…", "/", ".", "*", " ", "`", "é"))
def test_a_path_in_prose(text: str) -> None:
    found, expected = targets._BARE.match(text), BARE.match(text)

    assert (found and found[0]) == (expected and expected[0])


def test_what_is_not_looked_for_is_not_there() -> None:
    """Every alternative, in every way to write it that a search in any case finds."""
    other_cases: tuple[Callable[[str], str], ...] = (
        str.upper,
        *(partial(_with, *pair) for pair in ("s\u017f", "i\u0131", "k\u212a")),
    )
    for text in (*GONE, "Evidence:", "Evidence of it:"):
        for written in (text, *(other(text) for other in other_cases)):
            if targets._GONE.search(written):
                assert targets._may_hold(written, targets._OF_GONE), written
            if targets._MARKER.search(written):
                assert targets._may_hold(written, targets._OF_EVIDENCE), written


def _with(one: str, other: str, text: str) -> str:
    return text.replace(one, other)


@pytest.mark.parametrize("path", LOCAL)
def test_a_path_of_one_machine(path: str) -> None:
    assert targets._is_local(path)
