"""The policy table as text, Markdown or JSON, and the explanation of one cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.auth.policy import Audiences, Key, PolicyTable, Rule, Scope, effective_roles, ordered
from app.auth.principal import AnyRole
from app.errors import ConfigurationError
from app.schema.declare.policy import Declarations

DENIED = "-"
HEAD = """\
# Policy matrix

Printed by `./run policy matrix --markdown` from what the schema declares; `./run check policy` fails while it differs.
[Authorization policy](policy.md) explains how to read and change it.

A cell names the rows of which a role sees the field: `own` accounts, `assigned` ones, the `partner`'s, `approved`
relations, or `all`; `-` is null with `FORBIDDEN`. A word in capitals is the mask of the value. Fields of embedded types
(`Money`, `Address`, `Ref`, ...) follow the field that leads to them.
"""


def cell(rule: Rule, role: AnyRole) -> str:
    if role not in rule.roles:
        return DENIED
    mask = rule.mask_for(role)
    return f"{rule.rows.reach(role)}, {mask}" if mask else str(rule.rows.reach(role))


def as_json(table: PolicyTable) -> dict[str, dict[str, Any]]:
    """Every cell by field and role: null, or rows and mask."""
    return {".".join(key): {role.value: _granted(rule, role) for role in table.roles} for key, rule in _sorted(table)}


def _granted(rule: Rule, role: AnyRole) -> dict[str, str | None] | None:
    return {"rows": rule.rows.reach(role), "mask": rule.mask_for(role)} if role in rule.roles else None


def as_markdown(table: PolicyTable) -> str:
    """A page: a table for each type, its fields grouped by who sees them; then what a caller may ask by."""
    lines = [HEAD]
    columns, rule_line = " | ".join(role.value for role in table.roles), "|---" * (len(table.roles) + 1) + "|"
    for name, groups in grouped(table):
        lines += [f"## {name}", "", f"| field | {columns} |", rule_line]
        lines += [
            f"| {', '.join(f'`{field}`' for field in fields)} | {' | '.join(cells)} |" for cells, fields in groups
        ]
        lines.append("")
    lines += ["## Inputs that not everybody may ask by", "", f"| input | {columns} |", rule_line]
    for name, roles in sorted(table.inputs.items()):
        lines.append(f"| `{name}` | {' | '.join('yes' if role in roles else DENIED for role in table.roles)} |")
    return "\n".join([*lines, ""])


def as_text(table: PolicyTable) -> str:
    """For a terminal: one line a field."""
    roles, names = table.roles, [".".join(key) for key, _ in _sorted(table)]
    wide = max(map(len, names))
    widths = [max(len(role.value), 9) for role in roles]
    rows = [("", [role.value for role in roles])]
    rows += [
        (name, [cell(rule, role) for role in roles]) for name, (_, rule) in zip(names, _sorted(table), strict=True)
    ]
    return "\n".join(_line(name, cells, wide, widths) for name, cells in rows)


def _line(name: str, cells: Iterable[str], wide: int, widths: Iterable[int]) -> str:
    return f"{name:<{wide}}  " + "  ".join(f"{text:<{size}}" for text, size in zip(cells, widths, strict=True)).rstrip()


def grouped(table: PolicyTable) -> Iterator[tuple[str, list[tuple[tuple[str, ...], list[str]]]]]:
    """Types by name, with the fields that have the same cells together, in the order of the schema."""
    for name in sorted({key[0] for key in table.fields}):
        groups: dict[tuple[str, ...], list[str]] = {}
        for (type_name, field), rule in table.fields.items():
            if type_name == name:
                groups.setdefault(tuple(cell(rule, role) for role in table.roles), []).append(field)
        yield name, list(groups.items())


def _sorted(table: PolicyTable) -> list[tuple[Key, Rule]]:
    return sorted(table.fields.items(), key=lambda item: item[0][0])


def why(name: str, roles: frozenset[AnyRole], table: PolicyTable, declared: Declarations) -> str:
    """The declarations that grant or deny a field to some roles."""
    key = found(name, declared)
    rule, asking = table.fields[key], ", ".join(sorted(roles))
    lines = [] if ".".join(key) == name else [f"{name} is {'.'.join(key)}."]
    lines += _declarations(key, declared, table.audiences)
    lines.append(f"so it is for: {', '.join(role.value for role in ordered(rule.roles))}")
    counted = effective_roles(roles, rule.rows)
    if counted != roles:
        lines.append(f"of {asking} only {', '.join(sorted(counted))} count: they see the rows of all accounts")
    seeing = rule.roles & counted
    if not seeing:
        return "\n".join([*lines, f"{asking}: null, with an error of code FORBIDDEN"])
    masks = {rule.mask_for(role) for role in seeing}
    mask = None if None in masks else next(iter(masks))
    reach = ", ".join(dict.fromkeys(rule.rows.reach(role).value for role in sorted(seeing)))
    return "\n".join([*lines, f"{asking}: seen, of rows: {reach}; {f'through the mask {mask}' if mask else 'whole'}"])


def _declarations(key: Key, declared: Declarations, audiences: Audiences) -> Iterator[str]:
    for name, one in ((key[0], declared.types[key[0]]), (".".join(key), declared.fields[key])):
        parts = [_audience("requires", one.scope, audiences), _audience("whole for", one.unmasked_for, audiences)]
        parts += [f"rows {one.rows}" if one.rows else "", f"mask {one.mask}" if one.mask else ""]
        if any(parts):
            yield f"{name} declares: {'; '.join(filter(None, parts))}"


def _audience(word: str, scope: Scope | None, audiences: Audiences) -> str:
    return f"{word} {scope} ({', '.join(role.value for role in ordered(audiences[scope]))})" if scope else ""


def found(name: str, declared: Declarations) -> Key:
    """The field that a name means: `Type.field`, or one further down, as in `Order.totals.margin` or `Order.margin`."""
    start, *steps = name.split(".")
    for key in _walk(start, steps, declared.leads):
        return key
    below = {declared.leads[key] for key in declared.fields if key[0] == start} if len(steps) == 1 else set()
    further = sorted(key for key in declared.fields if key[0] in below and key[1] == steps[0])
    if len(further) == 1:
        return further[0]
    several = ", ".join(".".join(key) for key in further)
    cure = f"is one of several: {several}" if further else "is not a field of the schema"
    raise ConfigurationError("field", name, f"{cure}; name it as Type.field")


def _walk(type_name: str, steps: list[str], leads: Mapping[Key, str]) -> Iterator[Key]:
    key = None
    for step in steps:
        key = type_name, step
        if key not in leads:
            return
        type_name = leads[key]
    if key is not None:
        yield key
