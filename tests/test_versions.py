from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.errors import Unreadable
from orchgate.gate.versions import MAX_BYTES, is_downgrade, read


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("pyproject.toml", '[project]\nversion = "1.2"\n', {"project.version": "1.2"}),
        ("pyproject.toml", '[tool.poetry]\nversion = "1.2"\n', {"tool.poetry.version": "1.2"}),
        ("pyproject.toml", 'project = {"ver\\u0073ion" = "1"}\n', {"project.version": "1"}),
        ("pyproject.toml", '[project]\ndynamic = ["version"]\n', {}),
        ("pyproject.toml", '[tool.other]\nversion = "1.2"\n', {}),
        ("a/package.json", '{"version": "1.2", "engines": {"version": "9"}}', {"version": "1.2"}),
        ("package.json", '\ufeff{"version": "1.2"}', {"version": "1.2"}),
        ("package.json", '{"name": "x", "config": {"version": "1"}}', {}),
        ("package.json", "no word of it {", {}),
        (
            "Cargo.toml",
            '[package]\nversion = "1"\n[workspace.package]\nversion = "2"\n',
            {"package.version": "1", "workspace.package.version": "2"},
        ),
        ("Cargo.toml", "[package]\nversion.workspace = true\n", {}),
        ("Cargo.toml", '[dependencies]\nx = { version = "1" }\n', {}),
        ("settings.toml", 'version = "3"\n[a]\nversion = "4"\n', {"version": "3"}),
        ("m/__init__.py", '__version__ = "1.2"\n', {"__version__": "1.2"}),
        ("m.py", "__version__: str = '1.2'\n", {"__version__": "1.2"}),
        ("m.py", "__version__ = version = '1.2'\n", {"__version__": "1.2", "version": "1.2"}),
        ("m.py", "VERSION = (1, 2, 'rc1')\n", {"VERSION": "1.2.rc1"}),
        ("m.py", "version = 'v1'\n", {}),
        ("m.py", "__version__ = '1'\n__version__ = compute()\n", {}),
        ("m.py", "def f():\n    version = '1.2'\n", {}),
        ("m.py", "x = other.version == '1.2'\n", {}),
        ("m.py", "this is not Python, and says nothing of it", {}),
        ("setup.py", "setup(name='x', version='1.2')\n", {"version": "1.2"}),
        ("VERSION", "  1.2\n\n", {"version": "1.2"}),
        ("VERSION", "\n", {}),
        ("sub/VERSION.txt", "MAJOR=1\nMINOR=2\n", {"version": "MAJOR=1 MINOR=2"}),
        ("Chart.yaml", "apiVersion: v2\nversion: '1.2' # x\n", {"version": "1.2"}),
        ("gradle.properties", "version=1.2\n", {"version": "1.2"}),
        ("notes.yaml", "a:\n  version: 1.2\n", {}),
    ],
)
def test_reads_what_a_file_carries(path: str, text: str, found: dict[str, str]) -> None:
    assert read(path, text.encode()) == found


def test_reads_python_in_the_encoding_it_declares() -> None:
    assert read("m.py", b'# coding: latin-1\n__version__ = "1.2"  # \xe9\n') == {"__version__": "1.2"}


@pytest.mark.parametrize(
    ("path", "data", "reason"),
    [
        ("package.json", b'{"version": "1",}', "is not valid JSON"),
        ("package.json", b'["version"]', "is not a JSON object"),
        ("package.json", b'{"version": "1", "version": "2"}', "holds version twice"),
        ("package.json", b'{"version": null}', "holds a version that is not a string"),
        ("package.json", b'{"version": ' + b"[" * 100_000, "is nested too deeply"),
        ("package.json", b'{"version": ' + b"9" * 5000 + b"}", "is not valid JSON"),
        ("package.json", b'\xff\xfe{\x00"\x00', "is not UTF-8 text"),
        ("package.json", b" " * (MAX_BYTES + 1), "is larger than"),
        ("pyproject.toml", b"[project]\nversion = 1.0\n", "holds a project.version that is not a string"),
        ("pyproject.toml", b"[project]\nversion = \n", "is not valid TOML"),
        ("pyproject.toml", b'version = "1"\nversion = "2"\n', "is not valid TOML"),
        ("pyproject.toml", b"version = " + b"[" * 100_000, "is nested too deeply"),
        ("m.py", b"__version__ = \n", "is not valid Python"),
        ("m.py", b"__version__ = " + b"-" * 200_000 + b"1", "is nested too deeply"),
        ("m.py", b"__version__ = '1\x00'", "is not valid Python"),
        ("VERSION", b"x" * 500, "holds a version of 500 characters"),
        ("VERSION", b"\xff\xff", "is not UTF-8 text"),
    ],
)
def test_says_why_a_version_cannot_be_read(path: str, data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(path, data)

    assert caught.value.message.startswith(reason)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.10.0", "1.9.0"),
        ("2.0", "1.99"),
        ("1.0", "1.0rc1"),
        ("1.0.0-rc.2", "1.0.0-rc.1"),
        ("1.0.0-beta", "1.0.0-alpha"),
        ("1.0a1", "1.0.dev5"),
        ("1.0.post1", "1.0"),
        ("v2", "1"),
        ("1.0.1+build", "1.0.0+build"),
    ],
)
def test_a_downgrade_is_seen(old: str, new: str) -> None:
    assert (is_downgrade(old, new), is_downgrade(new, old)) == (True, False)


@pytest.mark.parametrize(
    ("old", "new"), [("1.0", "1.0"), ("1.0", "1"), ("1.0", "spring"), ("spring", "1.0"), ("1.0", "1.0-2")]
)
def test_what_cannot_be_compared_is_no_downgrade(old: str, new: str) -> None:
    assert not is_downgrade(old, new)


@pytest.mark.slow
@given(st.sampled_from(["package.json", "pyproject.toml", "m.py", "VERSION", "x.yaml"]), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(path: str, data: bytes) -> None:
    try:
        found = read(path, b"version = " + data)
    except Unreadable:
        found = {}

    assert all(isinstance(value, str) for value in found.values())
