"""A session with an ESXi host or a vCenter: logged in, told apart, and what of its inventory is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pyVmomi import VmomiSupport, vim, vmodl

import hyperkit
from hyperkit.backends.esxi.collectors import Collectors
from hyperkit.backends.esxi.elements import managed
from hyperkit.backends.esxi.errors import translate
from hyperkit.backends.esxi.login import login_for
from hyperkit.backends.esxi.properties import Properties
from hyperkit.backends.esxi.scope import Facts, Ref, Scope, Tree
from hyperkit.backends.esxi.stub import Stub
from hyperkit.backends.esxi.transport import Trust
from hyperkit.driver import Target
from hyperkit.errors import AuthenticationFailed, BackendError, ConnectionFailed, ConnectionLost, InvalidRequest

T = TypeVar("T")

_OPTIONS = ("thumbprint", "auth")
_FIRST = ("vim.version.version12", "vim.version.version7", "vim.version.version5")
"""The APIs of vSphere 6.7, 5.0 and 4.0, in which a host is asked for its own: it refuses one that is too new for it."""
_LONGEST_WAIT = 20
"""Seconds for which a host is asked to keep an answer back until something happens: proxies end what is longer."""


class Connection:
    """One session, shared by all ports and threads.

    Attributes:
        target: where, as whom.
        stub: what managed objects call through: ``vim.VirtualMachine(vm_id, connection.stub).PowerOnVM_Task()``.
        content: the service's managers and roots, read once.
        api: the version of the API that the host tells, as four numbers.
        scope: what of the inventory this connection is about.
        facts: what its machines said when it was opened.
        properties: reads of the inventory.
        collectors: what waits for changes.
        identity: stable id of the host, or of the vCenter and the scope.
        longest_wait: whole seconds for which a call may ask the host to wait (``maxWaitSeconds``).
    """

    def __init__(self, target: Target) -> None:
        """Connect, log in and find what the URL names: in three round trips, with a host older than 6.7 in four.

        Raises:
            InvalidRequest: an option or a path that means nothing here, or the scheme of the other kind of host.
            ConnectionFailed: the host cannot be reached or is not trusted, or is no vSphere.
            AuthenticationFailed: it refuses the credentials, or there are none.
            NotFound: the path leads nowhere.
        """
        _check(target)
        self.target = target
        self._login = login_for(target)
        agent = f"hyperkit/{hyperkit.__version__}"
        self.stub = Stub(target.host, target.port or 443, Trust.of(target), target.timeout, agent)
        self.properties = Properties(self)
        self.collectors = Collectors(self)
        self.longest_wait = max(1, min(_LONGEST_WAIT, int((target.timeout or 2 * _LONGEST_WAIT) / 2)))
        try:
            with self.stub.beginning():
                self.content = self._greet()
                self._check_kind()
                self._log_in()
            self.stub.renewed_by(self._begin_anew)
            self._find()
        except BaseException:
            self.close()
            raise

    content: Any
    api: tuple[int, ...]
    scope: Scope
    facts: Facts
    identity: str

    def _greet(self) -> Any:
        """Ask for the service's content, and speak its version of the API from here on."""
        try:
            content = self._content()
            self.api = _numbers(content.about.apiVersion)
            self.stub.speak(_version(self.api))
        except (ConnectionLost, BackendError, vmodl.RuntimeFault) as error:
            raise ConnectionFailed(f"no vSphere API at {self.target.host}: {error}") from error
        self.stub.collector = content.propertyCollector._moId
        return content

    def _content(self) -> Any:
        for version in _FIRST:
            self.stub.speak(version)
            try:
                return self.native.RetrieveContent()
            except vmodl.RuntimeFault as error:  # "Unsupported version URI"
                refused = error
        raise refused

    def _check_kind(self) -> None:
        target, scheme = self.target, "vcenter" if self.is_vcenter else "esxi"
        if scheme == target.scheme:
            return
        product = self.content.about.name
        place = target.host if target.port is None else f"{target.host}:{target.port}"
        written = f"{scheme}://{target.user or 'user'}@{place}{'/Datacenter' if self.is_vcenter else ''}"
        raise InvalidRequest(f"{target.host} is a {product}: write {written!r}", field="url")

    def _log_in(self) -> None:
        try:
            self._login(self.stub, self.content.sessionManager._moId)
        except Exception as error:
            # The frames in which it came up hold the password.
            failure = (translate(error) or error).with_traceback(None)
            if isinstance(failure, AuthenticationFailed) and self.target.user:
                failure.args = (f"the host refuses {self.target.user!r}, or this password: {failure.message}",)
            failure.__cause__ = error.with_traceback(None) if failure is not error else error.__cause__
        else:
            return
        raise failure

    def _begin_anew(self) -> None:
        with self.stub.beginning():
            self._log_in()

    def _find(self) -> None:
        content = self.content
        tree = Tree.read(self.stub, content, self.api)
        if self.is_vcenter:
            self.scope = tree.scope(self.target.path)
        else:
            self.scope = tree.whole(Ref(kind="Folder", id=content.rootFolder._moId))
        self.facts = tree.facts(self.scope)
        if self.is_vcenter:
            self.identity = f"{content.about.instanceUuid or self.target.host}/{self.scope.root.id}"
        else:
            self.identity = self.facts.uuid or self.target.host

    def renewing(self, work: Callable[[], T]) -> T:
        """Do something with objects that belong to the session (views, collectors, filters); if it was renewed
        meanwhile, they are gone, and it is done once more. ``work`` makes them, and changes nothing else.
        """
        generation = self.stub.generation
        try:
            return work()
        except (vim.fault.NotAuthenticated, vmodl.fault.ManagedObjectNotFound):
            if self.stub.generation == generation:
                raise
        return work()

    @property
    def is_vcenter(self) -> bool:
        """Whether this is a vCenter (``about.apiType`` VirtualCenter) rather than a host by itself (HostAgent)."""
        return bool(self.content.about.apiType == "VirtualCenter")

    @property
    def native(self) -> Any:
        """PyVmomi's ServiceInstance."""
        return vim.ServiceInstance("ServiceInstance", self.stub)

    def vm(self, vm_id: str) -> Any:
        """The managed object of a VM; no call is made."""
        return managed("VirtualMachine", vm_id, self.stub)

    def close(self) -> None:
        """Log out, of which a host that is gone keeps nobody. May be called twice, and raises nothing."""
        self.stub.close(lambda stub: vim.SessionManager(self.content.sessionManager._moId, stub).Logout())

    def __repr__(self) -> str:
        return f"<Connection {self.target.url}>"


