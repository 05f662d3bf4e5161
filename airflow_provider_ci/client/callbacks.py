"""Callbacks: where the service reports the end of a job, for one job or for all jobs of a queue.

A callback is a POST without a signature, so treat it as a hint and read the job. The service can call only
public addresses. Sources: tencentcloud.com document/product/1045/73035, 47935 and 50337 (Structure).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import Value
from airflow_provider_ci.client.wire import nodes

FORMATS = ("XML", "JSON")
SILENT = "no"

_ADDRESSES = ("http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MqConfig(Value):
    """A TDMQ destination: its ``region`` (sh, bj, gz, cd, hk), ``name``, and ``mode`` (Queue or Topic)."""

    region: str
    name: str
    mode: str = "Queue"

    def __post_init__(self) -> None:
        checks.one_of("MqConfig.region", self.region, ("sh", "bj", "gz", "cd", "hk"))
        checks.one_of("MqConfig.mode", self.mode, ("Queue", "Topic"))
        if not self.name:
            raise ValueError("MqConfig.name must be the name of a TDMQ queue or topic, not empty")

    def to_node(self) -> dict[str, object]:
        """The three nodes that name the destination."""
        return {"MqRegion": self.region, "MqMode": self.mode, "MqName": self.name}

    @classmethod
    def from_node(cls, node: nodes.Tree) -> MqConfig | None:
        """Read the three nodes. Returns None if they hold no name."""
        name = nodes.text(node, "MqName")
        if not name:
            return None
        return cls(region=nodes.text(node, "MqRegion"), name=name, mode=nodes.text(node, "MqMode") or "Queue")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class KafkaConfig(Value):
    """A Kafka destination: its region, instance id and topic, as the official Go SDK sends them."""

    region: str
    instance_id: str
    topic: str

    def __post_init__(self) -> None:
        for name in ("region", "instance_id", "topic"):
            if not getattr(self, name):
                raise ValueError(f"KafkaConfig.{name} must not be empty")

    def to_node(self) -> dict[str, object]:
        """The three nodes that name the destination."""
        return {"Region": self.region, "InstanceId": self.instance_id, "Topic": self.topic}


@dataclass(frozen=True, slots=True, repr=False)
class Callback(Value):
    """Where the service reports the end of a job. Overrides the callback of the job's queue.

    :param url: an ``http://`` or ``https://`` address, or ``no`` for no callback at all.
    :param format: ``XML`` or ``JSON``; the service's default is XML.
    :param type: ``Url``, ``TDMQ`` or ``Kafka``; derived from the destination by default.
    :param mq: the destination in TDMQ, in place of ``url``.
    :param kafka: the destination in Kafka, in place of ``url``.
    """

    url: str | None = None
    _: KW_ONLY
    format: str | None = None
    type: str | None = None
    mq: MqConfig | None = None
    kafka: KafkaConfig | None = None

    def __post_init__(self) -> None:
        if isinstance(self.mq, Mapping):  # its serialized form
            object.__setattr__(self, "mq", MqConfig(**self.mq))
        if isinstance(self.kafka, Mapping):
            object.__setattr__(self, "kafka", KafkaConfig(**self.kafka))
        if self.url is None and self.mq is None and self.kafka is None:
            raise ValueError("Callback needs a url, or mq for a TDMQ destination, or kafka")
        if self.mq is not None and self.kafka is not None:
            raise ValueError("Callback has mq and kafka, and can have one destination only")
        if self.url is not None and self.url != SILENT:
            _check_address("Callback.url", self.url)
        checks.one_of("Callback.format", self.format, FORMATS)
        checks.one_of("Callback.type", self.type, ("Url", "TDMQ", "Kafka"))
        if self.type is None and (self.mq or self.kafka):
            object.__setattr__(self, "type", "TDMQ" if self.mq else "Kafka")
        if self.type == "Kafka" and self.kafka is None:
            raise ValueError("Callback.type must be one of Url, TDMQ where kafka is not given, not 'Kafka'")
        if self.type == "TDMQ" and self.mq is None:
            raise ValueError("Callback.type TDMQ needs mq, the destination")

    def to_nodes(self) -> dict[str, object]:
        """The ``CallBack`` nodes of a ``Request``."""
        return {
            "CallBack": self.url,
            "CallBackFormat": self.format,
            "CallBackType": self.type,
            "CallBackMqConfig": self.mq.to_node() if self.mq else None,
            "CallBackKafkaConfig": self.kafka.to_node() if self.kafka else None,
        }


@dataclass(frozen=True, slots=True, repr=False)
class NotifyConfig(Value):
    """The callback of a queue.

    :param url: an ``http://`` or ``https://`` address; a change takes effect after about five minutes.
    :param is_on: whether callbacks are sent.
    :param event: the events to report; picture queues accept ``TaskFinish,WorkflowFinish`` too.
    :param format: ``XML`` or ``JSON``.
    :param type: ``Url`` or ``TDMQ``; a queue that was configured elsewhere may have ``Kafka``.
    :param mq: the destination in TDMQ.
    """

    url: str = ""
    _: KW_ONLY
    is_on: bool = True
    event: str = "TaskFinish"
    format: str = "XML"
    type: str = "Url"
    mq: MqConfig | None = None

    def __post_init__(self) -> None:
        if isinstance(self.mq, Mapping):  # its serialized form
            object.__setattr__(self, "mq", MqConfig(**self.mq))
        object.__setattr__(self, "is_on", checks.flag("NotifyConfig.is_on", self.is_on))
        if self.url:
            _check_address("NotifyConfig.url", self.url)
        checks.one_of("NotifyConfig.format", self.format, FORMATS)
        checks.one_of("NotifyConfig.type", self.type, ("Url", "TDMQ", "Kafka"))

    def to_node(self) -> dict[str, object]:
        """The ``NotifyConfig`` node of a request."""
        return {
            "Type": self.type,
            "Url": self.url or None,
            "Event": self.event,
            "State": "On" if self.is_on else "Off",
            "ResultFormat": self.format,
            **(self.mq.to_node() if self.mq else {}),
        }

    @classmethod
    def from_node(cls, node: nodes.Tree) -> NotifyConfig:
        """Read a ``NotifyConfig`` node. Empty fields get the service's default.

        :raises ValueError: the node does not match any API page.
        """
        return cls(
            nodes.text(node, "Url"),
            is_on=nodes.text(node, "State") == "On",
            event=nodes.text(node, "Event"),
            format=nodes.text(node, "ResultFormat") or "XML",
            type=nodes.text(node, "Type") or "Url",
            mq=MqConfig.from_node(node),
        )


def _check_address(name: str, url: str) -> None:
    if not checks.is_template(url) and not (isinstance(url, str) and url.startswith(_ADDRESSES)):
        raise ValueError(f"{name} must begin with http:// or https://, not {url!r}")
