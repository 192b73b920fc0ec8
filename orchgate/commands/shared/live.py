"""What happens during a run, as a tree that redraws itself; on a terminal only."""

from __future__ import annotations

import time

from rich.console import Console
from rich.control import Control
from rich.live import Live as RichLive
from rich.segment import ControlType, Segment
from rich.text import Text
from rich.tree import Tree

from orchgate.commands.shared.lines import broken_rows, lower_bounds, stage_ids
from orchgate.lib import working_time
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape
from orchgate.runs.usage import away_words, work_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from orchgate.runner.loop import Loop
    from orchgate.runner.writer import Recorder

REDRAW_SECONDS = 0.25
_SIGNS = {
    "pending": ("·", "dim"),
    "running": ("▶", "cyan"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("-", "dim"),
    "cancelled": ("■", "yellow"),
}


class _StageLine:
    """One line of the tree."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = "pending"
        self.about = ""
        self.started = 0.0
        self.seconds: float | None = None
        self.log = ""
        self.child = ""


class LiveReporter:
    """The stages of a run and of the runs it calls."""

    def __init__(self) -> None:
        self._console = Console(markup=False, emoji=False, highlight=False)
        self._live = _screen(self._console)
        self._runs: dict[str, list[_StageLine]] = {}
        self._titles: dict[str, str] = {}
        self._top = ""
        self._drawn = 0.0
        self._stopped = False  # by Ctrl-Z
        self._lengths: list[int] = []  # cells of each line as it was drawn last

    def attach(self, loop: Loop) -> None:
        self._loop = loop
        self._live = _screen(self._console)
        self._lengths = []
        self._runs.clear()
        self._top = ""
        loop.tick = self._tick
        loop.pauses.shown = self._pause

    def seen(self, recorder: Recorder, event: Mapping[str, Any]) -> None:
        run_id = recorder.run_id
        if run_id not in self._runs:
            self._begin(run_id, recorder.events)
        elif event["event"] == "stage":
            self._runs[run_id].append(_StageLine(event["stage"]["id"]))
        stages = self._runs[run_id]
        if isinstance(event.get("stage"), int):
            _update(stages[event["stage"] - 1], event, recorder.folder)
        for index in event.get("stages", ()) if event["event"] == "skip" else ():
            stages[index - 1].status, stages[index - 1].about = event["status"], event["detail"]
        if event["event"] == "finish":
            total = work_times(recorder.events)
            away = away_words(total.worked, total.away)
            self._titles[run_id] += f": {event['status']}, {event['summary']}{', ' if away else ''}{away}"
            if run_id == self._top:
                self._draw()

    def close(self) -> None:
        if self._live.is_started:
            self._leave_broken_rows()
        self._live.stop()

    def _pause(self, paused: bool) -> None:
        """Ctrl-Z: the shell gets its cursor back, and what it writes meanwhile is not drawn over."""
        if paused and self._live.is_started:
            self._live.stop()
            self._stopped = True
        elif not paused and self._stopped:
            self._stopped = False
            self._live = _screen(self._console)
            self._lengths = []
            self._live.start()
            self._draw()

    def _begin(self, run_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        first = events[0]
        self._runs[run_id] = [_StageLine(name) for name in stage_ids(events)]
        self._titles[run_id] = f"{first['pipeline']['id']} {run_id}"
        if not self._top:
            self._top = run_id
            self._live.start()

    def _tick(self) -> float | None:
        """Draws when it is time to; the seconds until it is time again."""
        if not self._live.is_started:
            return None
        waited = time.monotonic() - self._drawn
        if waited >= REDRAW_SECONDS:
            self._draw()
            return REDRAW_SECONDS
        return REDRAW_SECONDS - waited

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        tree = self._tree(self._top)
        self._leave_broken_rows()
        lines = self._console.render_lines(tree, pad=False)[: self._console.height]
        self._lengths = [Segment.get_line_length(line) for line in lines]
        self._live.update(tree, refresh=True)

    def _leave_broken_rows(self) -> None:
        """A terminal that got narrower since has broken the lines in two: what is drawn next goes up a row for each
        line only, so the others are cleared here.
        """
        rows = broken_rows(self._lengths, self._console.width)
        self._lengths = []
        if rows:
            self._console.control(Control(*((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)) * rows))

    def _tree(self, run_id: str) -> Tree:
        tree = Tree(Text(escape(self._titles[run_id]), style="bold"))
        stages = self._runs[run_id]
        room = max(5, self._console.height - 4)
        chosen = stages if len(stages) <= room else _interesting(stages, room - 1)
        for stage in chosen:
            branch = tree.add(self._line(stage))
            if stage.child in self._runs:
                branch.add(self._tree(stage.child))
        if len(chosen) < len(stages):
            tree.add(Text(f"and {len(stages) - len(chosen)} more", style="dim"))
        return tree

    def _line(self, stage: _StageLine) -> Text:
        sign, style = _SIGNS[stage.status]
        running = stage.status == "running"
        seconds = working_time.now() - stage.started if running else stage.seconds
        shown = self._loop.last_line(stage.log) if running else stage.about
        text = Text(f"{sign} {escape(stage.name)}", style=style, no_wrap=True, overflow="ellipsis")
        text.append("" if seconds is None else f"  {seconds:.1f} s", style="dim")
        return text.append(f"  {escape(shown)}" if shown else "", style="dim")


def _screen(console: Console) -> RichLive:
    return RichLive(console=console, auto_refresh=False, vertical_overflow="crop")


def _interesting(stages: list[_StageLine], room: int) -> list[_StageLine]:
    """As many as there is room for: those that run or failed first, then those that ended last."""
    rank = {"running": 0, "failed": 1, "cancelled": 1, "succeeded": 2, "pending": 3, "skipped": 4}
    order = sorted(range(len(stages)), key=lambda index: (rank[stages[index].status], -index))
    return [stages[index] for index in sorted(order[:room])]


def _update(stage: _StageLine, event: Mapping[str, Any], folder: str) -> None:
    kind = event["event"]
    if kind == "start":
        stage.status, stage.started = "running", working_time.now()
        stage.log = f"{folder}/{event.get('log_path', '')}"
    elif kind == "child":
        stage.child = event["run_id"]
    elif kind == "cached":
        stage.status, stage.about = (
            "succeeded",
            f"cached from {event['from']}" + (f"; {event['detail']}" if event.get("detail") else ""),
        )
    elif kind == "end":
        usage = event.get("usage")
        stage.seconds = usage["wall_seconds"] if usage else None
        stage.status = "running" if event.get("again") else event["status"]
        stage.about = "; ".join([event["detail"] or event["summary"] or "", *lower_bounds(usage or {})]).removeprefix(
            "; "
        )
