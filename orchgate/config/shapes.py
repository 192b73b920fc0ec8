"""The forms that keys and their tables have."""

from __future__ import annotations

from typing import NamedTuple

from orchgate.config.kinds import Flag, Globs, Kind, ListOf, MapOf, Number, Place, Record, Text, Whole
from orchgate.config.settings import Area, Ignore, Metric, Pipeline, Stage

TEXTS = ListOf(Text())
GLOBS = Globs()
PLACES = ListOf(Place())
ONE_OR_MORE_PLACES = ListOf(Place(), or_one=True)
PACKET_KINDS = ("prd", "tech-spec", "action-plan", "checklist", "mini-spec")


class Key(NamedTuple):
    """One key of the table. `looser`: "more", "fewer" or "change" of it loosens the gate; "" cannot."""

    kind: Kind
    default: object
    help: str
    looser: str = ""
    governs: tuple[str, ...] = ()
    limit: bool = False


AREA = Record(
    Area, {"paths": GLOBS, "max-files": Whole(), "max-lines": Whole()}, {"max-files": None, "max-lines": None}
)
METRIC = Record(
    Metric,
    {
        "block": Number(0, 1e9, "a fraction"),
        "tolerance": Number(0, 1, "a fraction"),
        "max": Number(0, 1e18, "a number"),
        "min": Number(0, 1e18, "a number"),
    },
    {"block": None, "tolerance": None, "max": None, "min": None},
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
    },
    {
        "oneOf": [
            {"required": ["run"], "properties": {"run": {"minItems": 1}}},
            {"required": ["shell"], "properties": {"shell": {"minLength": 1}}},
            {"required": ["pipeline"], "properties": {"pipeline": {"minLength": 1}}},
        ]
    },
)
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

DOC = ("DOC001", "DOC002", "DOC003", "DOC004", "DOC005", "DOC006", "DOC007", "DOC008")
EVD = (
    "EVD001",
    "EVD002",
    "EVD003",
    "EVD004",
    "EVD005",
    "EVD006",
    "EVD007",
    "EVD008",
    "EVD009",
    "EVD010",
    "EVD011",
    "EVD012",
    "EVD013",
)
