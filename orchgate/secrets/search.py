"""Secrets in files, also in what is packed in them: what is pushed to a remote stays there for ever.

Patterns come with a repository, artifacts from whatever ran: RE2 reads any text once, whatever the pattern. In Python's
own engine `(a+)+$` and a line of forty letters would keep `evidence push` busy for days. Nothing is trusted that a file
says about its size: what it unpacks to is counted as it comes.
"""

from __future__ import annotations

import bz2
import io
import itertools
import lzma
import struct
import zipfile
import zlib

from orchgate.errors import ConfigError
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol
from orchgate.secrets import scan
from orchgate.secrets.redact import redacted
from orchgate.secrets.scan import Unseen

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from orchgate.secrets.scan import Engine

    _Stepped = Generator[bytes, None, tuple[bytes, "_Unpacker | None"]]


UNSEEN = "unseen"  # stands for a form where nobody can look
_HINT = "patterns are matched in linear time: RE2's syntax, without look-around, back-references and possessive repeats"
# What means another thing in a whole text than in a line of it, or joined with other patterns than alone.
_NOT_JOINED = lazy(rb"\\[AzQ]|\(\?[A-Za-z]*-")


class Match(NamedTuple):
    """Where a secret seems to be; never what it is. `line` counts from 1, in what an archive holds in `inside`.

    `pattern` is the name of a form, or a configured pattern; `unseen` why nobody can say whether there is a secret.
    """

    line: int
    pattern: str
    inside: str = ""
    unseen: str = ""

    def place(self, path: str) -> str:
        """Where it is in an artifact, as a message says it."""
        return f"{path}:{self.line}" + (f" ({redacted(self.inside)})" if self.inside else "")


class Patterns(NamedTuple):
    """Configured patterns that are looked for in every line, and one that finds nothing only where none does, if any.

    What one of `allowed` finds in `NAME: TEXT` is no secret.
    """

    each: tuple[tuple[str, Engine], ...] = ()
    any: Engine | None = None
    allowed: tuple[Engine, ...] = ()


def compiled(patterns: Sequence[str], allowed: Sequence[str] = ()) -> Patterns:
    """The configured patterns. Raises ConfigError for one that RE2 cannot read."""
    each = _each("evidence.secrets", patterns)
    exceptions = tuple(engine for _, engine in _each("evidence.secrets-allowed", allowed))
    return Patterns(each, _any(patterns), exceptions)


def _each(key: str, patterns: Sequence[str]) -> tuple[tuple[str, Engine], ...]:
    each = []
    for index, pattern in enumerate(patterns):
        expression, error = _compiled(_bytes(pattern))
        if expression is None:
            raise ConfigError(f"{key}[{index}]: cannot read {pattern[:200]!r}: {error}", _HINT)
        each.append((pattern, expression))
    return tuple(each)


def _any(patterns: Sequence[str]) -> Engine | None:
    texts = [_bytes(pattern) for pattern in patterns]
    if any(_NOT_JOINED.search(text) for text in texts):
        return None
    return _compiled(b"(?m:" + b"|".join(b"(?:%b)" % text for text in texts) + b")")[0]


def _bytes(pattern: str) -> bytes:
    return pattern.encode("utf-8", "surrogateescape")


def _compiled(pattern: bytes) -> tuple[Engine | None, str]:
    """An expression, or None and why there is none. Artifacts are bytes of no known encoding."""
    import re2

    try:
        return scan.compiled(pattern), ""
    except re2.error as error:
        reason = error.args[0] if error.args else "unknown syntax"
        return None, reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def first(content: bytes, patterns: Patterns) -> Match | None:
    """The first secret of an artifact, also in what is packed in it; or that it cannot be looked into."""
    return next(found(content, patterns), None)


def found(content: bytes, patterns: Patterns) -> Iterator[Match]:
    """All of them. A place may come twice, because texts overlap."""
    try:
        for piece in pieces(content):
            yield from _forms(piece, patterns)
            yield from _configured(piece, patterns)
    except scan.Unseen as error:
        reason = str(error)
        if not _is_allowed(UNSEEN, reason.encode(), patterns):
            yield Match(0, UNSEEN, unseen=reason)


