"""Peers' checkpoints into our modules, and ours into theirs (docs/interchange.md)."""

from pointdistill.interchange.read import Imported, from_peer, read_peer
from pointdistill.interchange.write import to_peer

__all__ = ["Imported", "from_peer", "read_peer", "to_peer"]
