"""Benchmarks of minigrad and other libraries, with the same mathematics and in one run."""
