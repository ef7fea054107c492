# SPDX-License-Identifier: Apache-2.0
"""The meaning of a reading: every check with the fault that trips it, and without."""

from pathlib import Path

import pytest

from testbed.edge.computer.user_namespaces import Hindrance
from testbed.edge.hypervisor.kvm_words import BUSY
from testbed.lab.doctor import hardware, quiet, rights, software, standing
from testbed.lab.doctor.diagnosis import LEVELS, Diagnosis, ok, worst
from testbed.lab.doctor.quiet import Other, Supply
from testbed.lab.doctor.software import TOOLS, Tool
from testbed.lab.doctor.standing import Port

VAGRANT, QEMU = TOOLS[0], TOOLS[1]
KEY = Path("/data/ssh/id_ed25519")
IDS = "somebody:100000:65536\nme:165536:65536\n"
FORBIDDEN = Hindrance("x is 1", "`sysctl x=0`")
AC = Supply("Mains", True, "", None)
NO_AC = Supply("Mains", False, "", None)
FULL = Supply("Battery", False, "Full", 100)
EMPTYING = Supply("Battery", False, "Discharging", 54)


def port(use: str = "SSH", *, machine: int | None = None, held: bool = False, pid: int = 0) -> Port:
    return Port(40001, use, "server", machine, held, pid, "python3" if pid else "a program of eve")


def disk(free: int) -> Diagnosis:
    return hardware.disk("disk", Path("/data"), free, needed=10**9, comfortable=2 * 10**9, fix="f")


WELL: list[Diagnosis] = [
    hardware.platform("x86_64"),
    hardware.virtualisation({"vmx", "sse"}),
    hardware.virtualisation({"svm"}),
    hardware.kvm_not_wanted(),
    hardware.tried_kvm("auto", None, "me"),
    hardware.tried_kvm("kvm", None, "me"),
    hardware.cores(2, 1, 1),
    hardware.memory(8000, 1836, 1836, 0),
    hardware.memory(8000, 100, 1836, 2),
    disk(2 * 10**9),
    software.tool(VAGRANT, "Vagrant 2.3.4"),
    software.tool(VAGRANT, "Vagrant 2.10.0"),
    software.tool(QEMU, "QEMU emulator version 7.2.22 (Debian)"),
    software.nic_model("igb", (8, 0)),
    software.nic_model("e1000", (5, 1)),
    software.counting(4, ""),
    software.daemon(["libvirtd"]),
    software.plugin("0.11.2-1"),
    software.small_tools({}, []),
    rights.account(None, "me"),
    rights.account("testbed", "root"),
    rights.user_ids("me", 1000, IDS, IDS),
    rights.user_ids("me", 1000, "1000:1:70000\n", IDS),
    rights.namespaces(None, FORBIDDEN),
    rights.writable("checkout", Path("/c"), "me", may=True),
    rights.key(KEY, 1000, 0o100600, 1000, public=True),
    rights.no_key(KEY),
    quiet.power([]),
    quiet.power([AC, FULL]),
    quiet.power([AC, EMPTYING]),
    quiet.power([NO_AC, FULL]),
    quiet.governor([], ""),
    quiet.governor(["performance"], "acpi-cpufreq"),
    quiet.others([]),
    standing.box("testbed-a", "e46bf68a23c0", 300, 300),
    standing.session("9.0.0", "me", ""),
    standing.ports([]),
    standing.ports([port(), port("link")]),
    standing.ports([port(machine=7, held=True, pid=7)]),
    standing.lock(None, None, None),
    standing.configuration(Path("/c/testbed.toml"), None, "", there=True),
    standing.configuration(Path("/c/testbed.toml"), None, "", there=False),
    standing.leftovers(0),
]

