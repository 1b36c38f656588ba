"""For tests of code that uses hyperkit, and of backends: a fake host, faults, a record of calls, conformance.

With pytest there is nothing to import: the plugin brings the fixtures ``hyperkit_host`` and ``hyperkit_fake``. This
package does not need pytest; `hyperkit.testing.conformance` does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperkit.testing.backdoor import Backdoor, Network, PlainBackdoor, Plug, Shape
    from hyperkit.testing.beds import Bed, Image, Machine
    from hyperkit.testing.calls import Call, Calls
    from hyperkit.testing.fake import Fake, fake_host
    from hyperkit.testing.faults import Fault, Faults
    from hyperkit.testing.seeding import seed

__all__ = [
    "Backdoor",
    "Bed",
    "Call",
    "Calls",
    "Commands",
    "Fake",
    "Fault",
    "Faults",
    "Image",
    "Inside",
    "Machine",
    "Network",
    "PlainBackdoor",
    "Plug",
    "Shape",
    "fake_host",
    "seed",
]

# Imported on first use: pytest loads the plugin, and with it this, in every run of everybody who has hyperkit; and it
# can rewrite the suite's assertions only of modules that nobody imported before.
_HOME = {
    **dict.fromkeys(("Backdoor", "Network", "PlainBackdoor", "Plug", "Shape"), "backdoor"),
    **dict.fromkeys(("Bed", "Image", "Machine"), "beds"),
    **dict.fromkeys(("Call", "Calls"), "calls"),
    **dict.fromkeys(("Commands", "Inside"), "inside"),
    **dict.fromkeys(("Fake", "fake_host"), "fake"),
    **dict.fromkeys(("Fault", "Faults"), "faults"),
    "seed": "seeding",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
