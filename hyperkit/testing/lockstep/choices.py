"""What a lockstep asks for: values drawn so that most can be done, some are odd, and some are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from hyperkit.capabilities import Capabilities
from hyperkit.records import VMRecord
from hyperkit.specs import Allocation, BootDevice, CpuTopology, DiskBus, DiskSpec, Firmware, NicSpec
from hyperkit.specs.isolation import AclRule, IsolationPolicy
from hyperkit.specs.lease import StaticLease
from hyperkit.testing.beds import Bed
from hyperkit.testing.lockstep.script import New, Ref
from hyperkit.units import KiB, MiB

MACS = tuple(f"52:54:00:aa:bb:0{number}" for number in range(1, 7))
"""The addresses that are asked for: few, so that two VMs want the same one now and then."""
FILE_NAMES = ("spare", "other")
NAMES = ("web", "db.1", "a b", "ünï-#3", "x" * 60)
"""What names begin with; a number is put behind."""
NOTES = ("", "plain", "<a href=\"x\">&amp; 'b' ]]>", "two\nlines\ttabbed ", "漢字 😀 e\u0301", " ", "x" * 300)
TAGS: tuple[tuple[str, ...], ...] = ((), ("web",), ("web", "db"), ("größe", "a<&b", "web"), ("a b",), ("web", "web"))
MEMORY = (16 * MiB, 20 * MiB, 48 * MiB)
TRUNKS: tuple[tuple[int, ...], ...] = ((), (8, 9), (9, 8), (7,))
RULES = (
    AclRule("deny", "in", "tcp", remote="10.0.0.0/8", port=22),
    AclRule("allow", "out", "udp", port=53),
    AclRule("deny", "in", "icmp", remote="2001:db8::/32"),
    AclRule("deny", "out"),
)
_FLAGS = {
    "spoof_guard": "nic_spoof_guard",
    "dhcp_guard": "nic_dhcp_guard",
    "router_guard": "nic_router_guard",
    "isolated": "nic_isolation",
}
"""What of a card's policy is on or off, and the capability that it needs."""


def sizes(sector: int) -> tuple[int, ...]:
    """What new disks are large: one is an odd number of sectors."""
    return (1 * MiB, 2 * MiB, 3 * MiB + sector, 8 * MiB)


def seldom(draw: DrawFn, one_in: int = 8) -> bool:
    """True once in a while; what fails is made simpler by taking it for False."""
    return draw(st.integers(0, one_in - 1)) == one_in - 1


def pick(draw: DrawFn, values: Sequence[Any]) -> Any:
    """One of them; the first is the simplest."""
    return draw(st.sampled_from(values))


@attrs.frozen(kw_only=True)
class Means:
    """What there is to ask with: what the host can do, what the bed has, what was made so far.

    Attributes:
        able: the host's capabilities.
        bed: where it runs.
        buses: what disks can be on, besides the host's choice.
        models: what NICs can be, besides the host's choice.
        files: images that were made.
        switches: what NICs can be plugged into: names, and variables of the script.
        sector: what the sizes of disks are multiples of.
    """

    able: Capabilities
    bed: Bed
    buses: tuple[DiskBus, ...]
    models: tuple[str, ...]
    files: tuple[Ref, ...]
    switches: tuple[str | Ref, ...]
    sector: int