# Level, a word of what was found, a word of the fix.
FAULTY: list[tuple[Diagnosis, str, str, str]] = [
    (hardware.platform("aarch64"), "problem", "aarch64", "x86-64"),
    (hardware.virtualisation({"sse"}), "note", "neither vmx nor svm", "firmware"),
    (hardware.virtualisation({"hypervisor"}), "note", "a virtual machine", "nested"),
    (hardware.no_device("auto", "there is no /dev/kvm"), "note", "/dev/kvm", "modprobe"),
    (hardware.no_device("kvm", "there is no /dev/kvm"), "problem", 'accelerator = "kvm"', '"auto"'),
    (hardware.no_right("auto", "me may not", "me", roots=False), "note", "may not",
     "`sudo adduser me kvm` and log in again"),
    (hardware.no_right("kvm", "me may not", "me", roots=True), "problem", "may not", '"auto"'),
    (hardware.tried_kvm("auto", "no kernel boots", "me"), "note", "no kernel", "--delete me kvm"),
    (hardware.tried_kvm("kvm", "no kernel boots", "me"), "problem", "no kernel", '"auto"'),
    (hardware.tried_kvm("auto", f"taken ({BUSY})", "me"), "note", "taken", "end the other hyper"),
    (hardware.untried_kvm(), "note", "not tried", "`testbed box build`"),
    (hardware.cores(2, 4, 1), "warning", "2 for 5 virtual CPUs", "lower cpus"),
    (hardware.cores(1, 1, 1), "warning", "1 for 2 virtual CPUs", "two cores"),
    (hardware.memory(8000, 1835, 1836, 0), "problem", "1835 MB available", "close programs"),
    (hardware.memory(1024, 900, 1836, 0), "problem", "need 1836 MB", "lower memory_mb"),
    (disk(10**9 - 1), "problem", "1.0 GB free at /data; 1.0 GB are needed", "f"),
    (disk(2 * 10**9 - 1), "warning", "2.0 GB would do", "f"),
    (software.tool(VAGRANT, None), "problem", "not installed", "`./lab setup` (package vagrant)"),
    (software.tool(VAGRANT, "Vagrant 2.2.19"), "note", "2.2.19, older", "2.3.4"),
    (software.tool(QEMU, "QEMU emulator version 5.0.1"), "problem", "5.0.1; 5.1 is needed",
     "newer qemu-system-x86"),
    (software.tool(QEMU, "what?"), "note", "tells no version", "`qemu-system-x86_64 --version`"),
    (software.nic_model("igb", (7, 2, 22)), "problem", "7.2.22 has no igb", "e1000"),
    (software.counting(None, "gcc is not installed"), "note", "gcc is not", "docs/counting.md"),
    (software.daemon([]), "problem", "no libvirtd or virtqemud", "libvirt-daemon"),
    (software.plugin(None), "problem", "not installed", "vagrant-libvirt"),
    (software.plugin("0.7.0-1"), "note", "0.7.0, older", "0.11.2"),
    (software.small_tools({"mcopy": "mtools", "newuidmap": "uidmap", "newgidmap": "uidmap"}, []),
     "problem", "mcopy, newuidmap, newgidmap", "(packages mtools uidmap)"),
    (software.small_tools({}, ["/usr/lib/mbr.bin"]), "problem", "mbr.bin", "`./lab setup`"),
    (rights.no_account("the account testbed does not exist"), "problem", "not exist", "./lab"),
    (rights.user_ids("me", 1000, "somebody:1:65536\n", IDS), "problem", "/etc/subuid", "./lab"),
    (rights.user_ids("me", 1000, IDS, "me:1:65535\nme:x:y\nbad\n"), "problem", "/etc/subgid",
     "./lab"),
    (rights.namespaces("no", FORBIDDEN), "problem", "refused: no (x is 1)", "`sysctl x=0`"),
    (rights.namespaces("no", None), "problem", "refused: no", "`mmdebstrap --unshare-helper true`"),
    (rights.writable("checkout", Path("/c"), "me", may=False), "problem", "me may not write to /c",
     "`sudo chown -R me /c`"),
    (rights.key(KEY, 0, 0o100600, 1000, public=True), "problem", "belongs to uid 0",
     f"`sudo chown 1000 {KEY}`"),
    (rights.key(KEY, 1000, 0o100640, 1000, public=True), "problem", "mode 0640",
     f"`chmod 600 {KEY}`"),
    (rights.key(KEY, 1000, 0o100600, 1000, public=False), "problem", ".pub is missing",
     f"`ssh-keygen -y -f {KEY} > {KEY}.pub`"),
    (quiet.power([NO_AC, EMPTYING]), "warning", "on battery, 54 % left", "plug it in"),
    (quiet.governor(["ondemand"], "acpi-cpufreq"), "note", "follows the load", "performance"),
    (quiet.governor(["powersave"], "intel_pstate"), "note", "follows the load", "performance"),
    (quiet.governor(["performance", "powersave"], "acpi-cpufreq"), "warning", "lowest speed",
     "`echo performance | sudo tee"),
    (quiet.others([Other("win10", 7)]), "warning", "win10 (process 7)", "shut them down"),
    (quiet.others([Other("tb0-x", 7, True, Path("/o")), Other("win10", 8)]), "warning", "tb0-x",
     "`testbed down` in /o; shut the others down"),
    (quiet.others([Other("tb0-x", 7, True)]), "warning", "tb0-x", "the checkout they belong to"),
    (standing.box("testbed-a", "", 300, 300), "warning", "no checksum", "`testbed box remove`"),
    (standing.box("testbed-a", "e4", 3 * 10**8, 10**8), "problem", "has 100 MB, not the 300",
     "`testbed box remove`"),
    (standing.no_box(2), "note", "not built yet; 2 of other", "`testbed box build`"),
    (standing.session(None, "me", "error: x\nerror: no socket\n"), "problem", "no socket",
     "`virsh -c qemu:///session list`"),
    (standing.ports([port(held=True, pid=9)]), "note", "40001 (server's SSH) held by python3 "
     "(process 9)", "`testbed up`"),
    (standing.ports([port(held=True)]), "note", "held by a program of eve", "`testbed up`"),
    (standing.ports([port(machine=7, held=True, pid=9)]), "problem", "python3", "--destroy"),
    (standing.ports([port("link", machine=7)]), "problem", "nothing holds 40001 (server's link)",
     "--destroy"),
    (standing.lock("bench", 7, 7), "note", "`testbed bench` is at work here (process 7)", "wait"),
    (standing.lock("bench", 6, 7), "note", "a command is at work here (process 7)", "wait"),
    (standing.lock("bench", 7, None), "note", "(process 7) was killed", "lock.json"),
    (standing.configuration(Path("/c/testbed.toml"), "unknown key x", "correct it", there=True),
     "problem", "unknown key x", "correct it"),
    (standing.leftovers(1), "note", "one thing", "--orphans"),
    (standing.leftovers(3), "note", "3 things", "--orphans"),
]  # fmt: skip


