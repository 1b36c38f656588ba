"""Checks of single values, shared by the specs; each names the field, the value and what would do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum, StrEnum
from typing import Any, NoReturn, TypeVar, cast

from hyperkit.errors import InvalidRequest
from hyperkit.ids import is_unicast, normalize_mac
from hyperkit.units import MiB, format_size

E = TypeVar("E", bound=Enum)
S = TypeVar("S", bound=StrEnum)

# Refused everywhere, so that a script which works on one host works on the next: what one of the three
# hypervisors, its file names or the XML and WQL behind it would choke on.
_BAD_IN_NAME = re.compile(r"""[\x00-\x1f\x7f-\x9f<>&'"/\\|*?:\u2028\u2029\ud800-\udfff\ufffe\uffff]""")
_BAD_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
NAME_LENGTH = 80
"""Characters at most; the smallest limit of the three hypervisors (vSphere's)."""
NAME_BYTES = 200
"""Bytes at most: what leaves room for an extension in a file name of 255."""


def meant(kind: type[S], value: S | str) -> S:
    """The member that a text means. What means none is left for the check, which names the field."""
    if isinstance(value, kind):
        return value
    try:
        return kind(value)
    except ValueError:
        return cast(S, value)


def as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    """What was given as a list. A string is iterable too, and ``disks="a.qcow2"`` is not nine disks of a letter."""
    return (values,) if isinstance(values, (str, bytes)) or not isinstance(values, Iterable) else tuple(values)


def refuse(field: str, value: object, wanted: str) -> NoReturn:
    """Raise `InvalidRequest` in the one form all checks share."""
    raise InvalidRequest(f"{field}={value!r} is not accepted: {wanted}", field=field, value=value)


@contextmanager
def part_of(whole: str) -> Iterator[None]:
    """Name what is refused in here as a part: the ``size`` of ``disks[0]`` as ``disks[0].size``."""
    try:
        yield
    except InvalidRequest as error:
        if error.field and not error.field.startswith(whole):
            if error.message.startswith(error.field):
                error.args = (f"{whole}.{error.message}", *error.args[1:])
            error.field = f"{whole}.{error.field}"
        raise


def name(field: str, value: object) -> None:
    """A label for a VM, switch, snapshot or volume."""
    if not isinstance(value, str):
        refuse(field, value, "a name is a string")
    if not value or value != value.strip() or value in (".", ".."):
        refuse(field, value, "a name is not empty, not a dot, and has no space at its ends")
    if len(value) > NAME_LENGTH:
        refuse(field, value, f"a name has at most {NAME_LENGTH} characters")
    bad = _BAD_IN_NAME.search(value)
    if not bad and len(value.encode()) > NAME_BYTES:
        refuse(field, value, f"a name has at most {NAME_BYTES} bytes in UTF-8, since files are named after it")
    if bad:
        refuse(field, value, f"a name may not contain {bad[0]!r} (nor any of <>&'\"/\\|*?: or control characters)")


def label(field: str, value: object) -> None:
    """The name or id of something that exists: whoever made it may have had other rules for names."""
    if not isinstance(value, str) or not value or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        refuse(field, value, "a name or id is a string that is not empty and has no control characters")


def text(field: str, value: object) -> None:
    """Free text such as notes: anything XML can carry, newlines included."""
    if not isinstance(value, str):
        refuse(field, value, "text is a string")
    bad = _BAD_IN_TEXT.search(value)
    if bad:
        refuse(field, value, f"text may not contain the character {bad[0]!r}")


def path(field: str, value: object) -> None:
    """A file's place, in the host's own vocabulary."""
    if not isinstance(value, str) or not value:
        refuse(field, value, "a path is a string that is not empty (str(path) makes one of a pathlib.Path)")
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        refuse(field, value, "a path may not contain control characters")


def whole(field: str, value: object, *, least: int, most: int | None = None) -> None:
    """A whole number within bounds; a bool is not a number here."""
    if type(value) is not int:
        refuse(field, value, "a whole number")
    if value < least or (most is not None and value > most):
        refuse(field, value, f"at least {least}" + ("" if most is None else f" and at most {most}"))


def size(field: str, value: object, *, least: int, multiple: int = 1) -> None:
    """A size in bytes; one that looks like megabytes or gigabytes is met with the likely intention."""
    if type(value) is not int:
        refuse(field, value, "a size is a whole number of bytes, such as 4 * GiB or parse_size('4 GiB')")
    if value < least:
        meant = f"; sizes are in bytes: did you mean {value} * MiB?" if 0 < value < MiB else ""
        refuse(field, value, f"at least {format_size(least)}{meant}")
    if value % multiple:
        refuse(field, value, f"a multiple of {format_size(multiple)}")


def timeout(value: object) -> None:
    """Seconds to wait at most."""
    if value is not None and not (type(value) in (int, float) and cast("float", value) >= 0):
        refuse("timeout", value, "seconds, at least 0; None waits for ever")


def vlan(field: str, value: object) -> None:
    """The number of a VLAN: 0 and 4095 have other meanings in IEEE 802.1Q."""
    whole(field, value, least=1, most=4094)


def flag(field: str, value: object) -> None:
    """A bool, not something merely truthy: ``"no"`` must not switch secure boot on."""
    if type(value) is not bool:
        refuse(field, value, "True or False")


def mac(field: str, value: object) -> str:
    """A unicast MAC address, normalised."""
    normal = normalize_mac(value) if isinstance(value, str) else None
    if normal is None:
        refuse(field, value, "a MAC address such as '52:54:00:12:34:56'")
    if not is_unicast(normal):
        refuse(field, value, "a NIC's MAC address is unicast: its first byte is even")
    return normal


def one_of(field: str, value: object, kinds: type[object], names: Iterable[str]) -> None:
    """An instance of ``kinds`` (an enum, a spec class)."""
    if not isinstance(value, kinds):
        if not issubclass(kinds, Enum):
            _refuse_instance(field, value, kinds)
        refuse(field, value, f"one of {', '.join(names)}")


def member(field: str, value: object, kind: type[E]) -> E:
    """A member of an enumeration, also where its text is given: ``"internal"`` for `SwitchKind.INTERNAL`."""
    try:
        return kind(value)
    except ValueError:
        refuse(field, value, f"one of {', '.join(repr(each.value) for each in kind)}")


def all_are(field: str, values: tuple[object, ...], kind: type[object]) -> None:
    """A tuple that holds only ``kind``: ``disks=[20 * GiB]`` is told to write a `DiskSpec`."""
    for index, value in enumerate(values):
        if not isinstance(value, kind):
            if issubclass(kind, Enum):
                member(f"{field}[{index}]", value, kind)
            _refuse_instance(f"{field}[{index}]", value, kind)


_TEXT_IN = {
    "NicSpec": "NicSpec({!r})",
    "DiskSpec": "DiskSpec(path={!r})",
    "KernelBoot": "KernelBoot({!r})",
    "ContainerSpec": "ContainerSpec(root={!r})",
}
"""Where a plain text, or the name of an object, was most likely meant to be."""


def _refuse_instance(field: str, value: object, kind: type[object]) -> NoReturn:
    """Say which class is wanted and how the value may have been meant."""
    name = kind.__name__
    plain = getattr(value, "name", value)
    meant = ""
    if isinstance(plain, str) and name in _TEXT_IN:
        meant = f"; did you mean {_TEXT_IN[name].format(plain)}?"
    elif type(value) is int and name == "DiskSpec":
        meant = f"; did you mean DiskSpec(size={value})?"
    # What a container was to be has its environment in it, and that may be secret.
    shown = type(value).__name__ if name == "ContainerSpec" and isinstance(value, Iterable) and not meant else value
    refuse(field, shown, f"{'an' if name[0] in 'AEIOU' else 'a'} {name}(...){meant}")
