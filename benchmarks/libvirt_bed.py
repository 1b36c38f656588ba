"""The libvirt host that benchmarks run on: a real libvirtd and QEMU guests without an operating system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness import CannotRun, say

NETWORK = "lan"

_NETWORK = f"<network><name>{NETWORK}</name><bridge name='lan0' stp='off'/></network>"
_DOMAIN = """\
<domain type='qemu'>
  <name>{name}</name>
  <description>{name}, for benchmarks</description>
  <memory unit='MiB'>16</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/><apic/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'><source network='{network}'/><model type='virtio'/></interface>
    <controller type='usb' model='none'/>
  </devices>
</domain>
"""


class Bed:
    """A private libvirt host.

    Attributes:
        uri: what clients connect to.
        socket: the daemon's.
        libvirt: the module, which may be missing where benchmarks are imported.
        connection: the benchmark's own, without hyperkit.
    """

    def __init__(self, uri: str, socket: Path, images: Path, libvirt: Any, connection: Any) -> None:
        self.uri = uri
        self.socket = socket
        self.libvirt = libvirt
        self.connection = connection
        self._images = images
        self._disk: bytes | None = None

    def define(self, name: str) -> Any:
        """A small machine with an empty qcow2 disk and a NIC: the firmware finds nothing to boot."""
        disk = self._images / f"{name}.qcow2"
        if self._disk is None:
            pool = self.connection.storagePoolLookupByName("default")
            pool.createXML(
                f"<volume><name>{disk.name}</name><capacity unit='GiB'>1</capacity>"
                "<target><format type='qcow2'/></target></volume>"
            )
            self._disk = disk.read_bytes()
        else:
            disk.write_bytes(self._disk)
        return self.connection.defineXML(_DOMAIN.format(name=name, disk=disk, network=NETWORK))


@contextmanager
def libvirt_bed() -> Iterator[Bed]:
    """Boot one, and end it with all that runs in it.

    Raises:
        CannotRun: it cannot run here.
    """
    try:
        from tests.beds.libvirt_qemu import BedFailure, LibvirtHost, missing  # noqa: PLC0415 - not installed with hyperkit
    except ModuleNotFoundError as error:
        raise CannotRun(f"no {error.name}: run it in a checkout or an unpacked source distribution") from error
    if reasons := missing():
        raise CannotRun("; ".join(reasons))
    import libvirt  # noqa: PLC0415 - the rest of the benchmarks runs without

    say("booting a libvirt host ...")
    libvirt.registerErrorHandler(lambda _context, _error: None, None)  # it would print what we raise
    try:
        with LibvirtHost() as host, closing(libvirt.open(host.uri)) as connection:
            connection.networkDefineXML(_NETWORK).create()
            yield Bed(host.uri, host.home / "run/libvirt-sock", host.images, libvirt, connection)
    except BedFailure as error:
        raise CannotRun(f"the libvirt host did not come up: {error}") from error
    finally:
        libvirt.registerErrorHandler(None, None)
