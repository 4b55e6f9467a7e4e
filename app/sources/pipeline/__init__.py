"""The read pipeline: routing, row scope, metering and caching around the ports."""
