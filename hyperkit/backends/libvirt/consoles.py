"""Screens, keyboards and serial ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.serial import Serial
from hyperkit.errors import Busy
from hyperkit.guest_records import DisplayRecord
from hyperkit.keyboard import KEYS
from hyperkit.specs import KeySpec
from hyperkit.streams import HELD, ByteStream

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

_SERVERS = ("vnc", "spice", "rdp")
"""Graphics that others can connect to; ``sdl`` and ``egl-headless`` are for the host's own eyes."""


class Consoles:
    """See `hyperkit.driver.ConsolePort`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def screenshot(self, vm_id: str) -> bytes:
        """Two calls and a stream. QEMU writes a PNG where it can (7.1), a PPM before."""
        domain = self._connection.domain(vm_id)
        stream = domain.connect().newStream(0)
        domain.screenshot(stream, 0, 0)
        parts: list[bytes] = []
        stream.recvAll(lambda _stream, data, _opaque: parts.append(data), None)
        stream.finish()
        return b"".join(parts)

    def send_keys(self, vm_id: str, keys: KeySpec) -> None:
        """A call for each chord, and one. QEMU queues them, and its answer does not wait for the guest."""
        domain = self._connection.domain(vm_id)
        hold = round(keys.hold * 1000)
        for chord in keys.chords:
            codes = [KEYS[key] for key in chord]
            domain.sendKey(libvirt.VIR_KEYCODE_SET_LINUX, hold, codes, len(codes), 0)

    def displays(self, vm_id: str) -> Sequence[DisplayRecord]:
        """Two calls. Without the flag for secrets, libvirt leaves passwords out."""
        text = self._connection.repeat(lambda: self._connection.domain(vm_id).XMLDesc(0))
        return displays(parse_domain(text))

    def serial(self, vm_id: str, take: bool) -> ByteStream:
        """A session, two calls and a stream: what waits in a session keeps it from others."""
        conn = self._connection.open()
        try:
            stream = conn.newStream(0)
            domain = conn.lookupByUUIDString(vm_id)
            domain.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE if take else 0)
        except BaseException as error:
            conn.close()
            if isinstance(error, libvirt.libvirtError) and "Active console session exists" in str(error):
                raise Busy(HELD) from error
            raise
        return Serial(stream, conn)


def displays(tree: ET.Element) -> list[DisplayRecord]:
    """Where the displays of a running domain listen."""
    return [
        _display(graphics, listen)
        for graphics in tree.iterfind("devices/graphics")
        if graphics.get("type") in _SERVERS
        # One without the element is of a libvirt that had no such element yet.
        for listen in graphics.findall("listen") or [graphics]
    ]


def _display(graphics: ET.Element, listen: ET.Element) -> DisplayRecord:
    kind = graphics.get("type", "")
    how = listen.get("type")
    if how in ("socket", "none"):
        return DisplayRecord(kind=kind, socket=listen.get("socket"))
    return DisplayRecord(
        kind=kind,
        host=listen.get("address") or graphics.get("listen"),
        port=_port(graphics, "port"),
        tls_port=_port(graphics, "tlsPort"),
        websocket=_port(graphics, "websocket"),
    )


def _port(graphics: ET.Element, name: str) -> int | None:
    """A port; libvirt writes -1 while none is chosen."""
    number = int(graphics.get(name, "-1"))
    return number if number > 0 else None
