"""CIM over WS-Management, as Windows speaks it: what Hyper-V's own objects are read and changed through.

Written after DSP0226 (WS-Management), DSP0227 (its CIM binding), [MS-WSMV] and what hosts were seen to send; where they
differ, either is understood. pywinrm carries the messages: it logs in, and encrypts them.
"""

from __future__ import annotations

from hyperkit.backends.hyperv.wsman.carrier import Carrier, Way
from hyperkit.backends.hyperv.wsman.cim import Instance, Reference
from hyperkit.backends.hyperv.wsman.client import Client, Output
from hyperkit.backends.hyperv.wsman.faults import WSManFault

__all__ = ["Carrier", "Client", "Instance", "Output", "Reference", "WSManFault", "Way"]
