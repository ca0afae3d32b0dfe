"""What every room needs: files, YAML, progress, processes, registries."""
