"""The conformance matrix as documentation: `python -m hyperkit.testing.render docs/conformance.json README.md`.

The part of the named document between ``<!-- matrix: begin -->`` and ``<!-- matrix: end -->`` becomes the short form,
and the long one is written beside the data, as ``docs/conformance.md``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperkit.capabilities import names, question
from hyperkit.testing.matrix import Data, counts, in_words

BEGIN, END = "<!-- matrix: begin -->", "<!-- matrix: end -->"
YES, NO = "✓", "\N{EN DASH}"
SIGNS = {"passed": YES, "unsupported": NO, "cannot-verify": "?", "xfail": "✗", "failed": "**FAIL**"}

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Power": ("pause", "suspend", "shutdown", "reboot", "reset", "autostart"),
    "Names": ("rename", "unique_vm_names", "unique_switch_names", "unique_snapshot_names"),
    "Firmware and boot": ("bios", "uefi", "secure_boot", "tpm", "boot_order", "kernel_boot"),
    "Containers": ("containers",),
    "What else a VM has": (
        "disks",
        "cdrom",
        "guest_os",
        "notes",
        "tags",
        "cpu_topology",
        "cpu_ceiling",
        "memory_ceiling",
    ),
    "Control of CPU": ("cpu_reservation", "cpu_limit", "cpu_shares"),
    "Control of memory": ("memory_reservation", "memory_limit", "memory_shares"),
    "CPUs while it runs": ("hot_cpu_add", "hot_cpu_remove"),
    "Memory while it runs": ("hot_memory_add", "hot_memory_remove", "hot_memory_remove_any"),
    "What else changes while it runs": ("hot_allocation", "hot_rename"),
    "Devices while it runs": ("hot_disk", "hot_disk_resize", "hot_nic", "hot_nic_unplug", "hot_cdrom"),
    "Devices": ("attach", "disk_resize", "linked_disks", "copied_disks", "read_only_disks", "nic_link"),
    "Switches": ("switch_external", "switch_internal", "switch_private", "switch_subnet", "switch_leases"),
    "VLANs": ("nic_vlan", "nic_trunk", "switch_vlan", "switch_vlan_change", "switch_openvswitch"),
    "Isolation of a NIC": (
        *("nic_spoof_guard", "nic_address_guard", "nic_dhcp_guard", "nic_router_guard", "nic_isolation"),
        *("nic_promiscuous", "nic_acl"),
    ),
    "Isolation of a switch": ("switch_spoof_guard", "switch_promiscuous"),
    "Snapshots": (
        "snapshots",
        "snapshot_memory",
        "snapshot_running_disks",
        "snapshot_quiesced",
        "snapshot_rename",
        "snapshot_kinds_mix",
        "snapshot_consolidation",
    ),
    "Clones": ("clones", "running_clones", "linked_clones", "templates"),
    "Storage": ("volumes", "transfer"),
    "Guests": ("guest_addresses", "guest_agent", "guest_exec", "guest_freeze"),
    "Consoles": ("screenshot", "send_keys", "serial_console", "display"),
    "Questions": ("questions",),
    "Seeing": ("events_pushed", "metrics"),
}
"""Every capability, where a reader would look for it."""


def short(data: Data) -> str:
    """What each real host can do, a row for each group of capabilities; of the fakes, how they stand alone."""
    beds = {bed: facts for bed, facts in data["beds"].items() if facts["backend"] != "fake"}
    fakes = [bed for bed in data["beds"] if bed not in beds]
    lines = _head("", [_title(bed, facts) for bed, facts in beds.items()])
    for group, members in GROUPS.items():
        lines.append(_line(group, [_summed_up(facts["capabilities"], members) for facts in beds.values()]))
    rows = data["rows"]
    lines.append(_line("**Lines of the contract**", [in_words(counts(rows, bed)) for bed in beds]))
    told = "; ".join(f"`{bed}` {in_words(counts(rows, bed))}" for bed in fakes)
    return "\n".join([*lines, "", f"The fake, as itself and with others' capabilities: {told}."])


def page(data: Data) -> str:
    """All that is known, for ``docs/conformance.md``."""
    parts = [
        ["# Conformance", "", f"Made by `{_COMMAND}` of what the last full test run found; not written by hand."],
        ["## Beds", "", *_beds(data)],
        ["## Capabilities", "", *_capabilities(data)],
        ["## Lines of the contract", "", _LEGEND, "", *_behaviours(data)],
        ["## What could not be shown, or fails", "", *_doubts(data)],
        ["## Why a line is unsupported", "", *_unsupported(data)],
    ]
    return "\n".join(line for part in parts for line in (*part, "")).rstrip() + "\n"


def put_in(document: str, text: str) -> str:
    """The document with ``text`` between the marks.

    Raises:
        ValueError: it does not have the marks, each once and in order.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"the document has no {BEGIN} followed by one {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


