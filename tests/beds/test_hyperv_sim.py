"""The simulator of Hyper-V refuses what a host refuses, and tells what a host tells. By envelopes written by hand."""

from __future__ import annotations

import base64
import http.client
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.beds.hyperv_sim import HyperVSim, embedded, missing
from tests.beds.hyperv_sim.embedded import Rejected
from tests.beds.hyperv_sim.rows import Row
from tests.beds.hyperv_sim.schema import load

NS = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "n": "http://schemas.xmlsoap.org/ws/2004/09/enumeration",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "f": "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi"
V2, CIMV2 = f"{WMI}/root/virtualization/v2", f"{WMI}/root/cimv2"
VSMS = "Msvm_VirtualSystemManagementService"
T, E = "http://schemas.xmlsoap.org/ws/2004/09/transfer", "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
WQL = 'Dialect="http://schemas.microsoft.com/wbem/wsman/1/WQL"'


@pytest.fixture
def sim() -> Iterator[HyperVSim]:
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with HyperVSim(tls=False, clear=True) as sim:
        yield sim


def post(sim: HyperVSim, body: str, **headers: str) -> tuple[int, bytes, Any]:
    credentials = base64.b64encode(f"{sim.user}:{sim.password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=10)
    try:
        connection.request("POST", "/wsman", body.encode(), {"Authorization": f"Basic {credentials}", **headers})
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def ask(sim: HyperVSim, uri: str, action: str, body: str = "", selectors: str = "", size: int = 512_000) -> ET.Element:
    """The first element of the answer's body."""
    spaces = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in NS.items())
    status, answer, _ = post(
        sim,
        f"""<s:Envelope {spaces}><s:Header><a:Action>{action}</a:Action><w:ResourceURI>{uri}</w:ResourceURI>
        <w:MaxEnvelopeSize>{size}</w:MaxEnvelopeSize><a:MessageID>uuid:1</a:MessageID>{selectors}</s:Header>
        <s:Body>{body}</s:Body></s:Envelope>""",
    )
    root = ET.fromstring(answer)
    found = root.find("s:Body", NS)
    assert found is not None
    assert (status == 500) is (found.find("s:Fault", NS) is not None)
    assert root.findtext("s:Header/a:RelatesTo", "", NS) == "uuid:1"
    return found[0]


def selectors(**keys: str) -> str:
    each = "".join(f'<w:Selector Name="{name}">{value}</w:Selector>' for name, value in keys.items())
    return f"<w:SelectorSet>{each}</w:SelectorSet>"


def refusal(fault: ET.Element) -> tuple[str, list[int]]:
    subcode = fault.findtext("s:Code/s:Subcode/s:Value", "", NS)
    return subcode, [int(each.get("Code", "0")) for each in fault.iter(f"{{{NS['f']}}}WSManFault")]


def processors(sim: HyperVSim, body: str = "<n:Enumerate/>") -> ET.Element:
    return ask(sim, f"{CIMV2}/Win32_Processor", f"{E}/Enumerate", body)


def method(sim: HyperVSim, name: str, inner: str, selected: str = "") -> ET.Element:
    uri = f"{V2}/{VSMS}"
    body = f'<p:{name}_INPUT xmlns:p="{uri}">{inner}</p:{name}_INPUT>'
    return ask(sim, uri, f"{uri}/{name}", body, selected or selectors(CreationClassName=VSMS))


# Lists


def test_one_item_a_pull_unless_more_are_asked_for_by_ways_that_change(sim: HyperVSim) -> None:
    answer = processors(sim)
    contexts, items = [answer.findtext("n:EnumerationContext", "", NS)], 0
    while answer.find("n:EndOfSequence", NS) is None:
        pull = f"<n:Pull><n:EnumerationContext>{contexts[-1]}</n:EnumerationContext></n:Pull>"
        answer = ask(sim, f"{CIMV2}/Win32_Processor", f"{E}/Pull", pull)
        items += len(answer.findall("n:Items/*", NS))
        assert len(answer.findall("n:Items/*", NS)) == 1
        contexts.append(answer.findtext("n:EnumerationContext", "", NS))
    assert items == 2
    assert len(set(contexts)) == len(contexts) == 3
    assert contexts[-1] == ""
    pull = f"<n:Pull><n:EnumerationContext>{contexts[0]}</n:EnumerationContext></n:Pull>"
    stale = ask(sim, f"{CIMV2}/Win32_Processor", f"{E}/Pull", pull)
    assert refusal(stale)[0] == "n:InvalidEnumerationContext"


