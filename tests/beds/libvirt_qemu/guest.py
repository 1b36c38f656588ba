"""The small Linux guest of the bed, built once and cached, and a domain to try it in."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from tests.beds.libvirt_qemu import guest_build
from tests.beds.libvirt_qemu.errors import BedFailure

_CACHE = Path("~/.cache/hyperkit-beds")
_CMDLINE = "console=ttyS0 quiet mitigations=off nokaslr"


@dataclass(frozen=True)
class GuestImage:
    """A Linux guest that beats its heart on the serial port (see init.sh).

    The files are shared by everybody on this machine: boot copies of the disk.
    """

    vmlinux: Path
    """The kernel uncompressed, for a direct boot by PVH: the fast way. Waking it from sleep is a reset."""
    vmlinuz: Path
    """The kernel as Debian signs it, for UEFI and for guests that are to sleep and wake up."""
    initrd: Path
    cmdline: str
    """The kernel's command line; append ` tb.name=NAME` to name the guest."""
    disk: Path
    """A qcow2 disk that boots by BIOS from a virtio or SATA bus, with an ext4 partition for /data."""
    iso: Path
    """A CD that boots by BIOS, for a guest without a disk."""


@functools.cache
def guest_image() -> GuestImage:
    """The guest, from the cache or built: 80 MB of Debian packages and some seconds. Needs apt's lists."""
    import fcntl  # not at the top: elsewhere than on Unix, the bed can still say that it is missing

    cache = _CACHE.expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    kernel, versions = _packages()
    home = cache / f"guest-{_key(versions)}"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            with tempfile.TemporaryDirectory(prefix="build-", dir=cache) as scratch:
                _build(kernel, Path(scratch))
                os.rename(Path(scratch) / "guest", home)
    return _image(home)


def _image(home: Path) -> GuestImage:
    return GuestImage(
        vmlinux=home / "vmlinux",
        vmlinuz=home / "vmlinuz",
        initrd=home / "initrd",
        cmdline=_CMDLINE,
        disk=home / "disk.qcow2",
        iso=home / "guest.iso",
    )


def _packages() -> tuple[str, list[str]]:
    """The package of the current Debian kernel, and the versions of everything that goes into the guest."""
    shown = guest_build.command(
        "apt-cache", "show", "--no-all-versions", "linux-image-amd64", "qemu-guest-agent", "busybox-static"
    )
    kernel = re.search(r"^Depends: (linux-image-\S+)", shown, re.MULTILINE)
    versions = re.findall(r"^Version: (\S+)", shown, re.MULTILINE)
    if kernel is None or len(versions) != 3:
        raise BedFailure("apt does not know the guest's packages; run `apt-get update`")
    return kernel[1], versions


def _key(versions: list[str]) -> str:
    """Names a build by all it depends on: the packages, our scripts, and the code that puts them together."""
    here = Path(__file__).parent
    digest = hashlib.sha256(" ".join([*versions, _CMDLINE]).encode())
    for source in ("guest_build.py", *guest_build.SCRIPTS.values()):
        digest.update((here / source).read_bytes())
    return digest.hexdigest()[:16]


def _build(kernel: str, scratch: Path) -> None:
    unpacked, home = scratch / "unpacked", scratch / "guest"
    home.mkdir()
    image = _image(home)
    guest_build.unpack([kernel, "qemu-guest-agent"], unpacked)
    (vmlinuz,) = (unpacked / "boot").glob("vmlinuz-*")
    shutil.copy(vmlinuz, image.vmlinuz)
    image.vmlinux.write_bytes(guest_build.uncompressed_kernel(vmlinuz.read_bytes()))
    guest_build.build_initrd(unpacked, scratch / "root", image.initrd)
    guest_build.build_disk(image.vmlinuz, image.initrd, _CMDLINE, scratch / "disk", image.disk)
    guest_build.build_iso(image.vmlinuz, image.initrd, _CMDLINE, scratch / "iso", image.iso)


def domain_xml(
    name: str,
    *,
    serial_log: Path,
    kernel: GuestImage | None = None,
    disk: Path | None = None,
    bus: str = "virtio",
    cdrom: Path | None = None,
    network: str | None = None,
    memory_mib: int = 128,
    vcpus: int = 1,
) -> str:
    """A domain for the bed's own tests: booted directly if a kernel is given, else from its disk or CD."""
    boot = "<boot dev='hd'/><boot dev='cdrom'/>"
    if kernel is not None:
        boot = (
            f"<kernel>{kernel.vmlinux}</kernel><initrd>{kernel.initrd}</initrd>"
            f"<cmdline>{kernel.cmdline} tb.name={name}</cmdline>"
        )
    devices = []
    if disk is not None:
        target = "vda" if bus == "virtio" else "sda"
        devices.append(
            f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
            f"<source file={quoteattr(str(disk))}/><target dev='{target}' bus='{bus}'/></disk>"
        )
    if cdrom is not None:
        devices.append(
            f"<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>"
            f"<source file={quoteattr(str(cdrom))}/><target dev='sdz' bus='sata'/></disk>"
        )
    if network is not None:
        source = f"<source network={quoteattr(network)}/>"
        devices.append(f"<interface type='network'>{source}<model type='virtio'/></interface>")
    # Otherwise q35 has no slot free for hot-plug.
    devices.append("<controller type='pci' model='pcie-root'/>")
    devices += ["<controller type='pci' model='pcie-root-port'/>"] * 8
    return f"""\
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>{vcpus}</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>{boot}</os>
  <features><acpi/><apic/></features>
  <on_crash>destroy</on_crash>
  <devices>
    <serial type='pty'><log file={quoteattr(str(serial_log))} append='on'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='virtio'><stats period='1'/></memballoon>
    {"".join(devices)}
  </devices>
</domain>
"""
