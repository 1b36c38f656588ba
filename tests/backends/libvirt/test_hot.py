"""CPUs and memory of VMs that run, on a real libvirtd with QEMU, and as their guests see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import hyperkit
from hyperkit import VM, Allocation, Busy, Host, HyperkitError, InvalidState, KernelBoot, KiB, MiB
from hyperkit.specs import ChangeFields, VMChange, VMFields
from tests.beds.libvirt_qemu import LibvirtHost, guest_image, missing
from tests.beds.libvirt_qemu.shell import Shell

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
BLOCK = 128 * MiB
"""What the guest's Linux takes into use at a time."""
SMALL = 64 * MiB


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


@pytest.fixture
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri) as host:
        yield host
        for vm in host.vms.list():
            vm.delete(force=True)


@pytest.fixture
def raw(machine: LibvirtHost, host: Host) -> Iterator[Any]:
    raw = libvirt.open(machine.uri)
    yield raw
    raw.close()


def booted(raw: Any, host: Host, **fields: Any) -> tuple[VM, Any, Shell]:
    """A VM with room to grow and a guest that runs. With DIMM slots, Linux needs 192 MiB to boot."""
    image = guest_image()
    kernel = KernelBoot(str(image.vmlinux), str(image.initrd), image.cmdline)
    own: VMFields = {"cpus": 1, "max_cpus": 4, "memory": 2 * BLOCK, "max_memory": 16 * BLOCK, "kernel": kernel}
    vm = host.vms.create("guest", **{**own, **fields}).start()
    domain = raw.lookupByName("guest")
    return vm, domain, Shell(domain).wait_until_ready()


def memory(shell: Shell) -> int:
    """What the guest has in use."""
    return int(shell.run("sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")) * KiB


