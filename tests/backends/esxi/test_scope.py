"""URLs: what of a vCenter they name, and what is said of those that name nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hyperkit.errors import InvalidRequest, NotFound
from tests.beds.vcsim import Vcsim

pytest.importorskip("pyVmomi")
from pyVmomi import vim

from hyperkit.backends.esxi.connection import Connection

Session = Callable[..., Connection]


def at(bed: Vcsim, path: str) -> str:
    return f"vcenter://{bed.user}@{bed.host}:{bed.port}{path}"


def hosts(connection: Connection) -> list[int]:
    return [len(compute.hosts) for compute in connection.scope.computes]


def test_a_host_by_itself_is_all_of_it(esx: Vcsim, session: Session) -> None:
    scope = session(esx).scope
    assert (scope.root.kind, scope.datacenter_path) == ("Folder", "ha-datacenter")
    (compute,) = scope.computes
    assert compute.hosts == ("ha-host",)
    session(esx, f"esxi://{esx.user}@{esx.host}:{esx.port}/")


@pytest.mark.parametrize(
    ("path", "kind", "machines"),
    [
        ("/DC0", "Datacenter", [1, 3]),
        ("/DC0/", "Datacenter", [1, 3]),
        ("/DC1/DC1_C0", "ClusterComputeResource", [3]),
        ("/DC0/DC0_C0/DC0_C0_H1", "HostSystem", [1]),
        ("/DC0/DC0_H0", "ComputeResource", [1]),
        ("/DC0/DC0_H0/DC0_H0", "HostSystem", [1]),
        ("/%44C0", "Datacenter", [1, 3]),
    ],
)
def test_a_path_names_a_part_of_a_vcenter(
    vcenter: Vcsim, session: Session, path: str, kind: str, machines: list[int]
) -> None:
    connection = session(vcenter, at(vcenter, path))
    assert connection.scope.root.kind == kind
    assert sorted(hosts(connection)) == machines
    assert all(compute.pool.startswith("resgroup") for compute in connection.scope.computes)
    assert vcenter.calls().requests == 3


def test_parts_of_a_vcenter_have_identities_of_their_own(vcenter: Vcsim, session: Session) -> None:
    paths = ("/DC0", "/DC1", "/DC0/DC0_C0", "/DC0/DC0_H0")
    assert len({session(vcenter, at(vcenter, path)).identity for path in paths}) == 4
    assert session(vcenter, at(vcenter, "/DC0")).identity == session(vcenter, at(vcenter, "/DC0/")).identity


@pytest.mark.parametrize(
    ("path", "there_is"),
    [
        ("/DC9", "no 'DC9' in this vCenter; it has 'DC0', 'DC1'"),
        ("/DC0/x y", "no 'x y' in 'DC0'; it has 'DC0_C0', 'DC0_H0'"),
        ("/DC0/DC0_C0/DC0_H0", "no 'DC0_H0' in 'DC0_C0'; it has 'DC0_C0_H0', 'DC0_C0_H1', 'DC0_C0_H2'"),
        ("/DC0/DC0_C0/DC0_C0_H0/vm", "no 'vm' in 'DC0_C0_H0'; it has nothing"),
    ],
)
def test_a_path_that_leads_nowhere(vcenter: Vcsim, session: Session, path: str, there_is: str) -> None:
    with pytest.raises(NotFound) as raised:
        session(vcenter, at(vcenter, path.replace(" ", "%20")))
    assert there_is in str(raised.value)
    assert vcenter.control.sessions() == 0


def test_without_a_path_it_is_the_only_datacenter(vcenter: Vcsim, session: Session) -> None:
    with pytest.raises(InvalidRequest, match=r"several datacenters.*/DC0, /DC1"):
        session(vcenter, at(vcenter, ""))
    with Vcsim("vcenter", hosts=0, clusters=0) as small:
        assert session(small, at(small, "")).scope.datacenter_path == "DC0"
        assert session(small, at(small, "/DC0")).scope.computes == ()
    with Vcsim("vcenter", datacenters=0) as empty, pytest.raises(NotFound, match="no datacenter"):
        session(empty, at(empty, ""))


def test_names_with_slashes_and_folders_in_between(session: Session) -> None:
    with Vcsim("vcenter") as bed:
        native: Any = session(bed).native.RetrieveContent()
        folder = native.rootFolder.CreateFolder("all/of it")
        datacenter = folder.CreateDatacenter("it's 100% <new>")
        hosts = datacenter.hostFolder.CreateFolder("rack #1")
        hosts.CreateClusterEx("a b", vim.cluster.ConfigSpecEx())
        path = "/all%2Fof%20it/it's%20100%25%20%3Cnew%3E"
        scope = session(bed, at(bed, path)).scope
        assert scope.datacenter == datacenter._moId
        assert scope.computes == ()  # a cluster without machines runs nothing
        cluster = session(bed, at(bed, f"{path}/rack%20%231/a%20b")).scope
        assert (cluster.root.kind, cluster.computes[0].name) == ("ClusterComputeResource", "a b")
        assert session(bed, at(bed, "/all%2Fof%20it")).scope.datacenter == datacenter._moId
        with pytest.raises(InvalidRequest, match="'rack #1' is a folder: name a cluster or host in it, of 'a b'"):
            session(bed, at(bed, f"{path}/rack%20%231"))


def test_the_scheme_of_the_other_kind_is_refused_before_the_password_is_sent(
    esx: Vcsim, vcenter: Vcsim, session: Session
) -> None:
    with pytest.raises(InvalidRequest, match=rf"is a VMware ESXi: write 'esxi://root@{esx.host}:{esx.port}'"):
        session(esx, at(esx, "/DC0"))
    with pytest.raises(InvalidRequest, match=r"is a VMware vCenter Server: write 'vcenter://.*/Datacenter'"):
        session(vcenter, f"esxi://{vcenter.user}@{vcenter.host}:{vcenter.port}")
    for bed in (esx, vcenter):
        assert bed.calls().methods == {"RetrieveServiceContent": 1}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("esxi://root@esx1/DC0", "it is one machine"),
        ("esxi://root@esx1?thumprint=ab", "unknown option 'thumprint'.*thumbprint"),
        ("vcenter://root@vc?verify=0", "unknown option 'verify'"),
        ("esxi://root@esx1?auth=magic", "auth='magic'.*password, token, sspi"),
        ("esxi:///", "no host"),
    ],
)
def test_urls_that_mean_nothing(esx: Vcsim, session: Session, url: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        session(esx, url)