@pytest.mark.parametrize("diagnosis", WELL, ids=lambda one: f"{one.name}: {one.found}")
def test_without_a_fault_all_is_well(diagnosis: Diagnosis) -> None:
    assert (diagnosis.level, diagnosis.fix) == ("ok", "")


@pytest.mark.parametrize(
    ("diagnosis", "level", "found", "fix"),
    FAULTY,
    ids=[f"{r[0].name}: {r[0].found}" for r in FAULTY],
)
def test_a_fault_is_told_with_its_fix(
    diagnosis: Diagnosis, level: str, found: str, fix: str
) -> None:
    assert diagnosis.level == level
    assert found in diagnosis.found
    assert fix in diagnosis.fix


def test_every_check_is_tried_with_and_without_a_fault() -> None:
    assert {one.name for one in WELL} == {row[0].name for row in FAULTY}


def test_a_fix_is_one_line() -> None:
    assert [row[0].fix for row in FAULTY if "\n" in row[0].fix + row[0].found] == []


@pytest.mark.parametrize(("level", "fix"), [("ok", "do this"), ("warning", ""), ("problem", "")])
def test_what_is_not_well_needs_a_fix(level: str, fix: str) -> None:
    with pytest.raises(ValueError, match="with the fix"):
        Diagnosis("disk", level, "found", fix)  # type: ignore[arg-type]


def test_the_worst_of_them_counts() -> None:
    well, note = ok("a", "fine"), Diagnosis("b", "note", "so", "do")
    assert worst([]) == "ok"
    assert worst([note, well]) == "note"
    assert worst([Diagnosis(level, level, "x", "do") for level in LEVELS[1:]]) == "problem"


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Vagrant 2.3.4", (2, 3, 4)),
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) 2003-2022", (7, 2, 22)),
        ("mke2fs 1.47.0 (5-Feb-2023)", (1, 47, 0)),
        ("OpenSSH_9.2p1 Debian-2+deb12u6, OpenSSL 3.0.19", (9, 2)),
        ("setpriv from util-linux 2.38.1", (2, 38, 1)),
        ("9.0.0", (9, 0, 0)),
        ("", ()),
        ("version seven", ()),
    ],
)
def test_versions_are_found_in_what_programs_say(said: str, version: tuple[int, ...]) -> None:
    assert software.version_in(said) == version


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_what_it_was_tried_with_is_recent_enough(tool: Tool) -> None:
    assert tool.tried >= tool.needed
    assert bool(tool.needed) == bool(tool.why)
    assert software.tool(tool, software.dotted(tool.tried)).level == "ok"
