"""The benchmark: the gateway beside its peers over one mock upstream. `./run bench --help`; docs/performance.md."""
