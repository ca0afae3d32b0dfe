"""The store of runs, and (later) the hubs where artefacts are shared."""
