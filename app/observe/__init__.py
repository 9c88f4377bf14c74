"""What operators see: request log, stage timings, Prometheus metrics, OpenTelemetry traces.

Every room above may import it; it imports only problems and errors.
"""
