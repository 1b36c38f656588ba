"""Policies as network filters and metadata: what is written, and that it is read back exactly."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperkit import AclRule, InvalidRequest, IsolationPolicy

pytest.importorskip("libvirt")
from hyperkit.backends.libvirt import nic_policy
from hyperkit.backends.libvirt.filters import filter_element, filter_name, rules
from hyperkit.backends.libvirt.nic_policy import KnownNic
from hyperkit.backends.libvirt.wiring import Wire, plug, wire

VLANS = st.integers(1, 4094)
RULES = st.builds(
    AclRule,
    st.sampled_from(["allow", "deny"]),
    st.sampled_from(["in", "out"]),
    st.sampled_from(["any", "tcp", "udp", "icmp"]),
    st.sampled_from([None, "10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32"]),
)
POLICIES = st.builds(
    IsolationPolicy,
    spoof_guard=st.just(True),
    addresses=st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]), unique=True),
    dhcp_guard=st.booleans(),
    router_guard=st.booleans(),
    isolated=st.booleans(),
    rules=st.lists(RULES, unique=True, max_size=4),
)
KNOWN = st.builds(
    KnownNic,
    st.none() | VLANS,
    st.lists(VLANS, unique=True).map(sorted).map(tuple),
    POLICIES,
    st.none() | st.just("clean-traffic"),
)


@given(KNOWN)
def test_what_is_remembered_of_a_card_is_read_back_exactly(known: KnownNic) -> None:
    text = ET.tostring(nic_policy.element("ua-nic-1", known), "unicode")
    assert nic_policy.read(ET.fromstring(text)) == known


@given(POLICIES, st.none() | VLANS, st.lists(VLANS, unique=True, max_size=3))
def test_what_a_card_is_given_is_what_it_has(policy: IsolationPolicy, vlan: int | None, trunk: list[int]) -> None:
    known = KnownNic(vlan, tuple(sorted(set(trunk) - {vlan})), policy)
    nic = card()
    plug(nic, "id", {"id": Wire("lan")}, privileged=True)
    wire(nic, known, filter_name("vm", "ua-nic-1"))
    assert nic_policy.present(nic, known) == known
    plug(nic, None, {}, privileged=True)
    wire(nic, known, filter_name("vm", "ua-nic-1"))
    assert nic.find("vlan") is None
    assert nic.find("port") is None
    assert nic_policy.present(nic, known) == known  # kept for the next switch


def card(inner: str = "") -> Any:
    return ET.fromstring(f"<interface type='network'><mac address='52:54:00:00:00:01'/>{inner}</interface>")


def test_a_filter_that_somebody_took_away_guards_nothing_any_more() -> None:
    known = KnownNic(policy=IsolationPolicy(spoof_guard=True, isolated=True))
    assert nic_policy.present(card("<port isolated='yes'/>"), known).policy == IsolationPolicy(isolated=True)
    assert nic_policy.present(card(), known).policy == IsolationPolicy()


def test_what_others_gave_a_card_is_told_and_kept() -> None:
    theirs = "<filterref filter='theirs'><parameter name='IP' value='1.2.3.4'/></filterref>"
    nic = card(f"<port isolated='yes'/><vlan><tag id='7'/></vlan>{theirs}")
    known = nic_policy.present(nic, None)
    assert known == KnownNic(7, (), IsolationPolicy(isolated=True), "theirs")
    guarded = KnownNic(7, (), IsolationPolicy(spoof_guard=True), "theirs")
    wire(nic, guarded, "hyperkit-x")
    assert nic.find("filterref[@filter='hyperkit-x']/parameter[@name='IP']") is not None
    assert nic_policy.present(nic, guarded) == guarded
    wire(nic, known, "hyperkit-x")
    assert nic.find("filterref[@filter='theirs']/parameter[@name='IP']") is not None


@pytest.mark.parametrize(
    "entry",
    [
        "<rule action='maybe' direction='in'/>",
        "<rule action='deny' direction='in' remote='x'/>",
        "<address>x</address>",
    ],
)
def test_an_entry_that_nobody_understands_hides_no_vm(entry: str) -> None:
    text = f"<nic xmlns='urn:hyperkit:vm:1' id='n' guards='spoof'>{entry}</nic>"
    assert nic_policy.read(ET.fromstring(text)) is None


def test_a_filter_is_named_after_ids_and_is_the_same_one_each_time() -> None:
    name = filter_name("11111111-2222-4333-8444-555555555555", "52:54:00:00:00:01#2")
    assert name == "hyperkit-11111111-2222-4333-8444-555555555555-5254000000012"
    first, second = (filter_element(name, policy) for policy in (IsolationPolicy(spoof_guard=True), IsolationPolicy()))
    assert first.findtext("uuid") == second.findtext("uuid")
    assert filter_element("hyperkit-other", IsolationPolicy()).findtext("uuid") != first.findtext("uuid")


def test_theirs_is_called_and_ours_accepts_nothing() -> None:
    """An accepted frame would never get to their filter."""
    policy = IsolationPolicy(
        spoof_guard=True,
        addresses=["192.0.2.1", "2001:db8::1"],
        dhcp_guard=True,
        router_guard=True,
        rules=[AclRule("allow", "in")],
    )
    tree = filter_element("hyperkit-x", policy, "clean-traffic")
    assert tree.find("filterref[@filter='clean-traffic']") is not None
    assert {rule.get("action") for rule in tree.iterfind("rule")} == {"drop", "return"}
    priorities = [int(rule.get("priority", "")) for rule in tree.iterfind("rule")]
    assert priorities == sorted(set(priorities))


def test_rules_for_what_arrives_say_nothing_of_what_leaves() -> None:
    lines = list(rules(IsolationPolicy(rules=[AclRule("deny", "in", "tcp", remote="10.0.0.0/8", port=22)])))
    assert (
        "drop",
        "in",
        "ip",
        {"srcipaddr": "10.0.0.0", "srcipmask": "8", "protocol": "tcp", "dstportstart": "22"},
    ) in lines
    assert [line for line in lines if line[0] == "drop" and line[2] in ("ip", "ipv6")] == lines[-1:]


def test_a_policy_that_no_filter_can_hold_is_refused() -> None:
    many = IsolationPolicy(
        spoof_guard=True,
        addresses=[f"10.0.{n // 200}.{n % 200 + 1}" for n in range(50)],
        rules=[AclRule("allow", "out", "tcp", port=port) for port in range(1, 51)],
    )
    with pytest.raises(InvalidRequest, match="at most 2000") as caught:
        filter_element("hyperkit-x", many)
    assert caught.value.field == "policy"
