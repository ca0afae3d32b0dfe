"""Changed test sets: what a setup still knows when its input is cut, noisy or put in another order."""
