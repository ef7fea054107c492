# SPDX-License-Identifier: Apache-2.0
"""From what is to what should be: `up` does the difference, and nothing more."""

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.computer.identity import carried, checkout_of
from testbed.edge.guests.guest import Guest
from testbed.edge.output.terminal import Terminal
from testbed.lab.machines import accelerator, free_space, processes
from testbed.lab.machines.accelerator import Accelerator
from testbed.lab.machines.box import Box, BoxStore
from testbed.lab.machines.machines import Machines
from testbed.lab.machines.machines_json import LAB_MACS, MGMT_MAC
from testbed.lab.machines.processes import Process
from testbed.lab.machines.project import ROLES, Project
from testbed.model.config import Config
from testbed.model.errors import ExitCode, GuestError, HostError, MachineError
from tests.unit.factories.ids import project_id

RUNNING = {"client": "running", "server": "running"}
HALTED = {"client": "shut off", "server": "shut off"}


@dataclass
class Pretended:
    """In place of libvirt, of Vagrant and of either as a provider: notes what is asked of them."""

    found: dict[str, str] = field(default_factory=dict)
    records: set[str] = field(default_factory=set)
    boxes: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    up_raises: BaseException | None = None
    sticky: bool = False
    name: str = ""
    names: dict[str, str | None] = field(default_factory=lambda: {r: r for r in ROLES})
    prefix: str = "tb-"
    image: Path | None = None
    why_no_vagrant: str | None = None
    not_ours: list[str] = field(default_factory=list)

    def problem(self) -> str | None:
        self.asked.append("try vagrant")
        return self.why_no_vagrant

    def strangers(self, roles: Sequence[str], _folder: Path) -> list[str]:
        return [role for role in roles if role in self.not_ours]

    def states(self) -> dict[str, str]:
        return dict(self.found)

    def recorded(self, _there: Any) -> frozenset[str]:
        return frozenset(self.records if self.name == "vagrant" else self.found)

    def volumes(self) -> list[str]:
        return [f"{self.prefix}{role}.img" for role in self.found]

    def host_names(self, roles: Sequence[str]) -> dict[str, str | None]:
        return {role: self.names[role] for role in roles}

    def disks(self, _roles: Sequence[str]) -> frozenset[str]:
        return frozenset(self.found)

    def create(self) -> None:
        self.asked.append("create")
        if self.up_raises is not None:
            raise self.up_raises
        self.found = dict(RUNNING)
        self.records = set(ROLES)

    def remove(self, role: str) -> None:
        self.asked.append(f"remove {role}")
        if not self.sticky:
            self.found.pop(role, None)

    def forget(self, role: str) -> None:
        self.records.discard(role)

    def shut_down(self, role: str) -> None:
        self.asked.append(f"shut down {role}")
        self.found[role] = "shut off"

    def save(self, role: str) -> None:
        self.asked.append(f"save {role}")
        self.found[role] = "saved"

    def stop(self, role: str) -> None:
        self.asked.append(f"stop {role}")
        self.found[role] = "shut off"

    def start(self, role: str) -> None:
        self.asked.append(f"start {role}")
        self.found[role] = "running"

    def called(self, name: str) -> "Pretended":
        self.name = name
        return self

    def command(self) -> list[str] | None:
        return ["env", "vagrant"] if self.name == "vagrant" else None

    def remove_boxes(self) -> list[str]:
        return []

    def remove_box_images(self) -> list[str]:
        return []

    def ensure_pool(self, path: Path) -> None:
        self.asked.append(path.name)

    def is_busy(self, _role: str) -> bool:
        return False

    def box_image(self, _name: str) -> Path | None:
        return self.image

    def remove_volume(self, name: str) -> None:
        self.asked.append(f"delete {name}")

    def has_box(self, name: str) -> bool:
        return name in self.boxes

    def add_box(self, name: str, _path: Path) -> None:
        self.asked.append("add box")
        self.boxes.add(name)


