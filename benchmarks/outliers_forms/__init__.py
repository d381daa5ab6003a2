"""Ways to keep int8 from outlier channels, for benchmarks/outliers.py: exact rewritings of the float graph."""
