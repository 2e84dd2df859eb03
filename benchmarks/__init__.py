"""Scripts that print the project's figures: `python -m benchmarks.NAME`, run from the repository's root."""
