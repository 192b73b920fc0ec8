"""The style sheet of the page, with that of the charts."""

from __future__ import annotations

from orchgate.charts.svg import CSS as CHARTS
from orchgate.lib import files
from orchgate.lib.lazy import lazy

_COMMENTS = lazy(r"/\*.*?\*/", 16)  # 16 is re.DOTALL, spelt without importing re
_BLANKS = lazy(r"\s*([{};,])\s*|\s+")


def sheet() -> str:
    """As small as it can be without being read by anybody."""
    text = _COMMENTS.sub("", CHARTS + files.read_data("templates", "report.css"))
    return _BLANKS.sub(lambda match: match[1] or " ", text).replace(";}", "}").strip()
