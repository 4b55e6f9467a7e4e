"""Documents before execution: limits, analysis, cache."""
