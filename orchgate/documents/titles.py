"""Headings as people write them: one title in many spellings."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

MAX_TITLE = 500  # characters that are compared; nobody writes a longer heading on purpose
DASHES = "‐‑‒–—―−﹣-"  # noqa: RUF001 -- telling them apart is the point
KIND_WORDS = {
    "prd": "prd",
    "product requirements": "prd",
    "product requirements document": "prd",
    "tech spec": "tech-spec",
    "technical spec": "tech-spec",
    "technical specification": "tech-spec",
    "tech specification": "tech-spec",
    "action plan": "action-plan",
    "task checklist": "checklist",
    "checklist": "checklist",
    "mini spec": "mini-spec",
    "mini-spec": "mini-spec",
}

_COMMENT = re.compile(r"<!--.{0,500}?-->")
_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])")
_ORNAMENT = re.compile(r"^[^\w(§]+")
_NUMBERING = re.compile(r"^(?:§\s*)?(?:\d{1,3}(?:\.\d{1,3}){0,5}[.):]?|[a-z][.)])\s+")
_SUFFIX = re.compile(r"\s*\([^()]*\)$")
_KIND = re.compile(
    rf"(?P<kind>{'|'.join(sorted(KIND_WORDS, key=len, reverse=True))})(?: mirror)?(?:\s+-\s*|\s*[:|]\s*|$)(?P<rest>.*)", re.DOTALL
)
_TASK = re.compile(r"(?:task\s+)?#?(?P<id>\d{4})(?:\s*[-:|]|\s|$)")

@lru_cache(maxsize=8192)
def normal(title: str) -> str:
    """A section title in the form that is compared: `## 2. **Goals & Aims** (draft):` is `goals and aims`."""
    text = _plain(title)
    text = _NUMBERING.sub("", _ORNAMENT.sub("", text), count=1)
    while (shorter := _SUFFIX.sub("", text, count=1)) not in ("", text):
        text = shorter
    return " ".join(text.replace("&", " and ").replace("-", " ").split()).rstrip(" :.")


def _plain(title: str) -> str:
    """Lower case without markup, every dash a hyphen, closing `#`s and colons gone."""
    text = unicodedata.normalize("NFKC", title[:MAX_TITLE])
    text = _LINK.sub(r"\1", _COMMENT.sub("", text)).replace("&amp;", "&")
    for dash in DASHES:
        text = text.replace(dash, "-")
    for mark in "*`~":
        text = text.replace(mark, "")
    text = text.replace("_", " ").replace("\\", "").casefold().strip()
    return " ".join(text.rstrip("#").rstrip(" :").split())


def choices(required: str) -> tuple[str, ...]:
    """The titles that satisfy one configured section: `Summary | Overview` is two."""
    return tuple(part.strip() for part in required.split("|") if part.strip())


class Name(NamedTuple):
    """What a document's first heading says it is: a kind of document and a four-digit task id, "" where it says none."""

    kind: str
    task_id: str
    rest: str


def document_name(title: str) -> Name:
    """`TECH_SPEC — 0939 Faster runs` as ("tech-spec", "0939", "0939 faster runs"), in every spelling seen of it."""
    text = _plain(title)
    match = _KIND.fullmatch(text)
    kind, rest = (KIND_WORDS[match["kind"]], match["rest"]) if match else ("", text)
    task = _TASK.match(rest)
    return Name(kind, task["id"] if task else "", rest)
