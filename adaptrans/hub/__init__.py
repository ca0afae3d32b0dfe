"""The store of runs, and the hubs where artefacts are shared."""
