# SPDX-License-Identifier: Apache-2.0
"""Hooks with something planted in them, whose size is known: they prove the counter.

Each is the hook of guest/arms/netfilter with a few lines more for every packet. All are in one
module, which registers the one that its parameter `plant` names: a module's build takes longer on
an emulated CPU than counting all of them.
"""

from dataclasses import dataclass
from pathlib import Path

from testbed.model.arm import Arm, Control
from testbed.model.errors import RunError

ORIGINAL, SOURCE = "netfilter", "redirect_nf.c"
ARM = "planted"
"""The folder, and the arm with nothing planted: what the others are held against."""
HEADER = '#include "redirect_module.h"\n'
CHOICE = "plant="
"""The module's parameter: the number of a hook, 0 for the one that is as it was."""
PLACE = "\tthis_cpu_inc(hits);\n"
"""The line of the hook before which the lines are put: every redirected packet passes it once."""
NAME = "redirect_udp"
FUNCTION = f"static unsigned int {NAME}("
END = "\treturn NF_ACCEPT;\n}\n"
"""How the hook ends: the other place where it accepts a packet is within braces of its own."""
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


CHOOSING = """\
static nf_hookfn *const planted_hooks[] = {{ {hooks} }};
static unsigned int plant;
module_param(plant, uint, 0444);
static struct nf_hook_ops planted_ops;

static int planted_register(struct net *net, const struct nf_hook_ops *ops)
{{
\tif (plant >= ARRAY_SIZE(planted_hooks))
\t\treturn -EINVAL;
\tplanted_ops = *ops;
\tplanted_ops.hook = planted_hooks[plant];
\treturn nf_register_net_hook(net, &planted_ops);
}}

static void planted_unregister(struct net *net, const struct nf_hook_ops *ops)
{{
\tnf_unregister_net_hook(net, &planted_ops);
}}
"""
INSTEAD = """\
#include <linux/netfilter.h>

static int planted_register(struct net *net, const struct nf_hook_ops *ops);
static void planted_unregister(struct net *net, const struct nf_hook_ops *ops);
#define nf_register_net_hook planted_register
#define nf_unregister_net_hook planted_unregister
"""
AFTER = "#undef nf_register_net_hook\n#undef nf_unregister_net_hook\n"
"""The header registers one hook that it knows by name: here the one that was chosen."""


def planted(arms_dir: Path) -> dict[str, str]:
    """Return {file: text} of a folder that is the arm `ARM`.

    Raises RunError where the module's source is not as it is known.
    """
    folder = arms_dir / ORIGINAL
    files = {name: (folder / name).read_text() for name in ("Makefile", "arm.toml", SOURCE)}
    source, manifest = files[SOURCE], files["arm.toml"]
    name, ports = f'name = "{ORIGINAL}"\n', '"target_port={target_port}",\n'
    parts = [source.count(part) for part in (HEADER, FUNCTION, PLACE, END)]
    if parts != [1] * len(parts) or name not in manifest or manifest.count(ports) != 2:
        raise RunError(
            f"{folder / SOURCE} is not as the self-test knows it: nothing can be planted there",
            hint=f"it looks for {FUNCTION}…) and, once, for {PLACE.strip()}",
        )
    files["arm.toml"] = manifest.replace(name, f'name = "{ARM}"\n').replace(
        ports, f'{ports[:-1]} "{CHOICE}0",\n'
    )
    start, end = source.index(FUNCTION), source.index(END) + len(END)
    hook = source[start:end]
    hooks = [_hook(hook, plant, number) for number, plant in enumerate(PLANTS, 1)]
    names = ", ".join([NAME, *(_name(number) for number in range(1, len(PLANTS) + 1))])
    files[SOURCE] = "".join((
        source[:start].replace(HEADER, f"{INSTEAD}{HEADER}{AFTER}"), hook, "\n", *hooks,
        CHOOSING.format(hooks=names), source[end:],
    ))  # fmt: skip
    return files


def arms(arm: Arm) -> list[Arm]:
    """Return the arm of that folder, the same again, and one for each plant."""
    return [arm, arm.again(), *(_with(arm, plant, at) for at, plant in enumerate(PLANTS, 1))]


def _with(arm: Arm, plant: Plant, number: int) -> Arm:
    changed = {
        step: [
            [f"{CHOICE}{number}" if word == f"{CHOICE}0" else word for word in argv]
            for argv in getattr(arm.commands, step)
        ]
        for step in ("load", "verify")
    }
    return arm.model_copy(update={
        "name": plant.name, "title": plant.title,
        "control": Control(kind="planted", of=arm.name),
        "commands": arm.commands.model_copy(update=changed),
    })  # fmt: skip


def _name(number: int) -> str:
    return f"{NAME}_{number}"


def _hook(hook: str, plant: Plant, number: int) -> str:
    named = hook.replace(NAME, _name(number), 1)
    return plant.top + named.replace(PLACE, f"\t{plant.each}\n{PLACE}") + "\n"
