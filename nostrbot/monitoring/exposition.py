"""The exposition: the bot's figures as Prometheus reads them.

What lives here: which metrics there are, and their text (by prometheus_client). What does not: where the figures come
from (bot.py), who may read them (endpoint.py). docs/operations.md lists them for those who watch.

Books go by their operators' names, and no key is ever a label. A head is no metric: as a label it would be a new series
with every entry; `nostrbot status` shows it.
https://prometheus.io/docs/practices/naming/
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from nostrbot.core.proofs.checkpoint import Checkpoint
from nostrbot.monitoring.health import why_unhealthy

__all__ = ["CONTENT_TYPE", "BookFigures", "exposition"]

ROOT_NAME = "(root)"  # no operator can be called so


@dataclass(frozen=True, slots=True)
class BookFigures:
    """The figures of one book. `handle`: its operator's name, None for the root book."""

    handle: str | None
    entries: int
    pending: int  # settlements that wait for the operator
    is_closed: bool
    troubles: int  # kinds of work that fail in it
    checkpoint: Checkpoint | None  # the newest


def exposition(state: Mapping[str, Any], books: Sequence[BookFigures]) -> bytes:
    """Return the page: `state` is what the bot tells `nostrbot status`."""
    registry = CollectorRegistry()
    registry.register(_Figures([*_bot(state), *_relays(state["relays"]), *_courier(state["courier"]), *_books(books)]))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Figures(Collector):
    """Metrics that were made before they were asked for."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _bot(state: Mapping[str, Any]) -> Iterator[Metric]:
    commits = state["commits"]
    yield InfoMetricFamily("nostrbot_build", "What runs.", {"version": metadata.version("nostrbot")})
    yield GaugeMetricFamily(
        "nostrbot_start_time_seconds", "Time at which the bot was started, by its clock.", state["started_at"]
    )
    yield GaugeMetricFamily(
        "nostrbot_clock_steady", "1 unless the clock leapt within the last minute.", state["steady"]
    )
    yield GaugeMetricFamily(
        "nostrbot_healthy", "1 while all is well; `nostrbot status` says what is not.", not why_unhealthy(state)
    )
    serving = GaugeMetricFamily(
        "nostrbot_subscription_relays", "Relays that serve a subscription; 0: it is not heard.", labels=["subscription"]
    )
    for one in state["subscriptions"]:
        serving.add_metric([one["name"]], len(one["in_force_at"]))
    yield serving
    yield GaugeMetricFamily("nostrbot_inbox_events", "Events that arrived and are not decided yet.", state["inbox"])
    yield GaugeMetricFamily(
        "nostrbot_outbox_backlog", "Entries and answers owed that relays have not accepted yet.", state["backlog"]
    )
    yield HistogramMetricFamily(
        "nostrbot_commit_duration_seconds",
        "Duration of commits.",
        buckets=[*((str(bound), count) for bound, count in commits["within"]), ("+Inf", commits["count"])],
        sum_value=commits["sum_s"],
    )
    yield CounterMetricFamily("nostrbot_commit_failures", "Commits that could not be made.", commits["failed"])
    refusals = CounterMetricFamily("nostrbot_refusals", "Refusals, by reason.", labels=["reason"])
    for reason, count in state["refusals"].items():
        refusals.add_metric([reason], count)
    yield refusals


def _relays(relays: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    gauges = {
        "connected": ("nostrbot_relay_connected", "1 while there is a connection."),
        "last_event_at": ("nostrbot_relay_last_event_timestamp_seconds", "Time of the last event it sent; 0: never."),
        "last_ok_at": ("nostrbot_relay_last_ok_timestamp_seconds", "Time of the last event it accepted; 0: never."),
        "accepts": ("nostrbot_relay_accepts", "0 while it took nothing of what it was sent lately."),
        "requests": ("nostrbot_relay_requests", "REQs in which it is asked for all subscriptions."),
        "waiting": ("nostrbot_relay_waiting_events", "Events that are still to be sent to it."),
    }
    counters = {
        "events": ("nostrbot_relay_events", "Events it sent that were verified and asked for."),
        "published": ("nostrbot_relay_published", "Events sent to it."),
        "accepted": ("nostrbot_relay_accepted", "Events it accepted."),
        "refused": ("nostrbot_relay_refused", "Events it did not accept."),
        "reconnects": ("nostrbot_relay_reconnects", "Connections opened after the first."),
        "cuts": ("nostrbot_relay_cuts", "Times we hung up on it for misbehaving."),
    }
    for field, (name, meaning) in gauges.items():
        gauge = GaugeMetricFamily(name, meaning, labels=["relay"])
        for relay in relays:
            gauge.add_metric([relay["url"]], relay[field] or 0)
        yield gauge
    for field, (name, meaning) in counters.items():
        counter = CounterMetricFamily(name, meaning, labels=["relay"])
        for relay in relays:
            counter.add_metric([relay["url"]], relay[field])
        yield counter


def _courier(tally: Mapping[str, int] | None) -> Iterator[Metric]:
    """Return the figures of deliveries to relays that people announced; none if the bot does not deliver there."""
    if tally is not None:
        letters = CounterMetricFamily(
            "nostrbot_courier_letters", "Messages to relays that people announced.", labels=["outcome"]
        )
        for outcome in ("accepted", "refused", "given_up"):
            letters.add_metric([outcome], tally[outcome])
        yield letters


def _books(books: Sequence[BookFigures]) -> Iterator[Metric]:
    entries = CounterMetricFamily("nostrbot_entries", "Entries of the journal.", labels=["book"])
    pending = GaugeMetricFamily(
        "nostrbot_settlements_pending", "Settlements that wait for the operator.", labels=["book"]
    )
    closed = GaugeMetricFamily("nostrbot_book_closed", "1 when a person must look into the book.", labels=["book"])
    troubles = GaugeMetricFamily(
        "nostrbot_book_troubles", "Kinds of work that fail in the book; `nostrbot status` says which.", labels=["book"]
    )
    signed = GaugeMetricFamily("nostrbot_checkpoint_entry", "The entry the newest checkpoint is of.", labels=["book"])
    signed_at = GaugeMetricFamily(
        "nostrbot_checkpoint_timestamp_seconds", "Time at which the newest checkpoint was signed.", labels=["book"]
    )
    for book in books:
        labels = [ROOT_NAME if book.handle is None else book.handle]
        entries.add_metric(labels, book.entries)
        pending.add_metric(labels, book.pending)
        closed.add_metric(labels, book.is_closed)
        troubles.add_metric(labels, book.troubles)
        if book.checkpoint is not None:
            signed.add_metric(labels, book.checkpoint.standpoint.seq)
            signed_at.add_metric(labels, book.checkpoint.at)
    yield from (entries, pending, closed, troubles, signed, signed_at)
