"""OS-level virtualization: what a container is made of.

A container is a VM without a machine: processes that share the host's kernel, in a world of their own. So it has
neither firmware nor kernel, but a command that is its first process, and a directory that is its root.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath, PurePosixPath
from typing import Any, cast

import attrs

from hyperkit import checks

INIT = "/sbin/init"
"""What a root directory with a whole system in it begins with."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BAD_IN_WORD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def _text_of(path: str | PurePath | None) -> str | None:
    return path.as_posix() if isinstance(path, PurePath) else path


def _words(values: object) -> tuple[str, ...]:
    # A string is iterable too, and must not become its letters.
    single = isinstance(values, (str, bytes)) or not isinstance(values, Iterable)
    return cast("tuple[str, ...]", (values,) if single else tuple(cast("Iterable[Any]", values)))


def _arguments(values: object) -> tuple[str, ...]:
    if isinstance(values, (str, bytes)):
        checks.refuse("arguments", values, "a list of words, such as ['-c', 'true']: there is no shell to divide them")
    return _words(values)


def _pairs(values: object) -> tuple[tuple[str, str], ...]:
    if isinstance(values, Mapping):
        values = values.items()
    return cast("tuple[tuple[str, str], ...]", tuple(map(_pair, _words(values))))


def _pair(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@attrs.frozen(slots=False)
class ContainerSpec:
    """What is in a container: a root directory, or one command on the host's own.

    * ``ContainerSpec(root="/srv/web")``: the system that is in the directory, from its ``/sbin/init`` on.
    * ``ContainerSpec(root="/srv/web", init="/usr/bin/httpd", arguments=["-f"])``: one program of it.
    * ``ContainerSpec(init="/usr/bin/make")``: one program of the host's, which sees and changes all of its files.

    Root in a container is root on the host, but for what its walls keep from it; see ``docs/containers.md``.

    Attributes:
        root: a directory of the host; None shares the host's own root. Never created or deleted by hyperkit.
        init: the first process, an absolute path below ``root``; the container is off when it ends.
        arguments: what it is called with, each a word of its own: there is no shell between.
        environment: variables, as a mapping or pairs; others come from the host's driver. Values may be secret, and
            are in no repr and no error.
    """

    root: str | None = attrs.field(default=None, converter=_text_of)
    init: str = attrs.field(default=INIT, converter=_text_of)
    arguments: tuple[str, ...] = attrs.field(default=(), converter=_arguments)
    environment: tuple[tuple[str, str], ...] = attrs.field(
        default=(), converter=_pairs, repr=lambda pairs: f"<{len(pairs)} variables>"
    )

    def __attrs_post_init__(self) -> None:
        if self.root is not None:
            _absolute("root", self.root)
            if self.root == "/":
                checks.refuse("root", self.root, "a directory of its own; leave root out to share the host's")
        _absolute("init", self.init)
        if self.root is None and self.init == INIT:
            checks.refuse(
                "init", self.init, "with a root directory; what shares the host's root is a command of its own"
            )
        for index, word in enumerate(self.arguments):
            _word(f"arguments[{index}]", word)
        for index, pair in enumerate(self.environment):
            if not isinstance(pair, tuple) or len(pair) != 2:
                checks.refuse(
                    f"environment[{index}]", type(pair).__name__, "a mapping of names to values, or pairs of them"
                )
            name, value = pair
            if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
                checks.refuse(f"environment[{index}]", name, "the name of a variable: letters, digits and _")
            _word(f"environment[{name!r}]", value, secret=True)
        names = [name for name, _ in self.environment]
        if len(names) != len(set(names)):
            checks.refuse("environment", names, "each variable once")


def _absolute(field: str, value: str) -> None:
    """A place that means one thing, whoever reads it: no ``..`` that leads out of the root again."""
    checks.path(field, value)
    if (
        not value.startswith("/")
        or value.startswith("//")
        or str(PurePosixPath(value)) != value
        or ".." in value.split("/")
    ):
        checks.refuse(field, value, "an absolute path without '..', '.', double or trailing slashes")


def _word(field: str, value: object, *, secret: bool = False) -> None:
    if not isinstance(value, str) or not value:
        checks.refuse(field, type(value).__name__ if secret else value, "a string that is not empty")
    bad = _BAD_IN_WORD.search(value)
    if bad:
        checks.refuse(field, "…" if secret else value, f"no control characters but tab and newline; it has {bad[0]!r}")
