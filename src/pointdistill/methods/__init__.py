"""Pre-training methods, one file each: configuration, forward, named losses, source."""
