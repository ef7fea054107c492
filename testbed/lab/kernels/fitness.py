# SPDX-License-Identifier: Apache-2.0
"""Whether a kernel's packages fit the box: told from the packages, before minutes are spent."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from testbed.edge.files.debian_package import DebianPackage, read_contents
from testbed.model.errors import ConfigError

KERNEL, CONFIG, HEADERS = "boot/vmlinuz-", "boot/config-", "usr/src/linux-headers-"
DRIVERS = {
    "E1000": "the experiment's NIC, lab0",
    "VIRTIO_PCI": "the machines' disk and the way in",
    "VIRTIO_BLK": "the machines' disk",
    "VIRTIO_NET": "the way in, mgmt0",
    "EXT4_FS": "the machines' disk",
    "VETH": "the receiver's network namespace",
}
"""Options that may be built in, or modules of this name in lower case; and what needs them."""
MODULES = {"EXT4_FS": "ext4"}
BUILT_IN = {
    "MODULES": "the arm netfilter is a module",
    "MODULE_UNLOAD": "an arm is unloaded after each trial",
    "NETFILTER": "the arm netfilter hooks there",
    "NET_NS": "the receiver has a network namespace",
    "BPF_SYSCALL": "the XDP arms are BPF programs",
    "BPF_JIT": "an interpreted BPF program is not what is measured",
    "DEBUG_INFO_BTF": "arms are built from the kernel's types (vmlinux.h)",
    "KALLSYMS": "a count names functions",
    "BLK_DEV_INITRD": "the box boots with an initrd",
    "RD_LZ4": "the box's initrd is packed with lz4",
    "SERIAL_8250_CONSOLE": "a panic is read from the serial console",
}
"""Options that must be `y`, and what needs them."""


@dataclass(frozen=True)
class Image:
    """A kernel's package that fits; `release` is what `uname -r` will say."""

    package: DebianPackage
    release: str


def demand_fit(package: DebianPackage) -> Image:
    """Read a kernel's package. Raises ConfigError with all that it lacks for the box."""
    found = read_contents(package.path, lambda name: name.startswith(CONFIG))
    releases = sorted(path.removeprefix(KERNEL) for path in found.paths if path.startswith(KERNEL))
    if len(releases) != 1:
        what = "no kernel" if not releases else f"{len(releases)} kernels"
        raise ConfigError(
            f"{package.path} (package {package.name}) holds {what}: one /boot/vmlinuz-* is wanted",
            hint="[box] kernel is the linux-image package itself: no headers, no debug symbols, no "
            "package that only depends on it",
        )
    release = releases[0]
    text = found.texts.get(CONFIG + release)
    if text is None:
        raise ConfigError(
            f"{package.path} holds no /boot/config-{release}: what this kernel can do is not told",
            hint="`make bindeb-pkg` puts it there",
        )
    if lacks := missing(text, modules(found.paths)):
        raise ConfigError(
            f"the kernel {release} does not fit the box: it lacks {', '.join(lacks)}",
            hint="build it with these options; a kernel for clouds lacks drivers: take the one for "
            "PCs",
            detail="\n".join(f"{option}: {why}" for option, why in lacks.items()),
        )
    return Image(package, release)


def modules(paths: frozenset[str]) -> frozenset[str]:
    """Return the names of the modules among paths, as the kernel writes them."""
    files = (PurePosixPath(path).name for path in paths if ".ko" in path)
    return frozenset(name.split(".ko", 1)[0].replace("-", "_") for name in files)


def missing(text: str, there: frozenset[str]) -> dict[str, str]:
    """Return {option: what needs it} that a kernel's configuration does not give the box."""
    pairs = (line.split("=", 1) for line in text.splitlines() if line.startswith("CONFIG_"))
    values = {pair[0].removeprefix("CONFIG_"): pair[1] for pair in pairs if len(pair) == 2}
    lacks = {}
    for option, why in DRIVERS.items():
        module = MODULES.get(option, option.lower())
        if values.get(option) == "m" and module not in there:
            lacks[f"the module {module}"] = f"the package does not hold it; {why}"
        elif values.get(option) not in ("y", "m"):
            lacks[f"CONFIG_{option}"] = why
    lacks |= {
        f"CONFIG_{option}": why for option, why in BUILT_IN.items() if values.get(option) != "y"
    }
    return lacks


def demand_headers(image: Image, packages: Sequence[DebianPackage]) -> None:
    """Raise ConfigError unless one of the packages has the headers of this very kernel."""
    place = HEADERS + image.release
    others: list[str] = []
    for package in packages:
        paths = read_contents(package.path, lambda _: False).paths
        if place in paths:
            if package.version != image.package.version:
                raise ConfigError(
                    f"the headers {package.path} are of version {package.version}, the kernel is "
                    f"{image.package.version}",
                    hint="give the two packages that one build made",
                )
            return
        others += [path.removeprefix(HEADERS) for path in paths if _is_headers(path)]
    of = f"they are for {', '.join(sorted(set(others)))}" if others else "they hold none"
    raise ConfigError(
        f"[box] kernel_headers has no headers for {image.release}: {of}",
        hint=f"give linux-headers-{image.release}, and what it depends on where the mirror has it "
        "no more",
    )


def _is_headers(path: str) -> bool:
    return path.startswith(HEADERS) and "/" not in path.removeprefix(HEADERS)
