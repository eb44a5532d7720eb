"""Rooms: a shell of floor, walls and ceiling, furnished as rooms of their kind are, out of one seed."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from pointdistill.seeding import numpy_generator
from pointdistill.world.classes import CEILING, FLOOR, NYU40, WALL
from pointdistill.world.floor import map_floor
from pointdistill.world.furnish import BATHROOM, BEDROOM, KITCHEN, LIVING, OFFICE, Furnisher, Look
from pointdistill.world.layout import Place
from pointdistill.world.palette import COLOURS, shade
from pointdistill.world.solids import BOX, Solids

KINDS = ("bedroom", "living room", "kitchen", "bathroom", "office")
_PLANS: dict[str, Callable[[Furnisher], None]] = {}