def test_an_optimized_list_comes_at_once_in_another_namespace(sim: HyperVSim) -> None:
    answer = processors(sim, "<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>9</w:MaxElements></n:Enumerate>")
    assert len(answer.findall("w:Items/*", NS)) == 2
    assert answer.find("w:EndOfSequence", NS) is not None
    sim.service.optimizes = False
    answer = processors(sim, "<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>9</w:MaxElements></n:Enumerate>")
    assert answer.find("n:EnumerationContext", NS) is not None
    assert answer.find("w:Items", NS) is None


@pytest.mark.parametrize(
    ("mode", "found"),
    [("EnumerateEPR", "w:Items/a:EndpointReference"), ("EnumerateObjectAndEPR", "w:Items/w:Item/a:EndpointReference")],
)
def test_references_can_be_listed(sim: HyperVSim, mode: str, found: str) -> None:
    wanted = f"<w:OptimizeEnumeration/><w:MaxElements>9</w:MaxElements><w:EnumerationMode>{mode}</w:EnumerationMode>"
    answer = processors(sim, f"<n:Enumerate>{wanted}</n:Enumerate>")
    references = answer.findall(found, NS)
    assert [each.findtext(".//w:Selector", "", NS) for each in references] == ["CPU0", "CPU1"]


def test_a_list_can_be_let_go(sim: HyperVSim) -> None:
    context = processors(sim).findtext("n:EnumerationContext", "", NS)
    release = f"<n:Release><n:EnumerationContext>{context}</n:EnumerationContext></n:Release>"
    assert ask(sim, f"{CIMV2}/Win32_Processor", f"{E}/Release", release).tag.endswith("ReleaseResponse")
    assert sim.service.open_lists == 0
    assert refusal(ask(sim, f"{CIMV2}/Win32_Processor", f"{E}/Release", release))[0] == "n:InvalidEnumerationContext"


def test_an_enumerate_without_its_element_is_refused(sim: HyperVSim) -> None:
    assert refusal(processors(sim, "")) == ("w:SchemaValidationError", [0x80338041])


# Queries


def query(sim: HyperVSim, text: str, uri: str = f"{CIMV2}/*") -> ET.Element:
    wanted = f"<w:OptimizeEnumeration/><w:MaxElements>99</w:MaxElements><w:Filter {WQL}>{text}</w:Filter>"
    return ask(sim, uri, f"{E}/Enumerate", f"<n:Enumerate>{wanted}</n:Enumerate>")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("select * from Win32_Processor", 2),
        ("SELECT * FROM win32_processor WHERE DeviceID = 'cpu1'", 1),
        ('select * from Win32_Processor where DeviceID like "CPU_"', 2),
        ("select * from Win32_Processor where DeviceID like 'CPU[_]'", 0),
        ("select * from Win32_Processor where (DeviceID='CPU0' or DeviceID='CPU1') and NumberOfCores &gt; 3", 2),
        ("select * from Win32_Processor where not DeviceID='CPU0'", 1),
        ("select * from Win32_Processor where Caption is null", 2),
        (r"""select * from Win32_Processor where __PATH = '\\\\HV1\\root/cimv2:Win32_Processor.DeviceID="CPU0"'""", 1),
    ],
)
def test_queries(sim: HyperVSim, text: str, count: int) -> None:
    assert len(query(sim, text).findall("w:Items/*", NS)) == count


@pytest.mark.parametrize(
    "text",
    [
        "select DeviceID from",
        "select * from Win32_Processor where",
        "nonsense",
        "select * from Win32_Processor where Nonsense=1",
        "associators of {Win32_Processor}",
    ],
)
def test_what_is_no_query(sim: HyperVSim, text: str) -> None:
    assert 0x80041017 in refusal(query(sim, text))[1]


def test_a_query_needs_the_uri_of_all_classes(sim: HyperVSim) -> None:
    fault = query(sim, "select * from Win32_Processor", f"{CIMV2}/Win32_Processor")
    assert refusal(fault)[0] == "w:CannotProcessFilter"


# Instances


