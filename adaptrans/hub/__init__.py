"""The store of runs, and the hubs where artifacts are shared."""
