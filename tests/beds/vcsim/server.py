"""One simulator: an ESX host or a vCenter on loopback, with TLS."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import urllib.parse
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.beds.vcsim.build import program
from tests.beds.vcsim.control import Calls, Control, Faults, Operations
from tests.beds.vcsim.errors import BedFailure

_END_TIMEOUT = 10.0


class Vcsim:
    """A simulator of this test's own, running inside ``with``.

    `machines` is per host of its own in the model esx, per standalone host and cluster in the model vcenter; they run
    unless `autostart` is False. `datacenters`, `hosts` (standalone ones), `clusters`, `cluster_hosts` and `portgroups`
    (distributed) are per vCenter or datacenter, and mean nothing in the model esx.
    """

    user = "root"
    password = "s3cret & <word>"

    url: str
    host: str
    port: int
    ca_file: Path
    thumbprint: str
    datastores: Mapping[str, Path]
    faults: Faults
    control: Control

    def __init__(
        self,
        model: Literal["esx", "vcenter"] = "esx",
        *,
        machines: int = 0,
        autostart: bool = False,
        datastores: int = 1,
        datacenters: int = 1,
        hosts: int = 1,
        clusters: int = 1,
        cluster_hosts: int = 3,
        portgroups: int = 1,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self._arguments = [
            f"-model={model}",
            f"-user={self.user}",
            f"-machines={machines}",
            f"-autostart={str(autostart).lower()}",
            f"-datastores={datastores}",
            f"-datacenters={datacenters}",
            f"-hosts={hosts}",
            f"-clusters={clusters}",
            f"-cluster-hosts={cluster_hosts}",
            f"-portgroups={portgroups}",
            f"-verbose={str(verbose).lower()}",
        ]

    @property
    def hyperkit_url(self) -> str:
        """What `hyperkit.connect` takes; the password goes beside it."""
        if self.model == "esx":
            return f"esxi://{self.user}@{self.host}:{self.port}"
        return f"vcenter://{self.user}@{self.host}:{self.port}/DC0"

    def calls(self) -> Calls:
        """What went over the wire since the last `control.reset_calls()`."""
        return self.control.calls()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vcsim-")))
            process = subprocess.Popen(
                [program(), f"-directory={directory}", *self._arguments],
                # TMPDIR: the library makes the datastores' directories where temporary ones go.
                env=os.environ | {"VCSIM_PASSWORD": self.password, "TMPDIR": str(directory)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            stack.callback(_end, process)
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise BedFailure(f"the simulator ended at once, with {process.wait(_END_TIMEOUT)}")
            self._read(json.loads(line))
            self._stack = stack.pop_all()
        return self

    def _read(self, announcement: Mapping[str, str | Mapping[str, str]]) -> None:
        self.url, self.thumbprint = str(announcement["url"]), str(announcement["thumbprint"])
        parts = urllib.parse.urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.host, self.port = parts.hostname, parts.port
        self.ca_file = Path(str(announcement["ca"]))
        directories = announcement["datastores"]
        assert isinstance(directories, Mapping)
        self.datastores = {name: Path(directory) for name, directory in directories.items()}
        operations = Operations(str(announcement["control"]))
        self.faults, self.control = Faults(operations), Control(operations)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
