"""The facts of `.orchgate/baseline.json`: how their keys are spelt, and which values they may have. Pure.

The key of a line is the whole path of what it says: `<pipeline>.<machine class>.<name>`, and in between
`history.<recorded at>` for a record that was superseded.
"""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures.declared import MetricKind
from orchgate.verdict.values import KNOWN, WHEN_NAMED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

MIN_RUNS = 10  # fewer say nothing about a spread
MAX_RUNS = 1_000
MAX_TEXT = 500
MAX_NAME = 220  # of a metric: a stage and a name of its own
LARGEST = 1e18
MACHINE = ("container", "cores", "cpu_model", "kernel", "memory_class", "python", "system")

_MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z"
_CLASS = "[0-9a-f]{16}"
_KEY = lazy(rf"(?P<pipeline>.+?)\.(?P<machine>{_CLASS})\.(?:history\.(?P<superseded>{_MOMENT})\.)?(?P<name>.+)")
_LIKE_A_PLACE = lazy(rf".+\.{_CLASS}(?:\..*)?")
_WHEN = lazy(_MOMENT)
_COMMIT = lazy(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HASH = lazy(r"[0-9a-f]{64}")
_POSITIVE = frozenset({one.name for one in (*KNOWN, *WHEN_NAMED) if one.kind is MetricKind.MEMORY} | {"wall_seconds"})
_RATES = frozenset(metric.name for metric in KNOWN if metric.kind is MetricKind.RATE)


class FactKey(NamedTuple):
    """Where a fact belongs. `superseded` is the time of a record in the history, "" for the one that counts."""

    pipeline: str
    machine: str
    superseded: str
    name: str

    @property
    def text(self) -> str:
        return f"{place(self.pipeline, self.machine, self.superseded)}.{self.name}"


def place(pipeline: str, machine: str, superseded: str = "") -> str:
    """The dotted path of a record."""
    return f"{pipeline}.{machine}" + (f".history.{superseded}" if superseded else "")


def key(text: str) -> FactKey | None:
    """What a key says; None when it is none."""
    match = _KEY.fullmatch(text)
    return FactKey(match["pipeline"], match["machine"], match["superseded"] or "", match["name"]) if match else None


def is_pipeline(name: Any) -> bool:
    """Whether a name can stand in a key; one that holds a machine class itself would be taken apart wrongly."""
    return is_text(name) and not _LIKE_A_PLACE.fullmatch(name)


def is_metric(name: str) -> bool:
    return is_text(name, MAX_NAME)


def wrong_name(name: str) -> str:
    """Why the last part of a key is none of ours, with the one that was probably meant; "" when it is."""
    group, dot, rest = name.partition(".")
    if not dot:
        return "" if name in _FACTS else "is unknown" + _nearest(name, _FACTS)
    if group == "machine":
        return "" if rest in MACHINE else "is unknown" + _nearest(rest, MACHINE)
    if group in ("samples", "lower_bounds"):
        return "" if is_metric(rest) else "is not the name of a metric"
    if group == "tools":
        return "" if is_metric(rest) else "is not the name of a tool"
    return "is unknown" + _nearest(group, ("lower_bounds", "machine", "samples", "tools"))


def wrong_value(name: str, value: Any) -> str:
    """What the value of a known name should have been; "" when it is right."""
    group, _, rest = name.partition(".")
    if group == "samples":
        return _wrong_samples(rest, value)
    if group in ("lower_bounds", "tools"):
        return "" if is_text(value) else f"expected one line of text, got {shown(value)}"
    if group == "machine":
        right = _is_number(value) and value > 0 if rest == "cores" else is_text(value)
        return "" if right else f"expected {'a number' if rest == 'cores' else 'text'}, got {shown(value)}"
    expected, accepts = _FACTS[name]
    return "" if accepts(value) else f"expected {expected}, got {shown(value)}"


def _wrong_samples(metric: str, value: Any) -> str:
    if not isinstance(value, list):
        return f"expected a list of samples, got {shown(value)}"
    if not MIN_RUNS <= len(value) <= MAX_RUNS:
        return f"expected {MIN_RUNS} to {MAX_RUNS} samples, got {len(value) or 'none'}"
    for index, sample in enumerate(value):
        if reason := wrong_sample(metric, sample):
            return f"sample {index + 1}: {reason}"
    return ""


def wrong_sample(metric: str, value: Any) -> str:
    """Why a value cannot be a sample of a metric; "" when it can."""
    if not _is_number(value):
        return f"expected a finite number, got {shown(value)}"
    if not 0 <= value <= LARGEST:
        return f"expected a number from 0 to {LARGEST:g}, got {shown(value)}"
    if metric in _POSITIVE and value == 0:
        return "has to be above 0"
    if metric in _RATES and value > 1:
        return f"expected a fraction from 0 to 1, got {shown(value)}"
    return ""


def _is_number(value: Any) -> bool:
    # NaN compares as neither; no whole number of thousands of digits is turned into a float here.
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST * 2 < value < LARGEST * 2


def is_text(value: Any, longest: int = MAX_TEXT) -> bool:
    """Whether a value is text of one line that says something."""
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= longest and value.strip() == value


def is_moment(value: Any) -> bool:
    """Whether a value is a point in time as manifests write it, and exists in the calendar."""
    if not isinstance(value, str) or not _WHEN.fullmatch(value):
        return False
    import datetime

    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_commit(value: Any) -> bool:
    return value is None or (isinstance(value, str) and _COMMIT.fullmatch(value) is not None)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= MAX_RUNS and all(is_text(item) for item in value)


_FACTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "commit": ("a commit's id or null", _is_commit),
    "dirty": ("true or false", lambda value: isinstance(value, bool)),
    "pipeline_hash": (
        "64 hexadecimal digits",
        lambda value: isinstance(value, str) and _HASH.fullmatch(value) is not None,
    ),
    "reason": (f"one line of text of at most {MAX_TEXT} characters", is_text),
    "recorded_at": ("a time such as 2026-01-06T09:26:22.129Z", is_moment),
    "recorded_by": (f"one line of text of at most {MAX_TEXT} characters", is_text),
    "run_ids": ("a list of run ids", _are_texts),
    "tree": ("a tree's id or null", _is_commit),
}
REQUIRED = tuple(name for name in _FACTS if name != "run_ids")


def _nearest(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name[:100], list(known), n=1, cutoff=0.6)
    return f": did you mean {near[0]}?" if near else f"; there are: {', '.join(known)}"


def shown(value: Any) -> str:
    """A value in JSON's words, never longer than a few."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a huge number"
    text = repr(value) if isinstance(value, str | int | float) else "an object"
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, clip(text, 60))
