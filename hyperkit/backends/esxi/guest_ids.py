"""What will run in a VM: libosinfo's short ids, which specs have, and vSphere's guest ids.

A host refuses ids that are younger than it is, so that each comes with the version of the API that brought it. What a
host does not know yet is the newest of its family that it does know: vSphere derives devices and defaults from it.
Versions are those of the VirtualMachineGuestOsIdentifier page of the vSphere Web Services API reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyVmomi import vim

DEFAULT = "otherGuest64"

_OLD = (0,)
_6_7 = (6, 7)
_7_0 = (7, 0)
_7_0_1 = (7, 0, 1)
_8_0 = (8, 0)
_9_0 = (9, 0)

Version = tuple[int, ...]

_FAMILIES: tuple[tuple[tuple[str, str, Version], ...], ...] = (
    (
        ("debian13", "debian13_64Guest", _9_0),
        ("debian12", "debian12_64Guest", _8_0),
        ("debian11", "debian11_64Guest", _7_0),
        ("debian10", "debian10_64Guest", _OLD),
        ("debian9", "debian9_64Guest", _OLD),
        ("debian8", "debian8_64Guest", _OLD),
        ("debian7", "debian7_64Guest", _OLD),
        ("debian6", "debian6_64Guest", _OLD),
    ),
    (("ubuntu", "ubuntu64Guest", _OLD),),
    (("fedora", "fedora64Guest", _OLD),),
    (("opensuse", "opensuse64Guest", _OLD),),
    (
        ("rhel10", "rhel10_64Guest", _9_0),
        ("rhel9", "rhel9_64Guest", _7_0_1),
        ("rhel8", "rhel8_64Guest", _6_7),
        ("rhel7", "rhel7_64Guest", _OLD),
        ("rhel6", "rhel6_64Guest", _OLD),
        ("rhel5", "rhel5_64Guest", _OLD),
    ),
    (
        ("centos9", "centos9_64Guest", _7_0_1),
        ("centos8", "centos8_64Guest", _6_7),
        ("centos7", "centos7_64Guest", _OLD),
        ("centos6", "centos6_64Guest", _OLD),
        ("centos", "centos64Guest", _OLD),
    ),
    (
        ("rocky", "rockylinux_64Guest", _8_0),
        ("centos8", "centos8_64Guest", _6_7),
        ("centos7", "centos7_64Guest", _OLD),
    ),
    (
        ("almalinux", "almalinux_64Guest", _8_0),
        ("centos8", "centos8_64Guest", _6_7),
        ("centos7", "centos7_64Guest", _OLD),
    ),
    (
        ("ol10", "oracleLinux10_64Guest", _9_0),
        ("ol9", "oracleLinux9_64Guest", _7_0_1),
        ("ol8", "oracleLinux8_64Guest", _6_7),
        ("ol7", "oracleLinux7_64Guest", _OLD),
        ("ol6", "oracleLinux6_64Guest", _OLD),
        ("ol", "oracleLinux64Guest", _OLD),
    ),
    (
        ("sles16", "sles16_64Guest", _7_0_1),
        ("sles15", "sles15_64Guest", _6_7),
        ("sles12", "sles12_64Guest", _OLD),
        ("sles11", "sles11_64Guest", _OLD),
        ("sles10", "sles10_64Guest", _OLD),
        ("sles", "sles64Guest", _OLD),
    ),
    (
        ("freebsd14", "freebsd14_64Guest", _8_0),
        ("freebsd13", "freebsd13_64Guest", _7_0_1),
        ("freebsd12", "freebsd12_64Guest", _6_7),
        ("freebsd11", "freebsd11_64Guest", _6_7),
        ("freebsd", "freebsd64Guest", _OLD),
    ),
    (
        ("win2k25", "windows2022srvNext_64Guest", _8_0),
        ("win2k22", "windows2019srvNext_64Guest", _7_0_1),
        ("win2k19", "windows2019srv_64Guest", _7_0),
        ("win2k16", "windows9Server64Guest", _OLD),
        ("win2k12", "windows8Server64Guest", _OLD),
        ("win2k8", "windows7Server64Guest", _OLD),
    ),
    (
        ("win11", "windows11_64Guest", _8_0),
        ("win10", "windows9_64Guest", _OLD),
        ("win8", "windows8_64Guest", _OLD),
        ("win7", "windows7_64Guest", _OLD),
    ),
    (("amazonlinux", "amazonlinux2_64Guest", _6_7), ("linux", "otherLinux64Guest", _OLD)),
    (("photon", "vmwarePhoton64Guest", _OLD),),
    (("solaris11", "solaris11_64Guest", _OLD), ("solaris10", "solaris10_64Guest", _OLD)),
    (
        ("linux2022", "other6xLinux64Guest", _8_0),
        ("linux2020", "other5xLinux64Guest", _7_0_1),
        ("linux2018", "other4xLinux64Guest", _6_7),
        ("linux2016", "other3xLinux64Guest", _OLD),
        ("linux", "otherLinux64Guest", _OLD),
    ),
)
"""Newest first. Within a family an id stands for those between it and the next, too."""

_LIKE = {"win2k12r2": "win2k12", "win2k8r2": "win2k8", "win8.1": "win8", "debiantesting": "debian13"}
_ALIASES = {
    "centos-stream": "centos",
    "alma": "almalinux",
    "rockylinux": "rocky",
    "oraclelinux": "ol",
    "sle": "sles",
    "amzn": "amazonlinux",
}
_OWN: dict[str, str] = {value.lower(): value for value in vim.vm.GuestOsDescriptor.GuestOsIdentifier.values}
_SHORT = {guest_id: short for family in reversed(_FAMILIES) for short, guest_id, _ in family if guest_id != DEFAULT}


def guest_id(hint: str, api_version: str) -> str:
    """Vsphere's id for a hint; `DEFAULT` for none, and for what vSphere has nothing like.

    Args:
        hint: such as ``debian12``; also vSphere's own id, in any case.
        api_version: the host's, such as ``7.0.1.0``: what it brought is the newest that is chosen.
    """
    version = tuple(int(number) for number in re.findall(r"\d+", api_version))
    own = _OWN.get(hint.lower())
    if own is not None and _since(own) <= version:
        return own
    return next((each for each, since in _candidates(_short(hint)) if since <= version), DEFAULT)


def hint(guest_id: str, kept: str) -> str:
    """What to report of a VM with this id: the hint that was given, unless somebody has chosen another id since.

    Args:
        guest_id: vSphere's.
        kept: `Kept.guest_os`; empty if there is none.
    """
    if kept and (guest_id in (DEFAULT, _OWN.get(kept.lower())) or guest_id in dict(_candidates(_short(kept)))):
        return kept
    return _short_id(guest_id)


def worth_keeping(hint: str, guest_id: str) -> str:
    """What `Kept.guest_os` has to be, so that the hint comes back: empty if vSphere's own id says it all."""
    return "" if _short_id(guest_id) == hint else hint


