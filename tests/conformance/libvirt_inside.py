"""A way into the guests of a libvirt host: libvirt-python and the guest's own files, without hyperkit."""

from __future__ import annotations

import struct
from typing import Any
from xml.etree import ElementTree

import libvirt

from tests.conformance.libvirt_backdoor import ask_agent, guest_file


class QemuInside:
    """What the bed's guest (init.sh) keeps for us in its files, and what QEMU says of it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def _domain(self, vm_id: str) -> Any:
        return self._connection.lookupByUUIDString(vm_id)

    def _run(self, vm_id: str, script: str, *arguments: str) -> None:
        ask_agent(self._domain(vm_id), "guest-exec", path="/bin/sh", arg=["-c", script, "sh", *arguments])

    def _lines(self, vm_id: str, path: str) -> str:
        try:
            return guest_file(self._domain(vm_id), path)
        except libvirt.libvirtError:  # nothing came yet, or the agent is not there yet
            return ""

    def hostname(self, vm_id: str) -> str:
        return guest_file(self._domain(vm_id), "/proc/sys/kernel/hostname").strip()

    def hang_agent(self, vm_id: str) -> None:
        self._run(vm_id, "kill -STOP $(pidof qemu-ga)")
        while True:
            try:
                ask_agent(self._domain(vm_id), "guest-ping")
            except libvirt.libvirtError:
                return

    def frozen(self, vm_id: str) -> bool:
        return bool(ask_agent(self._domain(vm_id), "guest-fsfreeze-status") == "frozen")

    def typed(self, vm_id: str) -> str:
        return self._lines(vm_id, "/run/typed")

    def heard(self, vm_id: str) -> str:
        return self._lines(vm_id, "/run/heard")

    def say(self, vm_id: str, line: str) -> None:
        self._run(vm_id, 'echo "$1" >/dev/ttyS0', line)

    def screen(self, vm_id: str) -> tuple[int, int]:
        stream = self._connection.newStream()
        kind = self._domain(vm_id).screenshot(stream, 0)
        data: list[bytes] = []
        stream.recvAll(lambda _stream, part, _opaque: data.append(part), None)
        stream.finish()
        picture = b"".join(data)
        if kind == "image/png":
            width, height = struct.unpack(">II", picture[16:24])
        else:
            width, height = (int(number) for number in picture.split(None, 3)[1:3])
        return width, height

    def displays(self, vm_id: str) -> set[tuple[str, int | None]]:
        tree = ElementTree.fromstring(self._domain(vm_id).XMLDesc())
        return {(each.get("type", ""), int(each.get("port", "0"))) for each in tree.iterfind("devices/graphics")}