def _check(target: Target) -> None:
    if not target.host:
        raise InvalidRequest(f"no host: write {target.scheme}://user@host", field="url")
    unknown = sorted(set(target.options) - set(_OPTIONS))
    if unknown:
        known = ", ".join(_OPTIONS)
        raise InvalidRequest(f"unknown option {unknown[0]!r} in the URL; there are {known}, and token", field="url")
    if target.scheme == "esxi" and target.path.strip("/"):
        raise InvalidRequest(
            f"a path, {target.path!r}, after esxi://{target.host}: it is one machine, and all of it; a vCenter is"
            f" vcenter://{target.host}{target.path}",
            field="url",
        )


def _version(host: tuple[int, ...]) -> str:
    """The newest version of the API that both pyVmomi and a host know."""
    known = {
        _numbers(name.removeprefix("vim25/")): version
        for name, version in VmomiSupport.versionMap.items()
        if name.startswith("vim25/")
    }
    return str(known[max((numbers for numbers in known if numbers and numbers <= host), default=_numbers("4.0"))])


def _numbers(version: str) -> tuple[int, ...]:
    """``7.0.3`` as four numbers; none for a version that has letters, which is none that hosts tell."""
    parts = version.split(".")
    if not all(part.isascii() and part.isdigit() for part in parts):
        return ()
    return tuple(int(part) for part in (*parts, "0", "0", "0"))[:4]
