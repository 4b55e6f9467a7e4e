"""The search index over reference data: items and customers by words, half words, typos, codes and attributes.

analysis.py    text into words, measures and codes, the same for documents and queries
documents.py   a row of a source as a document
bitmaps.py     sets of documents
matching.py    words of a query to sets of documents, ranked
evaluation.py  a query over an index: rows, counts, facets
index.py       the search port over the index
stores/        where an index is stored: SQLite (FTS5 trigrams) or PostgreSQL (pg_trgm)
build.py       the process that builds an index beside the one that serves
indexer.py     keeps an index current: first load, changes of the event log, rebuilds
"""
