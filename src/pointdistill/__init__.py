"""Pre-train point-cloud backbones by distilling frozen 2D image models into them."""

__version__ = "0.1.0"
