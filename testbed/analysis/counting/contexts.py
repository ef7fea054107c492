# SPDX-License-Identifier: Apache-2.0
"""Which context each block ran in: told from entries, calls, returns and task switches.

The walk keeps a stack of return addresses. A block that begins at one of them is a return, however
it was made: so retpolines, tail calls and returns through thunks do no harm. A context that is
known only later (which device interrupted? whose task is this?) is named when it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from testbed.analysis.counting.blocks import Visit
from testbed.model.symbols import Symbols, bare

INTERRUPT, SOFTIRQ, BACKLOG = "NIC interrupt", "NAPI and softirq", "backlog"
TICK, SCHEDULER, RECEIVE = "timer tick", "scheduler", "receive call"
PROGRAM, IDLE, FAULT, OTHER = "program", "idle", "fault", "other"
PACKETS = frozenset((INTERRUPT, SOFTIRQ, BACKLOG, SCHEDULER, RECEIVE, PROGRAM))
"""Contexts that work for the packet; the others happen beside it."""

STUBS = "irq_entries_start"
TIMER = frozenset(("asm_sysvec_apic_timer_interrupt", "asm_sysvec_irq_work"))
SYSCALL = "entry_SYSCALL_64"
SWITCH = "__switch_to_asm"
SCHEDULING = frozenset(
    ("schedule", "schedule_idle", "schedule_timeout", "preempt_schedule", "preempt_schedule_irq",
     "preempt_schedule_common", "preempt_schedule_notrace", "__schedule", SWITCH, "__switch_to",
     "finish_task_switch", "ret_from_fork")
)  # fmt: skip
FILLING = (SWITCH, "__x86_", "srso_", "retbleed_")
"""Code whose calls do not return: they fill the CPU's prediction of returns."""
IDLING = frozenset(("do_idle", "cpu_startup_entry", "default_idle_call", "cpuidle_idle_call"))
RECEIVING = frozenset(("__skb_wait_for_more_packets", "udp_recvmsg", "__sys_recvfrom"))
ENTERS = {
    "__do_softirq": SOFTIRQ, "handle_softirqs": SOFTIRQ, "process_backlog": BACKLOG,
    "run_timer_softirq": TICK, "run_rebalance_domains": TICK, "hrtimer_run_softirq": TICK,
    "rcu_core_si": OTHER, "rcu_core": OTHER, "tasklet_action": OTHER, "tasklet_hi_action": OTHER,
    "blk_done_softirq": OTHER, "try_to_wake_up": SCHEDULER,
    "tick_irq_enter": IDLE, "tick_nohz_irq_exit": IDLE,
}  # fmt: skip
"""Functions whose calls are a context of their own, up to their return. An interrupt that finds the
CPU idle does the idle task's bookkeeping: it depends on the clock, not on the packet.
"""


@dataclass(slots=True)
class Context:
    """A context that may get its name later."""

    name: str


@dataclass(slots=True)
class Step:
    """A visit, the function that it is part of, and its context. `entry`: the function's start.

    `task` counts the tasks of the stretch, `interrupt` its interrupts; 0 is none.
    """

    visit: Visit
    function: str
    entry: bool
    context: Context
    task: int
    interrupt: int
    instructions: int


@dataclass(slots=True)
class _Frame:
    """The context to go on with after a call or an interrupt; `to` is None for an interrupt."""

    to: int | None
    context: Context
    interrupt: int
    last: int


