"""The fixtures that users get by installing hyperkit, and the same without pytest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import hyperkit
from hyperkit import Busy, Host, InvalidRequest, NotFound, PowerState, Timeout, Unsupported
from hyperkit.testing import Fake, fake_host
from tests.plugin import OPTIONS


def test_the_host_is_ordinary_and_empty(hyperkit_host: Host) -> None:
    assert type(hyperkit_host) is Host
    assert (len(hyperkit_host.vms.list()), len(hyperkit_host.switches.list())) == (0, 0)


def test_what_is_seeded_is_on_the_host(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(vms=[{"name": "old", "state": "running"}], switches=["lan"])
    assert [(vm.name, vm.state) for vm in hyperkit_host.vms] == [("old", PowerState.RUNNING)]
    assert "lan" in hyperkit_host.switches


def test_seeds_come_from_a_file_too_all_or_nothing(hyperkit_fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "lab.json"
    file.write_text(json.dumps({"switches": ["lan"], "vms": [{"name": "old", "nics": ["lan"]}]}), encoding="utf-8")
    with pytest.raises(InvalidRequest):
        hyperkit_fake.seed(file, vms=[{"name": "bad", "cpus": 0}])
    assert len(hyperkit_fake.host.vms.list()) == 0
    hyperkit_fake.seed(file, vms=["extra"])
    assert [vm.name for vm in hyperkit_fake.host.vms] == ["old", "extra"]
    file.write_text('{"machines": []}', encoding="utf-8")
    with pytest.raises(InvalidRequest, match="a seed has vms, switches, datastores, files, host"):
        hyperkit_fake.seed(file)
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(InvalidRequest, match="a JSON object"):
        hyperkit_fake.seed(file)


def test_faults_and_calls_are_of_every_connection(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    second = hyperkit_fake.connect()
    assert second == hyperkit_host
    hyperkit_fake.calls.clear()
    hyperkit_host.vms.create("web1")
    assert "web1" in second.vms
    hyperkit_fake.faults.fail("vms.list", Busy("busy"), times=2)
    for host in (hyperkit_host, second):
        with pytest.raises(Busy):
            host.vms.list()
    assert hyperkit_fake.calls.count("vms.list") == 3


def test_calls_begin_empty_and_seeding_is_none(hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(vms=["old"])
    assert len(hyperkit_fake.calls) == 0


def test_the_clock_is_in_the_tests_hand(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    hyperkit_fake.clock.advance(90)
    assert hyperkit_host.clock.monotonic() == 90


def test_guests_of_vms_that_the_code_made_can_be_changed(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    vm = hyperkit_host.vms.create("web1", disks=[hyperkit.DiskSpec(size=hyperkit.GiB)]).start()
    hyperkit_fake.guest(vm, deaf=True)
    with pytest.raises(Timeout):
        vm.shutdown(timeout=30)
    hyperkit_fake.guest("web1", deaf=False, shutdown_seconds=10)
    assert vm.shutdown(timeout=30).state is PowerState.OFF
    with pytest.raises(NotFound, match="no VM 'web2'"):
        hyperkit_fake.guest("web2", deaf=True)
    with pytest.raises(InvalidRequest, match="deaf, shutdown_seconds, boot_seconds"):
        hyperkit_fake.guest("web1", dead=True)


@pytest.mark.hyperkit(profile="hyperv", jobs="polls:3", without=["snapshots", "pause"])
class TestMarked:
    def test_profile_jobs_and_lacks_are_as_marked(self, hyperkit_host: Host) -> None:
        assert not hyperkit_host.capabilities.unique_vm_names
        task = hyperkit_host.vms.begin_create("web1")
        assert [task.done, task.done, task.done] == [False, False, True]
        with pytest.raises(Unsupported, match="this test takes it away"):
            task.result().snapshots.list()
        with pytest.raises(Unsupported):
            task.result().start().pause()

    @pytest.mark.hyperkit(jobs="now")
    def test_the_nearest_marker_wins_by_argument(self, hyperkit_host: Host) -> None:
        assert hyperkit_host.vms.begin_create("web1").done
        assert not hyperkit_host.capabilities.unique_vm_names


def test_without_pytest_a_context_manager_gives_the_same() -> None:
    with fake_host(profile="esxi", jobs="seconds:5") as fake:
        fake.seed(vms=["old"])
        assert not fake.host.capabilities.pause
        assert not fake.host.vms.begin_create("web1").done
        assert repr(fake).endswith("?profile=esxi&jobs=seconds:5 1 VMs, 1 calls>")
        url = fake.host.url
    assert len(hyperkit.connect(url).vms.list()) == 0  # forgotten


def test_two_fake_hosts_are_two() -> None:
    with fake_host() as one, fake_host() as two:
        one.seed(vms=["old"])
        assert len(two.host.vms.list()) == 0
        assert one.host != two.host


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "vbox"}, "choose one of all, libvirt, esxi, vcenter, hyperv, lxc"),
        ({"jobs": "soon"}, "choose 'now'"),
        ({"without": ["snapshot"]}, "one of pause, suspend"),
        ({"without": "pause"}, "a list of capabilities"),
    ],
)
def test_wrong_arguments_are_refused_with_the_right_ones(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught, fake_host(**arguments):
        pass
    assert message in str(caught.value)


# As a user's pytest sees it


def run(pytester: pytest.Pytester, code: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(code)
    return pytester.runpytest_subprocess(*OPTIONS, "--strict-markers", "-W", "error", *options)


def test_fixtures_and_marker_come_with_the_plugin(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.hyperkit(profile="esxi")
        def test_marked(hyperkit_host, hyperkit_fake):
            assert not hyperkit_host.capabilities.pause

        def test_unmarked(hyperkit_host):
            assert hyperkit_host.capabilities.pause
        """,
    )
    result.assert_outcomes(passed=2)


def test_fixtures_and_marker_say_what_they_are_for(pytester: pytest.Pytester) -> None:
    markers = pytester.runpytest(*OPTIONS, "--markers").stdout.str()
    assert "@pytest.mark.hyperkit(profile='all', jobs='now', without=())" in markers
    fixtures = pytester.runpytest(*OPTIONS, "--fixtures").stdout.str()
    assert "A fake host from the front: an ordinary" in fixtures
    assert "A fake host from the back" in fixtures


@pytest.mark.parametrize("mark", ["hyperkit('esxi')", "hyperkit(profil='esxi')"])
def test_a_marker_with_other_arguments_stops_the_run(pytester: pytest.Pytester, mark: str) -> None:
    result = run(pytester, f"import pytest\n@pytest.mark.{mark}\ndef test_it(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_it: @pytest.mark.hyperkit does not take*; it is hyperkit(profile='all'*"])


def test_a_marker_with_a_wrong_value_fails_the_test_in_one_line(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.hyperkit(profile="vbox")
        def test_it(hyperkit_host):
            pass
        """,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["@pytest.mark.hyperkit: profile='vbox': choose one of all, libvirt, esxi, vcenter, hyperv, lxc"]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_failing_count_shows_the_calls(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_it(hyperkit_host, hyperkit_fake):
            hyperkit_host.vms.create("web1")
            assert hyperkit_fake.calls.count("vms.create") == 2
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*vms.create(VMSpec(name='web1'*"])
