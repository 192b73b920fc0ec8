"""Output without its secrets, however it arrives."""

from __future__ import annotations

import base64
import random
from typing import TYPE_CHECKING

import pytest

from orchgate.runner.output import Output
from orchgate.secrets.redact import Redactor

if TYPE_CHECKING:
    from pathlib import Path

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def letters(seed: int, count: int) -> str:
    return "".join(random.Random(seed).choices(_ALPHABET, k=count))


TOKEN = "gh" + "p_" + letters(1, 36)
PASSWORD = letters(2, 20)
KEY = "\n".join(
    [
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        *(base64.b64encode(random.Random(line).randbytes(48)).decode() for line in range(50)),
        "-----END RSA " + "PRIVATE KEY-----",
    ]
)


def screened(text: str, *cuts: int) -> str:
    """A text that arrives in pieces."""
    data, redactor = text.encode(), Redactor()
    ends = [*cuts, len(data)]
    parts = [redactor.feed(data[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    return (b"".join(parts) + redactor.flush()).decode()


@pytest.mark.parametrize("every", [1, 7, 64, 100_000])
@pytest.mark.parametrize(
    ("text", "secret", "kept"),
    [
        (f"one\ntoken: {TOKEN}\ntwo\n", TOKEN, "two\n"),
        (f"password={PASSWORD}\nafter", PASSWORD, "after"),
        (f"before\n{KEY}\nafter\n", KEY.splitlines()[40], "after\n"),
        (f"{TOKEN}", TOKEN, ""),
        (f"50 %\r{TOKEN}\r100 %\r", TOKEN, "100 %\r"),
    ],
    ids=["token", "password", "private key", "without a line break", "carriage returns"],
)
def test_a_secret_does_not_come_through_whatever_pieces_it_comes_in(
    text: str, secret: str, kept: str, every: int
) -> None:
    shown = screened(text, *range(every, len(text), every))

    assert (secret in shown, "[secret: " in shown, shown.endswith(kept)) == (False, True, True), shown


def test_what_is_no_secret_comes_through_as_it_was() -> None:
    text = "".join(f"test_token_{number} passed, key {number}: ok\n" for number in range(3000)) + "no end"

    assert screened(text, *range(100, len(text), 999)) == text


@pytest.mark.parametrize("at", [70_000, 65_536, 131_000])
def test_a_line_without_end_is_not_kept_and_not_cut_in_a_secret(at: int) -> None:
    text = "x " * (at // 2) + TOKEN + " y" * 40_000
    redactor = Redactor()
    most = 0
    shown = b""
    for start in range(0, len(text), 8192):
        shown += redactor.feed(text[start : start + 8192].encode())
        most = max(most, start + 8192 - len(shown))
    shown += redactor.flush()

    assert (TOKEN.encode() in shown, b"[secret: " in shown, most < 100_000) == (False, True, True)


def test_a_key_that_is_only_spoken_of_takes_nothing_with_it() -> None:
    text = "put '-----BEGIN RSA " + "PRIVATE KEY-----' first\nand then the rest\n"

    assert screened(text) == text


def test_a_key_that_never_ends_takes_no_more_than_its_own_lines() -> None:
    text = "\n".join([*KEY.splitlines()[:5], "Then the log goes on.", ""])

    assert screened(text, 40, 90).endswith("\nThen the log goes on.\n")


@pytest.mark.parametrize("size", [100, 1000, 100_000])
def test_bytes_are_counted_as_they_were_printed(tmp_path: Path, size: int) -> None:
    import os

    output = Output(str(tmp_path / "log"), 100, Redactor())
    said = f"{TOKEN}\n".encode() + b"x" * (size - len(TOKEN) - 2) + b"\n" if size > 100 else f"{TOKEN}\n".encode()
    buffer = memoryview(bytearray(64 * 1024))
    for start in range(0, len(said), 4096):
        os.write(output.writer, said[start : start + 4096])
        output.pump(buffer)
    output.started()
    output.pump(buffer)
    output.finish()

    log = (tmp_path / "log").read_bytes()
    assert (output.total, TOKEN.encode() in log, log.startswith(b"[secret: ")) == (len(said), False, True)
