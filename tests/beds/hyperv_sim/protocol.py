"""WS-Management as Windows speaks it, strict in what it takes."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

import attrs

from tests.beds.hyperv_sim import embedded, refusals, wql
from tests.beds.hyperv_sim.embedded import Rejected
from tests.beds.hyperv_sim.refusals import Refused, schema_violation
from tests.beds.hyperv_sim.rows import Ref, Repository, Row
from tests.beds.hyperv_sim.schema import Kind

S = "{http://www.w3.org/2003/05/soap-envelope}"
A = "{http://schemas.xmlsoap.org/ws/2004/08/addressing}"
N = "{http://schemas.xmlsoap.org/ws/2004/09/enumeration}"
W = "{http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd}"
F = "{http://schemas.microsoft.com/wbem/wsman/1/wsmanfault}"
C = "{http://schemas.dmtf.org/wbem/wscim/1/common}"
ID = "{http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd}"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
T = "http://schemas.xmlsoap.org/ws/2004/09/transfer/"
E = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/"
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
_SMALLEST_ENVELOPE = 8192
_MOST_ITEMS = 32000
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


@attrs.define
class Enumeration:
    """What is left of a list, and how its items are told."""

    rows: Iterator[Row]
    mode: str
    uri: str


@attrs.define
class Message:
    """A request, taken apart."""

    action: str
    uri: str
    id: str
    selectors: dict[str, str]
    body: ET.Element | None
    largest: int

    @property
    def namespace(self) -> str:
        return self.uri.removeprefix(WMI).rpartition("/")[0]

    @property
    def class_name(self) -> str:
        return self.uri.rpartition("/")[2]


class Service:
    """Answers requests, for any number of threads.

    Attributes:
        optimizes: whether an Enumerate that asks for items gets them at once, as newer hosts do.
        page: items that an answer has at most.
        rights: whether the caller may see Hyper-V's own objects; who may not gets empty lists.
        calls: what was asked: the action's last word, and the class or query.
    """

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.optimizes = True
        self.page = _MOST_ITEMS
        self.rights = True
        self.calls: list[tuple[str, str]] = []
        self._lists: dict[str, Enumeration] = {}
        self._lock = threading.RLock()

    def answer(self, data: bytes) -> tuple[int, bytes]:
        """HTTP's status, and the envelope."""
        message: Message | None = None
        try:
            root = ET.fromstring(data)
            if root.find(f"{S}Body/{ID}Identify") is not None:
                return 200, _envelope("", "", self._identity())
            message = _taken_apart(root)
            with self._lock:
                self.calls.append((message.action.rpartition("/")[2], _about(message)))
                action, body = self._do(message)
            sent = _envelope(action, message.id, body)
            if len(sent) > message.largest:
                raise Refused(
                    subcode="w:EncodingLimit", reason="The answer is larger than MaxEnvelopeSize", code=0x80338048
                )
        except ET.ParseError as error:
            return 400, _fault(schema_violation(str(error)), "")
        except Refused as refused:
            return refused.status, _fault(refused, message.id if message else "")
        else:
            return 200, sent

    @staticmethod
    def _identity() -> ET.Element:
        found = ET.Element(f"{ID}IdentifyResponse")
        ET.SubElement(found, f"{ID}ProtocolVersion").text = W.strip("{}")
        ET.SubElement(found, f"{ID}ProductVendor").text = "Microsoft Corporation"
        ET.SubElement(found, f"{ID}ProductVersion").text = "OS: 10.0.20348 SP: 0.0 Stack: 3.0"
        return found

    def _do(self, message: Message) -> tuple[str, ET.Element]:
        if message.largest < _SMALLEST_ENVELOPE:
            raise Refused(subcode="w:EncodingLimit", reason="MaxEnvelopeSize is too small", code=0x80338048)
        if not message.uri.startswith(WMI) or message.namespace.casefold() not in self.repository.schema.namespaces:
            raise refusals.no_namespace(message.uri)
        verbs: dict[str, Callable[[Message], ET.Element]] = {
            f"{T}Get": self._get,
            f"{E}Enumerate": self._enumerate,
            f"{E}Pull": self._pull,
            f"{E}Release": self._release,
        }
        if message.action in verbs:
            return f"{message.action}Response", verbs[message.action](message)
        if message.action.startswith(f"{message.uri}/"):
            return f"{message.action}Response", self._invoke(message)
        raise refusals.not_supported(message.action)

    def _get(self, message: Message) -> ET.Element:
        if message.body is not None:
            raise schema_violation("a Get has no body")
        return self._element(self.repository.find(message.class_name, message.selectors))

    # Lists

    def _enumerate(self, message: Message) -> ET.Element:
        body = message.body
        if body is None or body.tag != f"{N}Enumerate":
            raise schema_violation("an Enumerate needs its element")
        known = {f"{W}{name}" for name in ("OptimizeEnumeration", "MaxElements", "Filter", "EnumerationMode")}
        for each in body:
            if each.tag not in known:
                raise schema_violation(f"{each.tag} is unexpected")
        query = body.find(f"{W}Filter")
        if query is not None:
            if query.get("Dialect") != WQL:
                raise Refused(subcode="n:FilterDialectRequestedUnavailable", reason="The dialect is not supported.")
            if message.class_name != "*":
                raise Refused(
                    subcode="w:CannotProcessFilter",
                    reason="A filter in WQL needs a resource URI that ends in /*.",
                    code=0x8033803B,
                )
            rows = wql.run(query.text or "", self.repository)
        elif message.class_name == "*":
            raise schema_violation("no class, and no filter")
        else:
            rows = self.repository.all(message.class_name)
        # A list is as it was when it was begun; what a query finds wrong is told now.
        rows = iter([row for row in rows if self.rights or not row.class_name.startswith("Msvm_")])
        wanted = Enumeration(rows, body.findtext(f"{W}EnumerationMode", ""), message.uri)
        answer = ET.Element(f"{N}EnumerateResponse")
        if body.find(f"{W}OptimizeEnumeration") is not None and self.optimizes:
            self._page(wanted, answer, W, _count(body.findtext(f"{W}MaxElements")), message.largest)
        else:
            ET.SubElement(answer, f"{N}EnumerationContext").text = self._keep(wanted)
        return answer

    def _keep(self, wanted: Enumeration) -> str:
        context = f"uuid:{uuid.uuid4()}".upper()
        self._lists[context] = wanted
        return context

    def _page(self, wanted: Enumeration, answer: ET.Element, space: str, most: int, largest: int) -> None:
        """Some items, and the way to the rest: the way is another each time."""
        items: list[ET.Element] = []
        size, more = 0, False
        for row in wanted.rows:
            item = self._item(wanted.mode, row)
            size += len(ET.tostring(item))
            if items and size > largest - 4096:
                wanted.rows = itertools.chain((row,), wanted.rows)
                more = True
                break
            items.append(item)
            if len(items) >= min(most, self.page):
                rest = next(wanted.rows, None)
                if rest is not None:
                    wanted.rows = itertools.chain((rest,), wanted.rows)
                    more = True
                break
        if more:
            ET.SubElement(answer, f"{N}EnumerationContext").text = self._keep(wanted)
        ET.SubElement(answer, f"{space}Items").extend(items)
        if not more:
            ET.SubElement(answer, f"{space}EndOfSequence")

    def _item(self, mode: str, row: Row) -> ET.Element:
        element = self._element(row)
        if mode not in ("EnumerateEPR", "EnumerateObjectAndEPR"):
            return element
        ref = ET.Element(f"{A}EndpointReference")
        _reference(ref, self.repository.ref(row))
        if mode == "EnumerateEPR":
            return ref
        item = ET.Element(f"{W}Item")
        item.extend([element, ref])
        return item

    def _pull(self, message: Message) -> ET.Element:
        body = message.body
        if body is None or body.tag != f"{N}Pull":
            raise schema_violation("a Pull needs its element")
        wanted = self._lists.pop(body.findtext(f"{N}EnumerationContext", ""), None)
        if wanted is None:
            raise Refused(
                subcode="n:InvalidEnumerationContext", reason="The enumeration context is not valid.", code=0x80338007
            )
        answer = ET.Element(f"{N}PullResponse")
        # Windows tells one at a time unless more are asked for.
        self._page(wanted, answer, N, _count(body.findtext(f"{N}MaxElements")), message.largest)
        return answer

    def _release(self, message: Message) -> ET.Element:
        context = message.body.findtext(f"{N}EnumerationContext", "") if message.body is not None else ""
        if self._lists.pop(context, None) is None:
            raise Refused(
                subcode="n:InvalidEnumerationContext", reason="The enumeration context is not valid.", code=0x80338007
            )
        return ET.Element(f"{N}ReleaseResponse")

    @property
    def open_lists(self) -> int:
        """Enumerations that nobody has come to the end of."""
        return len(self._lists)

    # Methods

    def _invoke(self, message: Message) -> ET.Element:
        kind = self.repository.kind(message.class_name)
        method = message.action.rpartition("/")[2]
        handler = self.repository.handler(kind.name, method)
        if not message.selectors:
            raise refusals.wmi_error(0x8004102F, f"{kind.name}.{method}: no instance was named")
        row = self.repository.find(kind.name, message.selectors)
        space = f"{{{message.uri}}}"
        if message.body is None or message.body.tag != f"{space}{method}_INPUT":
            raise schema_violation(f"{method} needs its {method}_INPUT, in the namespace of its class")
        outputs: dict[str, Any] = {}
        try:
            arguments = self._arguments(message.body, kind.methods[method].takes, space)
            code, outputs = handler(row, arguments)
        except Rejected as rejected:
            code = rejected.code
        answer = ET.Element(f"{space}{method}_OUTPUT")
        for name, each in kind.methods[method].gives.items():
            self._put(answer, space, name, each, outputs.get(name))
        ET.SubElement(answer, f"{space}ReturnValue").text = str(code)
        return answer

    def _arguments(self, body: ET.Element, takes: Any, space: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for element in body:
            name = element.tag.removeprefix(space)
            if not element.tag.startswith(space) or name not in takes:
                raise schema_violation(f"{element.tag} is no parameter")
            kind: Kind = takes[name]
            if name in found and not kind.array:
                raise schema_violation(f"{name} is there twice")
            value = self._argument(name, kind, element)
            if kind.array:
                found.setdefault(name, []).append(value)
            else:
                found[name] = value
        return found

    def _argument(self, name: str, kind: Kind, element: ET.Element) -> Any:
        if element.get(f"{XSI}nil") == "true":
            return None
        if kind.name == "ref":
            if element.find(f"{A}EndpointReference") is not None or element.find(f"{A}ReferenceParameters") is None:
                raise schema_violation(f"{name} is the content of an endpoint reference")
            return _referred(element)
        if len(element):
            raise schema_violation(f"{name} is a {kind.name}")
        text = element.text or ""
        if kind.embedded:
            return embedded.parse(text, kind.embedded, self.repository.schema)
        if not kind.admits(text):
            raise schema_violation(f"{name}={text} is no {kind.name}")
        if kind.name == "boolean":
            return text.lower() == "true"
        return int(text) if "int" in kind.name else text

    # Instances

    def _element(self, row: Row) -> ET.Element:
        kind = self.repository.kind(row.class_name)
        space = f"{{{WMI}{kind.namespace}/{kind.name}}}"
        element = ET.Element(f"{space}{kind.name}", {f"{XSI}type": f"p:{kind.name}_Type"})
        for name in sorted(kind.properties):
            self._put(element, space, name, kind.properties[name], row.get(name))
        # What a newer Windows has that no document tells of.
        ET.SubElement(element, f"{space}TargetVtlOfTomorrow", {f"{XSI}nil": "true"})
        return element

    def _put(self, parent: ET.Element, space: str, name: str, kind: Kind, value: Any) -> None:
        if kind.array:
            for item in value or ():
                self._write(ET.SubElement(parent, f"{space}{name}"), item, kind)
        elif value is None:
            ET.SubElement(parent, f"{space}{name}", {f"{XSI}nil": "true"})
        else:
            self._write(ET.SubElement(parent, f"{space}{name}"), value, kind)

    def _write(self, element: ET.Element, value: Any, kind: Kind) -> None:
        if isinstance(value, Ref):
            _reference(element, value)
        elif isinstance(value, Row):
            if kind.embedded or kind.name == "string":
                element.text = embedded.write(value, self.repository.schema)
            else:
                element.extend(self._element(value))
        elif isinstance(value, bool):
            element.text = "true" if value else "false"
        elif isinstance(value, datetime):
            ET.SubElement(element, f"{C}Datetime").text = value.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0") + "Z"
        else:
            element.text = str(value)


def _taken_apart(root: ET.Element) -> Message:
    header, body = root.find(f"{S}Header"), root.find(f"{S}Body")
    if root.tag != f"{S}Envelope" or header is None or body is None:
        raise schema_violation("no envelope of SOAP 1.2")
    name = header.findtext(f"{A}MessageID", "")
    if not name.startswith("uuid:"):
        raise Refused(subcode="a:MessageInformationHeaderRequired", reason="MessageID is missing", code=0x80338049)
    largest = int(header.findtext(f"{W}MaxEnvelopeSize", "153600"))
    selectors = {each.get("Name", ""): each.text or "" for each in header.iterfind(f"{W}SelectorSet/{W}Selector")}
    return Message(
        header.findtext(f"{A}Action", "").strip(),
        header.findtext(f"{W}ResourceURI", "").strip(),
        name,
        selectors,
        body[0] if len(body) else None,
        largest,
    )


def _about(message: Message) -> str:
    query = message.body.findtext(f"{W}Filter") if message.body is not None else None
    return query or message.class_name


def _count(text: str | None) -> int:
    return max(1, min(int(text), _MOST_ITEMS)) if text else 1


def _reference(parent: ET.Element, ref: Ref) -> None:
    ET.SubElement(parent, f"{A}Address").text = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
    parameters = ET.SubElement(parent, f"{A}ReferenceParameters")
    ET.SubElement(parameters, f"{W}ResourceURI").text = f"{WMI}{ref.namespace}/{ref.class_name}"
    selectors = ET.SubElement(parameters, f"{W}SelectorSet")
    for name, value in ref.keys.items():
        ET.SubElement(selectors, f"{W}Selector", Name=name).text = value


def _referred(element: ET.Element) -> Ref:
    uri = element.findtext(f"{A}ReferenceParameters/{W}ResourceURI", "")
    selectors = element.iterfind(f"{A}ReferenceParameters/{W}SelectorSet/{W}Selector")
    namespace, _, name = uri.removeprefix(WMI).rpartition("/")
    return Ref(name, {each.get("Name", ""): each.text or "" for each in selectors}, namespace)


def _envelope(action: str, relates: str, body: ET.Element) -> bytes:
    root = ET.Element(f"{S}Envelope", {_XML_LANG: "en-US"})
    header = ET.SubElement(root, f"{S}Header")
    if action:
        ET.SubElement(header, f"{A}Action").text = action
        ET.SubElement(header, f"{A}MessageID").text = f"uuid:{uuid.uuid4()}"
        ET.SubElement(header, f"{A}RelatesTo").text = relates
    ET.SubElement(root, f"{S}Body").append(body)
    sent: bytes = ET.tostring(root, "utf-8")
    return sent


def _fault(refused: Refused, relates: str) -> bytes:
    spaces = {"a": A, "w": W, "n": N, "s": S}
    prefix = refused.subcode.partition(":")[0]
    fault = ET.Element(f"{S}Fault", {f"xmlns:{prefix}": spaces[prefix].strip("{}")} if prefix in spaces else {})
    code = ET.SubElement(fault, f"{S}Code")
    ET.SubElement(code, f"{S}Value").text = "s:Sender" if refused.sender else "s:Receiver"
    ET.SubElement(ET.SubElement(code, f"{S}Subcode"), f"{S}Value").text = refused.subcode
    ET.SubElement(ET.SubElement(fault, f"{S}Reason"), f"{S}Text", {_XML_LANG: "en-US"}).text = refused.reason
    if refused.code:
        detail = ET.SubElement(fault, f"{S}Detail")
        outer = ET.SubElement(detail, f"{F}WSManFault", Code=str(refused.code), Machine="HV1")
        message = ET.SubElement(outer, f"{F}Message")
        if refused.wmi:
            provider = ET.SubElement(message, f"{F}ProviderFault", provider="WMI Provider", path=refusals.WMI_PROVIDER)
            inner = ET.SubElement(provider, f"{F}WSManFault", Code=str(refused.wmi), Machine="HV1")
            ET.SubElement(inner, f"{F}Message").text = refused.reason
        else:
            message.text = refused.reason
    return _envelope("http://schemas.dmtf.org/wbem/wsman/1/wsman/fault", relates, fault)
