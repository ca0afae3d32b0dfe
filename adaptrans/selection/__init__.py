"""Which intermediate task will help a target, told before it is trained."""
