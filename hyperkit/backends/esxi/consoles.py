"""Screens and keyboards. vSphere has no way to a serial port that needs no network of its own, and its VNC is gone."""

from __future__ import annotations

import io
from typing import NoReturn

from pyVmomi import vim

from hyperkit.backends.esxi import files, transfers
from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.elements import text
from hyperkit.backends.esxi.tasks import Work, finished
from hyperkit.backends.esxi.undo import datacenter
from hyperkit.backends.esxi.usb_keys import presses
from hyperkit.errors import TaskFailed, Unsupported
from hyperkit.specs import KeySpec


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
            picture = io.BytesIO()
            transfers.download(connection, files.parse(path, "path"), picture)
            return picture.getvalue()
        finally:
            manager = vim.FileManager(connection.content.fileManager._moId, connection.stub)
            yield manager.DeleteDatastoreFile_Task(path, datacenter(connection))

    def send_keys(self, vm_id: str, keys: KeySpec) -> None:
        """One call. How long a key is held the host chooses."""
        events = [event for chord in keys.chords for event in presses(chord)]
        taken = self._connection.vm(vm_id).PutUsbScanCodes(vim.UsbScanCodeSpec(keyEvents=events))
        if taken < len(events):
            raise TaskFailed(f"the VM took {taken} of {len(events)} presses of keys")

    def displays(self, *_: object, **__: object) -> NoReturn:
        """Not reached."""
        raise Unsupported("vSphere's displays are for its own clients", capability="display")

    def serial(self, *_: object, **__: object) -> NoReturn:
        """Not reached."""
        raise Unsupported(
            "vSphere's serial ports lead to files, pipes and networks of the host", capability="serial_console"
        )
