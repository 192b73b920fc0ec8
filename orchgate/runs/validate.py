"""Whether a manifest keeps its schema: decided fast, explained only when it does not."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib import resources
from orchgate.runs.decode import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jsonschema_rs
    from jsonschema.exceptions import ValidationError

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
    """The most telling violation, in few words however large the document. References never reach the network."""
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

    return json.loads(resources.read("schemas", SCHEMAS[kind]))


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
            return path, f"{_listed(missing)} missing"
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


def _listed(names: list[str]) -> str:
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
