"""The style sheet of all charts: once on a page, in a `<style>`. A chart is as wide as the `figure` around it.

Blue and orange are told apart by every kind of color vision, and shapes and words say the same. A test holds the
colors to contrasts of 4.5 for text and 3 for shapes.
"""

from __future__ import annotations

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "muted": "#59636e",
    "grid": "#dfe3e8",
    "rail": "#eef1f4",
    "data": "#0b62b8",
    "bad": "#c23a00",
    "warning": "#8f5902",
    "band": "#0a7f6f26",
    "center": "#0a7f6f",
    "beyond": "#c23a0022",
    "focus": "#8250df",
    "beam": "#59636e40",
}
DARK = {
    "paper": "#0d1117",
    "ink": "#e6edf3",
    "muted": "#9aa4af",
    "grid": "#2a313b",
    "rail": "#1c222b",
    "data": "#5cb0ff",
    "bad": "#ff8f5e",
    "warning": "#e3b341",
    "band": "#3fc9b033",
    "center": "#3fc9b0",
    "beyond": "#ff8f5e2e",
    "focus": "#c9a6ff",
    "beam": "#9aa4af55",
}


def _variables(colors: dict[str, str]) -> str:
    return "; ".join(f"--chart-{name}: {color}" for name, color in colors.items())


_RULES = """
.chart { display: block; box-sizing: content-box; overflow: visible; fill: var(--chart-ink);
  font: 12px/1.3 system-ui, sans-serif; font-variant-numeric: tabular-nums;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; break-inside: avoid }
.chart.trend { width: calc(100% - 140px); padding: 26px 76px 26px 64px }
.chart.undated { padding-bottom: 8px }
.chart.strips { position: absolute; left: 64px; top: 0; width: calc(100% - 140px); height: 100%; overflow: hidden }
.chart.strips path { stroke: transparent; pointer-events: stroke }
.chart.strips a:hover path { stroke: var(--chart-beam) }
.chart.strips a:focus-visible { outline: 0 }
.chart.strips a:focus-visible path { stroke: var(--chart-focus); opacity: .6 }
.chart.waterfall, .chart.intervals, .chart.distribution { width: calc(100% - 16px); padding: 4px 8px 38px }
.chart text { paint-order: stroke; stroke: var(--chart-paper); stroke-width: 3px; stroke-linejoin: round }
.chart svg { overflow: visible }
.chart text.muted, .chart g.muted { fill: var(--chart-muted) }
.chart text.strong { font-weight: 600 }
.chart text.of-band { fill: var(--chart-center) }
.chart text.state { font-weight: 600 }
.chart text.mark { fill: var(--chart-muted); white-space: pre }
.chart .middle { text-anchor: middle }
.chart .end { text-anchor: end }
.chart .narrow { display: none }
.chart .grid { stroke: var(--chart-grid); shape-rendering: crispEdges }
.chart .zero { stroke: var(--chart-muted); shape-rendering: crispEdges }
.chart path.grid, .chart path.zero { vector-effect: non-scaling-stroke }
.chart .rail { stroke: var(--chart-rail); stroke-width: 12 }
.chart .band { fill: var(--chart-band) }
.chart .center { stroke: var(--chart-center); stroke-dasharray: 6 4; stroke-width: 1.5 }
.chart line.mark { stroke: var(--chart-muted); stroke-dasharray: 2 3 }
.chart .beyond { fill: var(--chart-beyond) }
.chart .limit { stroke: var(--chart-bad); stroke-width: 2 }
.chart .median { stroke: var(--chart-ink); stroke-width: 2 }
.chart .pair { stroke: var(--chart-muted); opacity: .25; vector-effect: non-scaling-stroke }
.chart.distribution path.dots { stroke-width: 6 }
.chart .wait { stroke: var(--chart-muted); stroke-width: 12; stroke-dasharray: 1.5 2.5 }
.chart path.line { fill: none; stroke: var(--chart-data); stroke-width: 1.5; opacity: .45; stroke-linejoin: round;
  vector-effect: non-scaling-stroke }
.chart path.dots { fill: none; stroke: var(--chart-data); stroke-width: 7; stroke-linecap: round;
  vector-effect: non-scaling-stroke }
.chart path.muted { stroke: var(--chart-muted) }
.chart path.bars { fill: none; stroke: var(--chart-bad); stroke-width: 3; vector-effect: non-scaling-stroke }
.chart circle { r: 3.5px; fill: var(--chart-data); stroke: var(--chart-paper) }
.chart.dense path.dots { stroke-width: 5; opacity: .6 }
.chart.dense path.line { opacity: 1; stroke-width: 2 }
.chart circle.cached { fill: var(--chart-paper); stroke: var(--chart-data); stroke-width: 1.5 }
.chart circle.good { r: 4.5px }
.chart circle.neutral { r: 4.5px; fill: var(--chart-muted) }
.chart .failed path, .chart .bad path { fill: none; stroke: var(--chart-bad); stroke-width: 2.5 }
.chart .cancelled path, .chart .warning path { fill: var(--chart-paper); stroke: var(--chart-warning); stroke-width: 2 }
.chart .skipped path, .chart .unknown path { fill: var(--chart-paper); stroke: var(--chart-muted); stroke-width: 2 }
.chart .running path { fill: var(--chart-data) }
.chart .bar { fill: var(--chart-data) }
.chart .bar.failed { fill: var(--chart-paper); stroke: var(--chart-bad); stroke-width: 1.5 }
.chart .bar.cancelled { fill: var(--chart-paper); stroke: var(--chart-warning); stroke-width: 1.5 }
.chart .bar.cached, .chart .bar.skipped, .chart .bar.unknown { fill: var(--chart-paper); stroke: var(--chart-muted) }
.chart .span { stroke: var(--chart-data); stroke-width: 2.5 }
.chart .span.neutral { stroke: var(--chart-muted) }
.chart .span.bad { stroke: var(--chart-bad) }
.chart .span.warning { stroke: var(--chart-warning) }
.chart text.failed, .chart text.bad { fill: var(--chart-bad) }
.chart text.cancelled, .chart text.warning { fill: var(--chart-warning) }
.chart text.cached, .chart text.running, .chart text.good { fill: var(--chart-data) }
.chart text.skipped, .chart text.unknown, .chart text.neutral { fill: var(--chart-muted) }
.chart .arrow path { fill: none; stroke: var(--chart-data); stroke-width: 2.5 }
.chart .arrow.bad path { stroke: var(--chart-bad) }
.chart .arrow.warning path { stroke: var(--chart-warning) }
.chart .arrow.neutral path { stroke: var(--chart-muted) }
.chart a { cursor: pointer }
.chart a:hover circle { r: 5.5px }
.chart a:focus-visible { outline: 2px solid var(--chart-focus); outline-offset: 2px }
.chart a:focus-visible circle { r: 6px; stroke: var(--chart-focus); stroke-width: 3 }
figure:has(> .chart) { container-type: inline-size }
@media (max-width: 600px) { NARROW }
@container (max-width: 520px) { NARROW }
"""

# Where there is little room: by the figure around a chart, or by the window where there is none.
_NARROW = (
    ".chart .wide { display: none } .chart .narrow { display: inline } .chart.dense path.dots { stroke-width: 3.5 }"
)
CSS = (
    f":root {{ {_variables(LIGHT)} }}\n"
    f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}\n"
    + _RULES.replace("NARROW", _NARROW)
)
