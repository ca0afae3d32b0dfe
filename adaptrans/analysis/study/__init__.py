"""Analyses of studies: what scores say about the factors that runs differ in."""
