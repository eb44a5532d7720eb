"""Analyses that explain a pre-training, on one page: their form in analyses.json, and how they are drawn."""

from pointdistill.report.analyses.page import write_analyses_page
from pointdistill.report.analyses.schema import (
    Analyses,
    ConceptFigures,
    FeatureMap,
    LabelCurves,
    MappedFeatures,
    Predictability,
    ProtocolFigures,
    Reading,
    read_analyses,
)

__all__ = [
    "Analyses",
    "ConceptFigures",
    "FeatureMap",
    "LabelCurves",
    "MappedFeatures",
    "Predictability",
    "ProtocolFigures",
    "Reading",
    "read_analyses",
    "write_analyses_page",
]
