# SPDX-License-Identifier: Apache-2.0
"""QEMU's and libvirt's words for a KVM that cannot be had.

Words are those of accel/kvm/kvm-all.c and accel/accel-system.c (QEMU 5 to 10), and of libvirt's
src/qemu/qemu_process.c and qemu_validate.c (7 to 11).
"""

import re

BUSY = "Device or resource busy"
"""The CPU's virtualization belongs to somebody else: VirtualBox, VMware, another kernel module."""
_REFUSALS = (
    r"Could not access KVM kernel module: .*",
    r"ioctl\(KVM_\w+\) failed: .*",
    r"failed to initialize kvm: .*",
    r"kvm_init_vcpu: .*failed.*",
    r"KVM: entry failed, .*",
    r"kvm run failed .*",
    r"domain requires KVM, but it is not available.*",
    r"Emulator '.*' does not support virt type 'kvm'",
    r"CPU mode 'host-passthrough' for .*kvm domain .*not supported by hypervisor",
)
_SAID = re.compile("|".join(_REFUSALS), re.IGNORECASE)
_PLAIN = {
    BUSY: "another hypervisor has the CPU's virtualization",
    "Permission denied": "this account may not use it",
    "No such file or directory": "the kernel's KVM module is gone",
    "virt type": "libvirt finds no KVM that works",
    "host-passthrough": "libvirt finds no KVM that works",
}


def kvm_failure(words: str) -> str | None:
    """Return why KVM cannot be had, with the line that says so; None where no line does."""
    said = [found[0].strip() for found in map(_SAID.search, words.splitlines()) if found]
    if not said:
        return None
    for known, plain in _PLAIN.items():
        if line := next((one for one in said if known in one), None):
            return f"{plain} ({line})"
    return said[-1]
