"""A plan as text: its reads in order, and the generated code."""

from __future__ import annotations

from collections.abc import Iterator

from graphql import print_ast

from app.execution.plan.engine import Plan
from app.execution.plan.tree import PlanField, Selection


def format_plan(plan: Plan) -> str:
    fields = list(plan.tree.walk())
    edges = [one for one in fields if one.edge is not None]
    lines = [f"# {len(fields)} fields, {len(edges)} edges, {len(plan.tree.levels)} levels", "", "# Reads"]
    lines += _reads(plan.tree.root, "")
    return "\n".join([*lines, "", "# Shapes, from the root down; each is called once for all rows", plan.text, ""])


def _reads(selection: Selection, indent: str) -> Iterator[str]:
    for one in selection.columns:
        yield f"{indent}{_line(one, selection)}"
        for below in one.level.selections.values() if one.level else ():
            if one.level and one.level.only is None:
                yield f"{indent}  on {below.type.name}"
            yield from _reads(below, indent + "  ")


def _line(one: PlanField, selection: Selection) -> str:
    node = one.nodes[0]
    arguments = ", ".join(print_ast(argument) for argument in node.arguments or ())
    what = f"{one.key}: {one.name}" if one.key != one.name else one.name
    text = f"{what}({arguments})" if arguments else what
    if one.forbidden:
        return f"{text}  # forbidden: null with FORBIDDEN"
    if one.edge is None:
        return f"{text}  # attribute {one.attribute} of every {selection.type.name}"
    function = f"{one.edge.function.__module__.rpartition('.')[2]}.{one.edge.function.__name__}"
    if one.edge.is_root:
        return f"{text}  # {function}, once"
    notes = [f"{function}, once for all {selection.type.name} rows"]
    if one.edge.prefetch_by_keys is not None:
        notes.append("started beside them where their keys are known")
    if one.edge.prefetch is not None:
        notes.append("its customer is read with the operation")
    return f"{text}  # {'; '.join(notes)}"
