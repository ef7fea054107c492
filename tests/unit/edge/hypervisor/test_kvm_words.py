# SPDX-License-Identifier: Apache-2.0
"""A refusal of KVM is told from every other failure, in plain words and with the line itself."""

import pytest

from testbed.edge.hypervisor.kvm_words import BUSY, kvm_failure

BUSY_LINES = (
    "error: internal error: process exited while connecting to monitor: ioctl(KVM_CREATE_VM) "
    "failed: 16 Device or resource busy\n"
    "2026-11-28T13:00:00Z qemu-system-x86_64: failed to initialize kvm: Device or resource busy\n"
)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (BUSY_LINES, "another hypervisor has the CPU's virtualization "
         "(ioctl(KVM_CREATE_VM) failed: 16 Device or resource busy)"),
        ("qemu-system-x86_64: kvm_init_vcpu: kvm_get_vcpu failed (0): Device or resource busy",
         "another hypervisor has the CPU's virtualization "
         "(kvm_init_vcpu: kvm_get_vcpu failed (0): Device or resource busy)"),
        ("Could not access KVM kernel module: Permission denied\n"
         "qemu-system-x86_64: -accel kvm: failed to initialize kvm: Permission denied\n",
         "this account may not use it (Could not access KVM kernel module: Permission denied)"),
        ("Could not access KVM kernel module: No such file or directory",
         "the kernel's KVM module is gone "
         "(Could not access KVM kernel module: No such file or directory)"),
        ("qemu-system-x86_64: failed to initialize KVM: Invalid argument",
         "failed to initialize KVM: Invalid argument"),
        ("KVM: entry failed, hardware error 0x80000021",
         "KVM: entry failed, hardware error 0x80000021"),
        ("error: unsupported configuration: domain requires KVM, but it is not available. Check "
         "that virtualization is enabled", "domain requires KVM, but it is not available. Check "
         "that virtualization is enabled"),
        ("Error while creating domain: Error saving the server: Call to virDomainDefineXML failed: "
         "unsupported configuration: Emulator '/usr/bin/qemu-system-x86_64' does not support virt "
         "type 'kvm'", "libvirt finds no KVM that works (Emulator '/usr/bin/qemu-system-x86_64' "
         "does not support virt type 'kvm')"),
        ("CPU mode 'host-passthrough' for x86_64 kvm domain on x86_64 host is not supported by "
         "hypervisor", "libvirt finds no KVM that works (CPU mode 'host-passthrough' for x86_64 "
         "kvm domain on x86_64 host is not supported by hypervisor)"),
    ],
)  # fmt: skip
def test_a_refusal(words: str, said: str) -> None:
    assert kvm_failure(words) == said
    assert kvm_failure(f"Bringing machine up...\n{words}\n  more lines") == said


@pytest.mark.parametrize(
    "words",
    ["", "Address already in use", f"rmdir: {BUSY}", "[    0.0] kvm-clock: Using msrs 4b564d01",
     "clocksource: kvm-clock", "Timed out while waiting for the machine to boot",
     "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory"],
)  # fmt: skip
def test_what_is_no_refusal(words: str) -> None:
    """A kernel that runs on KVM speaks of it, and other things are busy, too."""
    assert kvm_failure(words) is None
