"""The tour, as a newcomer runs it: on the fake, and on a real libvirtd where it boots a real guest."""

from __future__ import annotations

import runpy
import shutil
import ssl
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest

from tests.beds import libvirt_qemu, vcsim

ROOT = Path(__file__).resolve().parent.parent
main: Callable[[Sequence[str]], int] = runpy.run_path(str(ROOT / "examples" / "tour.py"))["main"]
LAST_LINE = "everything that was made is deleted again"


@pytest.mark.parametrize("profile", ["all", "libvirt", "esxi", "hyperv"])
def test_tour_on_the_fake(profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"fake://?profile={profile}"]) == 0
    out = capsys.readouterr().out
    assert out.strip().endswith(LAST_LINE)
    assert "reverted: 1 CPU" in out
    assert ("paused" in out) is (profile != "esxi")


def test_tour_leaves_a_shared_host_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    import hyperkit

    name = f"fake://tour-{uuid.uuid4().hex}"
    assert main([name]) == 0
    host = hyperkit.connect(name)
    assert host.vms.list() == []
    assert host.switches.list() == []
    assert [volume.name for store in host.datastores for volume in store.volumes] == ["debian.qcow2"]
    assert capsys.readouterr().err == ""


def test_a_host_that_cannot_be_reached_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing://here"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("InvalidRequest: no backend for nothing://")
    assert err.count("\n") == 1


@pytest.fixture(scope="module")
def real_host() -> Iterator[libvirt_qemu.LibvirtHost]:
    reasons = libvirt_qemu.missing()
    if reasons:
        pytest.skip(f"no real libvirtd here: {'; '.join(reasons)}")
    with libvirt_qemu.LibvirtHost() as host:
        yield host


def test_tour_boots_a_real_guest_on_a_real_libvirtd(
    real_host: libvirt_qemu.LibvirtHost, capsys: pytest.CaptureFixture[str]
) -> None:
    base = real_host.images / "base.qcow2"
    shutil.copy(libvirt_qemu.guest_image().disk, base)
    assert main([real_host.uri, "--base", str(base)]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "its guest booted and has the address 192.168.213." in out
    assert "taken while it ran, which it still does" in out
    assert "reverted: 1 CPU and 1 disk, as it was" in out
    assert "started from there" in out
    assert out.strip().endswith(LAST_LINE)
    assert [path.name for path in real_host.images.iterdir()] == ["base.qcow2"]
    assert "tour-" not in real_host.run("virsh", "-c", "qemu:///system", "list", "--all", "--name")
    assert "tour-" not in real_host.run("virsh", "-c", "qemu:///system", "net-list", "--all", "--name")


@pytest.mark.parametrize("model", ["esx", "vcenter"])
def test_tour_on_a_simulated_vsphere(model: Literal["esx", "vcenter"], capsys: pytest.CaptureFixture[str]) -> None:
    if reasons := vcsim.missing():
        pytest.skip("; ".join(reasons))
    from hyperkit.backends.esxi.transport import fingerprint

    with vcsim.Vcsim(model) as sim:
        certificate = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((sim.host, sim.port)))
        with_password = sim.hyperkit_url.replace(sim.user, f"{sim.user}:{sim.password}", 1)
        assert main([f"{with_password}?thumbprint={fingerprint(certificate)}"]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "reverted: 1 CPU and 1 disk, as it was" in out
    assert out.strip().endswith(LAST_LINE)
    assert sim.password not in out
