"""Observability for operators: request log, stage timings, Prometheus metrics, traces.

The other rooms of the service may import it; of the service, it imports only problems and errors.
"""