def _short_id(guest_id: str) -> str:
    if guest_id in ("", DEFAULT):
        return ""
    return _SHORT.get(guest_id, guest_id.lower())


def _since(guest_id: str) -> Version:
    return next((since for family in _FAMILIES for _, each, since in family if each == guest_id), _OLD)


def _short(hint: str) -> str:
    if hint in _OWN:
        return _SHORT.get(_OWN[hint], "")
    hint = _LIKE.get(hint, hint)
    for alias, name in _ALIASES.items():
        if re.fullmatch(alias + r"[\d.]*", hint):
            return name + hint.removeprefix(alias)
    return hint


def _candidates(short: str) -> Iterator[tuple[str, Version]]:
    """The ids that may stand for a hint, the best first: its own, those before it, and those without a number."""
    name, number = _parts(short)
    for family in _FAMILIES:
        if _parts(family[0][0])[0] == name:
            yield from (
                (each, since) for other, each, since in family if number is None or (_parts(other)[1] or 0) <= number
            )
            return


def _parts(short: str) -> tuple[str, float | None]:
    """``debian``, 12 of ``debian12``; ``win2k``, 22 of ``win2k22``: clients and servers count apart."""
    match = re.fullmatch(r"(win2k|[a-z-]+)(\d+(?:\.\d+)?)?.*", short)
    return (match[1], float(match[2]) if match[2] else None) if match else (short, None)
