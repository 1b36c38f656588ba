"""A real libvirt/QEMU host in namespaces of its own, and a small Linux guest that boots in it in seconds."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from tests.beds.libvirt_qemu import cgroups
from tests.beds.libvirt_qemu.container import ContainerRoot
from tests.beds.libvirt_qemu.errors import BedFailure
from tests.beds.libvirt_qemu.guest import GuestImage, domain_xml, guest_image
from tests.beds.libvirt_qemu.host import LibvirtHost
from tests.beds.libvirt_qemu.serial_log import Beat, SerialLog

__all__ = [
    "Beat",
    "BedFailure",
    "ContainerRoot",
    "GuestImage",
    "LibvirtHost",
    "SerialLog",
    "domain_xml",
    "guest_image",
    "missing",
    "missing_for_containers",
]

_HOST_PROGRAMS = (
    *("libvirtd", "qemu-system-x86_64", "qemu-img", "dnsmasq", "unshare", "nsenter", "ip", "bash"),
    *("ebtables", "ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"),
)
_DEBIAN_PROGRAMS = ("apt-get", "apt-cache", "dpkg-deb")
_CONTAINERS = "/usr/lib/libvirt/libvirt_lxc"
_BOOT_LOADERS = ("/usr/lib/syslinux/mbr/mbr.bin", "/usr/lib/ISOLINUX/isolinux.bin")
_BUILD_PROGRAMS = ("busybox", "ldd", "cpio", "depmod", "mkfs.ext4", "mformat", "mcopy", "syslinux", "xorriso")


def missing() -> list[str]:
    """Why this bed cannot run here, one reason each; empty when it can. Looks only, and quickly."""
    if not sys.platform.startswith("linux"):
        return [f"it needs Linux namespaces, this is {sys.platform}"]
    reasons: list[str] = []
    if os.uname().machine != "x86_64":
        reasons.append(f"its guest is for x86_64, this is {os.uname().machine}")
    if os.geteuid() != 0:
        reasons.append("it needs root, for namespaces and mounts")
    # A user's PATH may lack the sbin directories; the daemon is in one of them.
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    programs = (*_HOST_PROGRAMS, *_DEBIAN_PROGRAMS, *_BUILD_PROGRAMS)
    reasons += [f"no program {name}" for name in programs if shutil.which(name, path=path) is None]
    reasons += [f"no boot loader {path}" for path in _BOOT_LOADERS if not Path(path).exists()]
    if importlib.util.find_spec("libvirt") is None:
        reasons.append("no Python module libvirt (libvirt-python)")
    return reasons


def missing_for_containers() -> list[str]:
    """Why this bed cannot run containers here."""
    reasons = missing()
    if not Path(_CONTAINERS).exists():
        reasons.append(f"no {_CONTAINERS} (libvirt's driver of containers)")
    if not cgroups.available():
        reasons.append("no version 1 control groups, which the bed's containers are limited by")
    return reasons
