"""Queries in WQL, in which no text of a user's is ever pasted: literals are escaped, names are checked."""

from __future__ import annotations

import re

from hyperkit.backends.hyperv.wsman.cim import Reference
from hyperkit.checks import refuse

_NAME = re.compile(r"[A-Za-z_]\w*")
_REFUSED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def literal(text: str) -> str:
    r"""A string in quotes, in which ``\`` and ``'`` are escaped.

    Raises:
        InvalidRequest: it has characters that no XML can carry.
    """
    if _REFUSED.search(text):
        refuse("query", text, "text without control characters")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def equal(name: str, value: str | int) -> str:
    """A condition: this property has this value. Strings are compared without case."""
    return f"{_name(name)} = {value if isinstance(value, int) else literal(value)}"


def begins(name: str, prefix: str) -> str:
    """A condition: this property begins with this text, whatever wildcards are in it."""
    pattern = re.sub(r"([%_\[])", r"[\1]", prefix)
    return f"{_name(name)} like {literal(pattern + '%')}"


def any_of(*conditions: str) -> str:
    """A condition: one of these is true."""
    return f"({' or '.join(conditions)})"


def select(class_name: str, *conditions: str) -> str:
    """All instances of a class, and of those derived from it, of which all of these conditions are true."""
    where = f" where {' and '.join(conditions)}" if conditions else ""
    return f"select * from {_name(class_name)}{where}"  # noqa: S608  of names and literals that were checked


def associators(of: Reference, *, through: str = "", result: str = "") -> str:
    """What is associated with an instance: by this class of association, of that class."""
    limits = [f"AssocClass={_name(through)}"] if through else []
    limits += [f"ResultClass={_name(result)}"] if result else []
    return f"associators of {of.query}{' where ' if limits else ''}{' '.join(limits)}"


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name in WQL")  # a mistake of ours: no user says it
    return name