FRESH = ["try vagrant", "pool", "add box", "create"]
AGAIN = ["try vagrant", "remove client", "remove server", "pool", "create"]
HALF = ["try vagrant", "pool", "create"]
STAMP = {"sources": "1"}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pretended:
    """No machines, a built box, no KVM, guests that answer at once, memory for everything."""
    pretended = Pretended()
    box = Box("0123456789ab", tmp_path / "box", 1, "2025", "6.1.0", "00")
    monkeypatch.setattr(Machines, "domains", pretended)
    monkeypatch.setattr(Machines, "vagrant", pretended)
    monkeypatch.setattr(Machines, "_named", lambda _, name: pretended.called(name))
    monkeypatch.setattr(BoxStore, "build", lambda *_: box)
    monkeypatch.setattr(BoxStore, "find", lambda *_: box)
    monkeypatch.setattr(BoxStore, "verify", lambda *_: None)
    monkeypatch.setattr(accelerator, "choose", lambda *_: Accelerator("emulation", "no /dev/kvm"))
    monkeypatch.setattr(Guest, "connect", lambda guest, *_, **__: guest)
    monkeypatch.setattr(free_space, "available_memory_mb", lambda: 100_000)
    return pretended


@pytest.fixture
def machines(account: Account, checkout: Path, provider: Pretended) -> Callable[..., Machines]:
    """A function that returns the machines of the checkout, under a configuration."""
    assert provider.asked == []

    def make(**sections: Any) -> Machines:
        config = Config.model_validate({"machines": sections})
        return Machines(config, checkout, account, Terminal(-1))

    return make


def up(machines: Machines, stamp: dict[str, Any] = STAMP) -> list[str]:
    """Bring them up; return the roles that were prepared."""
    prepared: list[str] = []
    machines.up(lambda guest: prepared.append(guest.role), stamp)
    return sorted(prepared)


def test_from_nothing(machines: Callable[..., Machines], provider: Pretended) -> None:
    assert up(machines()) == ["client", "server"]
    assert provider.asked == FRESH


def test_again_does_nothing(machines: Callable[..., Machines], provider: Pretended) -> None:
    up(machines())
    settings = machines().project.settings()
    provider.asked.clear()
    assert up(machines()) == []
    assert provider.asked == []
    assert machines().project.settings() == settings
    assert checkout_of(machines().project.path) == machines().checkout.resolve()
    assert machines().planned(STAMP) == []


def test_other_sources_are_set_up(machines: Callable[..., Machines], provider: Pretended) -> None:
    up(machines())
    provider.asked.clear()
    assert up(machines(), {"sources": "2"}) == ["client", "server"]
    assert provider.asked == []
    assert up(machines(), {"sources": "2"}) == []


def test_a_guest_started_again_by_hand_is_set_up(
    machines: Callable[..., Machines], provider: Pretended
) -> None:
    up(machines())
    provider.names["server"] = "testbed"
    assert machines().planned(STAMP) == ["set up client and server: server started again by hand"]
    assert up(machines()) == ["client", "server"]


