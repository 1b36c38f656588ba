"""A Hyper-V host as WS-Management shows it, simulated: strict in what it takes, true to what hosts were seen to send.

It serves any client of WS-Management. So far it has the protocol, authentication (Basic, NTLM with encrypted messages,
client certificates, over HTTP and TLS), queries, the schema, and the machine itself with its services; no VMs yet.

What it cannot tell: whether a real host's provider takes what the documents say it takes, and how it words its
refusals; the order in which WMI tells instances; how long anything takes. Kerberos and CredSSP are not simulated.
"""

from __future__ import annotations

import importlib.util
import shutil

from tests.beds.hyperv_sim.server import HyperVSim, Mishap, Record

__all__ = ["HyperVSim", "Mishap", "Record", "missing"]


def missing() -> list[str]:
    """Why it cannot run here."""
    reasons = [
        f"no Python module {name} ({package})"
        for name, package in (("winrm", "pywinrm"), ("spnego", "pyspnego"))
        if importlib.util.find_spec(name) is None
    ]
    if shutil.which("openssl") is None:
        reasons.append("no program openssl")
    return reasons
