"""Bytes of a manifest -> one JSON object that keeps its schema, or the exact reason why not and the line to blame.

A schema is checked fast, and a violation explained only where there is one.
"""

from __future__ import annotations

import re
from functools import lru_cache

from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.lib.lazy import lazy
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    import jsonschema_rs
    import msgspec
    from jsonschema.exceptions import ValidationError

    from orchgate.lib.json_data import ValuePath


MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64


class Flaw(Enum):
    """Why a manifest cannot be read. The values continue the sentence "The manifest …"."""

    PLACE = "is not a regular file"
    SIZE = "is too large"
    TRUNCATED = "ends too early"
    ENCODING = "is not UTF-8"
    SYNTAX = "is not JSON"
    NUMBER = "holds a number that JSON does not have"
    DUPLICATE = "names a key twice"
    DEPTH = "is nested too deeply"
    SHAPE = "is not an object"
    SCHEMA = "breaks its schema"


HINTS = {
    Flaw.PLACE: "a manifest is a regular file; move what is there out of the way",
    Flaw.SIZE: "keep logs out of the manifest, or raise manifests.max-bytes",
    Flaw.TRUNCATED: "its writer was interrupted: run the pipeline again, or delete the run",
    Flaw.ENCODING: "write it again as UTF-8 without a byte order mark",
    Flaw.SYNTAX: "it was edited by hand or damaged: restore it, or run the pipeline again",
    Flaw.NUMBER: "write null where there is no value; JSON knows neither NaN nor infinity",
    Flaw.DUPLICATE: "readers disagree about which one counts: keep one",
    Flaw.DEPTH: "no run writes this; raise manifests.max-depth if one really does",
    Flaw.SHAPE: "a manifest is one JSON object",
    Flaw.SCHEMA: "restore the file as its runner wrote it, or run the pipeline again",
}


class ManifestError(OrchgateError):
    """One manifest that cannot be used. `line` counts from 1; 0 where no line is to blame."""

    def __init__(self, reason: Flaw, message: str, line: int = 0) -> None:
        super().__init__(message, HINTS[reason])
        self.reason = reason
        self.line = line