def test_saved_machines_go_on(
    machines: Callable[..., Machines], provider: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: dict[str, str] = {}
    monkeypatch.setattr(
        Guest, "shell", lambda guest, line, *_, **__: lines.update({guest.role: line})
    )
    up(machines())
    booted = machines().project.boots()
    machines().down("save")
    provider.asked.clear()
    assert up(machines()) == []
    assert sorted(provider.asked) == ["start client", "start server"]
    assert all(line.startswith("date -s @") for line in lines.values())
    assert "ping" in lines["client"] and "carrier" in lines["server"]
    now = machines().project.boots()
    assert (booted["resumes"], now["resumes"]) == (0, 1)
    assert now["booted_utc"] == booted["booted_utc"]
    assert now["resumed_utc"]


class Killed(BaseException):
    """As SIGKILL does, nothing of ours lets this pass without a trace."""


def test_machines_that_went_on_for_a_killed_command_are_set_right_by_the_next(
    machines: Callable[..., Machines], provider: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def shell(_guest: Guest, line: str, *_: Any, **__: Any) -> None:
        if not lines:
            raise Killed
        lines.append(line)

    monkeypatch.setattr(Guest, "shell", shell)
    up(machines())
    machines().down("save")
    with pytest.raises(Killed):
        up(machines())
    assert machines().states() == RUNNING
    with pytest.raises(MachineError, match="not set right since"):
        machines().guests()
    lines.append("")
    provider.asked.clear()
    assert up(machines()) == ["client", "server"]
    assert sum(line.startswith("date -s @") for line in lines) == 2
    assert machines().project.boots()["resumes"] == 1
    assert not machines().project.is_waking()


def test_saved_machines_whose_link_does_not_hold_are_set_up_again(
    machines: Callable[..., Machines], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [GuestError("client: exit status 1")]

    def shell(guest: Guest, *_: Any, **__: Any) -> None:
        if guest.role == "client" and broken:
            raise broken.pop()

    monkeypatch.setattr(Guest, "shell", shell)
    up(machines())
    machines().down("save")
    assert up(machines()) == ["client", "server"]


def test_halted_machines_are_started(
    machines: Callable[..., Machines], provider: Pretended
) -> None:
    up(machines())
    settings = machines().project.settings()
    provider.asked.clear()
    provider.found = dict(HALTED)
    assert up(machines()) == ["client", "server"]
    assert sorted(provider.asked) == ["start client", "start server"]
    assert machines().project.settings() == settings


def test_halted_machines_whose_port_was_taken_are_made_anew(
    machines: Callable[..., Machines], provider: Pretended
) -> None:
    up(machines())
    settings = machines().project.settings()
    assert settings is not None
    provider.asked.clear()
    provider.found = dict(HALTED)
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", settings["ports"]["server_ssh"]))
        thief.listen()
        up(machines())
        assert sorted(provider.asked) == sorted(AGAIN)
        again = machines().project.settings()
        assert again is not None
        assert again["ports"]["server_ssh"] != settings["ports"]["server_ssh"]


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({"nic_model": "virtio"}, ["client", "server"]),
        ({"server": {"cpus": 3}}, ["server"]),
        ({"client": {"memory_mb": 700}}, ["client"]),
    ],
)
def test_machines_that_no_longer_fit_are_made_anew(
    machines: Callable[..., Machines], provider: Pretended, change: dict[str, Any], anew: list[str]
) -> None:
    up(machines())
    provider.asked.clear()
    assert up(machines(**change)) == ["client", "server"]
    assert sorted(provider.asked[:-2]) == [*(f"remove {role}" for role in anew), "try vagrant"]
    assert provider.asked[-2:] == HALF[1:]


def test_the_missing_half_is_made(machines: Callable[..., Machines], provider: Pretended) -> None:
    up(machines())
    settings = machines().project.settings()
    provider.asked.clear()
    provider.found = {"server": "running"}
    provider.records = {"server"}
    up(machines())
    assert provider.asked == HALF
    assert machines().project.settings() == settings


@pytest.mark.parametrize("content", ["{", "null", "[]", "{}", '{"ports": {}}'])
def test_settings_that_are_damaged(
    machines: Callable[..., Machines], provider: Pretended, content: str
) -> None:
    """Read as none: the machines are made anew instead of the program breaking."""
    up(machines())
    (machines().project.path / "machines.json").write_text(content)
    provider.asked.clear()
    assert up(machines()) == ["client", "server"]
    assert sorted(provider.asked) == sorted(AGAIN)


def test_without_vagrant_libvirt_makes_them_and_says_why(
    machines: Callable[..., Machines], provider: Pretended, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.why_no_vagrant = "no vagrant on this computer"
    mine = Machines(machines().config, machines().checkout, machines().account, Terminal(0))
    up(mine)
    assert "provider: libvirt: no vagrant on this computer\n" in capsys.readouterr().err
    settings = mine.project.settings()
    assert settings is not None
    assert (settings["provider"], settings["command"]) == ("libvirt", None)


@pytest.mark.parametrize("made_by", ["vagrant", "libvirt"])
def test_machines_go_on_whoever_made_them(
    machines: Callable[..., Machines], provider: Pretended, made_by: str
) -> None:
    """Vagrant may have come, or gone, since: what is there needs it no more."""
    up(machines(provider=made_by))
    provider.why_no_vagrant = "no vagrant on this computer" if made_by == "vagrant" else None
    provider.found = dict(HALTED)
    provider.asked.clear()
    up(machines())
    assert sorted(provider.asked) == ["start client", "start server"]
    assert up(machines(provider=made_by)) == []


def test_a_lost_machine_of_a_vagrant_that_is_gone_makes_both_anew_without_it(
    machines: Callable[..., Machines], provider: Pretended
) -> None:
    up(machines())
    provider.found, provider.records = {"server": "running"}, {"server"}
    provider.why_no_vagrant = "no vagrant on this computer"
    assert machines().planned(STAMP) == [
        "remove server: provider: vagrant, now libvirt",
        "create client: it does not exist",
        "create server: in its place",
    ]
    up(machines())
    assert machines().provider.name == "libvirt"
    provider.found, provider.why_no_vagrant = {"server": "running"}, None
    assert machines().planned(STAMP) == ["create client: it does not exist"]


def test_another_provider_that_is_asked_for_makes_them_anew(
    machines: Callable[..., Machines], provider: Pretended
) -> None:
    up(machines(provider="vagrant"))
    other = machines(provider="libvirt")
    assert other.planned(STAMP) == [
        "remove client and server: provider: vagrant, now libvirt",
        "create client and server: in its place",
    ]
    provider.asked.clear()
    up(other)
    assert sorted(provider.asked) == sorted(AGAIN[1:])
    assert other.provider.name == "libvirt"


def test_a_machine_of_our_name_that_somebody_else_made_is_left_alone(
    machines: Callable[..., Machines], provider: Pretended
) -> None:
    mine = machines()
    provider.found, provider.not_ours = {"server": "shut off"}, ["server"]
    for verb in (lambda: up(mine), lambda: mine.down("destroy"), lambda: mine.planned(STAMP)):
        with pytest.raises(MachineError) as caught:
            verb()
        assert caught.value.message == (
            "libvirt has a machine tb-server that testbed did not make: it is left alone"
        )
        assert "virsh -c qemu:///session undefine tb-server" in caught.value.hint
    assert {words.split()[0] for words in provider.asked} == {"try"}


def test_what_the_vagrantfile_reads(
    machines: Callable[..., Machines], checkout: Path, account: Account
) -> None:
    mine = machines(server={"cpus": 4, "memory_mb": 900}, boot_timeout_s=99)
    up(mine)
    settings = mine.project.settings()
    assert settings is not None
    assert json.loads((checkout / ".testbed/machines.json").read_text()) == settings
    assert mine.project.path == account.data_dir / "projects" / project_id(checkout)
    assert (mine.project.path / "Vagrantfile").read_text() == (checkout / "Vagrantfile").read_text()
    assert (mine.project.path / "machines.json").stat().st_mode & 0o777 == 0o600
    assert (settings["driver"], settings["cpu_mode"]) == ("qemu", "maximum")
    assert (settings["nic_model"], settings["boot_timeout_s"]) == ("e1000", 99)
    assert settings["mgmt_mac"] == MGMT_MAC
    client, server = settings["machines"]["client"], settings["machines"]["server"]
    assert (server["address"], server["cpus"], server["memory_mb"]) == ("192.168.64.2", 4, 900)
    assert (client["address"], client["mac"]) == ("192.168.64.7", LAB_MACS["client"])
    # One link: what one end sends to is where the other one listens.
    assert client["peer_port"] == server["local_port"]
    assert server["peer_port"] == client["local_port"]
    assert len(set(settings["ports"].values())) == 4
    assert {client["ssh_port"], server["ssh_port"]}.isdisjoint(
        {client["local_port"], server["local_port"]}
    )
    used = set((checkout / "Vagrantfile").read_text().split('settings["')) - {""}
    assert {words.partition('"')[0] for words in used if words[0].isalpha()} >= {"box", "machines"}


def test_every_setting_that_the_vagrantfile_uses_is_there(
    machines: Callable[..., Machines], checkout: Path
) -> None:
    up(machines())
    settings = machines().project.settings()
    assert settings is not None
    text = (checkout / "Vagrantfile").read_text()
    for words in text.replace("settings['", 'settings["').split('settings["')[1:]:
        assert words.replace("'", '"').partition('"')[0] in settings
    for words in text.replace("machine['", 'machine["').split('machine["')[1:]:
        assert words.replace("'", '"').partition('"')[0] in settings["machines"]["server"]


def test_two_checkouts_have_machines_of_their_own(
    machines: Callable[..., Machines], account: Account, tmp_path: Path
) -> None:
    other = Machines(Config(), tmp_path, account, Terminal(-1))
    assert other.project.path != machines().project.path


def test_too_little_memory(
    machines: Callable[..., Machines], provider: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free_space, "available_memory_mb", lambda: 1800)
    with pytest.raises(HostError) as caught:
        up(machines(server={"memory_mb": 1024}, client={"memory_mb": 512}))
    assert caught.value.message == (
        "too little memory: the two machines need 1836 MB, 1800 MB are available"
    )
    assert caught.value.hint == (
        "close programs, or lower [machines.server] memory_mb in testbed.toml"
    )
    assert caught.value.exit_code is ExitCode.HOST
    assert provider.asked == ["try vagrant"]


def test_running_machines_are_not_counted_twice(
    machines: Callable[..., Machines], provider: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(machines())
    monkeypatch.setattr(free_space, "available_memory_mb", lambda: 10)
    provider.asked.clear()
    assert up(machines()) == []
    assert provider.asked == []


def test_no_kvm_is_said(
    machines: Callable[..., Machines], capsys: pytest.CaptureFixture[str]
) -> None:
    up(machines())
    assert capsys.readouterr().err == (
        "! no KVM: no /dev/kvm. Emulating the CPUs: slower, same code.\n"
    )
    assert machines().accelerator() == Accelerator("emulation", "no /dev/kvm")


@pytest.mark.parametrize("states", [{}, HALTED, {"server": "running"}])
def test_guests_of_machines_that_are_not_up(
    machines: Callable[..., Machines], provider: Pretended, states: dict[str, str]
) -> None:
    up(machines())
    provider.found = dict(states)
    with pytest.raises(MachineError) as caught:
        machines().guests()
    assert caught.value.message.startswith("the machines are not up (client ")
    assert caught.value.hint == "run `testbed up` first"


def test_states_and_down(machines: Callable[..., Machines], provider: Pretended) -> None:
    mine = machines()
    assert mine.states() == {"client": "not created", "server": "not created"}
    mine.down("save")
    assert provider.asked == []
    up(mine)
    provider.asked.clear()
    assert mine.states() == RUNNING
    mine.down("halt")
    assert mine.states() == HALTED
    mine.down("halt")
    assert sorted(provider.asked) == ["shut down client", "shut down server"]
    mine.down("destroy")
    assert mine.states() == {"client": "not created", "server": "not created"}
    assert provider.asked[2:] == ["remove client", "remove server"]
    assert not mine.project.path.exists()


@pytest.mark.parametrize("verb", ["up", "down", "guests", "remove_boxes"])
def test_a_vagrant_that_outlived_its_command_is_ended_before_anything_is_done(
    machines: Callable[..., Machines], provider: Pretended, verb: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    mine = machines()
    up(mine)
    provider.asked.clear()
    left = SimpleNamespace(
        what="vagrant up", process=SimpleNamespace(pid=17), end=lambda: provider.asked.append("end")
    )
    monkeypatch.setattr(Project, "left", lambda _: left)
    assert mine.planned(STAMP) == ["end `vagrant up`: the command that started it was killed"]
    with contextlib.suppress(MachineError):
        {"up": lambda: up(mine), "down": lambda: mine.down("save"), "guests": mine.guests,
         "remove_boxes": mine.remove_boxes}[verb]()  # fmt: skip
    assert provider.asked[0] == "end"


def test_half_a_copy_of_the_box_in_the_pool_is_deleted(
    machines: Callable[..., Machines], provider: Pretended, account: Account, tmp_path: Path
) -> None:
    provider.image = tmp_path / "box.img"
    provider.image.write_bytes(b"whole")
    copy = account.data_dir / "pool/testbed-0123456789ab_vagrant_box_image_0_1_box.img"
    copy.parent.mkdir()
    copy.write_bytes(b"who")
    os.utime(copy, (1, 1))
    up(machines())
    assert provider.asked == [*FRESH[:3], f"delete {copy.name}", "create"]


def test_what_cannot_be_removed_is_told(
    machines: Callable[..., Machines], provider: Pretended
) -> None:
    mine = machines()
    up(mine)
    provider.sticky = True
    with pytest.raises(MachineError) as caught:
        mine.down("destroy")
    assert caught.value.message == "some parts of the machines could not be removed"
    assert "domain tb-client (running)" in caught.value.detail
    assert "disk tb-server.img" in caught.value.detail
    assert carried(mine.checkout) is not None  # so that a second try finds them, moved or not
    provider.sticky = False
    mine.down("destroy")
    assert carried(mine.checkout) is None


def test_a_machine_that_panicked_is_no_running_one(
    machines: Callable[..., Machines], provider: Pretended
) -> None:
    mine = machines()
    up(mine)
    provider.asked.clear()
    console = mine.project.path / "server-console.log"
    console.write_text("Kernel panic - not syncing: sysrq triggered crash\n---[ end ]---\n")
    assert mine.states() == {"client": "running", "server": "panicked"}
    with pytest.raises(MachineError) as caught:
        mine.guests()
    assert caught.value.message == "the machines are not up (client running, server panicked)"
    mine.down("save")  # what would be saved is of no use
    assert sorted(provider.asked) == ["save client", "stop server"]
    assert mine.states() == {"client": "saved", "server": "shut off"}


def test_no_room_for_what_is_to_be_saved(
    machines: Callable[..., Machines], provider: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = machines()
    up(mine)
    monkeypatch.setattr(Account, "free_bytes", lambda _: 10)
    with pytest.raises(HostError) as caught:
        mine.down("save")
    assert caught.value.message.startswith("too little disk: saving the machines may take 1.6 GB")
    assert mine.states() == RUNNING


def test_a_machine_that_does_not_boot(
    machines: Callable[..., Machines], provider: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is Vagrant's, at once, and not that of waiting for SSH."""
    provider.up_raises = MachineError("vagrant up failed", detail="its words")
    heard: list[bool] = []

    def wait(guest: Guest, _limit_s: float, given_up: threading.Event) -> Guest:
        heard.append(given_up.wait(5))
        raise MachineError(f"the {guest.role} does not answer SSH")

    monkeypatch.setattr(Guest, "connect", wait)
    with pytest.raises(MachineError, match=r"^vagrant up failed$"):
        up(machines())
    assert heard == [True, True]


def test_a_guest_that_cannot_be_prepared(machines: Callable[..., Machines]) -> None:
    def prepare(guest: Guest) -> None:
        if guest.role == "server":
            raise GuestError("server: exit status 1")

    with pytest.raises(GuestError):
        machines().up(prepare, STAMP)
    with pytest.raises(GuestError):  # they run now, and it is tried again
        machines().up(prepare, STAMP)


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("running", [False, True], ids=["after the boot", "on running machines"])
def test_ctrl_c_while_arms_are_built_does_not_wait_for_the_build(
    machines: Callable[..., Machines], provider: Pretended, monkeypatch: pytest.MonkeyPatch,
    *, running: bool,
) -> None:  # fmt: skip
    if running:
        up(machines())
    closed = threading.Event()
    seen: list[bool] = []
    monkeypatch.setattr(Guest, "close", lambda _: closed.set())

    def build(guest: Guest) -> None:
        if guest.role == "server":
            while "create" not in provider.asked:
                time.sleep(0.01)
            time.sleep(0.05)  # Vagrant has ended, what is left is this build
            os.kill(os.getpid(), signal.SIGINT)
            seen.append(closed.wait(10))

    with pytest.raises(KeyboardInterrupt):
        machines().up(build, {"sources": "2"})
    assert seen == [True], "the connection, and with it the build, was not ended"


def test_boxes_in_use_are_not_removed(
    machines: Callable[..., Machines], provider: Pretended
) -> None:
    up(machines())
    with pytest.raises(MachineError) as caught:
        machines().remove_boxes()
    assert caught.value.message == "the machines still use the box"
    assert caught.value.hint == "run `testbed down --destroy` first"
    assert not [word for word in provider.asked if word.startswith("remove")]


def test_counting_machines_of_every_checkout_go_with_the_boxes(
    machines: Callable[..., Machines], provider: Pretended
) -> None:
    mine = machines()
    mine.domains.ensure_pool(mine.account.data_dir / "pool")
    disks = [mine.account.projects_dir / name / "count/disk.qcow2" for name in ("0000aa", "0000bb")]
    for disk in disks:
        disk.parent.mkdir(parents=True)
        disk.write_text("its backing is the box's own file")
    gone = mine.remove_boxes()
    assert gone[:2] == [str(disk.parent) for disk in disks]
    assert not any(disk.parent.exists() for disk in disks)


def test_a_box_that_a_counting_machine_rests_on_now_is_not_removed(
    machines: Callable[..., Machines], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = machines()
    box = mine.account.data_dir / "boxes/0123456789ab"
    box.mkdir(parents=True)
    words = ("qemu-system-x86_64", "-name", "guest=testbed-count-41")
    one = Process(7, mine.account.uid, "qemu-system-x86", words, 1, 9)
    monkeypatch.setattr(processes, "machines", lambda: [replace(one, uid=one.uid + 1), one])
    with pytest.raises(MachineError, match=r"testbed-count-41 \(process 7\)"):
        mine.remove_boxes()
    assert box.exists()
    monkeypatch.setattr(processes, "machines", lambda: [replace(one, uid=one.uid + 1)])
    mine.remove_boxes()
    assert not box.exists(), "another account's counts do not rest on it"
