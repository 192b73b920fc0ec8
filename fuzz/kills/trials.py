"""One disturbance each: a fresh copy of a verb's room, the call, what is true then, a second call, and what is true."""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fuzz.kills import after, ways
from fuzz.kills.verbs import Ended, Room, Verb, call, copy, runs, take_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fuzz.kills.after import Usual
    from fuzz.kills.ways import Moment

KILLED = (-9, 137)
EIGHT = 8


class Trial(NamedTuple):
    """A disturbance and what was wrong afterwards. `landed`: it came before the call was over."""

    verb: str
    way: str
    what: str
    landed: bool
    complaints: tuple[str, ...]


class Bench(NamedTuple):
    """A verb with its prepared room, and what it usually does there."""

    verb: Verb
    room: Room
    usual: Usual
    seconds: float
    runs: frozenset[str]


def prepared(world: Room, verb: Verb, folder: str) -> Bench:
    """A verb's own room, called undisturbed in two copies of it."""
    room = copy(world, os.path.join(folder, verb.name))
    if verb.before:
        room.shell(verb.before)
    before = after.contents(room)
    seen: list[dict[str, bytes]] = []
    shapes, added, codes = set(after.shapes(room)), set(after.added(room)), []
    for number in range(2):
        one = copy(room, f"{room.folder}-usual-{number}")
        for _ in range(2):
            codes.append(call(one, verb))
            list(after.later(one, after.Usual(0, 0, frozenset(), frozenset(), {}, {})))  # waits for what still ends
            seen.append(after.contents(one))
            shapes |= after.shapes(one)
            added |= after.added(one)
        shutil.rmtree(one.folder)
    if codes[0].code != 0:
        raise RuntimeError(f"{verb.name} ends with {codes[0].code} even undisturbed: {codes[0].out}")
    same = {name: data for name, data in seen[0].items() if all(other.get(name) == data for other in seen)}
    usual = after.Usual(codes[0].code, codes[1].code, frozenset(shapes), frozenset(added), same, before)
    return Bench(verb, room, usual, _seconds(room, verb), runs(room))


def _seconds(room: Room, verb: Verb) -> float:
    import time

    one = copy(room, f"{room.folder}-timed")
    begin = time.monotonic()
    call(one, verb)
    shutil.rmtree(one.folder)
    return time.monotonic() - begin


def disturbed(bench: Bench, way: str, what: str, disturb: Callable[[Room], Ended]) -> Trial:
    """One trial in a copy of the verb's room."""
    with tempfile.TemporaryDirectory(prefix="trial-", dir=os.path.dirname(bench.room.folder)) as top:
        room = copy(bench.room, os.path.join(top, "room"))
        ended = disturb(room)
        complaints = list(_judged(bench, room, ended))
        complaints += _again(bench, room)
        ways.end_all(room)
        landed = ended.code in KILLED if way in ("random", "call") else ended.code != bench.usual.code
        return Trial(bench.verb.name, way, what, landed, tuple(dict.fromkeys(complaints)))


def _again(bench: Bench, room: Room) -> Iterator[str]:
    """Complaints about a second call, which nobody disturbs, and about what is there in the end."""
    disturbed = runs(room) - bench.runs
    second = call(room, bench.verb)
    if second.code not in (bench.usual.code, bench.usual.again):
        yield f"the second call ends with {second.code}: {_tail(second)}"
    yield from take_up(room, bench.verb, runs(room) - disturbed)
    yield from after.later(room, bench.usual)


def _judged(bench: Bench, room: Room, ended: Ended) -> Sequence[str]:
    complaints = list(after.at_once(room, bench.usual))
    if ended.code in KILLED:
        return complaints
    if ended.code not in (bench.usual.code, *bench.verb.refusals):
        complaints.append(f"the call ends with {ended.code}: {_tail(ended)}")
    elif ended.code == bench.usual.code:
        now = after.contents(room)
        wrong = [name for name, content in bench.usual.contents.items() if now.get(name) != content]
        complaints += [f"the call reports success, and {after.shape(name)} is not what it makes" for name in wrong]
    return complaints


def _tail(ended: Ended) -> str:
    return " / ".join(ended.out.strip().splitlines()[-3:])[-300:]


def at_random(bench: Bench, number: int) -> Trial:
    """Killed at a random time, every other time with all its processes."""
    chance = ways.chance(number)
    seconds, group = chance.uniform(0.1, 1.1) * bench.seconds, bool(number % 2)
    what = f"after {seconds:.3f} s, {'the group' if group else 'alone'}"
    return disturbed(bench, "random", what, lambda room: ways.kill_after(room, bench.verb, seconds, group=group))


def at_call(bench: Bench, moment: Moment, number: int, *, children: bool = False) -> Trial:
    """Killed in a system call: the process itself, or whichever of its processes gets that far."""
    group = bool(number % 2)
    what = f"{moment.call} {moment.number} {'(group) ' if group else ''}{moment.shown}"
    way = "child" if children else "call"
    return disturbed(
        bench, way, what, lambda room: ways.kill_at(room, bench.verb, moment, children=children, group=group)
    )


def failing(bench: Bench, moment: Moment, error: str, *, children: bool) -> Trial:
    """A system call that fails."""
    what = f"{error} at {moment.call} {moment.number} {moment.shown}"
    wrapper = ways.injected(moment, f"error={error}", children=children)
    return disturbed(bench, "error", what, lambda room: call(room, bench.verb, wrapper))


