"""`pointdistill view`: a live viewer on a file, a prepared store or predictions, in a browser on this machine (extra
`view`)."""

from pointdistill.viewer.pictures import Boxes, Gallery, Picture
from pointdistill.viewer.server import serving
from pointdistill.viewer.sources import open_gallery

__all__ = ["Boxes", "Gallery", "Picture", "open_gallery", "serving"]
