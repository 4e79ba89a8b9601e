"""Every change of one decision in a module's source: comparisons, constants, and / or, not, min / max, + and -,
guards left out.

Annotations, texts and what an error says are left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

OTHER = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
PAIRS = (("min", "max"), ("minimum", "maximum"), ("argmin", "argmax"), ("any", "all"), ("zeros", "ones"))
SWAPPED = {**dict(PAIRS), **{b: a for a, b in PAIRS}}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change: the module's name here, the line and function it is in, what it was and became, the whole new
    source."""

    module: str
    line: int
    function: str
    change: str
    source: str


def changes(node: ast.AST) -> Iterator[tuple[Any, Any, Any]]:
    """(object, field or place, new value) of each change of this node alone."""
    if isinstance(node, ast.Compare):
        yield from ((node.ops, place, new()) for place, op in enumerate(node.ops) for new in OTHER[type(op)])
    elif isinstance(node, (ast.BoolOp, ast.BinOp, ast.AugAssign)):
        yield from ((node, "op", new()) for new in OTHER.get(type(node.op), ()))
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield node, "value", not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        value = node.value
        yield from ((node, "value", new) for new in sorted({2 * value, value + 1, 0 * value} - {value}))
    elif isinstance(node, ast.Name) and node.id in SWAPPED and isinstance(node.ctx, ast.Load):
        yield node, "id", SWAPPED[node.id]
    elif isinstance(node, ast.Attribute) and node.attr in SWAPPED:
        yield node, "attr", SWAPPED[node.attr]
    elif isinstance(node, ast.Return) and isinstance(node.value, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
        yield node, "value", ast.UnaryOp(ast.Not(), node.value)
    elif (
        isinstance(node, ast.If)
        and not node.orelse
        and isinstance(node.body[-1], (ast.Raise, ast.Return, ast.Continue, ast.Break))
    ):
        yield node, "test", ast.Constant(False)
    for field in (
        "operand",
        "value",
        "test",
        "left",
        "right",
        "elt",
        "slice",
    ):  # a `not`, `~` or `-` is left out where it stands
        inner = getattr(node, field, None)
        if isinstance(inner, ast.UnaryOp) and not isinstance(inner.operand, ast.Constant):
            yield node, field, inner.operand


def sites(node: ast.AST, function: str = "-", around: ast.AST | None = None) -> Iterator[tuple[ast.AST, ast.AST, str]]:
    """Each node that may be changed, what is shown of it and its function: no annotation, no text, nothing of what
    an error says."""
    if isinstance(node, (ast.JoinedStr, ast.Raise, ast.Import, ast.ImportFrom)):
        return
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        function = node.name
    is_small = isinstance(node, (ast.Constant, ast.Name, ast.Attribute)) and isinstance(
        around, (ast.expr, ast.Assign, ast.keyword)
    )
    yield node, around if is_small and around is not None else node, function
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from sites(child, function, node)


def mutants(name: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module's source."""
    tree = ast.parse(source)
    line = 1
    for node, shown, function in list(sites(tree)):
        line = getattr(node, "lineno", line)
        for owner, place, new in list(changes(node)):
            before = ast.unparse(shown)
            old = owner[place] if isinstance(owner, list) else getattr(owner, place)
            put(owner, place, new)
            yield Mutant(
                module=name,
                line=line,
                function=function,
                change=f"{short(before)} -> {short(ast.unparse(shown))}",
                source=ast.unparse(ast.fix_missing_locations(tree)),
            )
            put(owner, place, old)


def put(owner: Any, place: Any, value: Any) -> None:
    """Sets a place of a list or a field of a node."""
    if isinstance(owner, list):
        owner[place] = value
    else:
        setattr(owner, place, value)


def short(code: str) -> str:
    """Its first line, cut."""
    return code.splitlines()[0][:160]
