"""Where and how the runs of a plan are carried out."""
