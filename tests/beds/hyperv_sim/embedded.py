"""Embedded instances as Hyper-V's provider reads them: by a parser that is no whole XML parser."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import attrs

from tests.beds.hyperv_sim.rows import Ref, Row
from tests.beds.hyperv_sim.schema import Kind, Schema

_NAMED = re.compile(r"&(?!#)(\w+);")
_PATH = re.compile(r'(?:\\\\[^\\]+\\)?[\w\\/]+:\w+\.(?:\w+="(?:[^"\\]|\\\\|\\")*",?)+')
_REFERENCES = ("Parent", "BootSourceOrder")
FAILED, INVALID_PARAMETER = 32768, 32773


@attrs.define
class Rejected(Exception):  # noqa: N818  it becomes a return value
    """A method's return value: what is wrong with an embedded instance is no fault."""

    code: int
    why: str


def parse(text: str, classes: tuple[str, ...], schema: Schema) -> Row:
    """An instance of one of these classes, or of one derived from them.

    Raises:
        Rejected: the provider does not take it.
    """
    if (named := _NAMED.search(text)) is not None:
        raise Rejected(FAILED if named[1] == "amp" else INVALID_PARAMETER, f"the named entity {named[0]}")
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise Rejected(INVALID_PARAMETER, f"no XML: {error}") from error
    if root.tag != "INSTANCE":
        raise Rejected(INVALID_PARAMETER, f"<{root.tag}> is no INSTANCE")
    name = root.get("CLASSNAME", "")
    kind = schema.find(name)
    if kind is None or (classes and not any(kind.is_a(each) for each in classes)):
        raise Rejected(INVALID_PARAMETER, f"{name} is none of {', '.join(classes)}")
    values: dict[str, Any] = {}
    for element in root:
        own = kind.property(element.get("NAME", ""))
        if own is None:
            raise Rejected(INVALID_PARAMETER, f"{name} has no property {element.get('NAME')}")
        values[own] = _value(own, kind.properties[own], element)
    return Row(kind.name, values)


def _value(name: str, kind: Kind, element: ET.Element) -> Any:
    if element.tag not in ("PROPERTY", "PROPERTY.ARRAY") or (element.tag == "PROPERTY.ARRAY") is not kind.array:
        raise Rejected(INVALID_PARAMETER, f"{name} is {'an' if kind.array else 'no'} array")
    if element.get("TYPE") != kind.name:
        raise Rejected(FAILED if kind.name == "datetime" else INVALID_PARAMETER, f"{name} is a {kind.name}")
    if kind.array:
        return [_scalar(name, kind, value.text or "") for value in element.iterfind("VALUE.ARRAY/VALUE")]
    value = element.find("VALUE")
    return None if value is None else _scalar(name, kind, value.text or "")


def _scalar(name: str, kind: Kind, text: str) -> Any:
    if not kind.admits(text):
        raise Rejected(FAILED if kind.name == "datetime" else INVALID_PARAMETER, f"{name}={text} is no {kind.name}")
    if name in _REFERENCES and text and not _PATH.fullmatch(text):
        raise Rejected(INVALID_PARAMETER, f"{name}={text} is no object path: backslashes are doubled in one")
    if kind.name == "boolean":
        return text.lower() == "true"
    return int(text) if "int" in kind.name else text


def write(row: Row, schema: Schema) -> str:
    """An instance as a method gives it: all properties, those that are null without a value."""
    kind = schema.find(row.class_name)
    assert kind is not None
    root = ET.Element("INSTANCE", CLASSNAME=kind.name)
    for name, each in kind.properties.items():
        value = row.get(name)
        if each.array:
            element = ET.SubElement(root, "PROPERTY.ARRAY", NAME=name, TYPE=each.name)
            if value is not None:
                array = ET.SubElement(element, "VALUE.ARRAY")
                for item in value:
                    ET.SubElement(array, "VALUE").text = _written(item)
        else:
            element = ET.SubElement(root, "PROPERTY", NAME=name, TYPE=each.name, PROPAGATED="true")
            if value is not None:
                ET.SubElement(element, "VALUE").text = _written(value)
    return ET.tostring(root, "unicode")


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, Ref):
        keys = ",".join('{}="{}"'.format(k, v.replace("\\", "\\\\")) for k, v in value.keys.items())
        return f"\\\\HV1\\{value.namespace}:{value.class_name}.{keys}"
    return str(value)
