"""The parts of the Linux guest, made from Debian packages: kernel, initial RAM disk, bootable disk and CD."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

from tests.beds.libvirt_qemu.errors import BedFailure

_HERE = Path(__file__).parent
_SYSLINUX = Path("/usr/lib/syslinux")
_ISOLINUX = Path("/usr/lib/ISOLINUX/isolinux.bin")

SCRIPTS = {"init": "init.sh", "sbin/shutdown": "shutdown.sh", "bin/lease": "lease.sh"}
"""Where our scripts are in the guest, and their files here."""

# Debian builds virtio, SATA and ext4 as modules. They must stay unstripped: stripping removes the signature,
# and a kernel under Secure Boot rejects unsigned modules.
_MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net", "virtio_console", "virtio-rng"),
    *("virtio_balloon", "virtio_mem", "pvpanic-pci", "pvpanic-mmio", "button", "evdev"),
    *("ahci", "sd_mod", "sr_mod", "isofs", "crc32c_generic", "ext4"),
    *("e1000", "e1000e", "8021q"),
)

_MIB = 1 << 20
_BOOT_AT, _BOOT_SIZE, _DATA_SIZE = 1 * _MIB, 48 * _MIB, 31 * _MIB


def command(*argv: str | Path, cwd: Path | None = None) -> str:
    """Run a build tool and return what it prints."""
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BedFailure(f"{argv[0]} is not installed; see packages.txt") from error
    if done.returncode:
        raise BedFailure(f"{' '.join(map(str, argv))} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def unpack(packages: list[str], into: Path) -> None:
    """Download Debian packages and unpack them, without installing anything."""
    debs = into / "debs"
    debs.mkdir(parents=True)
    # Root would have apt download as the user _apt, who may not write here.
    command("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages, cwd=debs)
    for deb in debs.iterdir():
        command("dpkg-deb", "-x", deb, into)
    shutil.rmtree(debs)


def uncompressed_kernel(vmlinuz: bytes) -> bytes:
    """The ELF inside a bzImage. QEMU boots it by PVH in half the time: emulated, unpacking is slow."""
    (payload_offset, payload_length) = struct.unpack_from("<II", vmlinuz, 0x248)
    start = (vmlinuz[0x1F1] + 1) * 512 + payload_offset
    kernel = lzma.LZMADecompressor().decompress(vmlinuz[start : start + payload_length])
    if not kernel.startswith(b"\x7fELF"):
        raise BedFailure("the Debian kernel is not an xz-compressed ELF any more")
    return kernel


def build_initrd(unpacked: Path, root: Path, target: Path) -> None:
    """Make the guest's whole system: busybox, the guest agent with its libraries, modules and our scripts."""
    for directory in ("bin", "sbin", "usr/sbin", "etc", "proc", "sys", "dev", "modules"):
        (root / directory).mkdir(parents=True)
    busybox = Path(shutil.which("busybox") or "/bin/busybox")
    shutil.copy(busybox, root / "bin/busybox")
    for applet in command(busybox, "--list").split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    for path, script in SCRIPTS.items():
        shutil.copy(_HERE / script, root / path)
        (root / path).chmod(0o755)
    (root / "etc/os-release").write_text('ID=hyperkit-guest\nNAME="hyperkit test guest"\nVERSION_ID=1\n')
    (root / "etc/passwd").write_text("root::0:0:root:/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    _copy_agent(unpacked / "usr/sbin/qemu-ga", root)
    _copy_modules(unpacked, root / "modules")
    names = "\0".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with open(target, "wb") as archive:
        cpio = ["cpio", "--null", "-o", "-H", "newc", "-R", "0:0", "--quiet"]
        subprocess.run(cpio, cwd=root, input=names.encode() + b"\0", stdout=archive, check=True)


def _copy_agent(agent: Path, root: Path) -> None:
    shutil.copy(agent, root / "usr/sbin/qemu-ga")
    libraries = command("ldd", agent)
    if "not found" in libraries:
        raise BedFailure(f"libraries of the guest agent are not installed here:\n{libraries}")
    for library in re.findall(r"(/\S+) \(0x", libraries):
        (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library[1:])


def _copy_modules(unpacked: Path, into: Path) -> None:
    """Copy modules and those they need, and write down the order to insert them in, for want of modprobe."""
    (library,) = (unpacked / "lib/modules").iterdir()
    command("depmod", "-b", unpacked, library.name)
    needs: dict[str, list[str]] = {}
    for line in (library / "modules.dep").read_text().splitlines():
        module, _colon, dependencies = line.partition(":")
        needs[Path(module).stem] = [*reversed(dependencies.split()), module]
    order = list(dict.fromkeys(module for name in _MODULES for module in needs[name]))
    for module in order:
        shutil.copy(library / module, into)
    (into / "order").write_text("".join(f"{Path(module).name}\n" for module in order))


def _loader_config(cmdline: str) -> str:
    return f"DEFAULT guest\nPROMPT 0\nLABEL guest\n  KERNEL vmlinuz\n  INITRD initrd\n  APPEND {cmdline}\n"


def build_disk(vmlinuz: Path, initrd: Path, cmdline: str, work: Path, target: Path) -> None:
    """Make a qcow2 disk that boots by BIOS: a FAT partition with syslinux, and an empty ext4 one for /data.

    The tools write at an offset into the file, so neither loop devices nor mounting are needed.
    """
    work.mkdir()
    raw, config = work / "disk.raw", work / "syslinux.cfg"
    data_at = _BOOT_AT + _BOOT_SIZE
    with open(raw, "wb") as image:
        image.truncate(data_at + _DATA_SIZE)
        boot_code = (_SYSLINUX / "mbr/mbr.bin").read_bytes()
        active, fat, linux = 0x80, 0x0C, 0x83
        entries = _entry(active, fat, _BOOT_AT, _BOOT_SIZE) + _entry(0, linux, data_at, _DATA_SIZE)
        image.write(boot_code.ljust(446, b"\0") + entries.ljust(64, b"\0") + b"\x55\xaa")
    boot = f"{raw}@@{_BOOT_AT}"
    geometry = ("-T", str(_BOOT_SIZE // 512), "-H", str(_BOOT_AT // 512), "-h", "64", "-s", "32")
    command("mformat", "-i", boot, "-F", *geometry, "::")
    config.write_text(_loader_config(cmdline))
    command("mcopy", "-i", boot, config, "::syslinux.cfg")
    command("mcopy", "-i", boot, vmlinuz, "::vmlinuz")
    command("mcopy", "-i", boot, initrd, "::initrd")
    command("syslinux", "--install", "--offset", str(_BOOT_AT), raw)
    offset = f"offset={data_at},nodiscard"
    command("mkfs.ext4", "-q", "-F", "-L", "data", "-E", offset, raw, f"{_DATA_SIZE // 1024}k")
    command("qemu-img", "convert", "-O", "qcow2", raw, target)
    shutil.rmtree(work)


def _entry(flags: int, kind: int, start: int, size: int) -> bytes:
    """A partition of a master boot record, in sectors only: the cylinder fields say "too big for us"."""
    return struct.pack("<B3sB3sII", flags, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start // 512, size // 512)


def build_iso(vmlinuz: Path, initrd: Path, cmdline: str, work: Path, target: Path) -> None:
    """Make a CD that boots by BIOS into the same guest."""
    work.mkdir()
    os.link(vmlinuz, work / "vmlinuz")
    os.link(initrd, work / "initrd")
    shutil.copy(_ISOLINUX, work)
    shutil.copy(_SYSLINUX / "modules/bios/ldlinux.c32", work)
    (work / "isolinux.cfg").write_text(_loader_config(cmdline))
    loader = "-b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table"
    command("xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", "GUEST", *loader.split(), "-o", target, work)
    shutil.rmtree(work)
