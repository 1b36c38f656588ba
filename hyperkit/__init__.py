"""hyperkit: one object model for virtual machines, whichever hypervisor runs them.

::

    import hyperkit
    from hyperkit import DiskSpec, GiB

    with hyperkit.connect("qemu:///system") as host:
        vm = host.vms.create("web1", cpus=2, memory=4 * GiB, disks=[DiskSpec(size=20 * GiB)])
        vm.start()

Importing this loads nothing yet, since it is imported where nobody may ever use it: by pytest for its plugin, by a
command that only prints its help. The first public name that is used loads them all (`hyperkit.api`), which takes attrs
and the standard library, nothing of any vendor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hyperkit.api import *  # noqa: F403
    from hyperkit.api import __all__ as __all__
else:

    def __getattr__(name: str) -> object:
        from importlib import import_module  # noqa: PLC0415
        from importlib.util import find_spec  # noqa: PLC0415

        # "from hyperkit import checks" asks for an attribute before it looks for a module.
        if name == "__path__" or (name[:1] != "_" and find_spec(f"{__name__}.{name}")):
            raise AttributeError(name)
        public = vars(import_module("hyperkit.api"))
        if name != "__all__" and name not in public["__all__"]:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = public[name]
        return public[name]

    def __dir__() -> list[str]:
        from hyperkit import api  # noqa: PLC0415

        return sorted({*globals(), *api.__all__})
