"""When a document was last reviewed, by its front matter."""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Finding, Severity

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator

    from orchgate.markdown.document import Document

KEY = "last_review"
_DATE = lazy(r"\d{4}-\d{2}-\d{2}")


def last_review(document: Document) -> str | None:
    """The value as written; None when the document has none."""
    if not document.text.startswith("---"):
        return None
    value = document.front_matter.get(KEY)
    return ", ".join(value) if isinstance(value, list) else value


def date_of(value: str) -> datetime.date | None:
    """A date written as YYYY-MM-DD; None for anything else."""
    import datetime

    try:
        return datetime.date.fromisoformat(value) if _DATE.fullmatch(value) else None
    except ValueError:
        return None


def review_of(document: Document, today: datetime.date, days: int, *, edited: bool) -> Iterator[Finding]:
    """DOC007: a review that is too old, in the future or not a date; an error only if the change edits the document."""
    value = last_review(document)
    if value is None:
        return
    reviewed = date_of(value)
    hint = f"review it, then set {KEY}: {today.isoformat()}"
    weight = Severity.ERROR if edited else Severity.WARNING
    if reviewed is None:
        message, hint = f"{KEY} is not a date: {value!r}", f"write {KEY}: {today.isoformat()}"
    elif (reviewed - today).days > 1:  # tomorrow is today elsewhere
        message = f"{KEY} {value} is in the future"
    elif (age := (today - reviewed).days) > days:
        message = f"last reviewed {age} days ago, limit {days}"
        weight = Severity.ERROR if edited else Severity.NOTE
    else:
        return
    yield Finding("DOC007", document.location(document.text.index(KEY)), message, hint, weight)
