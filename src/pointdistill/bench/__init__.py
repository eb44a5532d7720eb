"""What users can time on their own machine: one file a benchmark."""
