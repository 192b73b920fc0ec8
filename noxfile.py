"""`nox -s tests`, `lint`, `bench`, `fuzz`, `kills`: each makes its own environment."""

import nox

nox.options.sessions = ["tests", "lint"]
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "venv"

PROJECT = nox.project.load_toml("pyproject.toml")


def _install(session: nox.Session, *groups: str) -> None:
    needed = [line for group in groups for line in nox.project.dependency_groups(PROJECT, group)]
    session.install("-e", ".", *needed)


@nox.session
def tests(session: nox.Session) -> None:
    """The whole test suite; arguments go to pytest: `nox -s tests -- -m "not slow"`."""
    _install(session, "test")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff and mypy, as the pre-commit hooks run them."""
    _install(session, "lint", "test")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """Every limit of the project against this machine, as one table."""
    session.install(".")
    session.run("python", "bench/run.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Hostile input, 10 minutes a target: `nox -s fuzz -- --seconds 60 documents`."""
    _install(session, "test", "fuzz")
    session.run("python", "-m", "fuzz.run", *session.posargs)


@nox.session
def kills(session: nox.Session) -> None:
    """Every verb that writes, killed and starved a thousand times: `nox -s kills -- --kills 100 --only new,init`."""
    _install(session, "test")
    session.run("python", "-m", "fuzz.kills", *session.posargs)
