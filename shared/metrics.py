"""The series every service may feed; each exposes its own at `/metrics` on its ops port.

Labels are bounded sets. No identifier and no task_id is ever one.
"""

from prometheus_client import Counter, Gauge, Histogram

# Hits take a millisecond or two, and a slow provider ten seconds.
_DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

lookups = Counter(
    "consulta_lookups",
    "Lookups that ended; those that shared one flight to its end count as one",
    ["kind", "outcome"],
)
lookup_duration = Histogram(
    "consulta_lookup_duration_seconds",
    "From `iniciado` to `completo`, of flights; not of what the gateway answers from the cache",
    ["kind", "cache"],
    buckets=_DURATIONS,
)
stages = Counter("consulta_stage", "Stages that ended", ["stage", "provider", "outcome"])
stage_duration = Histogram(
    "consulta_stage_duration_seconds",
    "One stage, all its tries",
    ["stage", "provider"],
    buckets=_DURATIONS,
)
cache_requests = Counter("consulta_cache_requests", "Reads of a subject", ["kind", "result"])
near_bytes = Gauge("consulta_near_cache_bytes", "Memory that ready answers take")
near_hits = Counter("consulta_near_cache_hits", "Lookups answered without asking Redis")
breaker_state = Gauge("consulta_breaker_state", "0 closed, 1 half-open, 2 open", ["provider"])
breaker_transitions = Counter(
    "consulta_breaker_transitions", "Changes of state", ["provider", "to"]
)
provider_reachable = Gauge(
    "consulta_provider_reachable", "Whether a connection was accepted lately", ["provider"]
)
retries = Counter("consulta_retries", "Calls made again", ["provider", "reason"])
rate_limit_wait = Histogram(
    "consulta_rate_limit_wait_seconds", "Wait for a permit", ["queue"], buckets=_DURATIONS
)
queue_messages = Gauge("consulta_queue_messages", "Messages ready", ["queue"])
dead_letters = Counter("consulta_dead_letters", "Messages buried", ["queue"])
sse_streams = Gauge("consulta_sse_streams", "Streams open")
sse_events = Counter("consulta_sse_events", "Events written to streams", ["event"])
job_runs = Counter("consulta_job_runs", "Periodic jobs", ["job", "outcome"])
task_up = Gauge("consulta_task_up", "Whether a background task runs", ["task"])
task_restarts = Counter("consulta_task_restarts", "Background tasks started again", ["task"])
