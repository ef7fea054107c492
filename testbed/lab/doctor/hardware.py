# SPDX-License-Identifier: Apache-2.0
"""Whether this computer carries two machines: CPU, KVM, memory, disk. Pure."""

from collections.abc import Collection
from pathlib import Path

from testbed.edge.hypervisor.kvm_words import BUSY
from testbed.lab.doctor.diagnosis import Diagnosis, ok

EMULATED = "emulation runs the same code, slower"


def platform(machine: str) -> Diagnosis:
    """Judge the architecture."""
    if machine == "x86_64":
        return ok("platform", machine)
    return Diagnosis(
        "platform",
        "problem",
        f"{machine}; only x86-64 is supported",
        "use an x86-64 computer: the box and its tools are built for that one",
    )


def virtualisation(flags: Collection[str]) -> Diagnosis:
    """Judge the CPU's flags, as /proc/cpuinfo has them."""
    for flag, title in (("vmx", "Intel VT-x"), ("svm", "AMD-V")):
        if flag in flags:
            return ok("virtualisation", f"{title} ({flag})")
    if "hypervisor" in flags:
        return Diagnosis(
            "virtualisation",
            "note",
            "no vmx or svm: a virtual machine without nested ones",
            f"turn on nested virtualisation outside, or leave it: {EMULATED}",
        )
    return Diagnosis(
        "virtualisation",
        "note",
        "the CPU offers neither vmx nor svm",
        f"turn it on in the firmware (BIOS), or leave it: {EMULATED}",
    )


def kvm_not_wanted() -> Diagnosis:
    """Tell that testbed.toml asks for emulation."""
    return ok("KVM", "not used: testbed.toml asks for emulation")


def no_device(wanted: str, why: str) -> Diagnosis:
    """Judge a computer without the device."""
    fix = f"`sudo modprobe -a kvm_intel kvm_amd`, or leave it: {EMULATED}"
    return _no_kvm(wanted, why, fix)


def no_right(wanted: str, why: str, who: str, *, roots: bool) -> Diagnosis:
    """Judge a device that the machines' account may not use; `roots` is one that never logs in."""
    again = "" if roots else " and log in again"
    fix = f"`sudo adduser {who} kvm`{again}, or leave it: {EMULATED}"
    return _no_kvm(wanted, why, fix)


def tried_kvm(wanted: str, problem: str | None, who: str) -> Diagnosis:
    """Judge a trial boot on KVM; `problem` is None where a kernel booted."""
    if problem is None:
        return ok("KVM", "works: a kernel boots on it")
    if BUSY in problem:
        return _no_kvm(wanted, problem, f"end the other hypervisor, or leave it: {EMULATED}")
    fix = f"nothing: {EMULATED}. If `up` is slow: `sudo gpasswd --delete {who} kvm`"
    return _no_kvm(wanted, problem, fix)


def slow_kvm(limit_s: float) -> Diagnosis:
    """Tell of a kernel that makes progress on KVM, and takes longer than the doctor waits."""
    return Diagnosis(
        "KVM",
        "note",
        f"slow: a kernel runs on it and was still booting after {limit_s:g} s",
        "`testbed up`: it waits as long as the kernel makes progress, and remembers the answer",
    )


def untried_kvm() -> Diagnosis:
    """Tell that there is no kernel yet to try it with."""
    return Diagnosis(
        "KVM",
        "note",
        "not tried yet: that takes the box's kernel",
        "`testbed box build`, then this again; `testbed up` tries it too",
    )


def _no_kvm(wanted: str, why: str, fix: str) -> Diagnosis:
    if wanted == "kvm":
        return Diagnosis(
            "KVM",
            "problem",
            f'{why}, and testbed.toml has accelerator = "kvm"',
            f'set accelerator = "auto" in testbed.toml: {EMULATED}',
        )
    return Diagnosis("KVM", "note", why, fix)


def cores(host: int, server: int, client: int) -> Diagnosis:
    """Judge the virtual CPUs against those that this process may use."""
    found = f"{host} for {server + client} virtual CPUs (server {server}, client {client})"
    if server + client <= host:
        return ok("cores", found)
    if host == 1:
        fix = "use a computer with two cores: on one, the machines wait for each other"
    else:
        fix = f"lower cpus in testbed.toml: both machines together should have {host} at most"
    return Diagnosis("cores", "warning", found, fix)


def memory(total_mb: int, available_mb: int, needed_mb: int, running: int) -> Diagnosis:
    """Judge the memory; machines that run have theirs already."""
    if running:
        machines = "both machines run" if running == 2 else "one machine runs"
        return ok("memory", f"{available_mb} MB available while {machines}")
    found = f"{available_mb} MB available, the two machines need {needed_mb} MB"
    if available_mb >= needed_mb:
        return ok("memory", found)
    if total_mb < needed_mb:
        fix = "lower memory_mb in testbed.toml: this computer has less than that altogether"
    else:
        fix = "close programs, or lower memory_mb in testbed.toml"
    return Diagnosis("memory", "problem", found, fix)


def disk(
    name: str, place: Path, free: int, *, needed: int, comfortable: int, fix: str
) -> Diagnosis:
    """Judge the room at one place, all in bytes."""
    found = f"{free / 1e9:.1f} GB free at {place}"
    if free < needed:
        return Diagnosis(name, "problem", f"{found}; {needed / 1e9:.1f} GB are needed", fix)
    if free < comfortable:
        return Diagnosis(name, "warning", f"{found}; {comfortable / 1e9:.1f} GB would do", fix)
    return ok(name, found)
