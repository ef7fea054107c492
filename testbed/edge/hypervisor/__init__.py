# SPDX-License-Identifier: Apache-2.0
"""The programs that run the machines: Vagrant, libvirt, QEMU's counter."""
