"""Reads one file of results: which format it is in, by its content or as it was named, and what it holds.

The files are written by other people's tools under the control of what is judged: they may be huge, cut off or hostile.
One that is in no known format, or looks like two, is refused and not guessed at.
"""

from __future__ import annotations

from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.result_files import benchmark_formats, ctrf, junit, pytest_reports
from orchgate.result_files.benchmark_formats import FormatError
from orchgate.result_files.counts import ResultsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchgate.result_files.benchmark_formats import Times
    from orchgate.result_files.counts import CountedTests

MAX_BYTES = 64 * 1024 * 1024
_CHUNK = 1 << 20
_HEAD = 4_096  # bytes that tell XML from JSON
_MAX_LINE = 8 * 1024 * 1024  # bytes of one line of pytest-reportlog's
_GO = (b"goos:", b"goarch:", b"pkg:", b"Benchmark")


class FileResults(NamedTuple):
    """What one file holds: tests, or times of benchmarks. `doubt` is where it contradicts itself."""

    tests: CountedTests | None = None
    times: Times | None = None
    doubt: str = ""


def read(path: str, format_: str = "") -> FileResults:
    """The results in a file; "" for a format that its content tells. Raises ResultsError."""
    head = b"".join(_pieces(path, _HEAD, _HEAD))
    if format_ == "junit" or (not format_ and _is_xml(head)):
        tests, doubt = junit.parse(_pieces(path, _CHUNK))
        return FileResults(tests, doubt=doubt)
    if format_ == pytest_reports.REPORTLOG or (not format_ and _is_reportlog(head)):
        return FileResults(pytest_reports.parse_reportlog(_lines(path)))
    return parse_document(b"".join(_pieces(path, _CHUNK)), format_)


def parse_document(content: bytes, format_: str = "") -> FileResults:
    """The results in a whole file that is neither XML nor lines. Raises ResultsError."""
    try:
        return _whole(content, format_)
    except FormatError as error:
        raise ResultsError(error.message, error.hint) from error


def _is_xml(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf\r\n\t ")[:1] == b"<" or head[:2] in (b"\xff\xfe", b"\xfe\xff")


def _is_reportlog(head: bytes) -> bool:
    line, end, _ = head.partition(b"\n")
    return line.startswith(b"{") and bool(end) and b'"$report_type"' in line


def _pieces(path: str, size: int, most: int = 0) -> Iterator[bytes]:
    """A file in pieces, so that a large one costs no memory; at most `most` bytes of it, where that is not 0.

    Raises ResultsError for what is not a regular file, or too large.
    """
    given = 0
    try:
        with open(files.open_regular(path), "rb", buffering=0) as file:
            while chunk := file.read(size):
                given += len(chunk)
                if given > MAX_BYTES:
                    raise ResultsError(f"is larger than {MAX_BYTES} bytes")
                yield chunk
                if most and given >= most:
                    return
    except files.NotRegularFileError as error:
        raise ResultsError(f"is {error.kind}, not a regular file") from error
    except OSError as error:
        raise ResultsError(f"cannot be read: {error.strerror}") from error


def _lines(path: str) -> Iterator[bytes]:
    rest = b""
    for chunk in _pieces(path, _CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MAX_LINE:
            raise ResultsError(f"has a line of more than {_MAX_LINE} bytes")
        yield from whole
    yield rest


def _whole(content: bytes, format_: str) -> FileResults:
    """Raises ResultsError, FormatError."""
    if not content.strip():
        raise ResultsError("is empty")
    if not format_ and content.lstrip(b"\xef\xbb\xbf\r\n\t ")[:1] not in (b"{", b"["):
        format_ = _of_text(content)
    if format_ == "go" and len(content) > benchmark_formats.LARGEST:
        raise ResultsError(f"is longer than {benchmark_formats.LARGEST} bytes")
    if reader := benchmark_formats.READERS.get(format_):
        return FileResults(times=reader(content))
    document, twice = _document(content)
    name = format_ or _of_document(document)
    if twice and name != "bmf":  # whose reader names the benchmark
        raise ResultsError(f"names {twice[0][:60]!a} twice in one object")
    if name == ctrf.SOURCE:
        tests, doubt = ctrf.parse(document)
        return FileResults(tests, doubt=doubt)
    if name == pytest_reports.JSON_REPORT:
        return FileResults(pytest_reports.parse_json_report(document))
    del document  # before it is read once more
    return FileResults(times=benchmark_formats.READERS[name](content))


def _of_text(content: bytes) -> str:
    """Raises ResultsError."""
    if any(line.startswith(_GO) for line in content[:_CHUNK].splitlines()):
        return "go"
    raise ResultsError("is in no known format: neither XML nor JSON")


def _document(content: bytes) -> tuple[object, list[str]]:
    """The document, and the keys that stand twice in one of its objects. Raises FormatError."""
    twice: list[str] = []

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        table = dict(pairs)
        if len(table) < len(pairs) and not twice:
            twice.append(first_twice(name for name, _ in pairs))
        return table

    whole = benchmark_formats.without_rounds(content)
    return benchmark_formats.document(whole, object_pairs_hook=once), twice


def first_twice(names: Iterable[str]) -> str:
    """The first name that was there before; "" where each is there once."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _is_pytest_benchmark(document: object) -> bool:
    return isinstance(document, dict) and isinstance(document.get("benchmarks"), list)


def _is_hyperfine(document: object) -> bool:
    listed = document.get("results") if isinstance(document, dict) else None
    return isinstance(listed, list) and all(isinstance(one, dict) and "command" in one for one in listed)


def _is_bmf(document: object) -> bool:
    if not isinstance(document, dict) or not document:
        return False
    return all(isinstance(one, dict) and one and all(map(_is_measure, one.values())) for one in document.values())


def _is_measure(value: object) -> bool:
    return isinstance(value, dict) and "value" in value


_LOOKS: Mapping[str, Callable[[object], bool]] = {
    ctrf.SOURCE: ctrf.looks_like,
    pytest_reports.JSON_REPORT: pytest_reports.looks_like_json_report,
    "pytest-benchmark": _is_pytest_benchmark,
    "hyperfine": _is_hyperfine,
    "bmf": _is_bmf,
}


def _of_document(document: object) -> str:
    """The one format that a JSON document is in. Raises ResultsError."""
    found = [name for name, fits in _LOOKS.items() if fits(document)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ResultsError(f"looks like {' and '.join(found)}: name its format")
    raise ResultsError(f"is JSON in no known format: none of {', '.join(_LOOKS)}, {pytest_reports.REPORTLOG}")