@st.composite
def disks(draw: DrawFn, means: Means) -> New:
    """A disk to create or attach."""
    able, bed, fields = means.able, means.bed, dict[str, Any]()
    kinds = ["new"]
    if bed.base_image:
        kinds += ["linked"] * able.linked_disks + ["copied"] * able.copied_disks
    kinds += ["existing"] * bool(means.files)
    kind = "missing" if seldom(draw, 20) else pick(draw, kinds)
    if kind in ("existing", "missing"):
        wrong = [bed.missing_path] if bed.directory is None else [bed.missing_path, bed.directory]
        fields["path"] = pick(draw, means.files if kind == "existing" else wrong)
    elif kind == "new":
        fields["size"] = pick(draw, sizes(means.sector))
    else:
        assert bed.base_image
        fields["base"] = bed.missing_path if seldom(draw, 20) else bed.base_image.path
        if kind == "copied":
            fields["linked"] = False
        if seldom(draw, 3):
            fields["size"] = bed.base_image.size // 2 if seldom(draw, 6) else bed.base_image.size + pick(draw, (0, MiB))
    if kind in ("new", "linked", "copied"):
        if seldom(draw, 5):
            fields["name"] = pick(draw, FILE_NAMES)
        if seldom(draw, 3):
            fields["format"] = "vhd" if seldom(draw, 12) else pick(draw, able.disk_formats)
        if seldom(draw, 6):
            fields["thin"] = False
        if seldom(draw, 6):
            fields["datastore"] = "nowhere" if seldom(draw, 4) else bed.store.name
    if means.buses and seldom(draw, 3):
        fields["bus"] = pick(draw, means.buses)
    if seldom(draw, 6):
        fields["read_only"] = True
    return New(DiskSpec, fields)


@st.composite
def nics(draw: DrawFn, means: Means) -> New:
    """A card to create or attach."""
    fields: dict[str, Any] = {}
    if seldom(draw, 20):
        fields["switch"] = "nowhere"
    elif means.switches and seldom(draw, 2):
        fields["switch"] = pick(draw, means.switches)
    if seldom(draw, 3):
        fields["mac"] = pick(draw, MACS)
    if means.models and seldom(draw, 3):
        fields["model"] = pick(draw, means.models)
    if means.able.nic_link and seldom(draw, 4):
        fields["link_up"] = False
    if seldom(draw, 20):
        fields["vlan"] = 7
        fields["trunk"] = pick(draw, TRUNKS)
    if seldom(draw, 6):
        fields["policy"] = draw(policies(means.able))
    return New(NicSpec, fields)


@st.composite
def policies(draw: DrawFn, able: Capabilities) -> New:
    """What passes a card: mostly as far as the host is able to keep it out; now and then any of it."""
    further = seldom(draw, 3)
    flags = [flag for flag, needs in _FLAGS.items() if further or getattr(able, needs)]
    fields: dict[str, Any] = dict.fromkeys((flag for flag in flags if draw(st.booleans())), True)
    if fields.get("spoof_guard") and (further or able.nic_address_guard) and draw(st.booleans()):
        fields["addresses"] = ["192.168.150.10", "fd00::10"][: pick(draw, (1, 2))]
    if (further or able.nic_promiscuous) and seldom(draw, 10):
        fields["promiscuous"] = True
    if (further or able.nic_acl) and draw(st.booleans()):
        fields["rules"] = draw(st.lists(st.sampled_from(RULES), max_size=3, unique=True))
    return New(IsolationPolicy, fields)


@st.composite
def leases(draw: DrawFn, subnet: str | None) -> list[StaticLease]:
    """Addresses to keep: mostly of the subnet, each once."""
    network = IPv4Network(subnet or "192.168.150.0/24")
    hosts = [str(network[number]) for number in (10, 11, 12)]
    macs = draw(st.lists(st.sampled_from(MACS), max_size=3, unique=True))
    named = draw(st.booleans())
    made = [
        StaticLease(mac, address, f"host{number}" if named else "")
        for number, (mac, address) in enumerate(zip(macs, hosts, strict=False))
    ]
    if seldom(draw, 6):
        made.append(StaticLease(pick(draw, MACS), pick(draw, (hosts[0], "10.1.2.3", str(network[1])))))
    return made


