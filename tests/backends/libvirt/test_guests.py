"""Addresses: from a real guest, and put together from sources that disagree."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hyperkit.driver import Target
from hyperkit.errors import NotFound
from hyperkit.records import AddressRecord
from hyperkit.specs import SwitchKind, SwitchSpec
from tests.beds.libvirt_qemu import LibvirtHost, domain_xml, guest_image, missing

libvirt = pytest.importorskip("libvirt")
import libvirt_qemu  # noqa: E402

from hyperkit.backends.libvirt import late  # noqa: E402
from hyperkit.backends.libvirt.connection import Connection  # noqa: E402
from hyperkit.backends.libvirt.guests import Guests  # noqa: E402
from hyperkit.backends.libvirt.switches import Switches  # noqa: E402

needs_bed = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))
MAC = "52:54:00:00:00:01"


@pytest.fixture(scope="module")
def host() -> Iterator[LibvirtHost]:
    with LibvirtHost() as host:
        yield host


@needs_bed
def test_a_real_guest(host: LibvirtHost) -> None:
    connection = Connection(Target(url=host.uri, scheme="qemu+unix"))
    guests = Guests(connection)
    Switches(connection).create(SwitchSpec("lan", SwitchKind.INTERNAL, subnet="192.168.150.0/24"))
    text = domain_xml("g", serial_log=host.home / "log/g", kernel=guest_image(), network="lan")
    domain = connection.conn.defineXML(text)
    assert guests.addresses(domain.UUIDString()) == []
    domain.create()
    deadline = time.monotonic() + 180
    while not (found := guests.addresses(domain.UUIDString())):
        assert time.monotonic() < deadline, "no address came"
        time.sleep(0.1)
    (record,) = found
    assert record.address.startswith("192.168.150.")
    assert (record.prefix, record.mac) == (24, domain.XMLDesc().split("<mac address='")[1][:17])
    while guests.addresses(domain.UUIDString())[0].source != "agent":
        assert time.monotonic() < deadline, "no agent came"
        time.sleep(0.1)
    hang = {"execute": "guest-exec", "arguments": {"path": "/bin/sh", "arg": ["-c", "kill -STOP $(pidof qemu-ga)"]}}
    libvirt_qemu.qemuAgentCommand(domain, json.dumps(hang), 5, 0)
    time.sleep(0.5)
    began = time.monotonic()
    assert [(each.address, each.source) for each in guests.addresses(domain.UUIDString())] == [
        (record.address, "lease")
    ]
    assert time.monotonic() - began < 8
    domain.suspend()  # an agent cannot answer now; the lease still does
    assert [each.address for each in guests.addresses(domain.UUIDString())] == [record.address]
    domain.destroy()
    assert guests.addresses(domain.UUIDString()) == []
    domain.undefine()
    with pytest.raises(NotFound):
        guests.addresses(domain.UUIDString())
    connection.close()


def entry(*addresses: tuple[str, int], mac: str = MAC) -> dict[str, Any]:
    return {"hwaddr": mac, "addrs": [{"addr": each, "prefix": prefix, "type": 0} for each, prefix in addresses]}


def agents(*addresses: tuple[str, Any], mac: Any = MAC) -> dict[str, Any]:
    listed = [{"ip-address": each, "prefix": prefix, "ip-address-type": "ipv4"} for each, prefix in addresses]
    return {"name": "eth", "hardware-address": mac, "ip-addresses": listed}


class Domain:
    """A domain whose sources say what a test wants."""

    def __init__(self, agent: Any = None, lease: Any = None, arp: Any = None) -> None:
        self.agent = agent
        self._says = {0: lease, 2: arp}

    def isActive(self) -> bool:  # noqa: N802
        return True

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802
        state = "disconnected" if self.agent is None else "connected"
        return f"""<domain><devices><interface><mac address='{MAC.upper()}'/></interface>
            <channel><target name='org.qemu.guest_agent.0' state='{state}'/></channel></devices></domain>"""

    def interfaceAddresses(self, source: int, _flags: int) -> Any:  # noqa: N802
        if self._says[source] is None:
            raise libvirt.libvirtError("no such source")
        if isinstance(self._says[source], threading.Event):
            self._says[source].wait()
            return {}
        return self._says[source]


@pytest.fixture(autouse=True)
def agent_of_the_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    real = libvirt_qemu.qemuAgentCommand

    def command(domain: Any, *args: Any) -> Any:
        if not isinstance(domain, Domain):
            return real(domain, *args)
        if isinstance(domain.agent, Exception):
            raise domain.agent
        return domain.agent if isinstance(domain.agent, str) else json.dumps({"return": domain.agent})

    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", command)


def ask(**sources: Any) -> list[AddressRecord]:
    connection = SimpleNamespace(repeat=lambda read: read(), leave=lambda: None, domain=lambda _: Domain(**sources))
    return list(Guests(connection).addresses("id"))  # type: ignore[arg-type]


LEASE = {"vnet0": entry(("10.0.0.4", 24))}
LEASED = [AddressRecord(mac=MAC, address="10.0.0.4", prefix=24, source="lease")]


def test_nobody_knows() -> None:
    assert ask() == []
    assert ask(agent=[], lease={}, arp={}) == []


def test_agent_alone_is_believed() -> None:
    found = ask(agent=[agents(("10.0.0.5", 24), ("fd00::5", 64))], lease=LEASE)
    assert [(each.address, each.prefix, each.source) for each in found] == [
        ("10.0.0.5", 24, "agent"),
        ("fd00::5", 64, "agent"),
    ]


def test_only_cards_of_the_vm_and_no_address_that_leads_nowhere() -> None:
    agent = [
        agents(("127.0.0.1", 8), ("::1", 128), mac="00:00:00:00:00:00"),
        agents(("172.17.0.1", 16), mac="02:42:00:00:00:01"),
        agents(("10.8.0.1", 24), mac=None),
        agents(("fe80::1%eth0", 64), ("169.254.3.4", 16), mac=MAC.upper()),
        {"name": "eth1", "hardware-address": MAC},
    ]
    assert ask(agent=agent) == []
    assert ask(agent=agent, lease=LEASE) == LEASED


@pytest.mark.parametrize(
    "agent",
    ["", "[", "null", "7", '{"return": {"a": 1}}', [None, 7, "x"], [{"hardware-address": 7, "ip-addresses": [8]}],
     [agents(("not an address", 24), mac=MAC)], libvirt.libvirtError("hangs")],
)  # fmt: skip
def test_an_agent_that_talks_nonsense(agent: Any) -> None:
    assert ask(agent=agent, lease=LEASE) == LEASED


def test_a_prefix_that_is_none() -> None:
    found = ask(agent=[agents(("10.0.0.1", "24"), ("10.0.0.2", 99), ("10.0.0.3", None), ("10.0.0.4", True))])
    assert [each.prefix for each in found] == [None] * 4


def test_lease_and_arp_are_put_together() -> None:
    found = ask(lease=LEASE, arp={"vnet0": entry(("10.0.0.4", 0), ("10.0.0.9", 0))})
    assert [(each.address, each.prefix, each.source) for each in found] == [
        ("10.0.0.4", 24, "lease"),
        ("10.0.0.9", None, "arp"),
    ]


def test_a_source_that_never_answers_takes_nothing_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late, "PATIENCE", 0.2)
    never = threading.Event()
    try:
        assert [each.address for each in ask(lease=never, arp=LEASE)] == ["10.0.0.4"]
        assert ask(lease=LEASE, arp=never) == LEASED
    finally:
        never.set()


def test_a_session_that_broke_is_an_error() -> None:
    text = "client socket is closed"
    error = libvirt.libvirtError(text)
    error.err = (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC, text, 2, *[None] * 5)
    with pytest.raises(libvirt.libvirtError):
        ask(agent=error, lease=LEASE)
