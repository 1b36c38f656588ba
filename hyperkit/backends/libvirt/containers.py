"""Containers by libvirt's LXC driver, which has nothing to do with the project of that name.

What is different from a machine's domain: ``<os>`` has an init and its words instead of firmware, a ``<filesystem>``
is the root, and there are no disks, snapshots or saved memory. A limit of CPU is one of the whole container, and its
``<memory>`` is a limit of control groups.

Seen with libvirt 9.0, and the reason of what is done here:

* Without a NIC a container would be in the host's own network; ``<privnet/>`` keeps it out.
* The value of a variable is written into libvirt's own files as it is, so that one with a ``<`` would be more than
  text there. Words of the init's are written right.
* A root directory that is missing is made.
* Asked to shut down, the driver takes the lack of a pipe to init for an answer, and sends no signal.
* ``virDomainGetSchedulerParameters`` of a container that does not run ends the daemon. It is never called so.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import metadata, xml_edit, xml_write
from hyperkit.backends.libvirt.errors import asked
from hyperkit.backends.libvirt.find_image import check_directory
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.wiring import Wire
from hyperkit.backends.libvirt.xml_write import Platform
from hyperkit.capabilities import Capabilities
from hyperkit.errors import AgentUnavailable, InvalidRequest
from hyperkit.specs import VMSpec
from hyperkit.states import PowerAction

CAPABILITIES = Capabilities(
    pause=True,
    shutdown=True,
    reboot=True,
    autostart=True,
    unique_vm_names=True,
    unique_switch_names=True,
    containers=True,
    guest_os=True,
    notes=True,
    tags=True,
    attach=True,
    guest_addresses=True,
    why={
        "bios": "this host makes containers: give container=ContainerSpec(...)",
        "uefi": "this host makes containers: give container=ContainerSpec(...)",
        "disks": "a container has a root directory",
        "cdrom": "a container has a root directory",
        "snapshots": "libvirt's container driver has no such call, and a root directory is not its own",
        "suspend": "libvirt's container driver has no such call",
        "reset": "a container has no button",
        "rename": "libvirt's container driver has no such call",
        "cpu_reservation": "control groups know weights and limits only",
        "memory_reservation": "libvirt has none for containers",
        "memory_shares": "libvirt has none for containers",
        "nic_link": "libvirt's container driver leaves every link up",
        "nic_vlan": "Linux bridges carry no tags for a guest; libvirt does so with Open vSwitch only",
        "hot_nic": "libvirt's container driver cannot change the NIC of a container that runs",
    },
)
"""What the driver has. Networks, storage and control groups are the host's affair: see `capabilities`."""


def new_container(spec: VMSpec, networks: Mapping[str, Wire], platform: Platform) -> ET.Element:
    """The domain that a spec with a container asks for; ``networks`` are those its NICs name, by id.

    Its UUID is chosen here, as of every new domain.

    Raises:
        InvalidRequest: a variable that libvirt cannot keep.
    """
    container = spec.container
    assert container is not None  # noqa: S101  what the caller has looked at
    domain = ET.Element("domain", type=platform.domain_type)
    xml_edit.set_name(domain, spec.name)
    vm_id = str(uuid.uuid4())
    ET.SubElement(domain, "uuid").text = vm_id
    os = ET.SubElement(domain, "os")
    ET.SubElement(os, "type", arch=platform.arch).text = "exe"
    ET.SubElement(os, "init").text = container.init
    for word in container.arguments:
        ET.SubElement(os, "initarg").text = word
    for name, value in container.environment:
        if any(mark in value for mark in ("<", "&", "]]>")):
            # Not the value, which is a secret often.
            field = f"container.environment[{name!r}]"
            raise InvalidRequest(f"{field}: on libvirt no '<', '&' and ']]>'; put it into a file", field=field)
        ET.SubElement(os, "initenv", name=name).text = value
    ET.SubElement(ET.SubElement(domain, "features"), "privnet")
    ET.SubElement(domain, "clock", offset="utc")
    xml_edit.set_cpus(domain, spec.cpus, spec.max_cpus)
    xml_edit.set_memory(domain, spec.memory, spec.max_memory)
    if not xml_edit.is_default(spec.cpu_allocation):
        xml_edit.set_cpu_allocation(domain, spec.cpu_allocation, platform.shares)
    if not xml_edit.is_default(spec.memory_allocation):
        xml_edit.set_memory_allocation(domain, spec.memory_allocation)
    metadata.replace(domain, metadata.Extra(guest_os=spec.guest_os, tags=spec.tags))
    xml_edit.set_notes(domain, spec.notes)
    devices = ET.SubElement(domain, "devices")
    if container.root is not None:
        filesystem = ET.SubElement(devices, "filesystem", type="mount")
        ET.SubElement(filesystem, "source", dir=container.root)
        ET.SubElement(filesystem, "target", dir="/")
    for nic in spec.nics:
        devices.append(xml_write.nic_element(nic, vm_id, networks, platform))
    ET.SubElement(devices, "console", type="pty")
    return domain


def check_root(conn: Any, domain: Any) -> None:
    """See that the root of a container is there: the driver makes a directory that is missing, and fails over init.

    Raises:
        NotFound: it is gone.
    """
    tree = parse_domain(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    source = tree.find("devices/filesystem[@type='mount']/target[@dir='/']/../source")
    if source is not None and (root := source.get("dir")):
        check_directory(conn, root, "container.root")


def ask(domain: Any, action: PowerAction) -> None:
    """Ask a container to shut down or to reboot: by the pipe that a whole system's init has, and by a signal.

    The signals are SIGTERM and SIGHUP. An init that has understood the pipe does not mind them.

    Raises:
        AgentUnavailable: one that is still being started ("Init process ID is not yet known") was asked to reboot. A
            shutdown is asked for again.
    """
    if action is PowerAction.SHUTDOWN:
        call, pipe, signal = (
            domain.shutdownFlags,
            libvirt.VIR_DOMAIN_SHUTDOWN_INITCTL,
            libvirt.VIR_DOMAIN_SHUTDOWN_SIGNAL,
        )
    else:
        call, pipe, signal = domain.reboot, libvirt.VIR_DOMAIN_REBOOT_INITCTL, libvirt.VIR_DOMAIN_REBOOT_SIGNAL
    try:
        asked(lambda: call(pipe), None, libvirt.VIR_ERR_OPERATION_UNSUPPORTED, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED)
        call(signal)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:  # it was quick, and is off already
            raise
        if action is PowerAction.REBOOT and domain.isActive():
            raise AgentUnavailable("its init has not begun yet") from error
