"""Network cards."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

import attrs

from hyperkit import checks
from hyperkit.checks import as_tuple as _tuple
from hyperkit.specs.given import name_of
from hyperkit.specs.isolation import OPEN, IsolationPolicy


def _trunk(values: Iterable[int]) -> tuple[int, ...]:
    return _tuple(values)


def _trunk_or_none(values: Iterable[int] | None) -> tuple[int, ...] | None:
    return None if values is None else _trunk(values)


@attrs.frozen(slots=False)
class NicSpec:
    """One network card.

    Attributes:
        switch: name or id of the switch it is plugged into; None leaves the cable out.
        mac: its address; None lets the host choose. Any usual way of writing one, kept as ``52:54:00:12:34:56``.
        model: the card the guest sees, in the host's words (``virtio``, ``e1000e``, ``vmxnet3``); None is the
            host's default.
        vlan: access VLAN, 1 to 4094; None is its switch's. With `trunk`, the native VLAN: that of untagged frames.
        link_up: whether the cable carries a signal.
        trunk: VLANs that pass with their tags; kept in ascending order.
        policy: what passes at all.
    """

    switch: str | None = attrs.field(default=None, converter=name_of)
    mac: str | None = None
    model: str | None = None
    vlan: int | None = None
    link_up: bool = True
    trunk: tuple[int, ...] = attrs.field(default=(), converter=_trunk, kw_only=True)
    policy: IsolationPolicy = attrs.field(default=OPEN, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.switch is not None:
            checks.label("switch", self.switch)
        if self.mac is not None:
            object.__setattr__(self, "mac", checks.mac("mac", self.mac))
        named = isinstance(self.model, str) and re.fullmatch(r"[a-zA-Z0-9._-]{1,32}", self.model)
        if self.model is not None and not named:
            checks.refuse("model", self.model, "the name of a card, such as 'virtio' or 'e1000e'")
        if self.vlan is not None:
            checks.vlan("vlan", self.vlan)
        checks.flag("link_up", self.link_up)
        if self.trunk:
            object.__setattr__(self, "trunk", check_trunk(self.trunk, self.vlan))
        checks.one_of("policy", self.policy, IsolationPolicy, ["IsolationPolicy(...)"])


@attrs.frozen(slots=False, kw_only=True)
class NicChange:
    """What is to be different about a NIC; None leaves a field as it is.

    Attributes:
        switch: the switch to plug it into instead, by name or id; an empty string pulls the cable out.
        mac: another address.
        link_up: whether the cable carries a signal.
        vlan: another access VLAN, or native one; 0 for none of its own.
        trunk: other tagged VLANs; an empty tuple for none.
        policy: another policy; `OPEN` lets everything through.
    """

    switch: str | None = None
    mac: str | None = None
    link_up: bool | None = None
    vlan: int | None = None
    trunk: tuple[int, ...] | None = attrs.field(default=None, converter=_trunk_or_none)
    policy: IsolationPolicy | None = None

    def __attrs_post_init__(self) -> None:
        if self.switch is not None and self.switch != "":
            checks.label("switch", self.switch)
        if self.mac is not None:
            object.__setattr__(self, "mac", checks.mac("mac", self.mac))
        if self.link_up is not None:
            checks.flag("link_up", self.link_up)
        if self.vlan is not None:
            checks.whole("vlan", self.vlan, least=0, most=4094)
        if self.trunk:
            object.__setattr__(self, "trunk", check_trunk(self.trunk, self.vlan))
        if self.policy is not None:
            checks.one_of("policy", self.policy, IsolationPolicy, ["IsolationPolicy(...)"])


def check_trunk(trunk: tuple[object, ...], vlan: object) -> tuple[int, ...]:
    """The tagged VLANs, in ascending order. The native one is untagged, so that it is not among them."""
    for index, value in enumerate(trunk):
        checks.vlan(f"trunk[{index}]", value)
    if len(set(trunk)) != len(trunk) or vlan in trunk:
        checks.refuse("trunk", trunk, "each VLAN once, and not the native one (vlan), whose frames have no tag")
    return tuple(sorted(cast("tuple[int, ...]", trunk)))
