# SPDX-License-Identifier: Apache-2.0
"""Every place in the tool where a failure is made, as its source has it: message and hint."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.model import errors
from testbed.model.errors import TestbedError

PACKAGE = Path(errors.__file__).parents[1]
CLASSES: dict[str, type[TestbedError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, TestbedError)
}


@dataclass(frozen=True)
class Site:
    """One failure; `{…}` in its texts stands for what is put in, each text is one that may come."""

    module: str
    kind: type[TestbedError]
    messages: tuple[str, ...]
    hints: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.module}: {self.kind.__name__}, exit code {int(self.kind.exit_code)}"
        hints = [f"  → {hint}" for hint in self.hints]
        return "\n".join([head, *(f"  {message}" for message in self.messages), *hints])


def sites() -> Iterator[Site]:
    """Yield them by module, and by place in it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield from _sites_of(path)


def _sites_of(path: Path) -> Iterator[Site]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda one: one.lineno):
        kind = CLASSES.get(_name(call.func))
        if kind is not None:
            (message,) = call.args
            hint = next((word.value for word in call.keywords if word.arg == "hint"), None)
            yield Site(
                path.relative_to(PACKAGE).as_posix(), kind, tuple(_texts(message, tree)),
                tuple(_texts(hint, tree)) if hint else tuple(filter(None, (kind.advice,))),
            )  # fmt: skip


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _texts(node: ast.expr, tree: ast.Module) -> Sequence[str]:
    """Return each text that an expression may come to, as far as this module tells."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(map(_part, node.values))]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, tree), *_texts(node.orelse, tree)]
    if isinstance(node, ast.Name) and (value := _constant(node.id, tree)):
        return _texts(value, tree)
    if isinstance(node, ast.Call) and (returned := _returned(_name(node.func), tree)):
        return [text for value in returned for text in _texts(value, tree)]
    return [f"{{{ast.unparse(node)}}}"]


def _part(node: ast.expr) -> str:
    """Return a piece of an f-string; not by `unparse`, whose quotes are each Python's own."""
    if isinstance(node, ast.FormattedValue):
        how = f"!{chr(node.conversion)}" if node.conversion > 0 else ""
        how += f":{''.join(map(_part, node.format_spec.values))}" if node.format_spec else ""
        return f"{{{ast.unparse(node.value)}{how}}}"
    assert isinstance(node, ast.Constant)
    return str(node.value)


def _constant(name: str, tree: ast.Module) -> ast.expr | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and name in map(_name, node.targets):
            return node.value
    return None


def _returned(name: str, tree: ast.Module) -> list[ast.expr]:
    """Return what a function of the module returns, if it is there."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            returns = [one for one in ast.walk(node) if isinstance(one, ast.Return)]
            return [one.value for one in returns if one.value is not None]
    return []
