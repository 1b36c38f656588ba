"""Queries in WQL: SELECT with conditions, and ASSOCIATORS OF."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import attrs

from tests.beds.hyperv_sim.refusals import invalid_query
from tests.beds.hyperv_sim.rows import Ref, Repository, Row

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<number>-?\d+)|(?P<word>[\w.]+)|(?P<sign><=|>=|<>|!=|=|<|>|\(|\)|\*|,))""",
    re.DOTALL,
)
_ASSOCIATORS = re.compile(
    r"\s*associators\s+of\s*\{(?P<object>.*)\}\s*(?:where\s+(?P<limits>.*))?$", re.IGNORECASE | re.DOTALL
)
_LIMIT = re.compile(r"(\w+)\s*=\s*(\w+)|(ClassDefsOnly|KeysOnly)", re.IGNORECASE)
_OBJECT = re.compile(r"(?:[^:]*:)?(?P<name>\w+)\.(?P<keys>.+)", re.DOTALL)
_KEY = re.compile(r"""\s*(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\s*(?:,|$)""", re.DOTALL)

Condition: TypeAlias = "Callable[[Row], bool]"


def run(text: str, repository: Repository) -> Iterator[Row]:
    """What a query finds.

    Raises:
        Refused: it is none, or names what there is not.
    """
    if (found := _ASSOCIATORS.match(text)) is not None:
        yield from _associators(found["object"], found["limits"] or "", repository)
        return
    query = _Parser(text, repository).query()
    yield from (row for row in repository.all(query.class_name) if query.condition(row))


def object_path(text: str) -> Ref:
    """The instance that an object path names.

    Raises:
        Refused: it is none; backslashes must be doubled.
    """
    found = _OBJECT.fullmatch(text)
    if found is None:
        raise invalid_query(f"{text} is no object path")
    keys, rest = {}, found["keys"]
    while rest:
        key = _KEY.match(rest)
        if key is None:
            raise invalid_query(f"{text} is no object path")
        keys[key[1]] = _plain(key[2] if key[2] is not None else key[3])
        rest = rest[key.end() :]
    return Ref(found["name"], keys)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _associators(path: str, limits: str, repository: Repository) -> Iterator[Row]:
    given = {}
    rest = limits
    while rest.strip():
        found = _LIMIT.match(rest.strip())
        if found is None or (found[1] or "").casefold() not in ("assocclass", "resultclass", "role", "resultrole", ""):
            raise invalid_query(limits)
        given[(found[1] or found[3]).casefold()] = found[2] or ""
        rest = rest.strip()[found.end() :]
    for name in ("assocclass", "resultclass"):
        if name in given:
            repository.kind(given[name])
    yield from repository.associated(object_path(path), given.get("assocclass", ""), given.get("resultclass", ""))


@attrs.frozen
class _Query:
    class_name: str
    condition: Condition


class _Parser:
    def __init__(self, text: str, repository: Repository) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0
        self._repository = repository
        self._kind: Any = None

    def query(self) -> _Query:
        """select * from Class [where condition]."""
        self._expect("select")
        if self._peek() != "*":
            raise invalid_query("only select * is simulated")
        self._next()
        self._expect("from")
        name = self._next()
        self._kind = self._repository.kind(name)
        condition: Condition = lambda _row: True  # noqa: E731
        if self._peek() is not None:
            self._expect("where")
            condition = self._either()
        if self._peek() is not None:
            raise invalid_query(self._text)
        return _Query(name, condition)

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._is("or"):
            parts.append(self._both())
        return lambda row: any(part(row) for part in parts)

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._is("and"):
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self) -> Condition:
        if self._is("not"):
            inner = self._one()
            return lambda row: not inner(row)
        if self._is("("):
            inner = self._either()
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Condition:
        name = self._next()
        if name.casefold() == "__path":
            read: Callable[[Row], Any] = lambda row: _path(self._repository.ref(row))  # noqa: E731
        elif self._kind.property(name) is None:
            raise invalid_query(f"{self._kind.name} has no property {name}")
        else:
            read = lambda row: row.get(name)  # noqa: E731
        sign = self._next().casefold()
        if sign == "is":
            negated = self._is("not")
            self._expect("null")
            return lambda row: (read(row) is None) is not negated
        token = self._next()
        wanted = _plain(token[1:-1]) if token[:1] in "'\"" else token
        if sign == "like":
            pattern = re.compile(_like(wanted), re.IGNORECASE | re.DOTALL)
            return lambda row: read(row) is not None and bool(pattern.fullmatch(str(read(row))))
        if sign in ("=", "<>", "!="):
            return lambda row: (_comparable(read(row)) == wanted.casefold()) is (sign == "=")
        if sign in ("<", ">", "<=", ">="):
            return lambda row: read(row) is not None and _ordered(sign, int(read(row)), int(wanted))
        raise invalid_query(f"{sign} compares nothing")

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            raise invalid_query(f"{self._text} ends too soon")
        self._at += 1
        return token

    def _is(self, word: str) -> bool:
        token = self._peek()
        if token is not None and token.casefold() == word:
            self._at += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._is(word):
            raise invalid_query(f"{self._text}: {word} is missing")


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise invalid_query(text)
        at = found.end()
        yield found[0].strip() if found["string"] is None else found["string"]


def _path(ref: Ref) -> str:
    keys = ",".join(
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"')) for name, value in ref.keys.items()
    )
    return f"\\\\HV1\\{ref.namespace}:{ref.class_name}.{keys}"


def _comparable(value: Any) -> str | None:
    if value is None:
        return None
    return ("true" if value else "false") if isinstance(value, bool) else str(value).casefold()


def _like(pattern: str) -> str:
    """As a regular expression: ``%`` is anything, ``_`` a character, ``[...]`` one of a set."""
    found = ""
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        if letter == "[" and "]" in pattern[at + 1 :]:
            end = pattern.index("]", at + 2) if pattern[at + 1] == "]" else pattern.index("]", at + 1)
            found += f"[{re.escape(pattern[at + 1 : end])}]"
            at = end
        else:
            found += {"%": ".*", "_": "."}.get(letter, re.escape(letter))
        at += 1
    return found


def _ordered(sign: str, one: int, other: int) -> bool:
    return {"<": one < other, ">": one > other, "<=": one <= other, ">=": one >= other}[sign]
