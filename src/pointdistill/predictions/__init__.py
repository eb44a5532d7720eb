"""What a task's model said of test data, as files for other programs and as examples for the page."""

from pointdistill.predictions.write import Written, write_prediction

__all__ = ["Written", "write_prediction"]
