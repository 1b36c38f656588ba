"""Tests of what writes that are content with the backend's own reading, on a second connection, and why."""

from __future__ import annotations

_FIELDS = "the back door has no word for it; the backend's own tests look at the configuration that is written"
_IDS = "it is about ids and order, which only the backend's reading has"
_READING = "it is about what is read on another connection, or of another VM"
_EFFECT = "what comes of it is seen in its own kind: frames, or a guest's address"
_TREE = "which snapshots there are, the back door tells in other tests; this is about what a record says of them"

_TESTS = {
    _FIELDS: (
        "test_firmware_secure_boot_and_tpm_are_those_asked_for",
        "test_the_boot_order_is_the_one_asked_for",
        "test_a_kernel_to_boot_directly_is_the_one_asked_for",
        "test_the_cpu_topology_is_the_one_asked_for",
        "test_a_ceiling_above_the_cpus_and_memory_at_start_is_kept",
        "test_reservation_limit_and_shares_are_exactly_those_asked_for",
        "test_the_guest_os_hint_is_kept",
        "test_notes_come_back_character_for_character",
        "test_tags_are_those_asked_for",
        "test_tags_take_the_place_of_those_that_were_there",
        "test_a_clone_has_its_sources_notes_and_tags",
        "test_autostart_is_as_asked_for",
        "test_a_disks_format_is_the_one_asked_for",
        "test_a_disks_bus_and_write_protection_are_those_asked_for",
        "test_a_disk_is_attached_to_a_running_vm_on_the_bus_asked_for",
        "test_a_nics_model_is_the_one_asked_for",
        "test_a_nics_trunk_has_the_vlans_asked_for",
        "test_an_iso_is_in_the_cdrom_drive",
        "test_a_field_that_was_not_named_stays_as_it_was",
        "test_notes_and_autostart_change_while_the_vm_runs",
        "test_boot_order_guest_os_and_allocations_can_be_changed",
        "test_a_containers_root_init_arguments_and_environment_are_those_asked_for",
        "test_an_iso_can_be_put_into_an_empty_drive_exchanged_and_taken_out",
        "test_an_iso_is_exchanged_while_the_vm_runs",
    ),
    _IDS: (
        "test_disks_and_nics_are_in_the_order_of_the_spec",
        "test_the_other_disks_keep_their_ids",
        "test_two_switches_may_have_one_name",
    ),
    _READING: (
        "test_changing_what_was_passed_after_the_call_changes_nothing",
        "test_another_connection_sees_the_state_at_once",
        "test_a_disk_that_two_vms_have_grows_for_both",
    ),
    _EFFECT: (
        "test_a_nics_isolation_policy_is_the_one_asked_for",
        "test_a_nic_gets_another_isolation_policy_and_none",
        "test_a_nic_keeps_its_policy",
        "test_a_nic_of_another_policy_keeps_all_else",
        "test_a_running_vms_nic_changes_its_isolation_policy",
        "test_a_switch_has_the_static_leases_asked_for",
        "test_a_guest_gets_the_address_of_its_lease",
    ),
    _TREE: (
        "test_a_new_snapshot_is_current_and_a_child_of_the_one_that_was",
        "test_name_description_and_time_of_a_snapshot_are_kept",
        "test_two_snapshots_of_one_vm_may_have_one_name",
        "test_a_running_vms_snapshot_keeps_its_memory",
        "test_a_snapshots_name_and_description_change",
        "test_a_snapshot_keeps_its_new_name_over_a_revert",
        "test_deleting_a_snapshot_keeps_its_children",
        "test_deleting_a_snapshot_with_its_children_deletes_the_tree_below_it",
        "test_deleting_the_current_snapshot_makes_its_parent_current",
        "test_a_revert_makes_the_snapshot_current",
        "test_a_revert_keeps_every_snapshot",
    ),
}

REASONS = {test: reason for reason, tests in _TESTS.items() for test in tests}
