"""Rows of systems that hand them over instead of answering queries: a local copy that the read ports are served from.

datasets.py   the datasets: the row of each, its key, its look-ups, the changes that it makes
mapping.py    a source's raw values to the stored form of a row, or the reason why it is rejected
store.py      the SQLite file: rows with their age, changes, the ledger of files
"""
