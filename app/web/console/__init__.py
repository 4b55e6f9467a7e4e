"""The console: how this worker, its sources, its cache and its clients are, for operations staff.

documents  what became of the documents that ran lately, noted by an engine around the engine
budgets    what callers have left, noted by budgets around the budgets
state      all that the page shows, put together from these, the sources' guards and the metrics
routes     the page, and the data behind it, which the server guards

The data is no part of the graph: it is there when operations are refused because there are too many, it costs nobody's
budget, and looking at it is none of the requests that it counts.
"""
