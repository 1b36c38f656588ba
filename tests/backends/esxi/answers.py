"""Answers of hosts that the simulator does not give, as SOAP: written by pyVmomi, or by hand where it refuses to."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from pyVmomi import SoapAdapter, vim, vmodl
from pyVmomi.VmomiSupport import Object, newestVersions

from hyperkit.backends.esxi.properties import Properties
from hyperkit.backends.esxi.scope import Ref, Scope

PC = vmodl.query.PropertyCollector
_VERSION = newestVersions.GetName("vim")
_START = '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
_END = "</s:Body></s:Envelope>"


def envelope(returnval: str) -> bytes:
    """An answer with this in it."""
    response = f'<RetrievePropertiesExResponse xmlns="urn:vim25">{returnval}</RetrievePropertiesExResponse>'
    return f"{_START}{response}{_END}".encode()


def content(obj: Any, values: Mapping[str, Any], missing: Mapping[str, Exception] | None = None) -> Any:
    """An object, and what is read of it."""
    return PC.ObjectContent(
        obj=obj,
        propSet=[vmodl.DynamicProperty(name=path, val=value) for path, value in values.items()],
        missingSet=[
            PC.MissingProperty(path=path, fault=vmodl.LocalizedMethodFault(fault=fault, localizedMessage=""))
            for path, fault in (missing or {}).items()
        ],
    )


def page(*objects: Any, token: str | None = None) -> bytes:
    """An answer with these objects."""
    result = PC.RetrieveResult(objects=list(objects), token=token)
    declared = Object(name="returnval", type=PC.RetrieveResult, version=_VERSION, flags=0)
    return envelope(SoapAdapter.Serialize(result, declared, _VERSION).decode())


class Recorded:
    """A connection to a host that gives these answers, one after the other.

    Attributes:
        asked: the name of each method that was called.
    """

    is_vcenter = True
    scope = Scope(root=Ref(kind="Folder", id="group-d1"), datacenter="", datacenter_path="", vm_folder="", computes=())

    def __init__(self, *answers: bytes) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)
        self.stub = SimpleNamespace(generation=1, answer=self._answer)
        self.content = SimpleNamespace(
            propertyCollector=SimpleNamespace(CancelRetrievePropertiesEx=self._cancel),
            viewManager=SimpleNamespace(CreateContainerView=lambda *_: vim.view.ContainerView("view")),
        )
        self.properties = Properties(self)  # type: ignore[arg-type]  # all that it needs of one

    def renewing(self, work: Callable[[], Any]) -> Any:
        return work()

    def vms(self, *paths: str) -> list[Any]:
        return list(self.properties.all("VirtualMachine", paths))

    @contextmanager
    def _answer(self, _mo: Any, method: Any, *_args: Any) -> Iterator[io.BytesIO]:
        self.asked.append(method.info.wsdlName)
        yield io.BytesIO(self._answers.pop(0))

    def _cancel(self, token: str) -> None:
        self.asked.append(f"Cancel {token}")
