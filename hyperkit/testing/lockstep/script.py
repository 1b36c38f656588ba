"""A step as data: done on each side by the public objects, and printed as the line of a program that it is."""

from __future__ import annotations

import io
from collections.abc import Mapping
from enum import Enum
from typing import Any

import attrs

from hyperkit.units import KiB, MiB

Names = dict[str, Any]
"""What each variable of the script means on one side."""


@attrs.frozen
class Ref:
    """What each side has one of: a variable, then what is reached from it: an attribute, ``call()`` or an index."""

    name: str
    way: tuple[str | int, ...] = ()

    def then(self, *way: str | int) -> Ref:
        """What is reached from here."""
        return Ref(self.name, (*self.way, *way))

    def on(self, names: Names) -> Any:
        """The thing itself, on one side."""
        value = names[self.name]
        for step in self.way:
            if isinstance(step, int):
                value = value[step]
            elif step.endswith("()"):
                value = getattr(value, step[:-2])()
            else:
                value = getattr(value, step)
        return value

    def __str__(self) -> str:
        return self.name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.way)


@attrs.frozen
class New:
    """A spec that is made on each side, since what it names may differ there."""

    kind: type
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.kind.__name__}({_arguments((), self.fields)})"


@attrs.frozen(kw_only=True)
class Step:
    """One call, the same on both sides.

    Attributes:
        what: what it is counted as, such as ``vm.start``.
        target: whose method it is.
        method: which.
        args: its arguments; what is in them may be a `Ref` or `New`.
        fields: its arguments by name.
        result: the variable that keeps what it returns; empty if nothing has to.
        hot: whether it is asked of a VM that is in memory, which is counted apart.
    """

    what: str
    target: Ref
    method: str
    args: tuple[Any, ...] = ()
    fields: Mapping[str, Any] = attrs.field(factory=dict)
    result: str = ""
    hot: bool = False

    @property
    def counted(self) -> str:
        """What it is called in the report."""
        return f"{self.what} (hot)" if self.hot else self.what

    def on(self, names: Names) -> Any:
        """Do it on one side."""
        args = [resolved(value, names) for value in self.args]
        fields = {name: resolved(value, names) for name, value in self.fields.items()}
        return getattr(self.target.on(names), self.method)(*args, **fields)

    def __str__(self) -> str:
        kept = f"{self.result} = " if self.result else ""
        return f"{kept}{self.target}.{self.method}({_arguments(self.args, self.fields)})"


def resolved(value: Any, names: Names) -> Any:
    """A value with what it means on one side in the place of references."""
    if isinstance(value, Ref):
        return value.on(names)
    if isinstance(value, New):
        return value.kind(**{name: resolved(each, names) for name, each in value.fields.items()})
    if isinstance(value, (list, tuple)):
        return [resolved(each, names) for each in value]
    return value


def source(value: Any) -> str:
    """A value as a program writes it."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(source(each) for each in value)}]"
    if isinstance(value, io.BytesIO):
        return f"io.BytesIO(bytes({len(value.getvalue())}))"
    if attrs.has(type(value)) and not isinstance(value, (Ref, New)):
        fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
        asked = {name: each for name, each in fields.items() if each != _default(type(value), name)}
        return f"{type(value).__name__}({_arguments((), asked)})"
    if type(value) is int and value >= KiB:
        return _size(value)
    return str(value) if isinstance(value, (Ref, New)) else repr(value)


def _size(value: int) -> str:
    for unit, name in ((MiB, "MiB"), (KiB, "KiB")):
        if value % unit == 0:
            return f"{value // unit} * {name}"
    return str(value)


def _default(kind: type, name: str) -> Any:
    return getattr(attrs.fields(kind), name).default


def _arguments(args: tuple[Any, ...], fields: Mapping[str, Any]) -> str:
    return ", ".join([*map(source, args), *(f"{name}={source(value)}" for name, value in fields.items())])
