"""Envelopes of DSSE, the form in which in-toto carries statements, one a line of a bundle.

A bundle is JSON Lines, in which the order of lines means nothing: a merge by union mixes it up. What is signed is not
the payload but its pre-authentication encoding, which names its type and its length (https://github.com/secure-systems-lab/dsse).
"""

from __future__ import annotations

import base64
import binascii

from orchgate.lib import json_data
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_BYTES = 4 * 1024 * 1024  # of a bundle
MAX_LINE = 512 * 1024  # bytes
MOST = 100  # signatures of one run: each costs a process or two
MARKS = (b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>")
_TO_STANDARD = str.maketrans("-_", "+/")


class Envelope(NamedTuple):
    """A payload, and signatures of it as they came, each a blob of whatever made it; `text` is its line."""

    payload: bytes
    signatures: tuple[bytes, ...]
    text: bytes


class DamagedLine(NamedTuple):
    """A line of a bundle that is no envelope; `line` is 0 for the whole bundle."""

    line: int
    why: str


def encoded(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """What is signed of a payload: its pre-authentication encoding."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def line_of(payload: bytes, key: str, signature: bytes) -> bytes:
    """An envelope with one signature, without a line break. `key` is its fingerprint, which is a hint to the reader."""
    import json

    fields = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode("ascii"),
        "signatures": [{"keyid": key, "sig": base64.b64encode(signature).decode("ascii")}],
    }
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def joined(lines: Iterable[bytes]) -> bytes:
    """A bundle of lines, in the order that says nothing."""
    return b"".join(line + b"\n" for line in sorted(set(lines)))


def lines(data: bytes) -> list[tuple[int, bytes]]:
    """The lines of a bundle that hold something, with their numbers."""
    numbered = ((number, line.strip(b" \t\r")) for number, line in enumerate(data.split(b"\n"), 1))
    return [(number, line) for number, line in numbered if line]


def parse(data: bytes) -> Iterator[tuple[int, Envelope] | DamagedLine]:
    """The envelopes of a bundle with their lines, each different one once, and what is damaged."""
    if len(data) > MAX_BYTES:
        yield DamagedLine(0, f"is larger than {MAX_BYTES} bytes")
        return
    seen: set[bytes] = set()
    left = MOST
    for number, line in lines(data):
        if line in seen:
            continue
        seen.add(line)
        try:
            envelope = _envelope(line)
        except ValueError as error:
            left -= 1
            yield DamagedLine(number, str(error))
        else:
            left -= len(envelope.signatures)
            if left >= 0:
                yield number, envelope
        if left < 0:
            yield DamagedLine(0, f"holds more than {MOST} signatures")
            return


def _envelope(line: bytes) -> Envelope:
    """The envelope on a line. Raises ValueError, which says what is wrong with it."""
    if len(line) > MAX_LINE:
        raise ValueError(f"is longer than {MAX_LINE} bytes")
    if line.startswith(MARKS):
        raise ValueError("holds the marks of a merge conflict")
    fields = parsed(line)
    if fields.get("payloadType") != PAYLOAD_TYPE:
        raise ValueError(f"payloadType: expected {PAYLOAD_TYPE}")
    signatures = fields.get("signatures")
    if not isinstance(signatures, list) or not signatures:
        raise ValueError("signatures: expected an array of at least one")
    return Envelope(_bytes(fields, "payload"), tuple(_bytes(one, "sig") for one in signatures), line)


def parsed(data: bytes) -> dict[str, object]:
    """One JSON object in which no key appears twice. Raises ValueError."""
    try:
        value = json_data.parse(data, object_pairs_hook=_unique)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"is not JSON: {str(error).partition(': line ')[0]}") from None
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 -- what is wrong is the text
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _bytes(fields: Mapping[str, object], name: str) -> bytes:
    """A field in base64, of either alphabet. Raises ValueError."""
    text = fields.get(name) if isinstance(fields, dict) else None
    if not isinstance(text, str) or not text:
        raise ValueError(f"{name}: expected base64")
    try:
        return base64.b64decode(text.translate(_TO_STANDARD).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError(f"{name}: is not base64") from None
