"""Files to and from datastores, by HTTPS: ``/folder/DIRECTORY/FILE?dcPath=DATACENTER&dsName=DATASTORE``.

A host and a vCenter serve them to whoever has a session ("Using Datastore Files with HTTP" in the vSphere Web Services
SDK Programming Guide). Each transfer has a connection of its own, which is trusted as the session's are.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, urlencode

from hyperkit.backends.esxi.transport import Body, Line, reason
from hyperkit.errors import (
    BackendError,
    ConnectionLost,
    HyperkitError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TaskFailed,
)

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection
    from hyperkit.backends.esxi.files import Path

_CHUNK = 256 * 1024
"""Bytes in memory at once."""
_OK = (200, 201, 204)
_PATIENCE = 10.0
"""Seconds that a host has to notice the end of an upload that breaks off."""


def upload(connection: Connection, path: Path, source: BinaryIO, size: int) -> None:
    """Make a file, or replace the one that is there.

    Raises:
        TaskFailed: ``source`` ends before ``size`` bytes. A part of the file may be there, as after every error.
        ResourceExhausted: the datastore has no room.
        ConnectionLost: the connection broke.
    """
    line = connection.stub.line()
    try:
        line.putrequest("PUT", _url(connection, path))
        line.putheader("Cookie", connection.stub.cookie)
        line.putheader("Content-Type", "application/octet-stream")
        line.putheader("Content-Length", str(size))
        line.endheaders()
        try:
            broken = _send(line, source, size)
        except BaseException:
            _end(line)
            raise
        try:
            response = line.getresponse()
            response.read()
        except (OSError, HTTPException) as error:
            raise _lost(connection, broken or error) from error
        if response.status not in _OK or broken is not None:
            raise _refused(response, path) if response.status not in _OK else _lost(connection, broken or OSError())
    finally:
        line.close()


def _end(line: Line) -> None:
    """Say that no more will come, and wait until the host has let go of the file: who deletes it comes after that."""
    sock = line.sock
    with suppress(OSError):
        sock.settimeout(_PATIENCE)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(_CHUNK):
            pass


def _send(line: Line, source: BinaryIO, size: int) -> OSError | None:
    """Send it all; if the host hangs up, what it says about that may still be read."""
    left = size
    while left:
        chunk = source.read(min(_CHUNK, left))
        if not chunk:
            raise TaskFailed(f"the upload broke off: {size - left} of {size} bytes came")
        left -= len(chunk)
        try:
            line.send(chunk)
        except OSError as error:
            return error
    return None


def download(connection: Connection, path: Path, sink: BinaryIO) -> None:
    """Write a file's bytes to ``sink``.

    Raises:
        NotFound: there is no such file.
        ConnectionLost: the connection broke.
    """
    line = connection.stub.line()
    try:
        try:
            line.request("GET", _url(connection, path), headers={"Cookie": connection.stub.cookie})
            response = line.getresponse()
            if response.status not in _OK:
                response.read()
        except (OSError, HTTPException) as error:
            raise _lost(connection, error) from error
        if response.status not in _OK:
            raise _refused(response, path)
        body = Body(response)
        while chunk := _received(connection, body):
            sink.write(chunk)
    finally:
        line.close()


def _received(connection: Connection, body: Body) -> bytes:
    try:
        return body.read(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _lost(connection, error) from error


def _url(connection: Connection, path: Path) -> str:
    where = {"dcPath": connection.scope.datacenter_path, "dsName": path.store}
    file = f"{path.directory}/{path.name}" if path.directory else path.name
    return f"/folder/{quote(file)}?{urlencode(where, quote_via=quote, safe='')}"


def _refused(response: HTTPResponse, path: Path) -> HyperkitError:
    said = f"{path.text}: the host answers {response.status} {response.reason}"
    if response.status == 404:
        return NotFound(f"there is no file {path.text}")
    if response.status in (401, 403):
        return PermissionDenied(f"{said}: this needs the privilege Datastore.FileManagement")
    if response.status == 507:
        return ResourceExhausted(f"the datastore {path.store!r} has no room for {path.text}")
    return BackendError(said)


def _lost(connection: Connection, error: Exception) -> ConnectionLost:
    return ConnectionLost(f"the connection to {connection.target.host} broke: {reason(error)}")
