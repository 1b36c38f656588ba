"""What a conformance test claims: one line of the contract, and what a bed needs for the test to say anything."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import attrs

from hyperkit.capabilities import Capabilities
from hyperkit.driver import PORTS, operations

if TYPE_CHECKING:
    from hyperkit.testing.beds import Bed

Test = TypeVar("Test", bound=Callable[..., None])

FACTS = {
    "base_image": "an image that disks can be based on",
    "kernel": "a kernel to boot directly",
    "iso": "an ISO",
    "other_iso": "a second ISO",
    "directory": "the path of a directory",
    "uplink": "an uplink for an external switch",
    "open_vswitch": "a bridge of Open vSwitch",
    "bus": "a bus for disks that is not the default one",
    "nic_model": "a model of NIC that is not the default one",
    "container": "a root directory that a container can be started from",
    "guest": "a VM with a guest that obeys",
    "deaf": "a VM whose guest ignores a shutdown",
    "content": "a back door to the content of disks",
    "boots": "a back door that tells the boots of its guest apart",
    "inside": "a way into its guest",
    "commands": "commands that its guest can run",
    "asks": "a back door that lets a VM ask a question",
    "leaves_behind": "a back door that leaves files of deleted snapshots behind",
    "freezable": "a VM whose guest has a file system to freeze",
}
"""What a test may need of a bed besides capabilities: attributes of `Bed` that may be None, in words."""


@attrs.frozen
class Behaviour:
    """One line of a port's docstring, and its test.

    Attributes:
        operation: the contract's name of the method, such as ``vms.create``.
        text: the line's words.
        test: the test function's name.
        requires: capabilities that the host must have: all of them; ``a|b`` is either, ``!a`` is not.
        facts: what the bed must have, from `FACTS`.
    """

    operation: str
    text: str
    test: str
    requires: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()

    def unmet(self, bed: Bed) -> str | None:
        """Why this bed's host cannot be asked for this, in words; None if it can."""
        capabilities = bed.host.capabilities
        for need in self.requires:
            if not any(_is_met(name, capabilities) for name in need.split("|")):
                return _in_words(need, capabilities)
        lacking = next((fact for fact in self.facts if getattr(bed, fact) in (None, False)), None)
        return f"the bed has no {lacking}: {FACTS[lacking]}" if lacking else None


_claims: dict[Callable[..., None], Behaviour] = {}


def behaviour(
    operation: str, text: str, *, requires: Sequence[str] = (), facts: Sequence[str] = ()
) -> Callable[[Test], Test]:
    """Say which line of the contract a test is the test of."""
    _check_words(requires, facts)

    def claim(test: Test) -> Test:
        _claims[test] = Behaviour(operation, text, test.__name__, tuple(requires), tuple(facts))
        return test

    return claim


def claim_of(test: object) -> Behaviour | None:
    """The behaviour that a test function claims; None for every other function."""
    return _claims.get(test) if callable(test) else None


def contract() -> dict[str, tuple[str, ...]]:
    """The behaviour lines of `hyperkit.driver`, by operation, each on one line."""
    return {
        f"{port}.{method}": tuple(_lines(inspect.getdoc(getattr(cls, method)) or ""))
        for port, cls in PORTS.items()
        for method in operations(port)
    }


def _lines(docstring: str) -> Iterator[str]:
    """The bullets below ``Behaviour:``, which may run over several lines of the docstring."""
    _, _, section = docstring.partition("Behaviour:\n")
    bullet = ""
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        text = line.strip()
        if text.startswith("* "):
            if bullet:
                yield bullet
            bullet = text.removeprefix("* ")
        elif text:
            bullet += f" {text}"
    if bullet:
        yield bullet


def _check_words(requires: Sequence[str], facts: Sequence[str]) -> None:
    known = {field.name for field in attrs.fields(Capabilities)}
    for need in requires:
        for name in need.split("|"):
            if name.removeprefix("!") not in known:
                raise ValueError(f"requires={need!r}: there is no capability {name.removeprefix('!')!r}")
    for fact in facts:
        if fact not in FACTS:
            raise ValueError(f"facts={fact!r}: a bed has {', '.join(FACTS)}")


def _is_met(name: str, capabilities: Capabilities) -> bool:
    if name.startswith("!"):
        return not getattr(capabilities, name[1:])
    return bool(getattr(capabilities, name))


def _in_words(need: str, capabilities: Capabilities) -> str:
    """The capability's own words: ``cannot pause a VM (capability 'pause')``."""
    words = []
    for name in need.split("|"):
        metadata = getattr(attrs.fields(Capabilities), name.removeprefix("!")).metadata
        if name.startswith("!"):
            words.append(f"{metadata['question']} Yes (capability {name[1:]!r})")
        elif "cannot" in metadata:
            reason = f": {capabilities.why[name]}" if name in capabilities.why else ""
            words.append(f"it cannot {metadata['cannot']} (capability {name!r}){reason}")
        else:
            words.append(f"it states no {name}")
    return ", and ".join(words)