def wait_for_memory(shell: Shell, size: int) -> None:
    shell.wait_for("sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo", str(size // KiB))


CPUS = "grep -c ^processor /proc/cpuinfo"


def parts(domain: Any, flags: int) -> tuple[str | None, str | None, list[str | None]]:
    """vCPUs, memory in KiB, and the memory modules, of the VM that runs (0) or of its configuration (INACTIVE)."""
    tree = ET.fromstring(domain.XMLDesc(flags))
    vcpu = tree.find("vcpu")
    assert vcpu is not None
    modules = [module.findtext("target/size") for module in tree.iterfind("devices/memory")]
    return vcpu.get("current", vcpu.text), tree.findtext("memory"), modules


def test_a_guest_sees_cpus_come_and_memory_come_and_go(raw: Any, host: Host) -> None:
    vm, domain, shell = booted(raw, host)
    at_first = memory(shell)
    vm.configure(cpus=2, memory=3 * BLOCK, notes="more")
    assert (vm.cpus, vm.memory, vm.record.dimms, vm.notes) == (2, 3 * BLOCK, (BLOCK,), "more")
    shell.wait_for(CPUS, "2")
    wait_for_memory(shell, at_first + BLOCK)
    vm.configure(memory=5 * BLOCK)
    wait_for_memory(shell, at_first + 3 * BLOCK)
    vm.configure(memory=4 * BLOCK)  # the first of the two, in the middle of the guest's memory
    assert vm.record.dimms == (2 * BLOCK,)
    assert memory(shell) == at_first + 2 * BLOCK
    assert parts(domain, 0) == ("2", str(4 * BLOCK // KiB), [str(2 * BLOCK // KiB)])
    assert parts(domain, INACTIVE) == ("2", str(4 * BLOCK // KiB), [])
    with pytest.raises(InvalidState, match=r"\(it can shrink to 256 MiB\)"):
        vm.configure(memory=3 * BLOCK)
    vm.suspend().start()
    assert vm.refresh().record.dimms == (2 * BLOCK,)
    assert memory(shell) == at_first + 2 * BLOCK
    vm.stop().start()
    shell.wait_until_ready()
    assert (vm.refresh().cpus, vm.memory) == (2, 4 * BLOCK)
    assert list(vm.record.dimms) == []
    shell.wait_for(CPUS, "2")
    # All of it from the start, and not in DIMMs which a guest finds after it has booted, and may leave unused.
    assert memory(shell) > at_first + BLOCK
    vm.stop().configure(cpus=1, memory=2 * BLOCK)
    assert parts(domain, INACTIVE) == ("1", str(2 * BLOCK // KiB), [])


def test_memory_that_comes_while_a_vm_is_paused_is_there_when_it_runs_on(raw: Any, host: Host) -> None:
    vm, _, shell = booted(raw, host)
    at_first = memory(shell)
    vm.pause().configure(cpus=2, memory=3 * BLOCK)
    with pytest.raises(InvalidState, match="its guest must run to let go of it"):
        vm.configure(memory=2 * BLOCK)
    vm.resume()
    shell.wait_for(CPUS, "2")
    wait_for_memory(shell, at_first + BLOCK)
    assert vm.configure(memory=2 * BLOCK).record.dimms == ()
    assert memory(shell) == at_first


def whole(raw: Any, name: str) -> tuple[Any, ...]:
    """All that libvirt knows of a VM."""
    domain = raw.lookupByName(name)
    live = ET.fromstring(domain.XMLDesc(0))
    for tune in live.findall("cputune"):  # also tells limits that are none, once they were set
        live.remove(tune)
    return ET.tostring(live), domain.XMLDesc(INACTIVE), domain.autostart(), domain.schedulerParameters()


def test_what_a_guest_does_not_let_go_stays_and_so_does_all_else(raw: Any, host: Host) -> None:
    """There is no system that could: the VM has nothing to boot."""
    vm = host.vms.create("empty", memory=SMALL, max_memory=SMALL + 4 * BLOCK, max_cpus=2, notes="before").start()
    vm.configure(memory=SMALL + BLOCK)
    before = whole(raw, "empty")
    with pytest.raises(Busy, match="does not let go of 128 MiB of memory"):
        vm.configure(memory=SMALL, notes="after", autostart=True, cpu_allocation=Allocation(limit=500, shares=50))
    assert whole(raw, "empty") == before
    assert (vm.refresh().memory, vm.record.dimms, vm.notes) == (SMALL + BLOCK, (BLOCK,), "before")


def test_memory_that_went_comes_again_if_the_rest_does_not_go(
    raw: Any, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm, domain, shell = booted(raw, host)
    at_first = memory(shell)
    for size in (3, 4):
        vm.configure(memory=size * BLOCK)
    wait_for_memory(shell, at_first + 2 * BLOCK)
    before, detach, asked = domain.XMLDesc(INACTIVE), libvirt.virDomain.detachDeviceFlags, []

    def only_one(self: Any, *args: Any) -> int:
        asked.append(args)
        return int(detach(self, *args)) if len(asked) == 1 else 0

    monkeypatch.setattr(libvirt.virDomain, "detachDeviceFlags", only_one)
    with pytest.raises(Busy):
        vm.configure(memory=2 * BLOCK)
    assert len(asked) == 2
    assert (vm.refresh().memory, vm.record.dimms) == (4 * BLOCK, (BLOCK, BLOCK))
    assert domain.XMLDesc(INACTIVE) == before
    wait_for_memory(shell, at_first + 2 * BLOCK)


def test_what_was_changed_before_the_failure_is_changed_back(
    raw: Any, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm, domain, shell = booted(raw, host, notes="before")
    at_first, before = memory(shell), whole(raw, "guest")

    def fails(_self: Any, cpus: int, _flags: int) -> int:
        if cpus == 1:  # as they were
            return 0
        wait_for_memory(shell, at_first + BLOCK)  # the guest has it, and must let it go again
        assert domain.autostart()
        assert parts(domain, INACTIVE)[0] == "2"
        raise libvirt.libvirtError("no")

    monkeypatch.setattr(libvirt.virDomain, "setVcpusFlags", fails)
    change: ChangeFields = {
        "cpus": 2,
        "memory": 3 * BLOCK,
        "cpu_allocation": Allocation(limit=700, shares=300),
        "notes": "after",
        "autostart": True,
    }
    with pytest.raises(HyperkitError) as caught:
        vm.configure(**change)
    assert not hasattr(caught.value.__cause__, "__notes__")
    assert whole(raw, "guest") == before
    assert memory(shell) == at_first
    assert (vm.refresh().memory, vm.notes, vm.record.autostart) == (2 * BLOCK, "before", False)


def test_what_cannot_be_changed_back_is_told(raw: Any, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    vm = host.vms.create("empty", memory=SMALL, max_memory=SMALL + BLOCK, max_cpus=2).start()

    def fails(_self: Any, cpus: int, _flags: int) -> int:
        if cpus == 1:
            return 0
        raise libvirt.libvirtError("no")

    monkeypatch.setattr(libvirt.virDomain, "setVcpusFlags", fails)
    with pytest.raises(HyperkitError) as caught:
        vm.configure(cpus=2, memory=SMALL + BLOCK)
    notes = "".join([*getattr(caught.value, "__notes__", []), *getattr(caught.value.__cause__, "__notes__", [])])
    assert "could not be taken back: the guest of VM 'empty' does not let go of 128 MiB" in notes
    assert parts(raw.lookupByName("empty"), INACTIVE)[1] == str(SMALL // KiB)


def test_a_cpu_that_the_guest_keeps_stays(raw: Any, host: Host) -> None:
    """Without KVM none goes, so that the capability is False; this is what the host would say."""
    assert not host.capabilities.hot_cpu_remove
    assert "KVM" in host.capabilities.why["hot_cpu_remove"]
    vm = host.vms.create("empty", memory=SMALL, cpus=2, max_cpus=4).start()
    vm.configure(cpus=3)
    with pytest.raises(InvalidState, match=r"\(capability 'hot_cpu_remove': without KVM"):
        vm.configure(cpus=2)
    port, domain = host.driver.vms, raw.lookupByName("empty")
    with pytest.raises(InvalidState, match="keeps the 2 vCPUs it began with"):
        port.configure(vm.id, VMChange(cpus=1))
    with pytest.raises(Busy, match="unplug request"):
        port.configure(vm.id, VMChange(cpus=2))
    assert (parts(domain, 0)[0], parts(domain, INACTIVE)[0]) == ("3", "3")


FOREIGN = """
<domain type='qemu'><name>foreign</name><memory unit='MiB'>128</memory><currentMemory unit='MiB'>64</currentMemory>
<vcpu current='1'>2</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/><apic/></features>
{more}</domain>"""


def test_somebody_elses_vm_without_slots_keeps_its_memory(raw: Any, host: Host) -> None:
    raw.defineXML(FOREIGN.format(more="")).create()
    vm = host.vms.one(name="foreign")
    before = whole(raw, "foreign")
    with pytest.raises(InvalidState, match="no slot for more memory while it runs: it was made without"):
        host.driver.vms.configure(vm.id, VMChange(memory=256 * MiB, cpus=2, notes="n"))
    assert whole(raw, "foreign") == before
    assert vm.configure(cpus=2).cpus == 2


NUMA = """<maxMemory slots='1' unit='MiB'>1024</maxMemory><cpu><numa><cell id='0' cpus='0' memory='64' unit='MiB'/>
<cell id='1' cpus='1' memory='64' unit='MiB'/></numa></cpu>"""


def test_somebody_elses_numa_cells_are_not_guessed_at(raw: Any, host: Host) -> None:
    text = FOREIGN.format(more=NUMA).replace("<currentMemory unit='MiB'>64</currentMemory>", "")
    raw.defineXML(text).create()
    vm = host.vms.one(name="foreign")
    before = whole(raw, "foreign")
    with pytest.raises(hyperkit.InvalidRequest, match="NUMA"):
        vm.configure(memory=2 * BLOCK, notes="n")
    assert whole(raw, "foreign") == before


def test_slots_are_counted(raw: Any, host: Host) -> None:
    cell = "<cell id='0' cpus='0-1' memory='128' unit='MiB'/>"
    more = f"<maxMemory slots='1' unit='MiB'>1024</maxMemory><cpu><numa>{cell}</numa></cpu>"
    text = FOREIGN.format(more=more).replace("<currentMemory unit='MiB'>64</currentMemory>", "")
    raw.defineXML(text).create()
    vm = host.vms.one(name="foreign").configure(memory=2 * BLOCK)
    before = whole(raw, "foreign")
    with pytest.raises(InvalidState, match="all 1 slots are full"):
        vm.configure(memory=3 * BLOCK, cpus=2)
    assert whole(raw, "foreign") == before
    vm.stop().configure(memory=4 * BLOCK)
    assert parts(raw.lookupByName("foreign"), INACTIVE) == ("1", str(4 * BLOCK // KiB), [])
    assert 'slots="1"' in raw.lookupByName("foreign").XMLDesc(INACTIVE).replace("'", '"')


def test_a_vm_that_nobody_defined_is_not_defined_by_a_change(raw: Any, host: Host) -> None:
    raw.createXML(FOREIGN.format(more=""), 0)
    vm = host.vms.one(name="foreign")
    with pytest.raises(InvalidState, match="gone once it stops"):
        vm.configure(cpus=2)
    assert (vm.refresh().cpus, raw.lookupByName("foreign").isPersistent()) == (1, 0)
    raw.lookupByName("foreign").destroy()