def test_nulls_are_nil_and_null_arrays_are_nothing(sim: HyperVSim) -> None:
    found = ask(sim, f"{V2}/Msvm_ComputerSystem", f"{T}/Get", selectors=selectors(Name="hv1"))
    space = f"{{{V2}/Msvm_ComputerSystem}}"
    caption, nothing = found.find(f"{space}Caption"), found.find(f"{space}InstanceID")
    assert caption is not None
    assert caption.text == "Hostcomputersystem"
    assert nothing is not None
    assert nothing.get(f"{{{NS['xsi']}}}nil") == "true"
    assert found.find(f"{space}StatusDescriptions") is None


@pytest.mark.parametrize(
    ("uri", "keys", "subcode"),
    [
        (f"{V2}/Msvm_ComputerSystem", {"ElementName": "HV1"}, "w:InvalidSelectors"),
        (f"{V2}/Msvm_ComputerSystem", {"Name": "nobody"}, "a:DestinationUnreachable"),
        (f"{V2}/Msvm_Nonsense", {"Name": "HV1"}, "a:DestinationUnreachable"),
        (f"{WMI}/root/nowhere/X", {"Name": "HV1"}, "w:InvalidResourceURI"),
        ("http://elsewhere/X", {"Name": "HV1"}, "w:InvalidResourceURI"),
    ],
)
def test_what_is_not_there(sim: HyperVSim, uri: str, keys: dict[str, str], subcode: str) -> None:
    assert refusal(ask(sim, uri, f"{T}/Get", selectors=selectors(**keys)))[0] == subcode


def test_what_no_class_can_do(sim: HyperVSim) -> None:
    uri = f"{V2}/Msvm_ComputerSystem"
    for action in ("http://schemas.xmlsoap.org/ws/2004/08/eventing/Subscribe", f"{T}/Create", f"{T}/Put"):
        assert refusal(ask(sim, uri, action, selectors=selectors(Name="HV1")))[0] == "a:ActionNotSupported"


def test_an_envelope_that_is_too_small(sim: HyperVSim) -> None:
    assert refusal(ask(sim, f"{V2}/X", f"{T}/Get", size=100))[0] == "w:EncodingLimit"


# Methods

EPR = f"""<a:Address>x</a:Address><a:ReferenceParameters><w:ResourceURI>{V2}/Msvm_ComputerSystem</w:ResourceURI>
    <w:SelectorSet><w:Selector Name="Name">HV1</w:Selector></w:SelectorSet></a:ReferenceParameters>"""


@pytest.mark.parametrize(
    "inner",
    [
        "<p:Nonsense>1</p:Nonsense>",
        "<Affected/>",
        f"<p:AffectedSystem><a:EndpointReference>{EPR}</a:EndpointReference></p:AffectedSystem>",
        "<p:AffectedSystem>HV1</p:AffectedSystem>",
        f"<p:AffectedSystem>{EPR}</p:AffectedSystem><p:AffectedSystem>{EPR}</p:AffectedSystem>",
    ],
)
def test_what_is_no_parameter(sim: HyperVSim, inner: str) -> None:
    rows = list(sim.repository.all(VSMS))
    sim.repository.serve(VSMS, lambda: rows, {"DestroySystem": lambda _row, _given: (0, {})})
    assert refusal(method(sim, "DestroySystem", inner)) == ("w:SchemaValidationError", [0x80338041])
    assert method(sim, "DestroySystem", f"<p:AffectedSystem>{EPR}</p:AffectedSystem>").tag.endswith(
        "DestroySystem_OUTPUT"
    )


def test_a_service_needs_a_selector(sim: HyperVSim) -> None:
    assert 0x8004102F in refusal(method(sim, "GetSummaryInformation", "", " "))[1]