@dataclass
class Walk:
    """The state of the walk through one stretch, which begins in the idle task."""

    symbols: Symbols
    driver: str
    steps: list[Step] = field(default_factory=list)
    resumed: int = 0
    """String instructions that went on after an interrupt: they are not counted once more."""
    _stack: list[_Frame] = field(default_factory=list)
    _base: Context = field(default_factory=lambda: Context(IDLE))
    _nameless: list[tuple[Context, str]] = field(default_factory=list)
    """Contexts of this task, and what they are when it proves to be the receiver."""
    _context: Context = field(default_factory=lambda: Context(IDLE))
    _task: int = 0
    _interrupt: int = 0
    _interrupts: int = 0
    _interrupted_by: Context = field(default_factory=lambda: Context(OTHER))
    _names: dict[int, tuple[str, str, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._context = self._base

    def through(self, visits: Iterable[Visit]) -> list[Step]:
        """Return the steps of a stretch, each with its context."""
        previous: Visit | None = None
        for visit in visits:
            self._step(visit, previous)
            previous = visit
        return self.steps

    def _step(self, visit: Visit, previous: Visit | None) -> None:
        block, again = visit.block, False
        if previous is not None and previous.block.irets:
            again = self._leave_interrupt(visit)
        if block.user:
            if previous is None or not previous.block.user:
                self._begin_program()
            self._add(visit, "(program)", False, visit.instructions)
            return
        name, plain, entry = self._named(block.address)
        self._return_to(block.address)
        if entry or plain == STUBS:
            self._enter(plain)
        elif not self._stack and self._context.name == SCHEDULER and not _scheduling(plain):
            self._context = self._base
        self._recognise(plain, entry)
        # An iteration of a string instruction that an interrupt had stopped is none of its own.
        goes_on = again and block.repeated and block.instructions == 1
        self.resumed += goes_on
        self._add(visit, name, entry, 0 if goes_on else visit.instructions)
        if block.calls and not plain.startswith(FILLING):
            self._stack.append(_Frame(block.after, self._context, self._interrupt, block.last))

    def _add(self, visit: Visit, name: str, entry: bool, ran: int) -> None:
        step = Step(visit, name, entry, self._context, self._task, self._interrupt, ran)
        self.steps.append(step)

    def _begin_program(self) -> None:
        """A program runs: of the task that was switched to; its kernel stack is empty."""
        self._stack.clear()
        self._interrupt = 0
        self._context = Context(PROGRAM if self._base.name == RECEIVE else OTHER)
        self._nameless.append((self._context, PROGRAM))

    def _named(self, address: int) -> tuple[str, str, bool]:
        known = self._names.get(address)
        if known is None:
            name, start = self.symbols.find(address)
            known = self._names[address] = (name, bare(name), start == address)
        return known

    def _return_to(self, address: int) -> None:
        for at in range(len(self._stack) - 1, -1, -1):
            frame = self._stack[at]
            if frame.to is None:
                return
            if frame.to == address:
                self._context, self._interrupt = frame.context, frame.interrupt
                del self._stack[at:]
                return

    def _leave_interrupt(self, visit: Visit) -> bool:
        """Go back to what an interrupt interrupted; tell whether the same instruction goes on."""
        while self._stack:
            frame = self._stack.pop()
            if frame.to is None:
                self._context, self._interrupt = frame.context, frame.interrupt
                return frame.last == visit.block.address
        return False

    def _enter(self, plain: str) -> None:
        if plain == STUBS or plain.startswith(("asm_sysvec_", "asm_exc_")):
            self._interrupted(plain)
        elif plain == SYSCALL:
            self._stack.clear()
            self._interrupt = 0
            self._context = self._base = Context(OTHER)
        elif plain == SWITCH:
            self._stack.clear()
            self._task += 1
            self._interrupt = 0
            self._base = Context(OTHER)
            self._nameless = [(self._base, RECEIVE)]
            self._context = Context(SCHEDULER)
        elif plain in SCHEDULING:
            self._context = Context(SCHEDULER)
        elif plain in ENTERS:
            self._context = Context(ENTERS[plain])

    def _interrupted(self, plain: str) -> None:
        last = self.steps[-1].visit.block.last if self.steps else 0
        self._stack.append(_Frame(None, self._context, self._interrupt, last))
        self._interrupts += 1
        self._interrupt = self._interrupts
        name = TICK if plain in TIMER else FAULT if plain.startswith("asm_exc_") else OTHER
        self._context = self._interrupted_by = Context(name)

    def _recognise(self, plain: str, entry: bool) -> None:
        """Name what was entered without one: the NIC's interrupt, the idle task, the receiver."""
        if entry and plain == self.driver:
            self._interrupted_by.name = INTERRUPT
        elif plain in RECEIVING and self._base.name == OTHER:
            self._base.name = RECEIVE
            for context, name in self._nameless:
                context.name = name
        elif plain in IDLING and self._base.name == OTHER:
            self._base.name = IDLE


def _scheduling(plain: str) -> bool:
    return plain in SCHEDULING or plain.startswith(FILLING)
