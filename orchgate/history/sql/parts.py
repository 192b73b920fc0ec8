"""Which parts of Parquet count: found out by DuckDB for many at once, and kept, because a part never changes.

What is all right by what is asked here is so by `segments.parse` as well, which reads a part run by run and is asked
why each of the others is none: one that is damaged is named, and the rest counts. Imports DuckDB.
"""

from __future__ import annotations

import os
import sys
from itertools import groupby
from operator import itemgetter

from orchgate import __version__
from orchgate.config.names import is_repository_name
from orchgate.errors import OrchgateError
from orchgate.history.entries import MACHINE
from orchgate.history.parquet import COLUMNS, HEAD
from orchgate.history.parquet_parts import JOINED, PARQUET
from orchgate.history.parquet_rows import MOST_ROWS, MOST_TEXT, OTHERWISE, answering
from orchgate.history.parquet_rows import MOST_SECONDS as LONGEST_PART
from orchgate.history.segments import Head, SegmentFault, head_of, name_of, sha256_of
from orchgate.history.sql import truths
from orchgate.history.sql.relations import GoodPart, connected, lock, reads
from orchgate.lib import files, process
from orchgate.lib.codec import MsgspecError, Struct, json
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol, suppress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection

    Named = tuple[str, str]  # a part by its name, and its path

_TOGETHER, _OF_ONE_PROCESS = 200, 2_000  # parts that are asked about at once
_USUAL_SECONDS = 2  # of CPU, for a part of full size; one may take more
_MOST_KNOWN = 256 << 20  # bytes of what is kept
_TYPES = {column.name: column.type for column in COLUMNS}


class KnownPart(Struct, gc=False, array_like=True):
    """A part that was found good, and the file that it was then."""

    size: int
    changed: int
    head: Head
    columns: list[str]


class ToldPart(Struct, gc=False, array_like=True):
    """A good part, as one process tells another."""

    head: Head
    columns: list[str]


class KnownParts(Struct, gc=False):
    by: str  # who found them good
    parts: dict[str, KnownPart]


_decode = json.Decoder(KnownParts).decode
_decode_told = json.Decoder(list[ToldPart | None]).decode


class PartFiles(Protocol):
    """Parts that are files here, or can be made such."""

    def kept(self, name: str) -> str:
        """Where a part is as it was last read; "" where it is not."""

    def located(self, names: Iterable[str], scratch: str) -> Iterator[tuple[str, str | OrchgateError]]:
        """Where parts are whose hashes are right, or what is wrong with one; also what stands for one that is gone."""


def good(there: PartFiles, names: Iterable[str], kept: str, scratch: str) -> tuple[list[GoodPart], list[SegmentFault]]:
    """Those of some parts that count, and why each of the others does not.

    `kept` is the file that remembers good ones. Raises OrchgateError.
    """
    known = _known(kept)
    found: dict[str, KnownPart] = {}
    paths: dict[str, str] = {}
    wanted = []
    for name in names:
        paths[name] = there.kept(name)
        one = known.get(name) if paths[name] else None
        if one and (one.size, one.changed) == _state(paths[name]):
            found[name] = one
        else:
            wanted.append(name)
    faults: list[SegmentFault] = []
    fresh: dict[str, str] = {}
    for name, path in there.located(wanted, scratch) if wanted else ():
        if isinstance(path, str):
            fresh[name] = paths[name] = path
        else:
            faults.append(SegmentFault(name, path.message))
    for name, part in _asked(fresh, scratch) if fresh else ():
        if isinstance(part, GoodPart):
            found[name] = KnownPart(*_state(part.path), part.head, sorted(part.columns))
        else:
            faults.append(part)
    if fresh:
        _keep(kept, {**known, **found})
    return [GoodPart(paths[name], one.head, frozenset(one.columns)) for name, one in found.items()], faults