SETTINGS = ("Msvm_VirtualSystemSettingData",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('<PROPERTY NAME="ElementName" TYPE="string"><VALUE>R&amp;D</VALUE></PROPERTY>', 32768),
        ('<PROPERTY NAME="ElementName" TYPE="string"><VALUE>a&lt;b</VALUE></PROPERTY>', 32773),
        ('<PROPERTY NAME="Nonsense" TYPE="string"><VALUE>a</VALUE></PROPERTY>', 32773),
        ('<PROPERTY NAME="ElementName" TYPE="uint16"><VALUE>1</VALUE></PROPERTY>', 32773),
        ('<PROPERTY NAME="AutomaticStartupAction" TYPE="uint16"><VALUE>70000</VALUE></PROPERTY>', 32773),
        ('<PROPERTY NAME="AutomaticStartupAction" TYPE="uint16"><VALUE>x</VALUE></PROPERTY>', 32773),
        ('<PROPERTY NAME="SecureBootEnabled" TYPE="boolean"><VALUE>yes</VALUE></PROPERTY>', 32773),
        ('<PROPERTY NAME="Notes" TYPE="string"><VALUE>a</VALUE></PROPERTY>', 32773),
        ('<PROPERTY.ARRAY NAME="ElementName" TYPE="string"><VALUE.ARRAY/></PROPERTY.ARRAY>', 32773),
        ('<PROPERTY NAME="AutomaticStartupActionDelay" TYPE="datetime"><VALUE>PT30M</VALUE></PROPERTY>', 32768),
        (
            '<PROPERTY.ARRAY NAME="BootSourceOrder" TYPE="string"><VALUE.ARRAY><VALUE>a:B.C="D\\E"</VALUE>'
            "</VALUE.ARRAY></PROPERTY.ARRAY>",
            32773,
        ),
        ("<PROPERTY", 32773),
    ],
)
def test_what_the_providers_parser_refuses(text: str, code: int) -> None:
    with pytest.raises(Rejected) as caught:
        embedded.parse(f'<INSTANCE CLASSNAME="{SETTINGS[0]}">{text}</INSTANCE>', SETTINGS, load())
    assert caught.value.code == code


def test_what_the_providers_parser_takes() -> None:
    text = """<INSTANCE CLASSNAME="Msvm_VirtualSystemSettingData"><PROPERTY NAME="ElementName" TYPE="string">
        <VALUE>R&#38;D &#60;</VALUE></PROPERTY><PROPERTY NAME="AutomaticStartupActionDelay" TYPE="datetime">
        <VALUE>00000000003000.000000:000</VALUE></PROPERTY></INSTANCE>"""
    assert embedded.parse(text, SETTINGS, load()) == Row(
        SETTINGS[0], {"ElementName": "R&D <", "AutomaticStartupActionDelay": "00000000003000.000000:000"}
    )
    with pytest.raises(Rejected):
        embedded.parse(text, ("Msvm_MemorySettingData",), load())


def test_a_rejected_instance_is_a_return_value_and_no_fault(sim: HyperVSim) -> None:
    rows = list(sim.repository.all(VSMS))
    sim.repository.serve(VSMS, lambda: rows, {"ModifySystemSettings": lambda _row, _given: (0, {})})
    answer = method(sim, "ModifySystemSettings", "<p:SystemSettings>&lt;INSTANCE/></p:SystemSettings>")
    assert answer.findtext(f"{{{V2}/{VSMS}}}ReturnValue") == "32773"


# Who is let in


def test_who_is_nobody_gets_a_challenge_and_no_answer(sim: HyperVSim) -> None:
    status, body, headers = post(sim, "<x/>", Authorization="Basic bm9ib2R5Om5vdGhpbmc=")
    assert (status, body) == (401, b"")
    assert sorted(re.split("[ =]", each)[0] for each in headers.get_all("WWW-Authenticate")) == ["Basic", "Negotiate"]


def test_what_is_no_xml(sim: HyperVSim) -> None:
    status, answer, _ = post(sim, "<s:Envelope")
    assert status == 400
    assert b"SchemaValidationError" in answer


def test_another_client_is_served(sim: HyperVSim) -> None:
    """pypsrp's WSMan has an implementation of its own, of envelopes, NTLM and encryption."""
    wsman = pytest.importorskip("pypsrp.wsman", reason="no Python module pypsrp (pypsrp)")
    sim.rules = type(sim.rules)(user=sim.user, password=sim.password)
    options = {"port": sim.port, "username": sim.user, "password": sim.password, "ssl": False, "auth": "ntlm"}
    with wsman.WSMan("127.0.0.1", encryption="always", no_proxy=True, **options) as other:
        keys = wsman.SelectorSet()
        keys.add_option("DeviceID", "C:")
        found = other.get(f"{CIMV2}/Win32_LogicalDisk", selector_set=keys)
    assert found.findtext(f".//{{{CIMV2}/Win32_LogicalDisk}}FileSystem") == "NTFS"
    assert sim.record.clear == 0
