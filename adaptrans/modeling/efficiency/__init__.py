"""Less memory and less time for the same results."""