_COMMAND = "python -m hyperkit.testing.render docs/conformance.json README.md"
_LEGEND = " · ".join(f"{sign} {outcome}" for outcome, sign in SIGNS.items())


def _title(bed: str, facts: Mapping[str, Any]) -> str:
    return f"`{bed}`<br>{facts['product']} {facts['version']}"


def _summed_up(able: Mapping[str, bool], members: Sequence[str]) -> str:
    """All, none, or the exceptions to the more frequent of both."""
    yes, no = ([f"`{name}`" for name in members if able.get(name, False) is wanted] for wanted in (True, False))
    if not yes or not no:
        return YES if yes else NO
    return f"{YES} but {', '.join(no)}" if len(no) <= len(yes) else f"{NO} but {', '.join(yes)}"


def _beds(data: Data) -> list[str]:
    lines = _head("Bed", ["Product", "Type", "Lines of the contract"])
    for bed, facts in data["beds"].items():
        product = f"{facts['product']} {facts['version']}"
        lines.append(_line(f"`{bed}`", [product, facts["hypervisor_type"], in_words(counts(data["rows"], bed))]))
    return lines


def _capabilities(data: Data) -> list[str]:
    beds = data["beds"]
    lines = _head("Question", [f"`{bed}`" for bed in beds])
    for name in names():
        answers = [YES if facts["capabilities"].get(name) else NO for facts in beds.values()]
        lines.append(_line(f"{question(name)} `{name}`", answers))
    for limit in ("max_cpus", "max_memory", "max_disks", "max_nics", "disk_formats", "disk_buses"):
        lines.append(_line(f"`{limit}`", [_limit(facts["limits"].get(limit)) for facts in beds.values()]))
    reasons = [
        f"* `{bed}` has no `{name}`: {reason}" for bed, facts in beds.items() for name, reason in facts["why"].items()
    ]
    return [*lines, "", *reasons]


def _limit(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not told" if value is None else str(value)


def _behaviours(data: Data) -> list[str]:
    beds = list(data["beds"])
    lines: list[str] = []
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in data["rows"]:
        cells.setdefault((row["operation"], row["behaviour"]), {})[row["bed"]] = SIGNS[row["outcome"]]
    operation = ""
    for (called, behaviour), signs in cells.items():
        if called != operation:
            operation = called
            lines += ["", f"### {called}", "", *_head("", [f"`{bed}`" for bed in beds])]
        lines.append(_line(behaviour, [signs.get(bed, "") for bed in beds]))
    return lines[1:]


def _doubts(data: Data) -> list[str]:
    doubtful = [row for row in data["rows"] if row["outcome"] in ("cannot-verify", "xfail", "failed")]
    return [
        f"* `{row['bed']}`, `{row['operation']}`: {row['behaviour']} **{row['outcome']}**: {row['reason']}"
        for row in doubtful
    ] or ["Nothing."]


def _unsupported(data: Data) -> list[str]:
    """Each reason once for all the lines of a bed that it stands before."""
    found: dict[tuple[str, str], int] = Counter(
        (row["bed"], row["reason"]) for row in data["rows"] if row["outcome"] == "unsupported"
    )
    return [f"* `{bed}`, {_lines(number)}: {reason}" for (bed, reason), number in sorted(found.items())]


def _lines(number: int) -> str:
    return "1 line" if number == 1 else f"{number} lines"


def _head(first: str, columns: Iterable[str]) -> list[str]:
    columns = list(columns)
    return [_line(first, columns), _line("---", ["---"] * len(columns))]


def _line(first: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join([first, *cells])} |"


def main(arguments: Sequence[str]) -> int:
    """Write both forms; 2 if it was called wrongly."""
    if len(arguments) != 2:
        sys.stderr.write(f"usage: {_COMMAND}\n")
        return 2
    source, document = map(Path, arguments)
    data = json.loads(source.read_text(encoding="utf-8"))
    document.write_text(put_in(document.read_text(encoding="utf-8"), short(data)), encoding="utf-8")
    source.with_suffix(".md").write_text(page(data), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
