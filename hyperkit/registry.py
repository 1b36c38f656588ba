"""Which backend serves a URL's scheme, and how to install what it needs.

Backends of others announce themselves by an entry point in the group ``hyperkit.backends``, named after
their scheme. A vendor's SDK is imported when its scheme is first used, never by ``import hyperkit``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from hyperkit.driver import Backend
from hyperkit.errors import ConnectionFailed, InvalidRequest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "hyperkit.backends"


@attrs.frozen
class Known:
    """A backend that comes with hyperkit: where it is, which modules it needs, and how to get that."""

    target: str
    needs: tuple[str, ...] = ()
    hint: str = ""


_LIBVIRT = Known(
    "hyperkit.backends.libvirt:open",
    ("libvirt",),
    "pip install 'hyperkit[libvirt]'; it is built from source and needs libvirt's headers, pkg-config and a C compiler"
    " (Debian: apt install libvirt-dev pkg-config gcc python3-dev)",
)

_LIBVIRT_SCHEMES = (
    *("qemu", "test", "lxc", "xen", "vbox", "bhyve", "ch", "vz", "openvz"),
    *("vmwareplayer", "vmwarews", "vmwarefusion"),
)
"""Its drivers, but for those of ESX and Hyper-V, to which hyperkit speaks by itself."""

_ESXI = Known("hyperkit.backends.esxi:open", ("pyVmomi", "lxml"), "pip install 'hyperkit[esxi]'")

BUILTIN: Mapping[str, Known] = MappingProxyType(
    {
        "fake": Known("hyperkit.backends.fake:open"),
        **dict.fromkeys(_LIBVIRT_SCHEMES, _LIBVIRT),
        **dict.fromkeys(("esxi", "vcenter"), _ESXI),
    }
)
"""By scheme; a transport after a plus sign (``qemu+ssh``) is the backend's own affair."""


def schemes() -> tuple[str, ...]:
    """Every scheme that `find` knows now."""
    return tuple(sorted({*BUILTIN, *(point.name for point in _others())}))


def find(scheme: str) -> Backend:
    """The function that opens URLs of this scheme.

    Raises:
        InvalidRequest: no backend has this scheme.
        ConnectionFailed: a module that the backend needs is not installed; the error says how to get it.
    """
    base = scheme.partition("+")[0]
    known = BUILTIN.get(base)
    if known is not None:
        return _load(known, base)
    for point in _others(name=base):
        try:
            backend: Backend = point.load()
        except (ImportError, AttributeError) as error:
            raise ConnectionFailed(f"{base}:// is served by {point.value}, which cannot be loaded: {error}") from error
        return backend
    raise InvalidRequest(
        f"no backend for {scheme}://; there are {', '.join(f'{name}://' for name in schemes())}",
        field="url",
        value=scheme,
    )


def _load(known: Known, scheme: str) -> Backend:
    module, _, name = known.target.partition(":")
    try:
        backend: Backend = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name not in known.needs:
            raise
        raise ConnectionFailed(f"{scheme}:// needs the Python module {error.name!r}: {known.hint}") from error
    return backend


def _others(name: str | None = None) -> Iterable[EntryPoint]:
    # Imported here: it takes longer than the rest of this package's beginning, and few need it.
    from importlib.metadata import entry_points  # noqa: PLC0415

    points = entry_points(group=GROUP)
    return points if name is None else points.select(name=name)
