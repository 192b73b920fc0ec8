"""The forms that keys and their tables have."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from orchgate.config.kinds import (
    Choice,
    Flag,
    Globs,
    Inner,
    Kind,
    ListOf,
    MapOf,
    Number,
    OrNone,
    Place,
    Record,
    Text,
    Whole,
)
from orchgate.config.settings import Area, Benchmarks, Ignore, Metric, Pipeline, Stage

TEXTS = ListOf(Text())
GLOBS = Globs()
PLACES = ListOf(Place())
ONE_OR_MORE_PLACES = ListOf(Place(), or_one=True)
PACKET_KINDS = ("prd", "tech-spec", "action-plan", "checklist", "mini-spec")


class Role(Enum):
    """What a key decides. All but taste are limits: the base's value judges the change that edits it."""

    REFUSED = "what is refused"
    SEEN = "what is looked at"
    RUN = "what is run"
    TASTE = "taste"


class Looser(Enum):
    """Which way a key loosens the gate: more of it, fewer, any change, or none."""

    MORE = "more"
    FEWER = "fewer"
    CHANGE = "change"
    NO = "no"


REFUSED, SEEN, RUN = Role.REFUSED, Role.SEEN, Role.RUN
MORE, FEWER, CHANGE = Looser.MORE, Looser.FEWER, Looser.CHANGE


class Key(NamedTuple):
    """One key of the table.

    `governs` are the rules it can silence, or whole families of them such as "DOC" (CFG001). `moves` says that it names
    places: in the change that edits it the base's and the new ones count, because things move from one to the other.
    """

    kind: Kind
    default: object
    help: str
    role: Role
    looser: Looser = Looser.NO
    governs: tuple[str, ...] = ()
    moves: bool = False


AREA = Record(
    Area, {"paths": GLOBS, "max-files": Whole(), "max-lines": Whole()}, {"max-files": None, "max-lines": None}
)
METRIC = Record(
    Metric,
    {
        "block": Number(0, 10, "a fraction"),
        "tolerance": Number(0, 1, "a fraction"),
        "max": Number(0, 1e18, "a number"),
        "min": Number(0, 1e18, "a number"),
    },
    {"block": None, "tolerance": None, "max": None, "min": None},
)
BENCHMARK_FORMATS = ("pytest-benchmark", "hyperfine", "go", "bmf", "criterion")
BENCHMARKS = Record(
    Benchmarks,
    {"file": OrNone(Inner()), "format": OrNone(Choice(BENCHMARK_FORMATS))},
    {"file": "", "format": ""},
)
STAGE = Record(
    Stage,
    {
        "id": Text(),
        "run": TEXTS,
        "shell": Text(),
        "env": MapOf(Text()),
        "cwd": Text(),
        "timeout-seconds": Number(0.001, 1e7, "seconds"),
        "retries": Whole(0, 100),
        "allow-failure": Flag(),
        "needs": TEXTS,
        "inputs": GLOBS,
        "junit": Place(),
        "metrics": Text(),
        "title": Text(),
        "summary-hint": Text(),
        "retry-delay-seconds": Number(0, 1e5, "seconds"),
        "pipeline": Text(),
        "outputs": GLOBS,
    },
    {
        "run": (),
        "shell": "",
        "env": {},
        "cwd": "",
        "timeout-seconds": None,
        "retries": 0,
        "allow-failure": False,
        "needs": (),
        "inputs": (),
        "junit": "",
        "metrics": "",
        "title": "",
        "summary-hint": "",
        "retry-delay-seconds": 0.0,
        "pipeline": "",
        "outputs": (),
    },
    {
        "oneOf": [
            {"required": ["run"], "properties": {"run": {"minItems": 1}}},
            {"required": ["shell"], "properties": {"shell": {"minLength": 1}}},
            {"required": ["pipeline"], "properties": {"pipeline": {"minLength": 1}}},
        ]
    },
)
# The only keys of a pipeline that do not say what is run.
STAGE_TASTE = ("title", "summary_hint")
PIPELINE = Record(
    Pipeline,
    {"title": Text(), "stages": ListOf(STAGE), "env": MapOf(Text()), "max-parallel": Whole(1, 256)},
    {"title": "", "stages": (), "env": {}, "max-parallel": None},
)
IGNORE = Record(
    Ignore,
    {"rules": TEXTS, "reason": Text()},
    also={"allOf": [{"properties": {"rules": {"minItems": 1}, "reason": {"pattern": "\\S"}}}]},
)
