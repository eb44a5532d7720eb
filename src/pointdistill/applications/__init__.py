"""What a finished pre-training does for a single cloud: a caption, features, a class by name."""
