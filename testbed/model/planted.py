# SPDX-License-Identifier: Apache-2.0
"""Arms with something planted in their hook, whose size is known: they prove the counter.

Each is the Netfilter module of guest/arms/netfilter with a few lines more for every packet.
"""

from dataclasses import dataclass
from pathlib import Path

from testbed.model.errors import RunError

ARM, SOURCE = "netfilter", "redirect_nf.c"
PLACE = "\tthis_cpu_inc(hits);\n"
"""The line of the hook before which the lines are put: every redirected packet passes it once."""
FUNCTION = "static unsigned int redirect_udp("
COPIED = 512
CALLED = "planted_call"
CALL_NOPS = 5


@dataclass(frozen=True)
class Plant:
    """C for the top of the file, and for every packet; `nops` is what it must add, if exact."""

    name: str
    title: str
    each: str
    top: str = ""
    nops: int | None = None


def _nops(number: int) -> str:
    return f'asm volatile(".rept {number}\\n\\tnop\\n\\t.endr");'


def _exactly(number: int) -> Plant:
    noun = "instruction" if number == 1 else "instructions"
    return Plant(f"nop-{number}", f"{number} {noun} more", _nops(number), nops=number)


CALL, COPY, LOG = "planted-call", "planted-copy", "planted-log"
PLANTS = (
    _exactly(1),
    _exactly(10),
    _exactly(100),
    Plant(
        CALL, "a call", f"{CALLED}();",
        top=f"static noinline void {CALLED}(void)\n{{\n\t{_nops(CALL_NOPS)}\n}}\n",
    ),
    Plant(
        COPY, f"a copy of {COPIED} bytes",
        "{ void *from = planted_from, *to = planted_to; unsigned long bytes = sizeof(planted_to); "
        'asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(bytes) : : "memory"); }',
        top=f"static u8 planted_from[{COPIED}], planted_to[{COPIED}];\n",
    ),
    Plant(LOG, "a line in the kernel log", 'pr_info("planted\\n");'),
)  # fmt: skip


def planted(plant: Plant, arms_dir: Path) -> dict[str, str]:
    """Return {file: text} of a folder that is this arm.

    Raises RunError where the module's source is not as it is known.
    """
    folder = arms_dir / ARM
    files = {name: (folder / name).read_text() for name in ("Makefile", "arm.toml", SOURCE)}
    source, manifest, named = files[SOURCE], files["arm.toml"], f'name = "{ARM}"\n'
    if source.count(PLACE) != 1 or FUNCTION not in source or named not in manifest:
        raise RunError(
            f"{folder / SOURCE} is not as the self-test knows it: nothing can be planted there",
            hint=f"it looks for {FUNCTION}…) and, once, for {PLACE.strip()}",
        )
    source = source.replace(PLACE, f"\t{plant.each}\n{PLACE}")
    files[SOURCE] = source.replace(FUNCTION, f"{plant.top}\n{FUNCTION}", 1)
    files["arm.toml"] = manifest.replace(named, f'name = "{plant.name}"\n')
    return files
