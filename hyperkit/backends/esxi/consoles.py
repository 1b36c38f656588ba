"""Screens and keyboards. vSphere has no way to a serial port that needs no network of its own, and its VNC is gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from pyVmomi import vim

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.elements import text
from hyperkit.backends.esxi.tasks import Work, finished
from hyperkit.backends.esxi.usb_keys import presses
from hyperkit.errors import TaskFailed, Unsupported
from hyperkit.guest_records import DisplayRecord
from hyperkit.specs import KeySpec
from hyperkit.streams import ByteStream


class Consoles:
    """See `hyperkit.driver.ConsolePort`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def screenshot(self, vm_id: str) -> bytes:
        """Two tasks and a download: the host writes the picture into a file beside the VM's, which is deleted."""
        return finished(self._connection, self._screenshot(vm_id))

    def _screenshot(self, vm_id: str) -> Work[bytes]:
        connection = self._connection
        path = text((yield connection.vm(vm_id).CreateScreenshot_Task()))
        try:
            return _read(connection, path)
        finally:
            datacenter = vim.Datacenter(connection.scope.datacenter, connection.stub)
            yield connection.content.fileManager.DeleteDatastoreFile_Task(path, datacenter)

    def send_keys(self, vm_id: str, keys: KeySpec) -> None:
        """One call. How long a key is held the host chooses."""
        events = [event for chord in keys.chords for event in presses(chord)]
        taken = self._connection.vm(vm_id).PutUsbScanCodes(vim.UsbScanCodeSpec(keyEvents=events))
        if taken < len(events):
            raise TaskFailed(f"the VM took {taken} of {len(events)} presses of keys")

    def displays(self, vm_id: str) -> Sequence[DisplayRecord]:
        _refuse("display")

    def serial(self, vm_id: str, take: bool) -> ByteStream:
        _refuse("serial_console")


def _refuse(capability: str) -> NoReturn:
    raise Unsupported("vSphere has no such way to a VM", capability=capability)
