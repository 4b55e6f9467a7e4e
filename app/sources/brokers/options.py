"""The options of a message broker, checked at the start: topics, and what their messages mean."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from app.errors import ConfigurationError
from app.settings import SourceSettings
from app.sources.brokers.security import Mechanism, TLSOptions
from app.sources.changes import ChangeKind
from app.sources.replica.datasets import DATASETS
from app.sources.replica.mapping import Column, RowMapper

Path = Annotated[str, Meta(min_length=1, max_length=200)]


class TopicOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options.topics.TOPIC]`: a topic, and what its messages mean.

    `name` is the broker's: a subject, queue or topic. `group` names the durable subscription; `stream` is NATS's, and
    `acknowledge_seconds` the time after which NATS delivers a message again that was not acknowledged.
    Paths are members of the JSON body with points between them. A message says that the subject `key` of `source` may
    have changed (`kind`), or carries rows of a `dataset`: the body, or the objects in its list `rows`. Messages whose
    members are not those of `only` are acknowledged and left alone.
    """

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    group: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "tradegraph"
    stream: str | None = None
    acknowledge_seconds: Annotated[float, Meta(ge=0.5, le=3600)] = 30.0
    only: dict[Path, str] = {}
    source: str | None = None
    kind: ChangeKind | None = None
    key: Path | None = None
    id: Path | None = None
    at: Path | None = None
    deleted: Path | None = None
    dataset: str | None = None
    rows: Path | None = None
    columns: dict[str, str | Column] = {}
    decimal: Literal[".", ","] = "."
    timezone: str | None = None

    @property
    def all_columns(self) -> dict[str, Column]:
        """The columns, those that are only named included."""
        return {
            name: Column(column=column) if isinstance(column, str) else column for name, column in self.columns.items()
        }

    def mapper(self) -> RowMapper:
        """The mapper of its rows."""
        zone = ZoneInfo(self.timezone) if self.timezone is not None else None
        return RowMapper(DATASETS[self.dataset or ""], self.all_columns, decimal=self.decimal, zone=zone)


class BrokerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options]` of a broker. A larger message than `max_message_bytes` is set aside. `tls` and `sasl`
    say how to connect: `brokers/security.py`."""

    topics: Annotated[dict[str, TopicOptions], Meta(min_length=1)]
    tls: TLSOptions | bool | None = None
    sasl: Mechanism | None = None
    max_message_bytes: Annotated[int, Meta(ge=1024)] = 1024 * 1024


def read_options(name: str, settings: SourceSettings) -> BrokerOptions:
    """The options; ConfigurationError names what is wrong."""
    key = f"sources.{name}.options"
    try:
        options = msgspec.convert(settings.options, BrokerOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(key, settings.options, str(error)) from None
    for label, topic in options.topics.items():
        _check_topic(f"{key}.topics.{label}", topic)
    return options


def _check_topic(key: str, topic: TopicOptions) -> None:
    if topic.dataset is None:
        if topic.kind is None or topic.key is None:
            cure = "give `kind` and `key` of what changed, or the `dataset` of the rows"
            raise ConfigurationError(f"{key}.kind", topic.kind, cure)
        return
    dataset = DATASETS.get(topic.dataset)
    if dataset is None:
        cure = f"no such dataset; use one of {', '.join(DATASETS)}"
        raise ConfigurationError(f"{key}.dataset", topic.dataset, cure)
    fields = {field.name: field.required for field in msgspec.structs.fields(dataset.row)}
    unknown = sorted(topic.columns.keys() - fields.keys())
    lacking = [name for name, required in fields.items() if required and name not in topic.columns]
    if unknown or lacking:
        cure = f"no such attributes: {', '.join(unknown)}" if unknown else f"lacks {', '.join(lacking)}"
        raise ConfigurationError(f"{key}.columns", sorted(topic.columns), cure)
    try:
        topic.mapper()
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(f"{key}.timezone", topic.timezone, "use an IANA name such as Europe/Berlin") from None
