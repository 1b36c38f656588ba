"""Instances, references, embedded instances and faults as texts: what no simulator needs to say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperkit.backends.hyperv.wsman import cim, embedded, faults, xml
from hyperkit.backends.hyperv.wsman.cim import Instance, Reference
from hyperkit.backends.hyperv.wsman.faults import WSManFault
from hyperkit.backends.hyperv.wsman.names import FAULT, SOAP, WMI_ERROR
from hyperkit.errors import BackendError, ConnectionLost, InvalidRequest
from tests.beds.hyperv_sim import embedded as provider
from tests.beds.hyperv_sim import wql as theirs
from tests.beds.hyperv_sim.schema import load

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\r"))


# Object paths


@pytest.mark.parametrize(
    "path",
    [
        r'root/virtualization/v2:Msvm_X.InstanceID="Microsoft:A\\B\\0"',
        r'\\HV1\root\virtualization\v2:Msvm_X.InstanceID="Microsoft:A\\B\\0"',
        r'\\HV1\Root/Virtualization/V2:MSVM_X.InstanceID="microsoft:a\\b\\0"',
    ],
)
def test_spellings_of_one_path_are_one_instance(path: str) -> None:
    found = Reference.parse(path)
    assert found is not None
    assert found.identity == Reference("Msvm_X", {"InstanceID": r"Microsoft:A\B\0"}).identity
    assert found.namespace == "root/virtualization/v2"


def test_a_path_with_several_keys() -> None:
    path = Reference("Msvm_P", {"CreationClassName": "Msvm_P", "DeviceID": 'a"b,c="d'}).path
    found = Reference.parse(path)
    assert found is not None
    assert dict(found.keys) == {"CreationClassName": "Msvm_P", "DeviceID": 'a"b,c="d'}


@pytest.mark.parametrize("text", ["", r"C:\VMs\web1.vhdx", r"\\share\a:b.c", "D:", r"\\HV1\root\x:Y"])
def test_what_is_no_path(text: str) -> None:
    assert Reference.parse(text) is None


@given(TEXTS)
def test_any_key_goes_there_and_back(text: str) -> None:
    reference = Reference("Msvm_X", {"InstanceID": text})
    assert Reference.parse(reference.path) == reference
    assert dict(theirs.object_path(reference.query.strip("{}")).keys) == {"InstanceID": text}


# Times


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-10-08T15:15:36.68424Z", datetime(2026, 10, 8, 15, 15, 36, 684240, tzinfo=UTC)),
        ("2026-10-08T15:15:36Z", datetime(2026, 10, 8, 15, 15, 36, tzinfo=UTC)),
        ("2026-10-08T15:15:36.1234567Z", datetime(2026, 10, 8, 15, 15, 36, 123456, tzinfo=UTC)),
        ("2026-10-08T17:15:36+02:00", datetime(2026, 10, 8, 15, 15, 36, tzinfo=UTC)),
        ("2026-10-08T10:45:36-04:30", datetime(2026, 10, 8, 15, 15, 36, tzinfo=UTC)),
        ("1601-01-01T00:00:00Z", None),
        ("", None),
        ("P0DT0H30M0S", None),
    ],
)
def test_moments(text: str, when: datetime | None) -> None:
    assert cim.moment(text) == when


def test_a_number_that_is_none_names_its_property() -> None:
    with pytest.raises(BackendError, match="EnabledState='on'"):
        Instance("X", {"EnabledState": ["on"]}).number("EnabledState")


# Embedded instances


@given(TEXTS)
def test_the_hosts_parser_reads_any_text(text: str) -> None:
    written = embedded.write("Msvm_VirtualSystemSettingData", {"ElementName": text, "Notes": [text, ""]})
    read = provider.parse(written, ("Msvm_VirtualSystemSettingData",), load())
    assert read.values == {"ElementName": text, "Notes": [text, ""]}


def test_every_property_has_the_type_that_the_host_says() -> None:
    schema = load()
    for name, properties in embedded.TYPES.items():
        kind = schema.find(name)
        assert kind is not None
        ours = {each: text.removesuffix("[]") for each, text in properties.items() if each in kind.properties}
        assert ours == {each: kind.properties[each].name for each in ours}
        arrays = {each for each, text in properties.items() if text.endswith("[]")} & set(kind.properties)
        assert arrays == {each for each in ours if kind.properties[each].array}


def test_a_reference_is_written_as_its_path() -> None:
    parent = Reference("Msvm_ResourceAllocationSettingData", {"InstanceID": r"Microsoft:A\B"})
    written = embedded.write("Msvm_StorageAllocationSettingData", {"Parent": parent, "HostResource": ["C:\\a.vhdx"]})
    read = provider.parse(written, ("CIM_StorageAllocationSettingData",), load())
    assert (
        read.values["Parent"]
        == r'root/virtualization/v2:Msvm_ResourceAllocationSettingData.InstanceID="Microsoft:A\\B"'
    )


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"ElementName": "a\0b"}, InvalidRequest),
        ({"ElementName": 5}, TypeError),
        ({"Notes": "one"}, TypeError),
        ({"ElementName": ["a"]}, TypeError),
        ({"AutomaticStartupAction": "4"}, TypeError),
        ({"AutomaticStartupAction": True}, TypeError),
        ({"SecureBootEnabled": 1}, TypeError),
        ({"Nonsense": "1"}, KeyError),
    ],
)
def test_what_is_not_of_its_type_is_not_written(properties: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        embedded.write("Msvm_VirtualSystemSettingData", properties)


# Hostile answers


def test_document_types_are_refused() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'
    for hostile in (bomb, b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'):
        with pytest.raises(BackendError, match="document type"):
            xml.parse(hostile)
        with pytest.raises(BackendError, match="document type"):
            embedded.read(hostile.decode())


@pytest.mark.parametrize("cut", [b"", b"<a>", b"<a/><b/>", b"\xff\xfe", b"no XML at all"])
def test_what_is_no_xml_is_a_lost_connection(cut: bytes) -> None:
    with pytest.raises(ConnectionLost):
        xml.parse(cut)


def test_an_answer_is_no_larger_than_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "LARGEST", 3)
    with pytest.raises(BackendError, match="more than any"):
        xml.parse(b"<a/>")


# Faults, in the shapes that hosts were seen to send


def fault(detail: str, subcode: str = "w:InternalError") -> WSManFault:
    text = f"""<s:Fault xmlns:s="{SOAP}" xmlns:f="{FAULT}" xmlns:e="{WMI_ERROR}">
        <s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code>
        <s:Reason><s:Text>It failed.</s:Text></s:Reason><s:Detail>{detail}</s:Detail></s:Fault>"""
    with pytest.raises(WSManFault) as caught:
        faults.raise_fault(ET.fromstring(text))
    return caught.value


def test_a_fault_of_wmis_is_in_the_fault_of_winrm() -> None:
    found = fault(
        '<f:WSManFault Code="2150858752" Machine="HV1"><f:Message><f:ProviderFault provider="WMI Provider" path="x">'
        '<f:WSManFault Code="2147749890" Machine="HV1"><f:Message>Nicht gefunden. </f:Message></f:WSManFault>'
        "</f:ProviderFault></f:Message></f:WSManFault>",
        "a:DestinationUnreachable",
    )
    assert (found.codes, found.wmi, found.is_not_found) == ((0x80338000, 0x80041002), 0x80041002, True)
    assert str(found) == "It failed: Nicht gefunden (0x80338000, 0x80041002)"


def test_the_other_shape_says_the_same() -> None:
    found = fault("<e:MSFT_WmiError><e:MessageID>HRESULT 0x80041003</e:MessageID></e:MSFT_WmiError>")
    assert (found.wmi, found.is_denied, found.is_not_found) == (0x80041003, True, False)


@pytest.mark.parametrize("code", ["-2147217406", "2147749890", "0x80041002"])
def test_codes_are_written_in_several_ways(code: str) -> None:
    assert fault(f'<f:WSManFault Code="{code}"><f:Message>x</f:Message></f:WSManFault>').is_not_found


def test_an_unreachable_resource_for_another_reason_is_not_missing() -> None:
    found = fault(
        '<f:WSManFault Code="2150858752"><f:Message><f:WSManFault Code="2147749891"/></f:Message></f:WSManFault>',
        "a:DestinationUnreachable",
    )
    assert (found.is_not_found, found.is_denied) == (False, True)


@pytest.mark.parametrize(
    ("subcode", "code", "told"),
    [
        ("w:TimedOut", 2150858793, "is_timeout"),
        ("w:AccessDenied", 5, "is_denied"),
        ("w:QuotaLimit", 2150859174, "is_quota"),
        ("a:DestinationUnreachable", 2150858752, "is_not_found"),
    ],
)
def test_a_subcode_or_a_number_is_enough(subcode: str, code: int, told: str) -> None:
    assert getattr(fault("", subcode), told)
    assert getattr(fault(f'<f:WSManFault Code="{code}"/>', "w:InternalError"), told)


def test_a_fault_without_anything_says_so() -> None:
    with pytest.raises(WSManFault, match=r"the host refused it \(no code\)"):
        faults.raise_fault(ET.fromstring(f'<s:Fault xmlns:s="{SOAP}"/>'))
