"""What is read without tomllib is what tomllib would have read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.config import source

PIECES = (
    *("a", "b-c", "[", "]", "[a]", "[a.b]", "[b-c]", "[[a]]", "=", " = ", "a = ", "b = ", ".", ",", '"', "'", "#"),
    *("\n", "\r", "\t", " ", "\\", "true", "false", "0", "01", "7", "-1", "1_0", '"x"', "'y'", '["x", "y"]', "[]"),
    *("a = 1\n", 'b = ["x"]\n', "[a]\n", "[a.b]\n", "[[b]]\n", "[[a.b]]\n", "# c\n", '"""', "{}", "é", "\x00"),
    "\u2028",
)


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_it_is_what_tomllib_makes_of_it_or_nothing(text: str) -> None:
    read = source.read(text)

    assert read is None or repr(read) == repr(tomllib.loads(text))


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("", {}),
        ('profile = "codex-orchestrator"\n', {"profile": "codex-orchestrator"}),
        ("# limits\n[diff-budget]\nmax-files = 25\n", {"diff-budget": {"max-files": 25}}),
        ("[[a.b]]\nc = 1\n[a.d]\n[[a.b]]\nc = 2\n[a]", {"a": {"b": [{"c": 1}, {"c": 2}], "d": {}}}),
        ("[a.b]\nc = ['x', \"y\",]\n[a]\nd = true", {"a": {"b": {"c": ["x", "y"]}, "d": True}}),
    ],
)
def test_usual_configurations_are_read(text: str, table: dict[str, object]) -> None:
    assert source.read(text) == table


@pytest.mark.parametrize(
    "text",
    [
        "a = 1\na = 2",
        "[a]\n[a]",
        "a = 1\n[a]",
        "[a]\nb = 1\n[a.b]",
        "a = 01",
        "a = [,]",
        'a = "\\n"',
        'a = "x" # why',
        "a = 1.5",
        "a.b = 1",
        '"a" = 1',
        "a = ['x']\n[[a]]",
        "[a]\n[[a]]",
        "[[a]]\n[a]",
        "[[a]]\n[a.b]",
        "[[a]",
        "[[]]",
        "a = [\n]",
        "a = 2026-01-01",
        "a = 1\r\n",
        "a",
    ],
)
def test_the_rest_is_left_to_tomllib(text: str) -> None:
    assert source.read(text) is None


def test_our_own_configuration_is_what_tomllib_makes_of_it() -> None:
    text = (Path(__file__).parent.parent / "orchgate.toml").read_text()

    assert source.read(text) in (None, tomllib.loads(text))
