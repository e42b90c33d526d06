"""Spans and metrics of a running mock, for OpenTelemetry; loaded by those who trace or measure alone."""
