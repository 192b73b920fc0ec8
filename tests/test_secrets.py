"""What a configuration adds to the forms of secrets, and takes from them; and what hides in packed files."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import sys
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest

from orchgate.errors import ConfigError
from orchgate.lib import process
from orchgate.secrets import scan, search

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.repo import Repo


def found(text: str, *patterns: str) -> search.Match | None:
    return search.first(text.encode(), search.compiled(patterns))


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
    assert search.first(b"\xff\x00\n\xfe token\xff", search.compiled(["token"])) == search.Match(2, "token")


def test_no_pattern_finds_nothing() -> None:
    assert found("a") is None


# What is allowed

TOKEN = "gh" + "p_" + "a1B2c3D4" * 4 + "wxyz"  # in parts, so that no scanner takes this file for a leak


def allowing(*allowed: str) -> search.Patterns:
    return search.compiled(["hunter[0-9]"], allowed)


@pytest.mark.parametrize("allowed", ["^github-token: ", ": gh[a-z]_a1B2", "."])
def test_a_find_is_let_through_by_its_form_or_its_text(allowed: str) -> None:
    assert search.first(TOKEN.encode(), allowing(allowed)) is None


@pytest.mark.parametrize("allowed", ["^key-value: ", "wxyz1", "github-token$"])
def test_another_find_is_not_let_through(allowed: str) -> None:
    assert search.first(TOKEN.encode(), allowing(allowed)) == search.Match(1, "github-token")


def test_what_is_allowed_hides_nothing_behind_it() -> None:
    text = f"{TOKEN}\nhunter1\nhunter2".encode()

    assert search.first(text, allowing("github", "hunter1")) == search.Match(3, "hunter[0-9]")


def test_what_is_allowed_is_read_in_linear_time_too() -> None:
    with pytest.raises(ConfigError, match=r"^evidence\.secrets-allowed\[1\]: cannot read "):
        search.compiled([], ["a", "(?=a)"])


# What is packed


def zipped(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


# The time in the head of a stream may be the byte of a new line: lines are counted in the file as it is.
gzipped = functools.partial(gzip.compress, mtime=0)
LOG = f"start\n{TOKEN}\nend\n".encode() + bytes(range(32, 127)) * 9
PACKED = {
    "gzip": gzipped(LOG),
    "bzip2": bz2.compress(LOG),
    "xz": lzma.compress(LOG),
    "gzip twice": gzipped(gzipped(LOG)),
    "gzip four times": gzipped(gzipped(gzipped(gzipped(LOG)))),
    "second stream": gzipped(b"first\n") + gzipped(LOG[6:]),
    "behind a stream": gzipped(b"first\n") + LOG[6:],
    "padded": gzipped(LOG) + bytes(100),
    "cut off": gzipped(LOG)[:-9],
    "UTF-16 in gzip": gzipped(LOG.decode("ascii").encode("utf-16")),
    "zip": zipped(("a.txt", b"nothing"), ("b/trace.log", LOG)),
    "zip in gzip": gzipped(zipped(("b/trace.log", LOG))),
    "gzip in zip": zipped(("b/trace.log", gzipped(LOG))),
    "tar": tarred("a.log", LOG),
}


@pytest.mark.parametrize("kind", PACKED)
def test_a_secret_is_found_in_what_is_packed(kind: str) -> None:
    match = search.first(PACKED[kind], search.compiled([]))

    assert match is not None
    assert match.pattern == "github-token"
    assert match.line == {"tar": match.line, "behind a stream": 1}.get(kind, 2)


def test_a_place_in_an_archive_names_the_file() -> None:
    match = search.first(PACKED["zip"], search.compiled([]))

    assert match is not None
    assert match.place("out/trace.zip") == "out/trace.zip:2 (b/trace.log)"


def test_a_configured_pattern_is_looked_for_in_what_is_packed() -> None:
    assert search.first(gzipped(b"a\nhunter2"), allowing()) == search.Match(2, "hunter[0-9]", "unpacked")


def bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(megabytes)), packer.flush()])


def encrypted() -> bytes:
    """A zip that says that its one file needs a password."""
    content = bytearray(zipped(("a.txt", b"nothing")))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


UNSEEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "a bomb": (lambda: bomb(33), "unpacks to more than 33,554,432 bytes"),
    "a bomb in an archive": (lambda: zipped(("a", bomb(40))), "unpacks to more than 33,554,432 bytes"),
    "too deep": (lambda: gzipped(PACKED["gzip four times"]), "is packed more than 4 times over"),
    "zstd": (lambda: b"\x28\xb5\x2f\xfd" + LOG[:4], "is packed by zstd, which is not looked into"),
    "7-Zip": (lambda: b"7z\xbc\xaf\x27\x1c", "is packed by 7-Zip, which is not looked into"),
    "7-Zip in gzip": (lambda: gzipped(b"7z\xbc\xaf\x27\x1c"), "is packed by 7-Zip, which is not looked into"),
    "encrypted": (encrypted, "is an archive that is encrypted, or packed in an unknown way"),
    "damaged": (lambda: gzipped(LOG)[:60] + bytes(60), "is packed, and cannot be unpacked"),
    "damaged zip": (lambda: zipped(("a", LOG))[:-30], "is an archive that cannot be unpacked"),
    "many near misses": (lambda: b"password=changeme\n" * 3_001, "look like secrets and are none"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNSEEN)
def test_what_cannot_be_looked_into_is_said(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST", 32 * 1024 * 1024)
    monkeypatch.setattr(scan, "MOST", 3_000)
    content, reason = UNSEEN[kind]
    match = search.first(content(), search.compiled([]))

    assert match is not None
    assert reason in match.unseen


def test_what_cannot_be_looked_into_can_be_allowed() -> None:
    assert search.first(UNSEEN["zstd"][0](), allowing("^unseen: is packed by zstd")) is None


@pytest.mark.slow
def test_a_bomb_needs_little_memory() -> None:
    ended = process.run([sys.executable, "-c", BOMB], timeout=300)

    assert (ended.code, ended.stderr) == (0, b"")


BOMB = """
import resource, zlib
from orchgate.secrets import search as secrets
packer = zlib.compressobj(9, zlib.DEFLATED, 31)
content = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(200)), packer.flush()])
patterns = secrets.compiled([])
secrets.first(b"", patterns)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert secrets.first(content, patterns) is None
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kilobytes, of 200 megabytes
"""


@pytest.mark.parametrize("text", ["BZh what", "PK", "\x1f\x8b", "BZh91AY&S"])
def test_what_only_begins_like_something_packed_is_a_text(text: str) -> None:
    assert found(f"{text}\n{TOKEN}") == search.Match(2, "github-token")


RED, OFF = "\x1b[1;31m", "\x1b[0m"
PASSWORD = "tr0ub" + "4dor-9"
COLOURED = {
    "a name": f"{RED}DB_PASSWORD{OFF}={PASSWORD}",
    "a value": f"DB_PASSWORD={RED}{PASSWORD}{OFF}",
    "what grep marks": f"password: \x1b[01;31m\x1b[K{PASSWORD}\x1b[m\x1b[K",
    "a shade": f"password\x1b[0m: \x1b[38;5;208m'{PASSWORD}'",
    "half of a token": f"{TOKEN[:9]}{RED}{TOKEN[9:]}{OFF}",
    "a link": f"password: \x1b]8;;https://example.com\x1b\\{PASSWORD}\x1b]8;;\x1b\\",
    "in JSON": rf'{{"log": "\u001b[32mpassword\u001b[0m=\u001b[33m{PASSWORD}\u001b[0m"}}',
    "in a repr": rf"'\x1b[32mpassword\x1b[0m: {PASSWORD}'",
    "in C": rf"\033[32mpassword\033[0m: {PASSWORD}",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("what", COLOURED)
def test_colours_hide_no_secret(what: str, encoding: str) -> None:
    match = search.first(f"start\n{COLOURED[what]}\n".encode(encoding), search.compiled([]))

    assert match
    assert match.line == 2


def test_colours_alone_are_no_secret() -> None:
    log = f"{RED}FAILED{OFF} tests/test_token.py::test_password - password: {RED}********{OFF}\n"

    assert search.first(log.encode() * 9, search.compiled([])) is None


def test_a_token_between_zeros_is_found() -> None:
    assert search.first(b"abc\0" + TOKEN.encode() + b"\0abc", search.compiled([])) is not None


@pytest.mark.parametrize(
    "pattern", ["(", "(?=a)", "(?<!a)b", r"(a)\1", "(?>a)b", "a++", r"x\Z", "a{5000}", "[z-a]", "*"]
)
def test_what_cannot_be_read_in_linear_time_is_wrong_configuration(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"^evidence\.secrets\[1\]: cannot read ") as caught:
        search.compiled(["a", pattern])

    assert "look-around" in caught.value.hint


HANGS = """
from orchgate.secrets import search as secrets
patterns = secrets.compiled([r"(a+)+$", r"(a|aa)+$", r"(.*a){20}$", r"^(([a-z])+.)+[A-Z]([a-z])+$"])
assert secrets.first(b"a" * 1_000_000 + b"!", patterns) is None
"""


@pytest.mark.slow
def test_no_pattern_hangs_on_a_long_line() -> None:
    # The limit only ends what would take longer than the world has: two to the power of a million steps.
    ended = process.run([sys.executable, "-c", HANGS], timeout=300)

    assert (ended.code, ended.stderr) == (0, b"")


@pytest.mark.slow
def test_a_secret_over_any_length_is_found() -> None:
    assert found("x" * 100_000 + "a" * 5000 + "b", "a{900}a{900}b") is not None


@pytest.mark.slow
@pytest.mark.parametrize("verb", [["check", "--staged"], ["evidence", "push"], ["evidence", "push", "--dry-run"]])
def test_a_pattern_that_cannot_be_read_is_exit_2_where_the_configuration_is(repo: Repo, verb: list[str]) -> None:
    repo.stage("orchgate.toml", "[evidence]\nsecrets = ['(?=a)b']\n")

    result = repo.orchgate(*verb)

    assert (result.code, "evidence.secrets[0]: cannot read '(?=a)b'" in result.out) == (2, True)
