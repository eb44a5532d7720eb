"""What users can time on their own machine: one file a benchmark, each prints its figures beside their limits."""
