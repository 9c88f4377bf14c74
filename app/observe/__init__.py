"""What operators see: request log, stage timings, Prometheus metrics, OpenTelemetry traces.

Every room above may record here; this room imports only problems and errors.
"""