def _forms(piece: Piece, patterns: Patterns) -> Iterator[Match]:
    line, counted = piece.line, 0
    for one in scan.found(piece.text):
        if not _is_allowed(one.name, piece.text[one.start : one.end], patterns):
            line += piece.text.count(b"\n", counted, one.start)
            counted = one.start
            yield Match(line, one.name, piece.inside)


def _configured(piece: Piece, patterns: Patterns) -> Iterator[Match]:
    if not patterns.each or (patterns.any is not None and patterns.any.search(piece.text) is None):
        return
    for number, line in enumerate(piece.text.split(b"\n"), piece.line):
        for pattern, expression in patterns.each:
            match = expression.search(line)
            if match and not _is_allowed(pattern, line[match.start() : match.end()], patterns):
                yield Match(number, pattern, piece.inside)


def _is_allowed(name: str, text: bytes, patterns: Patterns) -> bool:
    return any(one.search(_bytes(f"{name}: ") + text) for one in patterns.allowed)


MOST = 512 * 1024 * 1024  # bytes that one file may unpack to, with all that is packed inside of it
DEEPEST = 4  # how often something may be packed into something
_LARGEST = 256 * 1024 * 1024  # bytes of an archive
_SLICE = 16 * 1024
_PARTS = 20_000
_HEAD = 10  # bytes that say how something is packed
_AT_ONCE = 4 * 1024 * 1024
_OVERLAP = 64 * 1024  # no form looks further than this
_MEMORY = 128 * 1024 * 1024  # that a file may ask its unpacker to use


class Piece(NamedTuple):
    """A part of a text. It begins in `line`, counted from 1; `inside` says what it was packed in, if anything."""

    text: bytes
    line: int
    inside: str


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Budget:
    """How much one file may still unpack to."""

    def __init__(self) -> None:
        self._left = MOST

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Unseen(f"unpacks to more than {MOST:,} bytes")


_CLOSED = ((b"\x28\xb5\x2f\xfd", "zstd"), (b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"Rar!\x1a\x07", "RAR"))
_ZIP = b"PK\x03\x04"
_STORED, _DEFLATED, _BZIP2 = 0, 8, 12


def pieces(content: bytes) -> Iterator[Piece]:
    """Everything that a file holds, as texts. Raises Unseen for what cannot be looked into."""
    yield from _texts(content, 1, "")
    if _is_packed(content):
        yield from _inside(iter((content,)), "", 0, _Budget())


def _texts(text: bytes, line: int, inside: str) -> Iterator[Piece]:
    """A text, and once more without its zeros: so is read what was written in UTF-16, in whatever order of bytes.

    Each of them once more as a terminal shows it: colours may stand between a name and its value, and inside a token.
    """
    yield Piece(text, line, inside)
    if b"\0" in text:
        yield from _texts(text.replace(b"\0", b""), line, inside)
    elif any(mark in text for mark in _COLOURED):
        yield Piece(_COLOURS.sub(b"", text), line, inside)


_COLOURED = (b"1b[", b"1B[", b"\x1b[", b"\x1b]", b"33[")
# As they are, and escaped, as in JSON and in what shells and programs print of themselves.
_COLOURS = lazy(
    rb"(?:\x1b|\\{1,2}(?:u001|x1)[bB]|\\{1,2}0?33)\[[0-9;:?]{0,40}[A-Za-z]"
    rb"|\x1b\][^\x07\x1b\n]{0,400}(?:\x07|\x1b\\)"
)


def _is_packed(head: bytes) -> bool:
    return head.startswith((_ZIP, *(magic for magic, _ in _CLOSED))) or _unpacker(head) is not None


def _unpacker(head: bytes) -> _Unpacker | None:
    """What unpacks a stream that begins like this; None where it is none."""
    if head.startswith(b"\x1f\x8b\x08") and head[3:4] < b"\x20":
        return zlib.decompressobj(wbits=31)
    if head.startswith(b"BZh") and head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return bz2.BZ2Decompressor()
    if head.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor(memlimit=_MEMORY)
    return None