def allocations(able: Capabilities, cpus: int, memory: int) -> tuple[SearchStrategy[Allocation], ...]:
    """Control of CPU and of memory, mostly as far as the host is able; now and then further."""
    cpu = st.builds(
        Allocation,
        reservation=st.sampled_from((0, 0, 0, 500 * cpus) if able.cpu_reservation else (0,)),
        limit=st.sampled_from((None, 1000 * cpus, 750 * cpus) if able.cpu_limit else (None,)),
        shares=st.sampled_from((100, 200, 33, 10_000) if able.cpu_shares else (100,)),
    )
    size = st.builds(
        Allocation,
        reservation=st.sampled_from((0, memory // 2) if able.memory_reservation else (0,)),
        limit=st.sampled_from((None, 512 * MiB) if able.memory_limit else (None,)),
        shares=st.sampled_from((100, 200) if able.memory_shares else (100,)),
    )
    wrong = st.sampled_from((Allocation(reservation=100), Allocation(shares=50)))
    return st.one_of(*[cpu] * 9, wrong), st.one_of(*[size] * 9, wrong)


@st.composite
def shapes(draw: DrawFn, means: Means) -> dict[str, Any]:
    """CPUs, memory, ceilings, topology and control of both."""
    able, fields = means.able, dict[str, Any]()
    cpus = fields["cpus"] = pick(draw, (1, 2, 3, 4))
    memory = fields["memory"] = pick(draw, MEMORY)
    ceiling = cpus
    if seldom(draw, 4):
        ceiling = fields["max_cpus"] = cpus + pick(draw, (1, 4)) if able.cpu_ceiling else cpus
    if seldom(draw, 4):
        fields["max_memory"] = memory + 16 * MiB if able.memory_ceiling else memory
    if seldom(draw, 4):
        threads = 2 if ceiling % 2 == 0 and draw(st.booleans()) else 1
        fields["topology"] = CpuTopology(1, ceiling // threads, threads)
    if seldom(draw, 3):
        fields["cpu_allocation"], fields["memory_allocation"] = (
            draw(allocation) for allocation in allocations(able, cpus, memory)
        )
    if seldom(draw, 25):
        name, value = pick(draw, (("cpus", 10_000), ("memory", 16 * MiB + KiB), ("memory", 4096), ("max_cpus", 0)))
        fields[name] = value
    return fields


@st.composite
def manners(draw: DrawFn, able: Capabilities) -> dict[str, Any]:
    """What a VM has besides its size: notes, tags, hints, order of boot."""
    fields: dict[str, Any] = {}
    if seldom(draw, 3):
        fields["notes"] = pick(draw, NOTES if able.notes else ("",))
    if seldom(draw, 3):
        fields["tags"] = list(pick(draw, TAGS if able.tags else ((),)))
    if seldom(draw, 4):
        fields["autostart"] = able.autostart and draw(st.booleans())
    if seldom(draw, 4):
        fields["guest_os"] = pick(draw, ("debian12", "fedora40"))  # the devices that suit Windows are the host's choice
    if seldom(draw, 4):
        fields["boot_order"] = list(draw(st.permutations(list(BootDevice))))[: pick(draw, (1, 2, 3))]
    if seldom(draw, 20):
        fields["tpm"] = True
    if seldom(draw, 40):
        fields["secure_boot"] = True
    return fields


@st.composite
def machines(draw: DrawFn, means: Means) -> dict[str, Any]:
    """The fields of a VM to create, besides its name."""
    bed, able = means.bed, means.able
    fields: dict[str, Any] = {**draw(shapes(means)), **draw(manners(able))}
    if not able.bios or seldom(draw, 15):
        fields["firmware"] = Firmware.UEFI
    if draw(st.booleans()):
        fields["disks"] = draw(st.lists(disks(means), min_size=1, max_size=3))
    if draw(st.booleans()):
        fields["nics"] = draw(st.lists(nics(means), min_size=1, max_size=3))
    if bed.iso and able.cdrom and seldom(draw, 3):
        fields["iso"] = bed.missing_path if seldom(draw, 6) else bed.iso
    elif able.cdrom and seldom(draw, 4):
        fields["cdrom"] = True
    return fields


@st.composite
def changes(draw: DrawFn, means: Means, record: VMRecord) -> dict[str, Any]:
    """What to configure: one or a few fields, as they are or otherwise."""
    every = {**draw(shapes(means)), **draw(manners(means.able))}
    if record.topology is not None and "topology" not in every:
        # A topology binds the number of CPUs: mostly both change together, and now and then one does in vain.
        every.setdefault("max_cpus", every["cpus"])
        if not seldom(draw, 4):
            every["topology"] = CpuTopology(1, max(every["max_cpus"], 1), 1)
    chosen = draw(st.lists(st.sampled_from(sorted(every)), min_size=1, unique=True))
    return {name: every[name] for name in chosen}