def parse(data: bytes, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> dict[str, object]:
    """The one object in `data`. Raises ManifestError for everything that two readers could understand differently."""
    import msgspec

    from orchgate.lib import json_data

    if len(data) > max_bytes:
        raise ManifestError(Flaw.SIZE, f"is {len(data)} bytes long, limit {max_bytes}")
    try:
        value = msgspec.json.decode(data)
    except RecursionError:
        raise too_deep(max_depth) from None
    except UnicodeDecodeError:  # before msgspec 0.23
        raise _not_utf8(data) from None
    except msgspec.DecodeError as error:
        if json_data.begins_deeper_than(data, max_depth):
            raise too_deep(max_depth) from None
        raise _syntax(data, error) from None
    if not isinstance(value, dict):
        raise ManifestError(Flaw.SHAPE, f"holds {_kind(value)} where one object belongs")
    keys = json_data.keys_within(value, max_depth)
    if keys is None:
        raise too_deep(max_depth)
    # As many keys as the text, without blanks, has places for: none was dropped. Strings may look like more.
    places = data.translate(None, b" \n\t\r").count(b'":')
    if keys != places and msgspec.json.format(data, indent=-1) != msgspec.json.encode(value):
        _refuse_duplicates(data)
    return value


def too_deep(limit: int) -> ManifestError:
    return ManifestError(Flaw.DEPTH, f"is nested more than {limit} levels deep")


def _refuse_duplicates(data: bytes) -> None:
    """Raises when an object names a key twice; other ways of writing the same value, such as 1.0 or 1e2, are fine."""
    import json

    def unique(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        if len(names) != len(set(names)):
            raise _duplicate(data, _repeated(names))

    try:
        json.loads(data, object_pairs_hook=unique, parse_int=str, parse_float=str)
    except RecursionError:
        raise too_deep(MAX_DEPTH) from None


def _repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _duplicate(data: bytes, name: str) -> ManifestError:
    return ManifestError(Flaw.DUPLICATE, f'names the key "{shorten(name)}" twice', line_of_repeated(data, name))


def _not_utf8(data: bytes) -> ManifestError:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return ManifestError(Flaw.ENCODING, f"is not UTF-8: byte 0x{data[error.start]:02x}", line)
    return ManifestError(Flaw.ENCODING, "is not UTF-8")


def _syntax(data: bytes, error: msgspec.DecodeError) -> ManifestError:
    text = str(error)
    if not data.strip():
        return ManifestError(Flaw.TRUNCATED, "is empty")
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return ManifestError(Flaw.ENCODING, "starts with a byte order mark", 1)
    if "UTF-8" in text:
        return _not_utf8(data)
    if "out of range" in text:
        return ManifestError(Flaw.NUMBER, "holds a number that is too large")
    if half := _half_character(data):
        return ManifestError(Flaw.ENCODING, "holds half a character: a surrogate without its partner", half)
    if "truncated" in text:
        return ManifestError(Flaw.TRUNCATED, f"is truncated after {len(data)} bytes", data.count(b"\n") + 1)
    offset = int(match[1]) if (match := re.search(r"\(byte (\d+)\)$", text)) else 0
    line = data.count(b"\n", 0, offset) + 1
    if constant := re.match(rb"-?(NaN|Infinity)", data[max(0, offset - 1) : offset + 9].lstrip(b" \t\r\n:,[")):
        return ManifestError(Flaw.NUMBER, f"holds {constant[0].decode()}, which JSON does not have", line)
    message = re.sub(r"^JSON is malformed: | \(byte \d+\)$", "", text)
    return ManifestError(Flaw.SYNTAX, f"is not JSON: {message}", line)


_SURROGATES = lazy(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def _half_character(data: bytes) -> int:
    r"""The line of a `\ud83d` that stands alone, 0 if there is none: decoders report it as one thing or another."""
    position = 0
    while found := _SURROGATES.search(data, position):
        low = _SURROGATES.match(data, found.end())
        if found[0][3:4] in b"89abAB" and low and low[0][3:4] in b"cdefCDEF":
            position = low.end()
        else:
            return data.count(b"\n", 0, found.start()) + 1
    return 0


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def shorten(text: str, limit: int = 60) -> str:
    return clip(text, limit)


_TOKEN = lazy(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{},:]|[^][{},:\s"]+', re.DOTALL)


def places(data: bytes) -> Iterator[tuple[ValuePath, int]]:
    """Path and byte offset of every key and list item of a valid document, in order."""
    import json

    path: list[str | int] = []
    wants_key = False
    for token in _TOKEN.finditer(data):
        text = token[0]
        if text in b"]}":
            path.pop()
            wants_key = False
        elif text == b",":
            if isinstance(path[-1], int):
                path[-1] += 1
            else:
                wants_key = True
        elif text == b":":
            wants_key = False
        elif wants_key:
            path[-1] = json.loads(text)
            yield tuple(path), token.start()
        else:
            if path and isinstance(path[-1], int):
                yield tuple(path), token.start()
            if text in b"[{":
                wants_key = text == b"{"
                path.append("" if wants_key else 0)


def lines_of(data: bytes, wanted: Iterable[ValuePath]) -> dict[ValuePath, int]:
    """The line, from 1, of each path that is in the document."""
    missing = set(wanted)
    found: dict[ValuePath, int] = {}
    line, counted = 1, 0
    for path, offset in places(data) if missing else ():
        if path in missing:
            line += data.count(b"\n", counted, offset)
            counted = offset
            found[path] = line
            missing.discard(path)
            if not missing:
                break
    return found


def line_of_repeated(data: bytes, name: str) -> int:
    """The line on which an object names a key again; 0 if none does."""
    seen: set[ValuePath] = set()
    for path, offset in places(data):
        if path[-1] == name and path in seen:
            return data.count(b"\n", 0, offset) + 1
        seen.add(path)
    return 0


def dotted(path: Iterable[str | int]) -> str:
    """`("commands", 0, "status")` as `commands[0].status`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


SCHEMAS = {
    "orchgate": "manifest-v1.json",
    "codex-2026-01": "codex-manifest-2026-01.json",
    "codex-2026-06": "codex-manifest-2026-06.json",
}
RUNTIME_KEYS = ("runtime_mode_requested", "runtime_mode", "runtime_provider", "runtime_fallback")
CODEX_KEYS = ("resume_token", "compat_path", "artifact_root", "heartbeat_interval_seconds")


class Problem(NamedTuple):
    """What is wrong and where: `path` leads to the offending value, or to its parent when a key is missing."""

    path: tuple[str | int, ...]
    message: str


def format_of(document: Mapping[str, Any]) -> str:
    """Which key of SCHEMAS a manifest follows, judged by its content ("version" is 1 in all); "" for none of them."""
    if document.get("format") == "orchgate":
        return "orchgate"
    if document.get("runner") == "codex-cli" or any(key in document for key in CODEX_KEYS):
        return "codex-2026-06" if any(key in document for key in RUNTIME_KEYS) else "codex-2026-01"
    return ""


def is_valid(document: Mapping[str, Any], kind: str) -> bool:
    return _fast(kind).is_valid(document)


def explain(document: Mapping[str, Any], kind: str) -> Problem:
    """The violation that explains most, in few words however large the document. References are not fetched."""
    import jsonschema
    from jsonschema.exceptions import best_match
    from referencing import Registry

    validator = jsonschema.Draft202012Validator(_schema(kind), registry=Registry())
    error = best_match(validator.iter_errors(document))
    if error is None:
        return Problem((), "breaks its schema in a way that cannot be explained")
    return Problem(*_describe(error))


@lru_cache(maxsize=8)
def _schema(kind: str) -> Any:
    import json

    return json.loads(files.read_data("schemas", SCHEMAS[kind]))


@lru_cache(maxsize=8)
def _fast(kind: str) -> jsonschema_rs.Validator:
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(_schema(kind))
    except ValueError as error:
        raise OrchgateError(f"schemas/{SCHEMAS[kind]}: {error}", "pip install --force-reinstall orchgate") from error


def _describe(error: ValidationError) -> tuple[tuple[str | int, ...], str]:
    path = tuple(error.absolute_path)
    value: Any = error.instance
    expected: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "required":
            missing = [key for key in expected if key not in value]
            return path, f"{_names(missing)} missing"
        case "additionalProperties":
            unknown = sorted(key for key in value if key not in schema.get("properties", ()))
            return (*path, unknown[0]), f"unknown key {_shown(unknown[0])}" + _more(unknown)
        case "type":
            kinds = [expected] if isinstance(expected, str) else expected
            return path, f"expected {' or '.join(kinds)}, got {_shown(value)}"
        case "enum":
            return path, f"expected one of {', '.join(_shown(option) for option in expected)}, got {_shown(value)}"
        case "const":
            return path, f"expected {_shown(expected)}, got {_shown(value)}"
        case "minLength" | "minItems":
            return path, "must not be empty"
        case "minimum" | "exclusiveMinimum":
            return path, f"expected at least {expected}, got {_shown(value)}"
        case _:
            return path, f"expected {_form(schema.get('description', ''))}, got {_shown(value)}"


def _form(description: str) -> str:
    """The first sentence of a schema's description as part of another sentence."""
    sentence = description.partition(". ")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:] if sentence else "another form"


def _names(names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names[:5]) + _more(names[4:])
    return f"{quoted} {'is' if len(names) == 1 else 'are'}"


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _shown(value: object) -> str:
    """A value in JSON's words, never longer than a line."""
    import json

    if isinstance(value, dict):
        return f"an object of {len(value)} keys"
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    if isinstance(value, str):
        value = shorten(value)
    return shorten(json.dumps(value, ensure_ascii=False), 80)
