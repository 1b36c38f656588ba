"""The way SOAP calls take to the host: pyVmomi's adapter, with answers that can also be read without its decoder.

pyVmomi writes the requests and decodes the answers; connections, the session and what is repeated are ours. Its own
adapter gives up on a connection that the host closed while it was idle, and its session-keeping one repeats writes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from typing import IO, Any, TypeVar, cast
from xml.parsers.expat import ExpatError

from pyVmomi import SoapStubAdapter, VmomiSupport, vim, vmodl
from pyVmomi.SoapAdapter import SoapResponseDeserializer, SoapStubAdapterBase

from hyperkit.backends.esxi.faults import fault_of
from hyperkit.backends.esxi.transport import Body, Line, Trust, reason
from hyperkit.errors import BackendError, ConnectionFailed, ConnectionLost, HyperkitError, InvalidState

T = TypeVar("T")

_POOL = 8
"""Connections that stay open while no call needs them."""

_FAREWELL = 5.0
"""Seconds that a host has for a logout: a dead one keeps nobody."""

_READS = ("Fetch", "Retrieve", "Query", "Find", "List", "Check", "Validate", "Acquire")
_ALSO_READS = frozenset(
    {
        "CurrentTime",
        "WaitForUpdatesEx",  # of the version named, again
        "CreateContainerView",
        "CreateListView",
        "CreateFilter",
        "CreatePropertyCollector",
        "SearchDatastore_Task",
        "SearchDatastoreSubFolders_Task",
    }
)
"""What may be asked twice: of what is made, the one that nobody knows of ends with the session."""


def _is_read(name: str) -> bool:
    return name.startswith(_READS) or name in _ALSO_READS


class Stub(SoapStubAdapter):  # type: ignore[misc]  # it has no types
    """One session's connections, for any number of threads: each call takes one from the pool, or opens it.

    A session that the host has ended is renewed once, by one thread, and the call repeated, which the host had refused.
    On a connection that breaks, what was surely not carried out and what only reads is repeated once.

    Attributes:
        generation: counts the sessions. What belongs to one (a view, a collector, a filter) is gone in the next.
        collector: the id of the one PropertyCollector that belongs to no session.
    """

    def __init__(self, host: str, port: int, trust: Trust, timeout: float | None, user_agent: str) -> None:
        super().__init__(host=host, port=port, path="/sdk", sslContext=trust.context)
        self.generation = 0
        self.collector = ""
        self._host = host
        self._trust = trust
        self._timeout = timeout
        self._user_agent = user_agent
        self._renew: Callable[[], None] | None = None
        self._renewal = threading.RLock()
        self._taking = 0
        self._refused: HyperkitError | None = None
        self._closed = False
        self._owner = self._pid = os.getpid()
        self.pool: list[Line] = []

    def speak(self, version: str) -> None:
        """Use this version of the API (``vim.version.version12``), which may be older than the last."""
        self.version, self.versionId = version, f'"urn:{VmomiSupport.GetVersionNamespace(version)}"'

    # The session

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """Take over the session that the calls in here begin."""
        with self._renewal:
            self.SetSessionId(None)
            self._taking = threading.get_ident()
            try:
                yield
            finally:
                self._taking = 0
            self.generation += 1

    def renewed_by(self, renew: Callable[[], None]) -> None:
        """Have sessions that the host has ended renewed by this, which logs in within `beginning`."""
        self._renew = renew

    def _renew_after(self, generation: int) -> None:
        with self._renewal:
            self._check_open()
            # Asked again and again by many threads, a host locks the account.
            if self._refused is not None:
                raise self._refused
            if generation != self.generation or self._renew is None:
                return
            try:
                self._renew()
            except ConnectionLost:
                raise
            except HyperkitError as error:
                if type(error) is not ConnectionFailed:
                    self._refused = error
                raise

    def _is_of_session(self, mo: Any) -> bool:
        if isinstance(mo, vmodl.query.PropertyCollector):
            return bool(mo._moId != self.collector)
        return isinstance(mo, vim.view.View | vmodl.query.PropertyCollector.Filter | vim.HistoryCollector)

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidState(f"the connection to {self._host} was closed")

    # Calls

    def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:  # noqa: ARG002, N802, N803
        """Make a call as pyVmomi's managed objects do, and decode its answer.

        Raises:
            vmodl.MethodFault: what the host answers instead.
            ConnectionFailed: the host cannot be reached any more.
            ConnectionLost: whether it was carried out is unknown.
        """
        data = self._ask(mo, info, args, self._whole)
        return self._decoded(data, info)

    @contextmanager
    def answer(self, mo: Any, method: Any, *args: Any) -> Iterator[IO[bytes]]:
        """Make a call, and give the body of its answer unread, decompressed: for what is faster read by other means.

        Args:
            mo: the managed object.
            method: the pyVmomi method, such as ``vmodl.query.PropertyCollector.RetrievePropertiesEx``.
            args: all of its arguments, in order.

        Raises:
            vmodl.MethodFault: what the host answers instead, as pyVmomi's own calls raise it.
            ConnectionLost: the connection broke, perhaps while the body was read.
        """
        line, response = self._ask(mo, method.info, args, lambda line, response: (line, response))
        try:
            yield cast(IO[bytes], Body(response))
        except (OSError, HTTPException) as error:
            line.close()
            raise self._lost(error) from error
        except BaseException:
            line.close()
            raise
        if response.isclosed():
            self.ReturnConnection(line)
        else:
            line.close()

    def _ask(self, mo: Any, info: Any, args: Any, take: Callable[[Line, HTTPResponse], T]) -> T:
        self._check_open()
        generation = self.generation
        request = self.SerializeRequest(mo, info, args)
        try:
            return self._carried(request, info, take)
        except vim.fault.NotAuthenticated:
            if self._taking == threading.get_ident():
                raise
            self._renew_after(generation)
            if self._is_of_session(mo):
                raise
        return self._carried(request, info, take)

    def _carried(self, request: bytes, info: Any, take: Callable[[Line, HTTPResponse], T]) -> T:
        try:
            return self._post(request, info, take)
        except ConnectionLost as error:
            silent = isinstance(error.__cause__, TimeoutError)
            if silent or not _is_read(info.wsdlName):
                raise
            lost = error
        try:
            return self._post(request, info, take)
        except ConnectionFailed as error:
            raise lost from error

    def _post(self, request: bytes, info: Any, take: Callable[[Line, HTTPResponse], T]) -> T:
        line = self._sent(request)
        try:
            response = line.getresponse()
            cookie = response.getheader("Set-Cookie")
            if cookie and self._taking == threading.get_ident():
                self.cookie = cookie.partition(";")[0]
            if response.status == 200:
                return take(line, response)
            data = self._whole(line, response) if response.status == 500 else b""
        except (OSError, HTTPException) as error:
            line.close()
            self.DropConnections()
            raise self._lost(error) from error
        if response.status == 500:
            raise self._fault(data, info)
        line.close()
        said = f"{self._host} answers {response.status} {response.reason}"
        if response.status > 500:
            raise ConnectionLost(f"{said}: its management service does not run, or has too much to do")
        raise ConnectionFailed(f"{said}: there is no vSphere API at this address")

    def _sent(self, request: bytes) -> Line:
        """A connection on which the request went out whole; a request that did not is carried out by nobody."""
        line = self.GetConnection()
        try:
            self.send(line, request)
        except (OSError, HTTPException):
            line.close()
            self.DropConnections()
        else:
            return line
        line = self.GetConnection()
        try:
            self.send(line, request)
        except (OSError, HTTPException) as error:
            line.close()
            raise self._lost(error) from error
        return line

    def send(self, line: Line, request: bytes) -> None:
        """Send a SOAP request."""
        headers = {
            "Cookie": self.cookie,
            "SOAPAction": self.versionId,
            "Content-Type": "text/xml; charset=utf-8",
            "User-Agent": self._user_agent,
            "Accept-Encoding": "gzip, deflate",
        }
        line.request("POST", self.path, request, headers)

    def _lost(self, error: Exception) -> ConnectionLost:
        return ConnectionLost(f"the connection to {self._host} broke: {reason(error)}")

    # Answers

    def _whole(self, line: Line, response: HTTPResponse) -> bytes:
        data = Body(response).read()
        response.read()  # nothing, after which the connection can be used again
        self.ReturnConnection(line)
        return data

    def _decoded(self, data: bytes, info: Any) -> Any:
        if f"{info.wsdlName}Response".encode() not in data:  # pyVmomi's decoder takes any XML for an empty answer
            raise BackendError(f"{self._host} answered {info.wsdlName} with what is no answer to it")
        try:
            return SoapResponseDeserializer(self).Deserialize(data, info.result)
        except Exception as error:  # pyVmomi raises whatever comes up: KeyError, TypeError, AttributeError …
            raise BackendError(
                f"{self._host} answered {info.wsdlName} with what pyVmomi cannot read: {error}"
            ) from error

    def _fault(self, data: bytes, info: Any) -> Exception:
        try:
            fault = SoapResponseDeserializer(self).Deserialize(data, info.result)
        except ExpatError:
            return ConnectionLost(f"{self._host} answers 500 and no reason")
        except Exception:  # a fault that this pyVmomi does not know
            return fault_of(data)
        return fault if isinstance(fault, Exception) else fault_of(data)

    # Connections

    def GetConnection(self) -> Line:  # noqa: N802
        """One that nobody uses, or a new one.

        Raises:
            ConnectionFailed: the host cannot be reached, or is not trusted.
        """
        if os.getpid() != self._pid:  # the others are the parent's
            self._pid = os.getpid()
            self.DropConnections()
        return self.spare() or self.line()

    def spare(self) -> Line | None:
        """A connection that nobody uses and the host has not closed, if there is one."""
        while True:
            with self.lock:
                line = self.pool.pop() if self.pool else None
            if line is None or not line.is_stale:
                return line
            line.close()

    def line(self, timeout: float | None = None) -> Line:
        """A new connection to the host, for whoever closes it: for files, which take a way of their own.

        Args:
            timeout: seconds, if not the caller's own.

        Raises:
            ConnectionFailed: the host cannot be reached, or is not trusted.
        """
        line = Line(self._host, self.port, self._trust, timeout or self._timeout)
        line.connect()
        return line

    def ReturnConnection(self, conn: Line) -> None:  # noqa: N802
        """It is not used any more."""
        with self.lock:
            if len(self.pool) < _POOL and not self._closed and conn.sock is not None:
                self.pool.append(conn)
                return
        conn.close()

    def DropConnections(self) -> None:  # noqa: N802
        """Close all that nobody uses: where one broke, the others did too."""
        with self.lock:
            lines, self.pool = self.pool, []
        for line in lines:
            line.close()

    def close(self, logout: Callable[[Any], None]) -> None:
        """Refuse every further call, and make a last one, which the host has a few seconds for. Raises nothing."""
        with self.lock:
            closed, self._closed = self._closed, True
        if closed:
            return
        if self.cookie and os.getpid() == self._owner:  # a forked child leaves its parent's session be
            with suppress(Exception):
                logout(_Farewell(self))
        self.DropConnections()


class _Farewell(SoapStubAdapterBase):  # type: ignore[misc]  # it has no types
    """A stub for one call, made after its connection was closed: its answer matters to nobody."""

    def __init__(self, stub: Stub) -> None:
        super().__init__(version=stub.version)
        self.requestContext = None
        self._stub = stub

    def InvokeMethod(self, mo: Any, info: Any, args: Any) -> None:  # noqa: N802
        stub = self._stub
        line = stub.spare() or stub.line(_FAREWELL)
        try:
            line.sock.settimeout(_FAREWELL)
            stub.send(line, self.SerializeRequest(mo, info, args))
            line.getresponse().read()
        finally:
            line.close()
