"""What a run is: its options, where it works, and the inputs that make its key. Torch-free."""
