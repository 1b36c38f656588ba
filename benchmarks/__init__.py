"""What hyperkit costs, next to the same work done without it: ``python -m benchmarks``."""
