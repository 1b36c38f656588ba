"""What a guest says of itself, by its agent and bare libvirt-python: eyes that are not hyperkit's."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from tests.beds.libvirt_qemu.errors import BedFailure

_POLL = 0.1


class Shell:
    """A shell in the guest of a libvirt domain, given as a `libvirt.virDomain`."""

    def __init__(self, domain: Any) -> None:
        self._domain = domain

    def wait_until_ready(self, timeout: float = 120) -> Shell:
        """Wait until the guest's agent answers; a machine that others use, too, boots guests slowly."""
        import libvirt  # not at the top: without it, the bed can still say that it is missing

        deadline = time.monotonic() + timeout
        while True:
            try:
                self._ask("guest-ping")
            except libvirt.libvirtError as error:
                if time.monotonic() > deadline:
                    raise BedFailure(f"no agent in {self._domain.name()} within {timeout} s: {error}") from error
                time.sleep(_POLL)
            else:
                return self

    def run(self, script: str, timeout: float = 60) -> str:
        """What a script prints, without the white space around it."""
        arguments = {"path": "/bin/sh", "arg": ["-c", script], "capture-output": True}
        pid = self._ask("guest-exec", **arguments)["pid"]
        deadline = time.monotonic() + timeout
        while not (status := self._ask("guest-exec-status", pid=pid))["exited"]:
            if time.monotonic() > deadline:
                raise BedFailure(f"{script!r} still runs in {self._domain.name()} after {timeout} s")
            time.sleep(_POLL)
        if status.get("exitcode"):
            said = base64.b64decode(status.get("err-data", "")).decode()
            raise BedFailure(f"{script!r} in {self._domain.name()} ended with {status['exitcode']}: {said}")
        return base64.b64decode(status.get("out-data", "")).decode().strip()

    def wait_for(self, script: str, wanted: str, timeout: float = 60) -> None:
        """Run a script until it prints this: a guest notices what is done to its machine a little later."""
        deadline = time.monotonic() + timeout
        while (said := self.run(script)) != wanted:
            if time.monotonic() > deadline:
                raise BedFailure(f"{script!r} says {said!r} in {self._domain.name()} after {timeout} s, not {wanted!r}")
            time.sleep(_POLL)

    def _ask(self, command: str, **arguments: Any) -> Any:
        import libvirt_qemu

        asked = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(libvirt_qemu.qemuAgentCommand(self._domain, asked, 10, 0))["return"]
