"""The numbers of runs as Prometheus reads them; docs/deploy/README.md lists them."""

import math
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.health.health import Health
from stages.packets import Percentiles, Status

_SHARES = (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"))


class RunMetrics(Collector):
    """It gives the newest numbers whenever Prometheus asks, one label `stream` for each run."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Yield every metric. Nothing is given that is not known, such as the latency before the first frame."""
        statuses = self._health.statuses()
        yield from _of_runs(statuses)
        yield from _of_stages(statuses)
        yield from _of_sources(statuses)
        age = GaugeMetricFamily("hamba_status_age_seconds", "Time since a run told its numbers", labels=["stream"])
        for status in statuses:
            age.add_metric([status.stream], self._health.age(status.stream))
        yield age


def _of_runs(statuses: tuple[Status, ...]) -> Iterator[Metric]:
    up = GaugeMetricFamily("hamba_running", "1 while a run goes on", labels=["stream"])
    frames = CounterMetricFamily("hamba_frames", "Results that left the last stage", labels=["stream"])
    with_hands = CounterMetricFamily("hamba_frames_with_hands", "Results that had hands", labels=["stream"])
    hands = GaugeMetricFamily("hamba_hands", "Hands in the newest result", labels=["stream"])
    rate = GaugeMetricFamily("hamba_frame_rate", "Results a second, lately", labels=["stream"])
    latency = GaugeMetricFamily(
        "hamba_latency_seconds", "From capture to the end of the last stage, lately", labels=["stream", "quantile"]
    )
    failed = CounterMetricFamily("hamba_failed_frames", "Frames that failed, by kind", labels=["stream", "kind"])
    for status in statuses:
        label = [status.stream]
        up.add_metric(label, status.state == "running")
        frames.add_metric(label, status.frames)
        with_hands.add_metric(label, status.frames_with_hands)
        hands.add_metric(label, status.hands)
        rate.add_metric(label, status.rate)
        _add_percentiles(latency, label, status.latency)
        for kind, count in status.errors.items():
            failed.add_metric([*label, kind], count)
    yield from (up, frames, with_hands, hands, rate, latency, failed)


def _of_stages(statuses: tuple[Status, ...]) -> Iterator[Metric]:
    labels = ["stream", "stage"]
    received = CounterMetricFamily("hamba_stage_received", "Frames that a stage was given", labels=labels)
    emitted = CounterMetricFamily("hamba_stage_emitted", "Frames that a stage passed on", labels=labels)
    dropped = CounterMetricFamily("hamba_stage_dropped", "Frames dropped, by cause", labels=[*labels, "cause"])
    queue = GaugeMetricFamily("hamba_stage_queue", "Frames that wait before a stage", labels=labels)
    times = GaugeMetricFamily("hamba_stage_seconds", "Time of a frame in a stage, lately", labels=[*labels, "quantile"])
    for status in statuses:
        for stage in status.stages:
            label = [status.stream, stage.name]
            received.add_metric(label, stage.received)
            emitted.add_metric(label, stage.emitted)
            queue.add_metric(label, stage.queue_depth)
            for cause, count in stage.dropped.items():
                dropped.add_metric([*label, cause], count)
            _add_percentiles(times, label, stage.time)
    yield from (received, emitted, dropped, queue, times)


def _of_sources(statuses: tuple[Status, ...]) -> Iterator[Metric]:
    state = GaugeMetricFamily("hamba_source_state", "1 for the state of a live source", labels=["stream", "state"])
    age = GaugeMetricFamily("hamba_source_age_seconds", "Time since the newest picture was taken", labels=["stream"])
    events = CounterMetricFamily("hamba_source_events", "What happened to a live source", labels=["stream", "event"])
    for status in statuses:
        if status.source is not None:
            state.add_metric([status.stream, status.source.state], 1)
            if math.isfinite(status.source.age):
                age.add_metric([status.stream], status.source.age)
            for event, count in status.source.counts.items():
                events.add_metric([status.stream, event], count)
    yield from (state, age, events)


def _add_percentiles(metric: GaugeMetricFamily, label: list[str], times: Percentiles) -> None:
    for quantile, name in _SHARES:
        milliseconds = getattr(times, name)
        if math.isfinite(milliseconds):
            metric.add_metric([*label, quantile], milliseconds / 1e3)
