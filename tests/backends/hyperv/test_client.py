"""What can be asked of a host, by real pywinrm of a strict simulator: instances, lists, queries, methods, refusals."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("winrm", reason="no Python module winrm (pywinrm)")

from hyperkit.backends.hyperv.wsman import Reference, WSManFault, embedded, faults, wql
from hyperkit.backends.hyperv.wsman.names import CIMV2
from hyperkit.errors import ConnectionLost, InvalidRequest
from tests.backends.hyperv.conftest import Connect
from tests.beds.hyperv_sim import HyperVSim
from tests.beds.hyperv_sim.providers.host import NAME
from tests.beds.hyperv_sim.rows import Ref, Row

SERVICE = Reference("Msvm_VirtualSystemManagementService", {"CreationClassName": "Msvm_VirtualSystemManagementService"})
NASTY = [
    "it's",
    'a "b"',
    "back\\slash",
    "R&D",
    "]]>",
    "a<b>c",
    "two\nlines\ttabbed",
    "größe 漢字 😀",
    "100% [x] _y",
    " ",
]


@pytest.fixture
def client(sim: HyperVSim, connect: Connect) -> Any:
    return connect(sim)


def add_vms(sim: HyperVSim, *names: str, **more: Any) -> None:
    """VMs beside the host, in the class that has both."""
    host = list(sim.repository.all("Msvm_ComputerSystem"))
    rows = [
        Row(
            "Msvm_ComputerSystem",
            {
                "CreationClassName": "Msvm_ComputerSystem",
                "Name": f"00000000-0000-4000-8000-{number:012X}",
                "ElementName": name,
                "EnabledState": 2,
                "OperationalStatus": [2, 32768],
                "InstallDate": datetime(2026, 10, 8, 15, 15, 36, 684240, tzinfo=UTC),
                **more,
            },
        )
        for number, name in enumerate(names, 1)
    ]
    sim.repository.serve("Msvm_ComputerSystem", lambda: [*host, *rows])


# Instances


def test_an_instance_by_its_keys(client: Any) -> None:
    disk = client.get(Reference("Win32_LogicalDisk", {"DeviceID": "C:"}, CIMV2))
    assert (disk.class_name, disk.namespace, disk.number("Size"), disk.text("FileSystem")) == (
        "Win32_LogicalDisk",
        CIMV2,
        500 << 30,
        "NTFS",
    )


def test_some_of_the_keys_are_enough_and_case_does_not_matter(sim: HyperVSim, client: Any) -> None:
    add_vms(sim, "web1")
    found = client.get(Reference("Msvm_ComputerSystem", {"Name": "00000000-0000-4000-8000-000000000001"}))
    assert found.text("ElementName") == "web1"
    host = client.get(Reference("Msvm_ComputerSystem", {"Name": NAME.lower()}))
    assert host.text("Name") == NAME


def test_values_are_what_they_are(sim: HyperVSim, client: Any) -> None:
    add_vms(sim, "web1")
    vm = client.get(Reference("Msvm_ComputerSystem", {"Name": "00000000-0000-4000-8000-000000000001"}))
    assert vm.number("EnabledState") == 2
    assert vm.numbers("OperationalStatus") == (2, 32768)
    assert vm.moment("InstallDate") == datetime(2026, 10, 8, 15, 15, 36, 684240, tzinfo=UTC)
    # A null scalar is nil, a null array is no element, and what nobody has heard of is ignored.
    assert (vm.text("Caption", "none"), vm.number("HealthState"), vm.moment("TimeOfLastStateChange")) == (
        "none",
        None,
        None,
    )
    assert "Caption" in vm
    assert "StatusDescriptions" not in vm
    assert (vm.texts("StatusDescriptions"), vm.numbers("StatusDescriptions")) == ((), ())


def test_an_instance_that_is_not_there(client: Any) -> None:
    with pytest.raises(WSManFault) as caught:
        client.get(Reference("Win32_LogicalDisk", {"DeviceID": "Z:"}, CIMV2))
    assert caught.value.is_not_found
    assert caught.value.wmi == faults.NOT_FOUND


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (Reference("Msvm_NoSuchClass", {"Name": "a"}), faults.INVALID_CLASS),
        (Reference("Msvm_ComputerSystem", {"Name": "a"}, "root/nowhere"), faults.NO_NAMESPACE),
        (Reference("Msvm_ComputerSystem", {"ElementName": "a"}), 0x8033801E),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_code(client: Any, what: Reference, code: int) -> None:
    with pytest.raises(WSManFault) as caught:
        client.get(what)
    assert code in caught.value.codes
    assert f"0x{code:08X}" in str(caught.value)
    assert not caught.value.is_denied


# Lists


@pytest.mark.parametrize("optimizes", [True, False])
@pytest.mark.parametrize(("page", "pages"), [(1000, 1), (7, 3), (1, 21)])
def test_a_list_comes_whole_however_it_is_cut(
    sim: HyperVSim, client: Any, optimizes: bool, page: int, pages: int
) -> None:
    names = [f"vm{number}" for number in range(20)]
    add_vms(sim, *names)
    sim.service.optimizes, sim.service.page = optimizes, page
    with sim.counted() as record:
        found = client.all("Msvm_ComputerSystem")
    assert [each.text("ElementName") for each in found] == [NAME, *names]
    assert record.requests == pages + (0 if optimizes else 1)
    assert sim.service.open_lists == 0


def test_a_list_of_nothing_is_one_request(sim: HyperVSim, client: Any) -> None:
    with sim.counted() as record:
        assert client.all("Msvm_VirtualSystemSettingData") == []
    assert record.requests == 1


def test_a_page_is_no_larger_than_the_envelope(sim: HyperVSim, connect: Connect) -> None:
    add_vms(sim, *(f"vm{number}" for number in range(40)), Caption="x" * 2000)
    client = connect(sim, largest=32_768)
    with sim.counted() as record:
        assert len(client.all("Msvm_ComputerSystem")) == 41
    assert record.requests > 2


def test_an_instance_larger_than_the_envelope_is_a_quota(sim: HyperVSim, connect: Connect) -> None:
    add_vms(sim, "big", Caption="x" * 40_000)
    with pytest.raises(WSManFault) as caught:
        connect(sim, largest=32_768).all("Msvm_ComputerSystem")
    assert caught.value.is_quota


def test_a_list_whose_connection_breaks_is_begun_anew(sim: HyperVSim, client: Any) -> None:
    add_vms(sim, *(f"vm{number}" for number in range(10)))
    sim.service.page = 4
    client.identify()
    sim.mishaps = ["slow", "drop after"]  # of the second page the host has moved on
    assert len(client.all("Msvm_ComputerSystem")) == 11
    sim.mishaps = ["slow", "drop after", "slow", "drop after"]
    with pytest.raises(ConnectionLost):
        client.all("Msvm_ComputerSystem")


def test_who_may_not_see_gets_an_empty_list(sim: HyperVSim, client: Any) -> None:
    sim.service.rights = False
    assert client.all("Msvm_ComputerSystem") == []
    assert len(client.all("Win32_Processor", namespace=CIMV2)) == 2


# Queries


@pytest.mark.parametrize("name", NASTY)
def test_any_name_is_found_by_a_query_and_no_other(sim: HyperVSim, client: Any, name: str) -> None:
    add_vms(sim, name, "other")
    found = client.query(wql.select("Msvm_ComputerSystem", wql.equal("ElementName", name)))
    assert [each.text("ElementName") for each in found] == [name]
    found = client.query(wql.select("Msvm_ComputerSystem", wql.begins("ElementName", name)))
    assert [each.text("ElementName") for each in found] == [name]


def test_conditions(sim: HyperVSim, client: Any) -> None:
    add_vms(sim, "web1", "web2", "db1")

    def names(*conditions: str) -> list[str]:
        return [each.text("ElementName") for each in client.query(wql.select("Msvm_ComputerSystem", *conditions))]

    assert names(wql.begins("ElementName", "web")) == ["web1", "web2"]
    assert names(wql.equal("EnabledState", 2), wql.equal("ElementName", "DB1")) == ["db1"]
    either = wql.any_of(wql.equal("ElementName", "web1"), wql.equal("ElementName", "db1"))
    assert names(either, wql.equal("EnabledState", 2)) == ["web1", "db1"]


def test_an_instance_id_with_backslashes(sim: HyperVSim, client: Any) -> None:
    key = r"Microsoft:0000\83F8\0\0\D"
    sim.repository.serve(
        "Msvm_MemorySettingData",
        lambda: [Row("Msvm_MemorySettingData", {"InstanceID": each}) for each in (key, r"Microsoft:Definition\1")],
    )
    for condition in (wql.equal("InstanceID", key), wql.begins("InstanceID", "Microsoft:0000\\")):
        found = client.query(wql.select("Msvm_MemorySettingData", condition))
        assert [each.text("InstanceID") for each in found] == [key]


def test_what_is_associated(sim: HyperVSim, client: Any) -> None:
    add_vms(sim, "web1")
    name, settings = "00000000-0000-4000-8000-000000000001", r"Microsoft:A\B"
    sim.repository.serve(
        "Msvm_VirtualSystemSettingData", lambda: [Row("Msvm_VirtualSystemSettingData", {"InstanceID": settings})]
    )
    vm = Ref("Msvm_ComputerSystem", {"CreationClassName": "Msvm_ComputerSystem", "Name": name})
    state = Row(
        "Msvm_SettingsDefineState",
        {"ManagedElement": vm, "SettingData": Ref("Msvm_VirtualSystemSettingData", {"InstanceID": settings})},
    )
    sim.repository.serve("Msvm_SettingsDefineState", lambda: [state])
    of = Reference("Msvm_ComputerSystem", dict(vm.keys))
    query = wql.associators(of, through="Msvm_SettingsDefineState", result="Msvm_VirtualSystemSettingData")
    assert [each.text("InstanceID") for each in client.query(query)] == [settings]
    back = wql.associators(Reference("Msvm_VirtualSystemSettingData", {"InstanceID": settings}))
    assert [each.text("ElementName") for each in client.query(back)] == ["web1"]
    (association,) = client.all("Msvm_SettingsDefineState")
    assert association.reference("ManagedElement").identity == of.identity


def test_a_query_that_is_none_is_refused(client: Any) -> None:
    for query in ("select * form Msvm_ComputerSystem", "select * from Msvm_ComputerSystem where Nonsense = 1"):
        with pytest.raises(WSManFault) as caught:
            client.query(query)
        assert 0x80041017 in caught.value.codes


def test_text_that_no_query_can_carry_is_refused_before_any_call() -> None:
    with pytest.raises(InvalidRequest):
        wql.equal("ElementName", "a\0b")
    with pytest.raises(ValueError, match="no name"):
        wql.select("Msvm_ComputerSystem where 1=1")


# Methods


def served(sim: HyperVSim, class_name: str, method: str, code: int = 0, **outputs: Any) -> list[dict[str, Any]]:
    """Have a method of a service note what it was given."""
    seen: list[dict[str, Any]] = []

    def handler(_row: Row, arguments: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        seen.append(arguments)
        return code, outputs

    rows = list(sim.repository.all(class_name))
    sim.repository.serve(class_name, lambda: rows, {method: handler})
    return seen


def test_arguments_of_all_kinds_arrive(sim: HyperVSim, client: Any) -> None:
    seen = served(sim, "Msvm_VirtualSystemManagementService", "DefineSystem")
    settings = embedded.write(
        "Msvm_VirtualSystemSettingData",
        {
            "ElementName": "R&D <'\"]]>",
            "Notes": ["one\ntwo"],
            "AutomaticStartupAction": 4,
            "SecureBootEnabled": False,
            "BootOrder": [0, 1, 2, 3],
        },
    )
    parts = [embedded.write("Msvm_MemorySettingData", {"VirtualQuantity": size}) for size in (512, 1024)]
    vm = Reference("Msvm_VirtualSystemSettingData", {"InstanceID": "Microsoft:A\\B"})
    output = client.invoke(
        SERVICE, "DefineSystem", SystemSettings=settings, ResourceSettings=parts, ReferenceConfiguration=vm
    )
    assert (output.code, output.job, output.goes_on) == (0, None, False)
    (given,) = seen
    assert given["SystemSettings"].values == {
        "ElementName": "R&D <'\"]]>",
        "Notes": ["one\ntwo"],
        "AutomaticStartupAction": 4,
        "SecureBootEnabled": False,
        "BootOrder": [0, 1, 2, 3],
    }
    assert [each.values for each in given["ResourceSettings"]] == [{"VirtualQuantity": 512}, {"VirtualQuantity": 1024}]
    assert given["ReferenceConfiguration"].keys == {"InstanceID": "Microsoft:A\\B"}


@pytest.mark.parametrize("text", NASTY)
def test_any_text_arrives_in_an_embedded_instance(sim: HyperVSim, client: Any, text: str) -> None:
    seen = served(sim, "Msvm_VirtualSystemManagementService", "ModifySystemSettings")
    settings = embedded.write("Msvm_VirtualSystemSettingData", {"InstanceID": "Microsoft:A", "ElementName": text})
    assert client.invoke(SERVICE, "ModifySystemSettings", SystemSettings=settings).code == 0
    assert seen[0]["SystemSettings"].values["ElementName"] == text


def test_what_is_left_out_is_null(sim: HyperVSim, client: Any) -> None:
    seen = served(sim, "Msvm_VirtualSystemManagementService", "DefineSystem")
    client.invoke(SERVICE, "DefineSystem", SystemSettings=None, ReferenceConfiguration=None)
    assert seen == [{}]


def test_a_job_that_goes_on(sim: HyperVSim, client: Any) -> None:
    job = Ref("Msvm_ConcreteJob", {"InstanceID": "J1"})
    vm = Ref("Msvm_ComputerSystem", {"CreationClassName": "Msvm_ComputerSystem", "Name": "A"})
    served(sim, "Msvm_VirtualSystemManagementService", "DefineSystem", 4096, Job=job, ResultingSystem=vm)
    output = client.invoke(SERVICE, "DefineSystem")
    assert output.goes_on
    assert (output.job.class_name, output.job.keys) == ("Msvm_ConcreteJob", {"InstanceID": "J1"})
    assert output.values.reference("ResultingSystem").keys["Name"] == "A"


def test_an_embedded_instance_comes_back(sim: HyperVSim, client: Any) -> None:
    disk = Row("Msvm_VirtualHardDiskSettingData", {"Path": "C:\\a & b.vhdx", "Format": 3, "MaxInternalSize": 1 << 40})
    served(sim, "Msvm_ImageManagementService", "GetVirtualHardDiskSettingData", SettingData=disk)
    service = Reference("Msvm_ImageManagementService", {"CreationClassName": "Msvm_ImageManagementService"})
    output = client.invoke(service, "GetVirtualHardDiskSettingData", Path="C:\\a & b.vhdx")
    found = embedded.read(output.values.text("SettingData"))
    assert (found.class_name, found.text("Path")) == ("Msvm_VirtualHardDiskSettingData", "C:\\a & b.vhdx")
    assert (found.number("MaxInternalSize"), found.text("ParentPath", "none")) == (1 << 40, "none")


def test_instances_come_back(sim: HyperVSim, client: Any) -> None:
    rows = [Row("Msvm_SummaryInformation", {"Name": f"N{n}", "EnabledState": n}) for n in (2, 3)]
    served(sim, "Msvm_VirtualSystemManagementService", "GetSummaryInformation", SummaryInformation=rows)
    output = client.invoke(SERVICE, "GetSummaryInformation", RequestedInformation=[0, 100])
    assert [each.number("EnabledState") for each in output.values.instances("SummaryInformation")] == [2, 3]


@pytest.mark.parametrize(
    ("target", "method", "arguments", "code"),
    [
        (SERVICE, "NoSuchMethod", {}, 0x8004102E),
        (Reference("Msvm_VirtualSystemManagementService"), "DefineSystem", {}, 0x8004102F),
        (SERVICE, "DefineSystem", {"Nonsense": "1"}, 0x80338041),
        (SERVICE, "DefineSystem", {"ReferenceConfiguration": "text"}, 0x80338041),
        (SERVICE, "GetSummaryInformation", {"RequestedInformation": ["x"]}, 0x80338041),
    ],
)
def test_a_call_that_the_class_does_not_have(
    sim: HyperVSim, client: Any, target: Reference, method: str, arguments: dict[str, Any], code: int
) -> None:
    served(sim, "Msvm_VirtualSystemManagementService", "DefineSystem")
    with pytest.raises(WSManFault) as caught:
        client.invoke(target, method, **arguments)
    assert code in caught.value.codes
