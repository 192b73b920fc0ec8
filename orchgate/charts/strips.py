"""What leads from trends of the same runs to each of them: a strip a run, from the top of the first to the last's end.

It lies over charts that are below each other, once for all of them: a link for each point of each would be most of a
page of 500 runs.
"""

from __future__ import annotations

from itertools import pairwise

from orchgate.charts import trend
from orchgate.charts.svg import ACROSS, escape, identifier, linked, number
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from orchgate.charts.shapes import Strips

_WIDEST = 0.06  # of the width


def svg(chart: Strips) -> str:
    """As large as what it is put into, which has `position: relative`."""
    places = trend.across(chart.points)
    apart = min([_WIDEST, *(after - before for before, after in pairwise(places))])
    own = identifier(chart.id)
    strips = (
        linked(one.link, one.label, f'<path d="M{number(ACROSS * across)} 0V1"/>')
        for one, across in zip(chart.points, places, strict=True)
    )
    return (
        f'<svg class="chart strips" role="group" aria-labelledby="{own}-t" viewBox="0 0 {ACROSS} 1"'
        f' preserveAspectRatio="none"><title id="{own}-t">{escape(chart.title)}</title>'
        f'<g stroke-width="{number(ACROSS * apart)}">{"".join(strips)}</g></svg>'
    )
