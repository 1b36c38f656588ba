"""Short ids of guests and vSphere's own."""

from __future__ import annotations

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from pyVmomi import vim

from hyperkit.backends.esxi import guest_ids


@pytest.mark.parametrize(
    ("hint", "version", "guest_id"),
    [
        ("", "8.0.1.0", "otherGuest64"),
        ("debian12", "8.0.1.0", "debian12_64Guest"),
        ("debian12", "7.0.3.0", "debian11_64Guest"),
        ("debian12", "6.5", "debian10_64Guest"),
        ("debian14", "8.0.0.0", "debian12_64Guest"),
        ("ubuntu24.04", "6.5", "ubuntu64Guest"),
        ("rhel9.4", "7.0.1.0", "rhel9_64Guest"),
        ("rhel9.4", "6.7", "rhel8_64Guest"),
        ("centos-stream9", "8.0.0.0", "centos9_64Guest"),
        ("rocky9", "7.0.0.0", "centos8_64Guest"),
        ("almalinux9", "8.0.0.0", "almalinux_64Guest"),
        ("sles15sp5", "6.7", "sles15_64Guest"),
        ("win2k22", "7.0.1.0", "windows2019srvNext_64Guest"),
        ("win2k22", "6.5", "windows9Server64Guest"),
        ("win2k12r2", "6.5", "windows8Server64Guest"),
        ("win11", "7.0.3.0", "windows9_64Guest"),
        ("win11", "8.0.0.0", "windows11_64Guest"),
        ("alpinelinux3.20", "8.0.0.0", "otherGuest64"),
        ("dosguest", "6.5", "dosGuest"),
        ("debian12_64guest", "6.5", "debian10_64Guest"),
    ],
)
def test_a_hint_is_the_newest_of_its_family_that_the_host_knows(hint: str, version: str, guest_id: str) -> None:
    assert guest_ids.guest_id(hint, version) == guest_id
    assert guest_id in vim.vm.GuestOsDescriptor.GuestOsIdentifier.values
    # And it comes back as it was given, whatever of it had to be kept.
    assert guest_ids.hint(guest_id, guest_ids.worth_keeping(hint, guest_id)) == hint


def test_a_hint_is_kept_only_where_vspheres_id_says_less() -> None:
    assert guest_ids.worth_keeping("debian12", "debian12_64Guest") == ""
    assert guest_ids.worth_keeping("debian12", "debian11_64Guest") == "debian12"
    assert guest_ids.worth_keeping("", "otherGuest64") == ""


def test_an_id_that_somebody_chose_since_is_told_instead_of_the_hint() -> None:
    assert guest_ids.hint("windows9_64Guest", "debian12") == "win10"
    assert guest_ids.hint("solaris9Guest", "debian12") == "solaris9guest"


def test_every_id_of_the_table_is_one_of_vspheres() -> None:
    known = set(vim.vm.GuestOsDescriptor.GuestOsIdentifier.values)
    assert {each for family in guest_ids._FAMILIES for _, each, _ in family} <= known
