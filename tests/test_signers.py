"""How a change widens a list of signers, or takes back that a key is revoked: nobody is let in without being named."""

from __future__ import annotations

import base64

import pytest

from orchgate.attest.bundle import ALLOWED_SIGNERS as ALLOWED
from orchgate.attest.bundle import REVOKED_KEYS as REVOKED
from orchgate.lib.text import covers_pattern, is_like
from orchgate.signers.trusted import loosened

ED25519 = b"\0\0\0\x0bssh-ed25519\0\0\0 "


def key(letter: bytes) -> str:
    return f"ssh-ed25519 {base64.b64encode(ED25519 + letter * 32).decode()}"


A, B = key(b"a"), key(b"b")
LONGER = " sign for longer, or for more"
WIDER = [
    ("", f"ann {A}", " sign"),
    (f"ann {A}", f"ann {A}\nbob {A}", " sign"),
    (f"ann {A}", f"ann {B}", " sign"),
    (f"ann {A}", f"ann,bob {A} comment", " sign"),
    (f"*@a {A}", f"* {A}", " sign"),
    (f"?@a {A}", f"*@a {A}", " sign"),
    (f"*@a,!eve@a {A}", f"*@a {A}", LONGER),
    (f'ann namespaces="git" {A}', f"ann {A}", LONGER),
    (f'ann namespaces="git" {A}', f'ann namespaces="git,orchgate-evidence" {A}', LONGER),
    (f'ann valid-before="20260101" {A}', f'ann valid-before="20270101" {A}', LONGER),
    (f'ann valid-before="20260101" {A}', f'ann valid-before="202601010000Z" {A}', LONGER),
    (f'ann valid-before="20260101" {A}', f"ann {A}", LONGER),
    (f'ann valid-after="20260101" {A}', f'ann valid-after="20250101" {A}', LONGER),
    (f"ann {A}", f"ann cert-authority {A}", LONGER),
    (f"ann {A}", f"ann something-new {A}", LONGER),
    (f'ann namespaces="git" {A}', f'ann namespaces="git {A}', LONGER),
]


@pytest.mark.parametrize(("before", "after", "words"), WIDER)
def test_what_lets_more_sign_is_named(before: str, after: str, words: str) -> None:
    found = list(loosened(ALLOWED, before.encode(), after.encode()))

    assert [text.startswith("lets ") and text.endswith(words) for _, text in found] == [True], found


def test_a_line_without_a_key_lets_nobody_sign_and_is_named() -> None:
    assert list(loosened(ALLOWED, b"", b"ann ssh-ed25519 typo\n")) == [(1, "names ann, and no key that can be read")]


SAME = [
    (f"ann {A}", ""),
    (f"ann {A}", f"# nobody\n\n  ann {A} another comment\r\n"),
    (f"ann {A}\nbob {B}", f"bob {B}\nann {A}"),
    (f"*@a {A}", f"ann@a {A}"),
    (f"*@a {A}", f"*@a,!eve@a {A}"),
    (f"ann {A}", f'ann namespaces="orchgate-evidence",valid-before="20260101" {A}'),
    (f'ann valid-before="20270101" {A}', f'ann valid-before="20260101" {A}'),
    (f'ann valid-after="20250101" {A}', f'ann valid-after="20260101" {A}'),
    (f"ann cert-authority {A}", f"ann {A}"),
    (f'"ann b" {A}', f'"ann b" {A}'),
]


@pytest.mark.parametrize(("before", "after"), SAME)
def test_what_lets_nobody_in_is_silent(before: str, after: str) -> None:
    assert list(loosened(ALLOWED, before.encode(), after.encode())) == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (f"{A}\n", "", ["takes back that SHA256:"]),
        (f"{A}\n{B}\n", f"{B} gone\n", ["takes back that SHA256:"]),
        (f"{A}\n", f"# more\n{B}\n{A} comment\n", []),
        ("", f"{A}\n", []),
        ("SSHKRL\n\0a", "SSHKRL\n\0b", ["may revoke less"]),
        (f"{A}\n", "SSHKRL\n\0a", ["may revoke less"]),
        ("SSHKRL\n\0a", "SSHKRL\n\0a", []),
    ],
)
def test_a_revocation_is_not_taken_back_in_silence(before: str, after: str, told: list[str]) -> None:
    found = list(loosened(REVOKED, before.encode(), after.encode()))

    assert len(found) == len(told)
    assert all(text.startswith(start) for (_, text), start in zip(found, told, strict=True))


@pytest.mark.parametrize(
    ("text", "pattern", "like"),
    [
        ("ci@a", "ci@*", True),
        ("ci@a", "*", True),
        ("", "*", True),
        ("ci@a", "ci@?", True),
        ("ci@", "ci@?", False),
        ("CI@a", "ci@*", False),
        ("aXbXc", "a*b*c", True),
        ("ab", "a*b*c", False),
        ("[a]", "[a]", True),
        ("a", "[a]", False),
        ("a" * 5000 + "b", "*a" * 50 + "c", False),
    ],
)
def test_a_pattern_is_one_of_openssh(text: str, pattern: str, like: bool) -> None:
    assert is_like(text, pattern) is like


def test_a_pattern_covers_what_it_stands_for_alone() -> None:
    assert [covers_pattern(*one) for one in (("*", "a?"), ("a?", "a?"), ("a*", "a*b"), ("?", "*"), ("a*", "*"))] == [
        True,
        True,
        True,
        False,
        False,
    ]
