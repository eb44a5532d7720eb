"""Training loops and what they stand on: optimiser, checkpoints, logs."""
