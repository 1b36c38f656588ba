"""The way SOAP calls take to the host: pyVmomi's adapter, with answers that can also be read without its decoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from pyVmomi import SoapStubAdapter


class Stub(SoapStubAdapter):  # type: ignore[misc]  # it has no types
    """One session's connections, for any number of threads: each call takes one from the pool, or opens it."""

    @contextmanager
    def answer(self, mo: Any, method: Any, *args: Any) -> Iterator[IO[bytes]]:
        """Make a call, and give the body of its answer unread, decompressed: for what is faster read by other means.

        Args:
            mo: the managed object.
            method: the pyVmomi method, such as ``vmodl.query.PropertyCollector.RetrievePropertiesEx``.
            args: all of its arguments, in order.

        Raises:
            vmodl.MethodFault: what the host answers instead, as pyVmomi's own calls raise it.
        """
        raise AssertionError("under construction")
        yield mo, method, args
