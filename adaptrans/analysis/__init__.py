"""What finished runs say: comparisons, means of benchmarks, tidy tables."""
