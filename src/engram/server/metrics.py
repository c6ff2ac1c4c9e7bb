"""What Prometheus may know: latencies of every route; what each brain holds and how often it did not know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from engram.server.served_brain import ServedBrain

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LATENCIES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SYNCS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

_GAUGES: tuple[tuple[str, str, Callable[[ServedBrain], float]], ...] = (
    ("ready", "Whether the brain is open.", lambda brain: float(brain.ready)),
    ("seq", "Its sequence number.", lambda brain: brain.seq),
    ("examples", "Examples it holds.", lambda brain: brain.examples),
    ("classes", "Labels it knows.", lambda brain: brain.classes),
    ("unknowns", "Inputs in its inbox.", lambda brain: brain.unknowns),
    ("memory_bytes", "What it learned, in bytes.", lambda brain: brain.memory_bytes),
    ("unknown_rate", "Share of the answers since the start that were not known.", lambda brain: brain.unknown_rate),
)
_COUNTERS: tuple[tuple[str, str, Callable[[ServedBrain], float]], ...] = (
    ("taught", "Examples learned since the start.", lambda brain: brain.taught),
    ("answers", "Inputs answered since the start.", lambda brain: brain.asked),
    ("unknown_answers", "Inputs answered with: Nothing I know.", lambda brain: brain.refused),
)


class Metrics:
    """Counters of one server.

    Args:
        brains: gives the brains served, at the time of asking.
    """

    def __init__(self, brains: Callable[[], Iterable[ServedBrain]]) -> None:
        self.registry = CollectorRegistry()
        self._latency = Histogram(
            "engram_request_seconds", "Time to answer a request.", ("method", "route"), buckets=_LATENCIES,
            registry=self.registry,
        )
        self._requests = Counter(
            "engram_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.at_once = Gauge("engram_requests_at_once", "Requests being worked on.", registry=self.registry)
        self._syncs = Histogram(
            "engram_commit_seconds", "Time of one commit to the log, fsync included.", ("brain",), buckets=_SYNCS,
            registry=self.registry,
        )
        self._routes: dict[tuple[str, str], Histogram] = {}
        self._statuses: dict[tuple[str, str, int], Counter] = {}
        self.registry.register(_Brains(brains))
        ProcessCollector(registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the pattern that was matched, never the path itself."""
        latency = self._routes.get((method, route))
        if latency is None:
            latency = self._routes[method, route] = self._latency.labels(method, route)
        latency.observe(seconds)
        counter = self._statuses.get((method, route, status))
        if counter is None:
            counter = self._statuses[method, route, status] = self._requests.labels(method, route, str(status))
        counter.inc()

    def commits_of(self, brain: str) -> Callable[[float], None]:
        """What a brain's log calls with the seconds of every commit."""
        observe: Callable[[float], None] = self._syncs.labels(brain).observe
        return observe

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


class _Brains(Collector):
    def __init__(self, brains: Callable[[], Iterable[ServedBrain]]) -> None:
        self._brains = brains

    def collect(self) -> Iterator[Metric]:
        brains = list(self._brains())
        for name, about, value in _GAUGES:
            gauge = GaugeMetricFamily(f"engram_{name}", about, labels=("brain",))
            for brain in brains:
                gauge.add_metric((brain.name,), value(brain))
            yield gauge
        for name, about, value in _COUNTERS:
            counter = CounterMetricFamily(f"engram_{name}", about, labels=("brain",))
            for brain in brains:
                counter.add_metric((brain.name,), value(brain))
            yield counter
