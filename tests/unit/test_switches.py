"""VLAN and policy of a switch, as a caller sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hyperkit import InvalidRequest, IsolationPolicy, NicSpec, NotFound, StaticLease, Switch, SwitchKind, Unsupported
from hyperkit.testing import fake_host
from tests.unit.support import counted

GUARDED = IsolationPolicy(spoof_guard=True)


def test_a_switch_has_a_policy_and_a_vlan_and_gets_others() -> None:
    with fake_host(profile="esxi") as fake:
        lan = fake.host.switches.create("lan", "external", uplink="eth0", vlan=7, policy=GUARDED)
        assert (lan.vlan, lan.policy) == (7, GUARDED)
        vm = fake.host.vms.create("web1", nics=[NicSpec(lan)]).start()
        assert lan.configure(vlan=8) is lan
        assert (lan.vlan, lan.policy) == (8, GUARDED)
        lan.configure(policy=IsolationPolicy(promiscuous=True))
        assert (lan.vlan, lan.policy.spoof_guard, lan.policy.promiscuous) == (8, False, True)
        lan.configure(vlan=0, policy=IsolationPolicy())
        assert (lan.vlan, lan.policy) == (None, IsolationPolicy())
        assert lan.refresh().vms() == [vm]
        assert fake.host.switches.find(policy=IsolationPolicy()) == [lan]


def test_what_is_not_named_stays() -> None:
    host, calls = counted()
    lease = StaticLease("52:54:00:00:00:01", "192.168.150.9")
    lan = host.switches.create("lan", "internal", subnet="192.168.150.0/24", leases=[lease], policy=GUARDED)
    assert lan.configure(leases=[]).policy == GUARDED
    lan.configure(leases=[lease])
    assert lan.configure(policy=IsolationPolicy()).leases == (lease,)
    calls.clear()
    assert lan.configure() is lan
    assert calls == []


MISTAKES: list[tuple[Callable[[Switch], object], str, str]] = [
    (lambda lan: lan.configure(vlan=4095), "vlan", "at most 4094"),
    (lambda lan: lan.configure(vlan="7"), "vlan", "a whole number"),  # type: ignore[arg-type]
    (lambda lan: lan.configure(vlan=7), "vlan", "only a switch with openvswitch=True carries VLANs"),
    (lambda lan: lan.configure(policy=True), "policy", "an IsolationPolicy"),  # type: ignore[arg-type]
    (
        lambda lan: lan.configure(policy=IsolationPolicy(spoof_guard=True, isolated=True)),
        "policy",
        "spoof_guard and promiscuous; the rest is a NIC's own policy",
    ),
    (lambda lan: lan.configure(policy=IsolationPolicy(dhcp_guard=True), vlan=0), "policy", "a NIC's own policy"),
]


@pytest.mark.parametrize(("mistake", "field", "told"), MISTAKES)
def test_mistakes_are_told_and_nothing_changes(mistake: Callable[[Switch], object], field: str, told: str) -> None:
    host, calls = counted()
    lan = host.switches.create("lan")
    calls.clear()
    with pytest.raises(InvalidRequest, match=told) as refused:
        mistake(lan)
    assert refused.value.field == field
    assert set(calls) <= {"switches.get"}


@pytest.mark.parametrize(
    ("capability", "fields"),
    [
        ("switch_vlan_change", {"vlan": 0}),
        ("switch_spoof_guard", {"policy": GUARDED}),
        ("switch_promiscuous", {"policy": IsolationPolicy(promiscuous=True)}),
    ],
)
def test_hosts_that_cannot(capability: str, fields: dict[str, Any]) -> None:
    with fake_host(profile="libvirt") as fake:
        lan = fake.host.switches.create("lan")
        with pytest.raises(Unsupported) as refused:
            lan.configure(**fields)
        assert refused.value.capability == capability
        if "policy" in fields:
            with pytest.raises(Unsupported, match=capability):
                fake.host.switches.create("other", SwitchKind.PRIVATE, **fields)


def test_a_switch_that_is_gone_is_not_changed() -> None:
    host, _ = counted()
    lan = host.switches.create("lan")
    host.switches.one("lan").delete()
    with pytest.raises(NotFound):
        lan.configure(policy=GUARDED)