def _state(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _known(kept: str) -> dict[str, KnownPart]:
    try:
        found = _decode(files.read(kept, _MOST_KNOWN))
    except (OSError, MsgspecError, ValueError, RecursionError):
        return {}
    return found.parts if found.by == __version__ else {}


def _keep(kept: str, known: Mapping[str, KnownPart]) -> None:
    with suppress(OrchgateError):  # they are asked again
        files.replace(kept, json.encode(KnownParts(__version__, dict(known))), sync=False)


def _asked(fresh: Mapping[str, str], scratch: str) -> Iterator[tuple[str, GoodPart | SegmentFault]]:
    names = sorted(fresh)
    unsure = []
    for at in range(0, len(names), _OF_ONE_PROCESS):
        for name, part in _by_process([(name, fresh[name]) for name in names[at : at + _OF_ONE_PROCESS]], scratch):
            if part:
                yield name, part
            else:
                unsure.append(name)
    for read in PARQUET.parsed((name, _content(fresh[name])) for name in unsure) if unsure else ():
        yield read.name, read if isinstance(read, SegmentFault) else SegmentFault(read.name, OTHERWISE)


def _content(path: str) -> bytes | OrchgateError:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        return OrchgateError(f"cannot be read: {error.strerror}")


def _by_process(some: Sequence[Named], scratch: str) -> Iterator[tuple[str, GoodPart | None]]:
    """What a process finds out that ends when a part is made to end it; halves them until that one is alone.

    None for each that is not plainly good.
    """
    argv = (sys.executable, "-P", "-m", "orchgate.history.sql.parts", scratch)
    done = process.run(argv, input=json.encode(some))
    if done.code == 0:
        for (name, path), told in zip(some, _decode_told(done.stdout), strict=True):
            yield name, GoodPart(path, told.head, frozenset(told.columns)) if told else None
    elif len(some) > 1:
        yield from _by_process(some[: len(some) // 2], scratch)
        yield from _by_process(some[len(some) // 2 :], scratch)
    else:
        yield some[0][0], None


def main(scratch: str) -> None:
    """Says which of the parts that standard input names are plainly good."""
    import resource

    answers = answering()
    some = json.decode(sys.stdin.buffer.read(), type=list[tuple[str, str]])
    limit = LONGEST_PART + _USUAL_SECONDS * len(some)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    found: list[GoodPart | None] = []
    with connected(scratch, ordered=True) as database:
        lock(database, [path for _, path in some])
        for at in range(0, len(some), _TOGETHER):
            found += _of_some(database, some[at : at + _TOGETHER])
    with answers:
        answers.write(json.encode([one and ToldPart(one.head, sorted(one.columns)) for one in found]))


def _of_some(database: DuckDBPyConnection, some: Sequence[Named]) -> Iterator[GoodPart | None]:
    """None for each that is not plainly good; halves them until the one is alone that DuckDB cannot read."""
    import duckdb

    try:
        found = list(_parts(database, some))
    except (duckdb.Error, RuntimeError, UnicodeError, ValueError, OverflowError):
        if len(some) > 1:
            yield from _of_some(database, some[: len(some) // 2])
            yield from _of_some(database, some[len(some) // 2 :])
        else:
            yield None
        return
    yield from found


def _parts(database: DuckDBPyConnection, some: Sequence[Named]) -> Iterator[GoodPart | None]:
    """None for each that is not plainly good. Raises duckdb.Error where not all can be read."""
    paths = [path for _, path in some]
    columns, heads = _columns(database, paths), _heads(database, paths)
    found = [
        GoodPart(path, heads[path], columns[path]) if path in heads and path in columns else None for path in paths
    ]
    sums = _sums(database, [part for part in found if part])
    for (name, path), part in zip(some, found, strict=True):
        yield part if part and _agrees(name, part.head, sums.get(path, _NOTHING)) else None


def _columns(database: DuckDBPyConnection, paths: Sequence[str]) -> dict[str, frozenset[str]]:
    """Which of our columns each part has; nothing where one is of another type."""
    asked = "SELECT file_name, name, duckdb_type, num_children FROM parquet_schema($paths)"
    found: dict[str, dict[str, str]] = {}
    for path, rows in groupby(database.execute(asked, {"paths": paths}).fetchall(), key=itemgetter(0)):
        columns = found.setdefault(path, {})
        for name, type_ in _outer(rows):
            if name in _TYPES:
                columns[name] = type_ if columns.get(name, type_) == type_ else ""
    return {
        path: frozenset(columns)
        for path, columns in found.items()
        if all(type_ == _TYPES[name] for name, type_ in columns.items())
    }


def _outer(schema: Iterable[tuple[str, str, str, int | None]]) -> Iterator[tuple[str, str]]:
    """Names and types of columns, without what is inside of one: each stands before what it is made of."""
    left = [1]  # of what is open, the schema itself first
    for _, name, type_, children in schema:
        if not left:  # more than it says
            return
        left[-1] -= 1
        if len(left) == 2:
            yield name, type_
        left.append(children or 0)
        while left and not left[-1]:
            left.pop()


def _heads(database: DuckDBPyConnection, paths: Sequence[str]) -> dict[str, Head]:
    asked = "SELECT file_name, value FROM parquet_kv_metadata($paths) WHERE key = $key::BLOB"
    found: dict[str, list[Head | str]] = {}
    for path, value in database.execute(asked, {"paths": paths, "key": HEAD}).fetchall():
        found.setdefault(path, []).append(head_of(value + b"\n"))
    return {path: some[0] for path, some in found.items() if len(some) == 1 and isinstance(some[0], Head)}


class PartSums(NamedTuple):
    """What the rows of a part add up to. `wrong` counts those that `segments.parse` may refuse."""

    rows: int
    wrong: int
    runs: int
    first: str | None
    text: int = 0
    benchmarks: int = 0
    cached: Sequence[int] = ()


_NOTHING = PartSums(0, 0, 0, None)


def _agrees(name: str, head: Head, sums: PartSums) -> bool:
    """Whether a part is what its name and its head say."""
    return (
        not sums.wrong
        and sums.rows <= MOST_ROWS
        and sums.text <= MOST_TEXT
        and 0 < sums.runs == head.runs <= JOINED.runs
        and len(set(sums.cached)) == 1
        and is_repository_name(head.repository)
        and MACHINE.fullmatch(head.machine) is not None
        and name == name_of(head, sums.first or "", sha256_of(name), PARQUET.suffix)
    )


def _sums(database: DuckDBPyConnection, parts: Sequence[GoodPart]) -> dict[str, PartSums]:
    ordered = sorted(parts, key=lambda part: sorted(part.columns))
    if not ordered:
        return {}
    _claim(database, ordered)
    found = database.execute(truths.sums_of(" UNION ALL ".join(reads(ordered)))).fetchall()
    sums = {
        ordered[part].path: PartSums(0, wrong, runs, first, text, benchmarks, cached)
        for part, wrong, runs, first, text, benchmarks, *cached, _, _ in found
    }
    claimed = "SELECT file_name, num_rows FROM parquet_file_metadata($paths)"  # also of kinds that nobody knows
    for path, rows in database.execute(claimed, {"paths": [part.path for part in ordered]}).fetchall():
        if path in sums:
            sums[path] = sums[path]._replace(rows=rows)
    some = [part for part in ordered if part.path in sums and sums[part.path].benchmarks]
    for at, wrong in database.execute(truths.wrong_of(" UNION ALL ".join(reads(some)))).fetchall() if some else ():
        sums[some[at].path] = sums[some[at].path]._replace(wrong=wrong)
    return sums


def _claim(database: DuckDBPyConnection, ordered: Sequence[GoodPart]) -> None:
    """Makes a table of what parts say of themselves, by their places."""
    texts = ", ".join(f"claimed_{name} VARCHAR" for name in ("repository", "roots", "machine"))
    database.execute(f"CREATE OR REPLACE TEMP TABLE claims (part BIGINT, {texts}, claimed_month TIMESTAMPTZ)")
    heads = [(at, one.head) for at, one in enumerate(ordered)]
    claims = [(at, one.repository, one.roots, one.machine, f"{one.month}-01T00:00:00Z") for at, one in heads]
    database.executemany("INSERT INTO claims VALUES (?, ?, ?, ?, ?)", claims)


if __name__ == "__main__":
    main(sys.argv[1])
