"""What can be asked of a host: an instance, many, or a method."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from xml.etree.ElementTree import Element

import attrs

from hyperkit.backends.hyperv.wsman import cim, names, xml
from hyperkit.backends.hyperv.wsman.carrier import Carrier
from hyperkit.backends.hyperv.wsman.cim import Instance, Reference
from hyperkit.backends.hyperv.wsman.envelope import Argument, Request, Writer
from hyperkit.backends.hyperv.wsman.faults import raise_fault
from hyperkit.backends.hyperv.wsman.names import ADDRESSING, ENUMERATION, SOAP, WSMAN
from hyperkit.errors import ConnectionLost, HyperkitError

_EVERYTHING = "*"
_STARTED = 4096


@attrs.frozen(kw_only=True)
class Output:
    """What a method answered.

    Attributes:
        code: its return value: 0 is done, 4096 that a job goes on.
        job: the job.
        values: all of it, by the names of the method's parameters.
    """

    code: int
    job: Reference | None
    values: Instance

    @property
    def goes_on(self) -> bool:
        """Whether the host works on after the answer."""
        return self.code == _STARTED


class Client:
    """Asks a host, for any number of threads.

    Only what reads is repeated, once, if the connection breaks: `get`, `identify`, and `enumerate` as a whole. A page
    that was lost has moved the host's cursor on.
    """

    def __init__(self, carrier: Carrier, writer: Writer) -> None:
        self._carrier = carrier
        self._writer = writer

    def identify(self) -> Instance:
        """Who is there: ``ProductVendor`` and ``ProductVersion``.

        Raises:
            ConnectionFailed, AuthenticationFailed, ConnectionLost: see `Carrier.send`.
        """
        return cim.instance(self._ask(self._writer.identify(), repeatable=True))

    def get(self, what: Reference) -> Instance:
        """One instance; keys that single it out are enough.

        Raises:
            WSManFault: there is none, or the host refuses.
            ConnectionLost: the connection broke, twice.
        """
        return cim.instance(self._ask(self._writer.get(what), repeatable=True))

    def put(self, what: Reference, properties: Mapping[str, Argument]) -> Instance:
        """Change an instance by its whole new self, where its class can be changed so: none of Hyper-V's settings can.

        Raises:
            WSManFault: the host refuses.
            ConnectionLost: the connection broke; whether it was changed is unknown.
        """
        return cim.instance(self._ask(self._writer.put(what, properties)))

    def invoke(self, what: Reference, method: str, **arguments: Argument | None) -> Output:
        """A method; a service needs no more keys than its ``CreationClassName``.

        What the method itself refuses is no fault but its `Output.code`.

        Raises:
            WSManFault: the host refuses the call.
            ConnectionLost: the connection broke; whether the method ran is unknown.
        """
        values = cim.instance(self._ask(self._writer.invoke(what, method, arguments)))
        return Output(code=values.number("ReturnValue") or 0, job=values.reference("Job"), values=values)

    def all(self, class_name: str, *, namespace: str = names.VIRTUALIZATION) -> list[Instance]:
        """All instances of a class, and of those derived from it.

        Raises:
            WSManFault: the host refuses, or has no such class.
            ConnectionLost: the connection broke, twice.
        """
        return self._enumerated(Reference(class_name, namespace=namespace), "")

    def query(self, wql: str, *, namespace: str = names.VIRTUALIZATION) -> list[Instance]:
        """What a query finds (see `wql`).

        Raises:
            WSManFault: the host refuses.
            ConnectionLost: the connection broke, twice.
        """
        return self._enumerated(Reference(_EVERYTHING, namespace=namespace), wql)

    def _enumerated(self, what: Reference, wql: str) -> list[Instance]:
        try:
            return self._enumerate(what, wql)
        except ConnectionLost:
            return self._enumerate(what, wql)

    def _enumerate(self, what: Reference, wql: str) -> list[Instance]:
        found: list[Instance] = []
        answer = self._ask(self._writer.enumerate(what, wql))
        context = ""
        while True:
            found += (cim.instance(each) for items in _parts(answer, "Items") for each in items)
            context = next((each.text or "" for each in _parts(answer, "EnumerationContext")), context)
            if _parts(answer, "EndOfSequence"):
                return found
            if not context:
                raise ConnectionLost("the host's answer tells no way to the rest of the list")
            try:
                answer = self._ask(self._writer.pull(what, context))
            except BaseException as error:
                # It keeps contexts that nobody comes back for, and counts them.
                if not isinstance(error, HyperkitError):
                    with suppress(Exception):
                        self._ask(self._writer.release(what, context))
                raise

    def _ask(self, request: Request, *, repeatable: bool = False) -> Element:
        """The first element of the answer's body.

        Raises:
            WSManFault: that is a fault.
            ConnectionLost: it is no answer, or another request's.
        """
        root = xml.parse(self._carrier.send(request.body, repeatable=repeatable))
        body = root.find(f"{{{SOAP}}}Body")
        if root.tag != f"{{{SOAP}}}Envelope" or body is None or not len(body):
            raise ConnectionLost("the host's answer is no SOAP envelope with something in it")
        relates = root.findtext(f"{{{SOAP}}}Header/{{{ADDRESSING}}}RelatesTo", "").strip()
        if (
            request.id
            and relates.casefold() != request.id.casefold()
            and (relates or body[0].tag != f"{{{SOAP}}}Fault")
        ):
            raise ConnectionLost(f"the host's answer is to another request: {relates!r}, not {request.id!r}")
        if body[0].tag == f"{{{SOAP}}}Fault":
            raise_fault(body[0])
        return body[0]


def _parts(answer: Element, name: str) -> list[Element]:
    """The parts of an answer of this name: an optimized one has them in another namespace."""
    return [each for space in (ENUMERATION, WSMAN) for each in answer.findall(f"{{{space}}}{name}")]
