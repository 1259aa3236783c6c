"""Benchmarks: each module is a script that writes `benchmarks/results/<name>.md`."""
