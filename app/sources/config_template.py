"""Templates of sources for `./run init`: each vendor's package declares its own in `config_template.py`."""

from __future__ import annotations

from dataclasses import dataclass
from string import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigTemplate:
    """The commented table of a vendor's source in `tradegraph.toml`.

    `name` is what the source is called unless the operator says otherwise; `ports` are those that the vendor serves,
    `adds_to` those of them for which another source is the better master. `table` is TOML with $name, $url and $ports;
    its secrets are in files below `secrets/`.
    """

    name: str
    url: str
    ports: tuple[str, ...]
    adds_to: frozenset[str] = frozenset()
    table: str

    def text(self, *, name: str, url: str | None, ports: tuple[str, ...]) -> str:
        """The table for a source of this name, address and ports."""
        listed = ", ".join(f'"{port}"' for port in ports)
        return Template(self.table).substitute(name=name, url=url or self.url, ports=listed)
