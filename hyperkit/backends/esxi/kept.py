"""What hyperkit keeps with a VM, in its own configuration (``extraConfig``): disks it created, tags, ceilings.

One option, `KEY`, holds it all as JSON, since each option is a line of the VM's .vmx file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi.elements import Element, kind, text

KEY = "hyperkit"


@attrs.frozen(kw_only=True)
class Kept:
    """What hyperkit knows of a VM and vSphere has no place for.

    Attributes:
        created: paths of the disks that hyperkit created (the base of the chain, where snapshots began new files).
        tags: the VM's tags.
        max_cpus: the ceiling of hot-added CPUs; vSphere has only the host's own.
        max_memory: the ceiling of hot-added memory, in bytes.
        guest_os: the hint as it was given, where vSphere's own id says less.
        single_cores: whether sockets of one core were asked for, which are vSphere's own choice too.
        boot_order: as it was given, where it has kinds of device that the VM has none of: vSphere keeps devices.
    """

    created: frozenset[str] = frozenset()
    tags: tuple[str, ...] = ()
    max_cpus: int | None = None
    max_memory: int | None = None
    guest_os: str = ""
    single_cores: bool = False
    boot_order: tuple[str, ...] = ()

    def text(self) -> str:
        """As it is stored; empty if there is nothing to keep."""
        fields: dict[str, Any] = {
            "created": sorted(self.created),
            "tags": list(self.tags),
            "max_cpus": self.max_cpus,
            "max_memory": self.max_memory,
            "guest_os": self.guest_os,
            "single_cores": self.single_cores,
            "boot_order": list(self.boot_order),
        }
        told = {name: value for name, value in fields.items() if value}
        return json.dumps(told, ensure_ascii=True, sort_keys=True) if told else ""


NOTHING = Kept()


def parse(text: str) -> Kept:
    """What is stored, as far as it can be read: anybody can write there."""
    if not text:
        return NOTHING
    try:
        stored = json.loads(text)
    except ValueError:
        return NOTHING
    if not isinstance(stored, Mapping):
        return NOTHING
    return Kept(
        created=frozenset(_words(stored.get("created"))),
        tags=tuple(sorted(set(_words(stored.get("tags"))))),
        max_cpus=_whole(stored.get("max_cpus")),
        max_memory=_whole(stored.get("max_memory")),
        guest_os=stored["guest_os"] if isinstance(stored.get("guest_os"), str) else "",
        single_cores=stored.get("single_cores") is True,
        boot_order=tuple(_words(stored.get("boot_order"))),
    )


def of(options: Element | None) -> Kept:
    """What is kept among a VM's options: ``config.extraConfig``, or the one of them that is ours."""
    if options is None:
        return NOTHING
    for each in (options,) if kind(options) == "OptionValue" else options:
        if len(each) == 2 and each[0].text == KEY:  # counted off, for there are dozens of them
            return parse(text(each[1]))
    return NOTHING


def option(ours: Kept) -> Any:
    """The ``vim.option.OptionValue`` that keeps it; an empty value takes the option away."""
    return vim.option.OptionValue(key=KEY, value=ours.text())


def _words(value: object) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
