"""Any driver of libvirt, with hyperkit's calls refused one by one: VMs are still listed, described and switched.

No host of Xen, bhyve, VirtualBox or Virtuozzo is near. What they differ in here is which calls they lack, and libvirt's
real test driver can be made to lack any: it stands behind an object that answers one call as libvirt answers those
that a driver does not have.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import hyperkit
from hyperkit import VM, DiskSpec, Host, HypervisorType, MiB, PowerState, Unsupported
from hyperkit.registry import BUILTIN

libvirt = pytest.importorskip("libvirt")

ESSENTIAL = frozenset({"getType", "listAllDomains", "lookupByUUIDString", "XMLDesc", "state", "create", "destroy"})
"""Without these there is nothing to list, describe or switch."""
LOCAL = frozenset({"UUIDString", "name", "close", "connect", "_o", "_conn"})
"""What the binding answers by itself."""
OBJECTS = (libvirt.virDomain, libvirt.virNetwork, libvirt.virStoragePool, libvirt.virStorageVol)
KINDS = ("TEST", "Xen", "bhyve", "VBOX", "vz", "CH")


class Lacking:
    """A libvirt object, and all it returns, whose driver lacks some calls and calls itself ``kind``."""

    def __init__(self, inner: Any, kind: str, lacks: frozenset[str], called: set[str]) -> None:
        self.__dict__.update(_inner=inner, _kind=kind, _lacks=lacks, _called=called)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in LOCAL or not callable(found):
            return found

        def call(*args: Any) -> Any:
            self._called.add(name)
            if name in self._lacks:
                raise lacking(name)
            if name == "getType":
                return self._kind
            return self._wrap(found(*map(_bare, args)))

        return call

    def _wrap(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(map(self._wrap, value))
        return Lacking(value, self._kind, self._lacks, self._called) if isinstance(value, OBJECTS) else value


def _bare(value: Any) -> Any:
    if isinstance(value, list):
        return list(map(_bare, value))
    return value._inner if isinstance(value, Lacking) else value


def lacking(call: str) -> Exception:
    """What libvirt says of a call that its driver does not have."""
    text = f"this function is not supported by the connection driver: {call}"
    error = libvirt.libvirtError(text)
    error.err = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_FROM_DOMAIN, text, 2, None, None, None, 0, 0)
    return error  # type: ignore[no-any-return]


class Drivers:
    """Connects to the test driver in the disguise of another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._open = libvirt.openAuth
        self.called: set[str] = set()

    def connect(self, kind: str = "TEST", *lacks: str) -> Host:
        def open_auth(*args: Any) -> Any:
            return Lacking(self._open(*args), kind, frozenset(lacks), self.called)

        self._patch.setattr(libvirt, "openAuth", open_auth)
        return hyperkit.connect("test:///default")


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drivers]:
    keep = libvirt.open("test:///default")  # the world lasts as long as a connection to it
    yield Drivers(monkeypatch)
    keep.close()


def tell(host: Host) -> VM:
    """All that every driver must do: connect, list, describe, switch on and off."""
    assert host.info.id
    assert host.info.product
    (vm,) = host.vms.list()
    assert (vm.name, vm.cpus > 0, vm.memory > 0) == ("test", True, True)
    assert host.vms.get(vm.id) == host.vms.one(name="test") == vm.refresh()
    assert vm.stop().state is PowerState.OFF
    assert vm.start().state is PowerState.RUNNING
    assert isinstance(host.switches.list(), list)
    assert isinstance(host.datastores.list(), list)
    return vm


@pytest.fixture
def optional(drivers: Drivers) -> list[str]:
    """Every call that `tell` makes of a driver that has all of them, but for the essential ones."""
    for kind in KINDS:
        with drivers.connect(kind) as host:
            tell(host)
    return sorted(drivers.called - ESSENTIAL)


def test_what_is_refused_is_what_is_called(optional: list[str]) -> None:
    asked = {"getCapabilities", "getInfo", "getHostname", "getVersion", "getAllDomainStats", "autostart", "isAlive"}
    assert asked <= set(optional)
    assert {"listAllNetworks", "listAllStoragePools", "hasManagedSaveImage", "setKeepAlive"} <= set(optional)


@pytest.mark.parametrize("kind", KINDS)
def test_no_call_but_the_essential_ones_is_needed(drivers: Drivers, optional: list[str], kind: str) -> None:
    needed: dict[str, Exception] = {}
    for call in optional:
        try:
            with drivers.connect(kind, call) as host:
                tell(host)
        except Exception as error:
            needed[call] = error
    assert needed == {}


def test_no_two_of_them_are_needed_together(drivers: Drivers, optional: list[str]) -> None:
    for pair in itertools.combinations(optional, 2):
        with drivers.connect("Xen", *pair) as host:
            tell(host)


@pytest.mark.parametrize("kind", KINDS)
def test_none_of_them_is_needed(drivers: Drivers, optional: list[str], kind: str) -> None:
    with drivers.connect(kind, *optional) as host:
        tell(host)
        assert (host.switches.list(), host.datastores.list()) == ([], [])
        able = host.capabilities
        for name in ("switch_private", "switch_internal", "switch_external", "volumes", "transfer", "disks"):
            assert not getattr(able, name), name


@pytest.mark.parametrize(
    ("verb", "call"),
    [
        (lambda vm: vm.pause(), "suspend"),
        (lambda vm: vm.shutdown(timeout=1), "shutdown"),
        (lambda vm: vm.reboot(), "reboot"),
    ],
)
def test_a_verb_that_turns_out_to_be_lacking_is_unsupported(
    drivers: Drivers, verb: Callable[[VM], object], call: str
) -> None:
    with drivers.connect("Xen", call) as host:
        vm = host.vms.one(name="test")
        with pytest.raises(Unsupported, match=call):
            verb(vm)
        assert vm.refresh().state is PowerState.RUNNING


def test_networks_and_storage_are_asked_for_when_the_connection_is_new(drivers: Drivers) -> None:
    with drivers.connect("TEST", "numOfNetworks", "numOfStoragePools") as host:
        with pytest.raises(Unsupported, match="libvirt has no networks on this host"):
            host.switches.create("lan")
        with pytest.raises(Unsupported, match="libvirt has no storage pools on this host"):
            host.vms.create("a", disks=[DiskSpec(size=MiB)])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Xen", HypervisorType.BARE_METAL),
        ("bhyve", HypervisorType.HOSTED),
        ("VBOX", HypervisorType.HOSTED),
        ("VMware", HypervisorType.HOSTED),
        ("OPENVZ", HypervisorType.OS_LEVEL),
        ("LXC", HypervisorType.OS_LEVEL),
    ],
)
def test_the_type_follows_from_the_drivers_name(drivers: Drivers, kind: str, expected: HypervisorType) -> None:
    with drivers.connect(kind) as host:
        assert (host.info.product, host.info.hypervisor_type) == (kind, expected)


def test_schemes_of_libvirts_drivers() -> None:
    ours = {scheme for scheme, known in BUILTIN.items() if known.needs == ("libvirt",)}
    assert ours >= {"qemu", "test", "lxc", "xen", "vbox", "bhyve", "ch", "vz", "openvz", "vmwareplayer", "vmwarews"}
    # hyperkit speaks to these itself, or will.
    assert not ours & {"esx", "vpx", "gsx", "hyperv"}