def limited(bench: Bench, size: int) -> Trial:
    """No file may grow beyond a size."""
    return disturbed(bench, "limit", f"{size} bytes a file", lambda room: ways.limited(room, bench.verb, size))


def full(bench: Bench, room_for: int) -> Trial | None:
    """A disk that has room for so many bytes; None where nothing may be mounted."""
    with (
        tempfile.TemporaryDirectory(prefix="full-", dir=os.path.dirname(bench.room.folder)) as top,
        ways.mounted("-t", "tmpfs", "-o", "size=64m", "tmpfs", at=top) as done,
    ):
        if not done:
            return None
        inner = bench._replace(room=copy(bench.room, os.path.join(top, "room")))

        def disturb(room: Room) -> Ended:
            filler = Path(top, "filler")
            _fill(filler, top, room_for)
            ended = call(room, inner.verb)
            filler.unlink()
            return ended

        return _in_place(inner, "full", f"room for {room_for} bytes", disturb)


def read_only(bench: Bench, place: str) -> Trial | None:
    """A folder that cannot be written to; None where there is none, or nothing may be mounted."""
    with tempfile.TemporaryDirectory(prefix="fixed-", dir=os.path.dirname(bench.room.folder)) as top:
        inner = bench._replace(room=copy(bench.room, os.path.join(top, "room")))
        folder = os.path.join(inner.room.folder, place)
        if not os.path.isdir(folder):
            return None
        ended: list[Ended] = []
        with ways.mounted("--bind", folder, at=folder) as done:
            if not done or subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=False).returncode:
                return None
            ended.append(call(inner.room, inner.verb))
        return _in_place(inner, "read-only", place, lambda _: ended[0])


def _fill(path: Path, folder: str, room_for: int) -> None:
    status = os.statvfs(folder)
    with path.open("wb") as file:
        file.write(b"\0" * max(0, status.f_bavail * status.f_frsize - room_for))


def _in_place(bench: Bench, way: str, what: str, disturb: Callable[[Room], Ended]) -> Trial:
    """A trial in the bench's own room."""
    ended = disturb(bench.room)
    complaints = list(_judged(bench, bench.room, ended))
    complaints += _again(bench, bench.room)
    return Trial(bench.verb.name, way, what, ended.code != bench.usual.code, tuple(dict.fromkeys(complaints)))


def eight(bench: Bench) -> Trial:
    """Eight processes of the verb at once."""
    with tempfile.TemporaryDirectory(prefix="eight-", dir=os.path.dirname(bench.room.folder)) as top:
        room = copy(bench.room, os.path.join(top, "room"))
        verbs = [bench.verb] * EIGHT
        if bench.verb.name == "new":
            verbs = [Verb("new", ("new", f"second{number}")) for number in range(EIGHT)]
        was = counted(room)
        complaints = list(_together(room, verbs, (bench.usual.code, bench.usual.again, *bench.verb.beside)))
        usual = bench.usual if bench.verb.name != "new" else bench.usual._replace(contents={})
        complaints += after.later(room, usual)
        complaints += _lost(bench.verb, was, counted(room))
        return Trial(bench.verb.name, "eight", "at once", landed=True, complaints=tuple(dict.fromkeys(complaints)))


def mixed(room: Room, verbs: Sequence[Verb]) -> Trial:
    """All verbs at once, in one repository."""
    complaints = list(_together(room, verbs, (0, 2)))
    complaints += after.unreadable(room)
    complaints += after.sound(room)
    complaints += [f"stays behind: {name}" for name in sorted(after.shapes(room)) if _temporary(name)]
    return Trial("all", "mixed", f"{len(verbs)} processes", landed=True, complaints=tuple(dict.fromkeys(complaints)))


def _temporary(name: str) -> bool:
    return (name.startswith("tmp/") and name != "tmp/") or name.endswith((".tmp", ".lock.lock", "~")) or "tmp_" in name


def _together(room: Room, verbs: Sequence[Verb], fine: Sequence[int]) -> Sequence[str]:
    with concurrent.futures.ThreadPoolExecutor(len(verbs)) as pool:
        ended = list(pool.map(lambda verb: call(room, verb), verbs))
    return [
        f"{verb.name} beside others ends with {one.code}: {_tail(one)}"
        for verb, one in zip(verbs, ended, strict=True)
        if one.code not in fine
    ]


def counted(room: Room) -> dict[str, int]:
    """How many runs are recorded, how many lines of metrics, and how many numbers of tasks are taken."""
    top = Path(room.repo)
    lines = [line for path in top.glob(".runs/*/metrics.json") for line in path.read_bytes().splitlines()]
    return {
        "runs": len(list(top.glob(".runs/*/cli/*/manifest.json"))),
        "lines of metrics": len(lines),
        "numbers": len({path.name[:10] for path in top.glob("tasks/tasks-*.md")}),
    }


def _lost(verb: Verb, was: dict[str, int], now: dict[str, int]) -> Sequence[str]:
    expected = {"run": ("runs", "lines of metrics"), "rlm": ("runs",), "observe": ("runs",), "new": ("numbers",)}
    gained = {what: now[what] - was[what] for what in expected.get(verb.name, ())}
    return [f"eight calls made {number} {what}" for what, number in gained.items() if number != EIGHT]
