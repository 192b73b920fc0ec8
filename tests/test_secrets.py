"""What looks like a secret: each default pattern, what RE2 cannot read, and patterns that would hang other engines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from orchgate import process
from orchgate.config.load import Source, build
from orchgate.errors import ConfigError
from orchgate.evidence import secrets

if TYPE_CHECKING:
    from tests.repo import Repo

DEFAULTS = build(Source("", {})).evidence.secrets
A = "a1B2c3D4"  # in parts, so that no scanner takes this file for a leak
# A text that each default finds, and one it must not take for a secret.
SAMPLES = {
    r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY": (
        "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----",
    ),
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b": ("id=AKIA" + "ABCDEFGH" * 2, "AKIA" + "ABCDEFGH" * 2 + "I"),
    r"\bgh[pousr]_[A-Za-z0-9]{36}": ("gh" + "s_" + A * 5, "gh" + "s_" + A),
    r"\bgithub_pat_[A-Za-z0-9_]{60}": ("github_" + "pat_" + A * 8, "github_" + "pat_" + A),
    r"\bglpat-[A-Za-z0-9_-]{20}": ("gl" + "pat-" + A * 3, "gl" + "pat-" + A),
    r"\bxox[abeoprs]-[0-9]+-[A-Za-z0-9-]{10}": ("xo" + "xb-12345-" + A * 2, "xo" + "xb-token-" + A * 2),
    r"\bAIza[A-Za-z0-9_-]{35}": ("AI" + "za" + A * 5, "AI" + "za" + A),
    r"\bsk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_-]{32}": ("s" + "k-proj-" + A * 4, "task-" + A * 4),
    r"\bnpm_[A-Za-z0-9]{36}": ("np" + "m_" + A * 5, "npm_config_registry=x"),
    r"\bpypi-AgEIcHlwaS5vcmc": ("pypi-" + "AgEIcHlwaS5vcmc" + A, "pypi-server"),
}


def found(text: str, *patterns: str) -> secrets.Match | None:
    return secrets.first(text.encode(), secrets.compiled(patterns))


def test_every_default_has_its_samples() -> None:
    assert set(DEFAULTS) == set(SAMPLES)


@pytest.mark.parametrize("pattern", SAMPLES)
def test_a_default_finds_its_secret_and_says_the_line(pattern: str) -> None:
    assert found(f"start\r\ntoken: {SAMPLES[pattern][0]}\r\nend", *DEFAULTS) == secrets.Match(2, pattern)


@pytest.mark.parametrize("pattern", SAMPLES)
def test_a_default_leaves_alone_what_only_resembles_one(pattern: str) -> None:
    assert found(f"start\ntoken: {SAMPLES[pattern][1]}\nend", *DEFAULTS) is None


@pytest.mark.parametrize(
    ("pattern", "text", "line"),
    [
        ("^b$", "a\nb\nc", 2),
        (r"\Ab\z", "a\nb\nc", 2),
        (r"(?-s)^b.c$", "a\nb.c", 2),
        (r"a\s+b", "a\nb", 0),
        ("a[^x]b", "a\nb", 0),
        ("(?i)TOKEN", "x\nToken", 2),
        (r"\Qa.b", "axb\na.b", 2),
        ("päss", "x\npäss", 2),
        ("a|", "b", 1),
    ],
)
def test_a_pattern_is_asked_about_one_line_at_a_time(pattern: str, text: str, line: int) -> None:
    match = found(text, "never", pattern)

    assert (match.line if match else 0) == line


@pytest.mark.parametrize(
    "patterns", [(r"\Qsecret", r"\Qb\E|x"), ("(?P<x>a)", "(?P<x>secret)"), ("(?i)nothing", "secret"), ("", "secret")]
)
def test_patterns_do_not_disturb_each_other(patterns: tuple[str, ...]) -> None:
    assert found("a secret", *patterns) is not None


def test_bytes_that_are_no_text_are_looked_into() -> None:
    assert secrets.first(b"\xff\x00\n\xfe token\xff", secrets.compiled(["token"])) == secrets.Match(2, "token")


def test_no_pattern_finds_nothing() -> None:
    assert found("a") is None


@pytest.mark.parametrize(
    "pattern", ["(", "(?=a)", "(?<!a)b", r"(a)\1", "(?>a)b", "a++", r"x\Z", "a{5000}", "[z-a]", "*"]
)
def test_what_cannot_be_read_in_linear_time_is_wrong_configuration(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"^evidence\.secrets\[1\]: cannot read ") as caught:
        secrets.compiled(["a", pattern])

    assert "look-around" in caught.value.hint


HANGS = """
from orchgate.evidence import secrets
patterns = secrets.compiled([r"(a+)+$", r"(a|aa)+$", r"(.*a){20}$", r"^(([a-z])+.)+[A-Z]([a-z])+$"])
assert secrets.first(b"a" * 1_000_000 + b"!", patterns) is None
"""


def test_no_pattern_hangs_on_a_long_line() -> None:
    # The limit only ends what would take longer than the world has: two to the power of a million steps.
    ended = process.run([sys.executable, "-c", HANGS], timeout=300)

    assert (ended.code, ended.stderr) == (0, b"")


def test_a_secret_over_any_length_is_found() -> None:
    assert found("x" * 100_000 + "a" * 5000 + "b", "a{900}a{900}b") is not None


@pytest.mark.parametrize("verb", [["check", "--staged"], ["evidence", "push"], ["evidence", "push", "--dry-run"]])
def test_a_pattern_that_cannot_be_read_is_exit_2_where_the_configuration_is(repo: Repo, verb: list[str]) -> None:
    repo.stage("orchgate.toml", "[evidence]\nsecrets = ['(?=a)b']\n")

    result = repo.orchgate(*verb)

    assert (result.code, "evidence.secrets[0]: cannot read '(?=a)b'" in result.out) == (2, True)
