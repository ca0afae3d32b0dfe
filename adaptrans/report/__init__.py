"""One self-contained HTML page of finished runs: gather what is known, draw it, write it. Torch-free."""
