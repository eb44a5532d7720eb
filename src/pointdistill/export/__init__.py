"""Models as graphs that run without this package: from raw points to tokens, logits and boxes."""

from pointdistill.export.write import Exported, export_model

__all__ = ["Exported", "export_model"]
