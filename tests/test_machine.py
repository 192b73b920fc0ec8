"""What kind of machine a run was on, on machines real and made up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import jsonschema
import pytest

from orchgate.lib import files
from orchgate.runs import machine
from orchgate.runs.machine import fingerprint
from tests.support import write_tree
from tests.work import lines_run

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30
CPU = "processor\t: 0\nmodel name\t: Example CPU   9000 @ 2.60GHz\ncpu MHz\t\t: 2600.123\nbogomips\t: 5200.00\n"
MEMORY = "MemTotal:       16265996 kB\nMemFree:         1000000 kB\n"


def made_up(root: Path, **files: str) -> dict[str, object]:
    """The fingerprint of a machine with these files; `_` in a name stands for `/`."""
    write_tree(root, {name.replace("__", "/"): content for name, content in files.items()})
    return fingerprint(str(root), {})


def schema() -> dict[str, object]:
    import json

    whole = json.loads(files.read_data("schemas", "manifest-v1.json"))
    return {"$ref": "#/$defs/machine", "$defs": whole["$defs"]}


@pytest.mark.slow
def test_this_machine_fits_the_manifest() -> None:
    jsonschema.validate(fingerprint(), schema())


@pytest.mark.slow
def test_a_machine_that_tells_nothing_fits_the_manifest(tmp_path: Path) -> None:
    jsonschema.validate(fingerprint(str(tmp_path), {}), schema())


def test_a_machine_is_the_same_every_time() -> None:
    assert fingerprint() == fingerprint()


def test_nothing_names_the_host_or_its_clock(tmp_path: Path) -> None:
    told = str(made_up(tmp_path, proc__cpuinfo=CPU, proc__meminfo=MEMORY))

    assert not any(word in told for word in ("2600", "MHz", "5200", "bogomips", os.uname().nodename))


def test_the_processor_is_named_on_one_line(tmp_path: Path) -> None:
    assert made_up(tmp_path, proc__cpuinfo=CPU)["cpu_model"] == "Example CPU 9000 @ 2.60GHz"


@pytest.mark.parametrize(
    ("cpuinfo", "model"),
    [
        ("CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", "ARM implementer 0x41 part 0xd0c"),
        ("cpu\t\t: POWER9, altivec supported\n", "POWER9, altivec supported"),
        ("hart\t: 0\nuarch\t: sifive,u74\n", "sifive,u74"),
        ("", "unknown"),
        ("model name\t:\n", "unknown"),
        ("model name\t: \x1b[31mred\n", "?[31mred"),
        ("no colon at all\n", "unknown"),
    ],
)
def test_odd_processors_are_named_as_well_as_can_be(tmp_path: Path, cpuinfo: str, model: str) -> None:
    assert made_up(tmp_path, proc__cpuinfo=cpuinfo)["cpu_model"] == model


def test_what_the_system_does_not_tell_is_unknown(tmp_path: Path) -> None:
    told = fingerprint(str(tmp_path), {})

    assert (told["cpu_model"], told["memory_class"]) == ("unknown", "unknown")


def test_folders_in_place_of_files_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "proc" / "cpuinfo").mkdir(parents=True)

    assert fingerprint(str(tmp_path), {})["cpu_model"] == "unknown"


def test_a_named_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    os.mkfifo(tmp_path / "proc" / "cpuinfo")

    assert fingerprint(str(tmp_path), {})["cpu_model"] == "unknown"


@pytest.mark.parametrize(
    ("size", "memory"),
    [
        (15.5 * GIB, "16GiB"),
        (16.4 * GIB, "16GiB"),
        (31.3 * GIB, "32GiB"),
        (7.7 * GIB, "8GiB"),
        (1 * GIB, "1GiB"),
        (0.5 * GIB, "512MiB"),
        (1000, "1MiB"),
    ],
)
def test_memory_is_told_in_powers_of_two(tmp_path: Path, size: float, memory: str) -> None:
    assert made_up(tmp_path, proc__meminfo=f"MemTotal: {int(size) // 1024 or 1} kB\n")["memory_class"] == memory


def limited(root: Path, groups: str, **files: str) -> dict[str, object]:
    return made_up(root, proc__meminfo=MEMORY, proc__self__cgroup=groups, **files)


def test_a_limit_of_the_group_is_the_memory(tmp_path: Path) -> None:
    write_tree(tmp_path, {"sys/fs/cgroup/a/b/memory.max": f"{4 * GIB}\n"})

    assert limited(tmp_path, "0::/a/b\n")["memory_class"] == "4GiB"


def test_a_limit_of_an_outer_group_counts_too(tmp_path: Path) -> None:
    write_tree(tmp_path, {"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": f"{2 * GIB}\n"})

    assert limited(tmp_path, "0::/a/b\n")["memory_class"] == "2GiB"


def test_a_limit_of_the_older_kind_counts(tmp_path: Path) -> None:
    write_tree(tmp_path, {"sys/fs/cgroup/memory/x/memory.limit_in_bytes": f"{8 * GIB}\n"})

    assert limited(tmp_path, "4:memory:/x\n")["memory_class"] == "8GiB"


@pytest.mark.parametrize("limit", ["max", "-1", "9223372036854771712", "", "nonsense", "9" * 400, "١٢"])
def test_no_limit_leaves_the_whole_memory(tmp_path: Path, limit: str) -> None:
    write_tree(tmp_path, {"sys/fs/cgroup/memory.max": limit, "sys/fs/cgroup/memory/memory.limit_in_bytes": limit})

    assert limited(tmp_path, "0::/\n4:memory:/\n")["memory_class"] == "16GiB"


@pytest.mark.parametrize(
    ("groups", "file", "content"),
    [
        ("0::/a\n", "sys/fs/cgroup/a/cpu.max", "50000 100000\n"),
        ("0::/a/b\n", "sys/fs/cgroup/a/cpu.max", "50000 100000\n"),
        ("0::/\n", "sys/fs/cgroup/cpu.max", "50000 100000\n"),
        ("0::/a\n", "sys/fs/cgroup/unified/a/cpu.max", "50000 100000\n"),
    ],
)
def test_a_quota_grants_part_of_a_core(tmp_path: Path, groups: str, file: str, content: str) -> None:
    write_tree(tmp_path, {file: content})

    assert limited(tmp_path, groups)["cores"] == 0.5


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
def test_a_quota_of_the_older_kind_counts(tmp_path: Path, folder: str) -> None:
    place = f"sys/fs/cgroup/{folder}/x"
    write_tree(tmp_path, {f"{place}/cpu.cfs_quota_us": "25000\n", f"{place}/cpu.cfs_period_us": "100000\n"})

    assert limited(tmp_path, "1:cpu,cpuacct:/x\n")["cores"] == 0.25


@pytest.mark.parametrize("quota", ["max 100000", "-1 100000", "100000 0", "", "x y", "10000000 100000"])
def test_without_a_quota_the_bound_cores_count(tmp_path: Path, quota: str) -> None:
    write_tree(tmp_path, {"sys/fs/cgroup/cpu.max": quota})

    assert limited(tmp_path, "0::/\n")["cores"] == len(os.sched_getaffinity(0))


def test_the_smallest_quota_is_still_more_than_nothing(tmp_path: Path) -> None:
    write_tree(tmp_path, {"sys/fs/cgroup/cpu.max": "1 100000"})

    assert limited(tmp_path, "0::/\n")["cores"] == 0.01


def test_binding_to_one_core_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})

    assert fingerprint(str(tmp_path), {})["cores"] == 1.0


def test_a_system_without_affinity_counts_its_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)

    assert fingerprint(str(tmp_path), {})["cores"] == 6.0


def test_groups_that_lead_upwards_are_left_alone(tmp_path: Path) -> None:
    write_tree(tmp_path, {"sys/fs/memory.max": f"{GIB}\n"})

    assert limited(tmp_path, "0::/../..\n")["memory_class"] == "16GiB"


@pytest.mark.parametrize(
    ("files", "environ", "kind"),
    [
        ({}, {}, None),
        ({".dockerenv": ""}, {}, "docker"),
        ({"run/.containerenv": "x"}, {}, "podman"),
        ({"run/systemd/container": "systemd-nspawn\n"}, {}, "systemd-nspawn"),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({"proc/self/cgroup": "3:cpu:/lxc/box\n"}, {}, "lxc"),
        ({"proc/self/cgroup": "3:cpu:/user.slice\n"}, {}, None),
    ],
)
def test_a_container_is_told_by_its_kind(
    tmp_path: Path, files: dict[str, str], environ: dict[str, str], kind: str | None
) -> None:
    assert fingerprint(str(write_tree(tmp_path, files)), environ)["container"] == kind


@pytest.mark.parametrize(
    ("release", "kernel"),
    [("6.1.0-18-cloud-amd64", "6.1"), ("6.18.44-fc-v669", "6.18"), ("23.4.0", "23.4"), ("", "unknown")],
)
def test_updates_within_a_series_are_the_same_kernel(release: str, kernel: str) -> None:
    assert machine._kernel_class(release) == kernel


def test_another_processor_is_another_machine(tmp_path: Path) -> None:
    one = made_up(tmp_path / "one", proc__cpuinfo=CPU)
    other = made_up(tmp_path / "other", proc__cpuinfo=CPU.replace("9000", "9001"))

    assert one["fingerprint"] != other["fingerprint"]


def test_another_clock_and_more_free_memory_are_the_same_machine(tmp_path: Path) -> None:
    one = made_up(tmp_path / "one", proc__cpuinfo=CPU, proc__meminfo=MEMORY)
    changed = {"proc__cpuinfo": CPU.replace("2600.123", "1200.000"), "proc__meminfo": MEMORY.replace("1000000", "5")}

    assert made_up(tmp_path / "other", **changed) == one


def test_it_is_little_work_on_a_machine_of_many_processors(tmp_path: Path) -> None:
    made_up(tmp_path, proc__cpuinfo=CPU * 100, proc__meminfo=MEMORY)

    assert lines_run(lambda: fingerprint(str(tmp_path), {})) < 10_000
