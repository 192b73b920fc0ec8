"""Sealed files of one user: what somebody else wrote, moved or changed there is not believed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.errors import OrchgateError
from orchgate.speed.push import private_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchgate.speed.push.private_store import PrivateStore

ABOUT = ("base", "head")


@pytest.fixture
def state(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def vault(state: dict[str, str]) -> PrivateStore:
    return private_store.opened(state, "/somewhere/.git")


def keep(vault: PrivateStore, data: bytes, *about: str) -> str:
    with private_store.alone(vault):
        private_store.write(vault, data, *(about or ABOUT))
    return vault.path(*(about or ABOUT))


def test_what_was_kept_is_read(vault: PrivateStore) -> None:
    keep(vault, b"data")

    assert private_store.read(vault, *ABOUT).data == b"data"


def test_what_was_never_kept_is_not_there(vault: PrivateStore) -> None:
    assert private_store.read(vault, *ABOUT) == private_store.NOTHING


def test_the_next_process_finds_the_same_vault(state: dict[str, str], vault: PrivateStore) -> None:
    assert private_store.opened(state, "/somewhere/.git") == vault


def overwritten(path: str) -> None:
    with open(path, "wb") as file:
        file.write(b"\0" * 32 + b"data")


def appended(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def shortened(path: str) -> None:
    os.truncate(path, 33)


def emptied(path: str) -> None:
    os.truncate(path, 0)


def linked(path: str) -> None:
    os.rename(path, path + ".kept")
    os.symlink(os.devnull, path)


def piped(path: str) -> None:
    os.unlink(path)
    os.mkfifo(path)


def a_folder(path: str) -> None:
    os.unlink(path)
    os.mkdir(path)


def huge(path: str) -> None:
    os.truncate(path, private_store.LARGEST + 1)


@pytest.mark.parametrize("damage", [overwritten, appended, shortened, emptied, linked, piped, a_folder, huge])
def test_what_was_changed_is_forged(vault: PrivateStore, damage: Callable[[str], None]) -> None:
    damage(keep(vault, b"data"))

    found = private_store.read(vault, *ABOUT)

    assert (found.data, found.is_forged) == (None, True)


def test_a_file_that_was_copied_over_another_one_is_forged(vault: PrivateStore) -> None:
    other = keep(vault, b"passed", "base", "another head")
    os.replace(other, keep(vault, b"refused"))

    assert private_store.read(vault, *ABOUT).is_forged


def test_a_file_that_was_copied_from_another_repository_is_forged(state: dict[str, str], vault: PrivateStore) -> None:
    other = keep(private_store.opened(state, "/elsewhere/.git"), b"passed")
    os.replace(other, keep(vault, b"refused"))

    assert private_store.read(vault, *ABOUT).is_forged


def test_without_the_secret_nobody_knows_the_names(vault: PrivateStore) -> None:
    other = vault._replace(secret=b"\0" * 32)

    assert {os.path.basename(part) for part in (vault.path(*ABOUT), vault.folder)}.isdisjoint(
        os.path.basename(part) for part in (other.path(*ABOUT), other.folder)
    )


def test_the_folder_and_the_secret_are_closed_to_others(vault: PrivateStore) -> None:
    modes = [os.stat(path).st_mode & 0o777 for path in (vault.home, os.path.join(vault.home, "secret"))]

    assert modes == [0o700, 0o600]


# Where nothing can be kept


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(OrchgateError) as caught:
        private_store.opened(environ, "/somewhere/.git")
    return caught.value.message


@pytest.mark.parametrize("name", ["", "secret"])
def test_a_vault_that_others_may_open_is_not_used(state: dict[str, str], vault: PrivateStore, name: str) -> None:
    path = os.path.join(vault.home, name).rstrip("/")
    os.chmod(path, 0o755)

    assert refusal(state) == f"{path} can be read or changed by others"


def test_a_vault_that_is_a_link_is_not_used(state: dict[str, str], vault: PrivateStore) -> None:
    os.rename(vault.home, vault.home + ".mine")
    os.symlink(vault.home + ".mine", vault.home)

    assert refusal(state) == f"{vault.home} is not this user's own"


def test_a_secret_that_is_a_link_is_not_read(state: dict[str, str], vault: PrivateStore) -> None:
    secret = os.path.join(vault.home, "secret")
    os.unlink(secret)
    os.symlink("/dev/zero", secret)

    assert refusal(state) == f"{secret} is not this user's own"


def test_a_secret_of_another_length_is_not_used(state: dict[str, str], vault: PrivateStore) -> None:
    secret = os.path.join(vault.home, "secret")
    os.truncate(secret, 0)

    assert refusal(state) == f"{secret} does not hold 32 bytes"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", ["", "secret"])
def test_what_belongs_to_another_user_is_not_used(state: dict[str, str], vault: PrivateStore, name: str) -> None:
    path = os.path.join(vault.home, name).rstrip("/")
    os.chown(path, 65534, 65534)

    assert refusal(state) == f"{path} is not this user's own"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_nothing_is_made_in_the_home_of_another_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)

    assert (refusal({"HOME": str(tmp_path)}), os.listdir(tmp_path)) == (f"{tmp_path} belongs to another user", [])


def test_a_home_in_which_nothing_can_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert "cannot write" in refusal({"XDG_STATE_HOME": str(tmp_path / "file")})


def test_a_relative_state_folder_is_none(tmp_path: Path) -> None:
    found = private_store.opened({"XDG_STATE_HOME": "state", "HOME": str(tmp_path)}, "/somewhere/.git")

    assert found.home == str(tmp_path / ".local" / "state" / "orchgate")


def test_another_secret_is_noticed_before_anything_is_written(vault: PrivateStore) -> None:
    os.unlink(os.path.join(vault.home, "secret"))

    with pytest.raises(OrchgateError, match="another secret"):
        keep(vault, b"data")


# Size


def aged(path: str, seconds: int) -> str:
    os.utime(path, (seconds, seconds))
    return path


@pytest.mark.slow
def test_of_a_repository_the_oldest_files_go(vault: PrivateStore) -> None:
    paths = [aged(keep(vault, b"data", str(number)), number) for number in range(private_store.MOST_FILES + 2)]
    keep(vault, b"data", "newest")

    assert [os.path.exists(path) for path in paths[:4]] == [False, False, False, True]


@pytest.mark.slow
def test_of_all_repositories_the_oldest_files_go(state: dict[str, str]) -> None:
    large = os.urandom(private_store.LARGEST - 64)
    kept = [keep(private_store.opened(state, f"/repository/{number}/.git"), large) for number in range(2)]
    paths = [aged(path, number) for number, path in enumerate(kept)]
    for number in (2, 3):
        keep(private_store.opened(state, f"/repository/{number}/.git"), large)

    assert [os.path.exists(path) for path in paths] == [False, False]


def test_what_is_too_large_is_not_kept_and_what_was_there_stays(vault: PrivateStore) -> None:
    keep(vault, b"data")

    with pytest.raises(OrchgateError, match="bytes are more than"):
        keep(vault, b"x" * private_store.LARGEST)
    assert private_store.read(vault, *ABOUT).data == b"data"