def _inside(chunks: Iterator[bytes], inside: str, depth: int, budget: _Budget) -> Iterator[Piece]:
    """The texts in a stream of bytes, and in what is packed in it."""
    head = next(chunks, b"")
    chunks = itertools.chain((head,), chunks)
    name = next((name for magic, name in _CLOSED if head.startswith(magic)), "")
    if name:
        raise Unseen(f"is packed by {name}, which is not looked into")
    if not _is_packed(head):
        yield from _windows(chunks, inside)
    elif depth == DEEPEST:
        raise Unseen(f"is packed more than {DEEPEST} times over")
    elif head.startswith(_ZIP):
        yield from _archive(_whole(chunks), inside, depth + 1, budget)
    else:
        yield from _inside(_filled(_stream(chunks, budget)), inside or "unpacked", depth + 1, budget)


def _windows(chunks: Iterator[bytes], inside: str) -> Iterator[Piece]:
    """A stream as texts that overlap, so that nothing is cut in two."""
    text, line = b"", 1
    for chunk in chunks:
        kept = text[-_OVERLAP:]
        line += text.count(b"\n", 0, len(text) - len(kept))
        text = kept + chunk
        yield from _texts(text, line, inside)


def _filled(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in large chunks: a stream may be made of millions of small ones."""
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= _AT_ONCE or len(parts) == _PARTS:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


def _stream(chunks: Iterator[bytes], budget: _Budget) -> Iterator[bytes]:
    """What a compressed stream unpacks to, one stream after the other. What ends early is read as far as it goes."""
    data, unpacker = b"", None
    for chunk in chunks:
        # Small slices: what follows the end of a stream is copied each time, and there may be millions of streams.
        for at in range(0, len(chunk), _SLICE):
            data += chunk[at : at + _SLICE]
            while data and (unpacker or len(data) >= _HEAD):
                data, unpacker = yield from _step(data, unpacker, budget)
    yield data


def _step(data: bytes, unpacker: _Unpacker | None, budget: _Budget) -> _Stepped:
    """Unpacks what is at hand, or takes as it is what stands behind the last stream."""
    unpacker = unpacker or _unpacker(data)
    if unpacker is None:
        budget.take(len(data))
        yield data
        return b"", None
    rest = yield from _unpack(unpacker, data, budget)
    return rest, None if unpacker.eof else unpacker


def _unpack(unpacker: _Unpacker, data: bytes, budget: _Budget) -> Generator[bytes, None, bytes]:
    """Unpacks what is at hand; returns what stands behind the end of the stream."""
    try:
        while True:
            part = unpacker.decompress(data, _AT_ONCE)
            budget.take(len(part))
            yield part
            if unpacker.eof:
                return unpacker.unused_data
            data = getattr(unpacker, "unconsumed_tail", b"")
            if not data and (getattr(unpacker, "needs_input", True)) and len(part) < _AT_ONCE:
                return b""
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise Unseen("is packed, and cannot be unpacked") from error


def _whole(chunks: Iterator[bytes]) -> io.BytesIO:
    """An archive, which is read from its end."""
    file = io.BytesIO()
    for chunk in chunks:
        file.write(chunk)
        if file.tell() > _LARGEST:
            raise Unseen(f"holds an archive of more than {_LARGEST:,} bytes")
    return file


def _archive(file: io.BytesIO, inside: str, depth: int, budget: _Budget) -> Iterator[Piece]:
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if entry.flag_bits & 1 or entry.compress_type not in (_STORED, _DEFLATED, _BZIP2):
                    raise Unseen("is an archive that is encrypted, or packed in an unknown way")
                name = f"{inside}/{entry.filename}" if inside else entry.filename
                yield from _inside(_member(archive, entry, budget), name, depth, budget)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, struct.error) as error:
        raise Unseen("is an archive that cannot be unpacked") from error


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, budget: _Budget) -> Iterator[bytes]:
    with archive.open(entry) as member:
        while part := member.read(_AT_ONCE):
            budget.take(len(part))
            yield part
