"""What hosts can do, by version, licence and scope; and that the fake's profiles say the same."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

import hyperkit
from hyperkit import Capabilities, HypervisorType
from hyperkit.backends.fake import profiles
from hyperkit.capabilities import names
from hyperkit.errors import InvalidState, Unsupported
from hyperkit.units import GiB, MiB, TiB
from tests.beds.vcsim import Vcsim

pytest.importorskip("pyVmomi")
from hyperkit.backends.esxi.capabilities import probe
from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.host import HostFacts
from hyperkit.backends.esxi.scope import Facts

Session = Callable[..., Connection]
CURRENT = (8, 0, 3, 0)


def able(api: tuple[int, ...] = CURRENT, *, vcenter: bool = False, **facts: Any) -> Capabilities:
    return probe(cast(Connection, SimpleNamespace(api=api, is_vcenter=vcenter, facts=Facts(**facts))))


def answers(capabilities: Capabilities) -> dict[str, bool]:
    return {name: getattr(capabilities, name) for name in names()}


def test_the_fakes_profiles_are_what_a_current_licensed_host_can_do() -> None:
    assert answers(profiles.ESXI) == answers(able(editions=("esx.enterprisePlus.cpuPackage",)))
    assert answers(profiles.VCENTER) == answers(able(vcenter=True, key_provider=True))
    assert profiles.ESXI.disk_formats == able().disk_formats
    assert profiles.ESXI.memory_unit == able().memory_unit


def test_every_no_has_its_reason() -> None:
    for found in (able(), able((5, 0, 0, 0)), able(editions=("esxBasic",)), able(vcenter=True)):
        lacking = {name for name, answer in answers(found).items() if not answer and not name.startswith("unique_")}
        assert lacking <= set(found.why)
        assert all(found.why.values())


def test_the_free_licence_only_reads() -> None:
    free = able(editions=("esxBasic",))
    can = {name for name, answer in answers(free).items() if answer and not name.startswith("unique_")}
    assert can == {"guest_addresses", "guest_agent", "events_pushed"}
    with pytest.raises(Unsupported, match="licence of the free ESXi"):
        free.refuse("snapshots", "esxi://esx1")
    assert "no pause" in free.why["pause"]  # its own reason, which another licence would not change
    for licensed in ("eval", "esx.standard.cpuPackage"):
        assert able(editions=(licensed,)).snapshots


def test_what_came_with_a_version() -> None:
    assert not able((6, 0, 0, 0)).secure_boot
    assert not able((6, 0, 0, 0)).send_keys
    assert able((6, 5, 0, 0)).secure_boot
    assert "nvme" not in able((6, 0, 0, 0)).disk_buses
    for tpm, found in (
        (True, able(vcenter=True, key_provider=True)),
        (False, able(vcenter=True)),
        (False, able((6, 5, 0, 0), vcenter=True, key_provider=True)),
        (False, able()),
    ):
        assert found.tpm is tpm


def test_limits_are_the_hosts_own_or_the_versions() -> None:
    assert (able().max_cpus, able().max_memory) == (768, 24 * TiB)
    assert (able((6, 0, 0, 0)).max_cpus, able((6, 0, 0, 0)).max_memory) == (128, 4080 * GiB)
    assert able((4, 1, 0, 0)).max_cpus is None
    assert (able(max_cpus=8).max_cpus, able(max_memory=8 * GiB).max_memory) == (8, 8 * GiB)


def test_a_host_by_itself_has_no_clones(esx: Vcsim, vcenter: Vcsim, session: Session) -> None:
    alone, managed = probe(session(esx)), probe(session(vcenter))
    for name in ("clones", "linked_clones", "running_clones", "templates"):
        assert "vCenter" in alone.why[name]
        assert (getattr(alone, name), getattr(managed, name)) == (False, True)


def test_hosts_say_what_they_are(esx: Vcsim, vcenter: Vcsim, session: Session) -> None:
    alone = HostFacts(session(esx)).info()
    assert (alone.product, alone.version, alone.api_version) == ("VMware ESXi", "6.5.0", "6.5")
    assert alone.hypervisor_type is HypervisorType.BARE_METAL
    assert (alone.cpus, alone.memory) == (2, 4294430720)
    assert alone.memory_free == alone.memory - 1404 * MiB
    assert alone.name == "localhost.localdomain"
    url = f"vcenter://{vcenter.user}@{vcenter.host}:{vcenter.port}/DC0"
    connection = session(vcenter, url)
    vcenter.control.reset_calls()
    whole = HostFacts(connection).info()
    assert vcenter.calls().requests == 1
    assert (whole.product, whole.cpus, whole.name) == ("VMware vCenter Server", 4 * 2, vcenter.host)
    part = HostFacts(session(vcenter, f"{url}/DC0_C0/DC0_C0_H1")).info()
    assert (part.cpus, part.name) == (2, "DC0_C0_H1")
    assert len({alone.id, whole.id, part.id}) == 3


@pytest.mark.parametrize(
    ("line", "product"), [("esx", "VMware ESX"), ("embeddedEsx", "VMware ESXi"), ("vpx", "VMware vCenter Server")]
)
def test_products_are_told_apart(esx: Vcsim, session: Session, line: str, product: str) -> None:
    connection = session(esx)
    connection.content.about.productLineId = line
    assert HostFacts(connection).info().product == product


def test_a_scope_without_machines(session: Session) -> None:
    with Vcsim("vcenter", hosts=0, clusters=0) as empty:
        info = HostFacts(session(empty)).info()
        assert (info.cpus, info.memory, info.memory_free, info.name) == (0, 0, None, empty.host)


def test_connecting_by_the_front_door(esx: Vcsim) -> None:
    url = f"{esx.hyperkit_url}?thumbprint={esx.thumbprint}"
    with hyperkit.connect(url, password=esx.password) as host:
        assert host.info.product == "VMware ESXi"
        assert cast(Any, host.native).CurrentTime().year > 2000
        with pytest.raises(Unsupported, match="no pause"):
            host.capabilities.refuse("pause", "x")
    with pytest.raises(InvalidState, match="closed"):
        host.vms.list()
