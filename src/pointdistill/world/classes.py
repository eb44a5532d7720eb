"""The kinds of things in the embedded world: ScanNet's 18 detection classes, their NYU40 ids and their parts."""

NYU40: dict[str, int] = {
    "cabinet": 3,
    "bed": 4,
    "chair": 5,
    "sofa": 6,
    "table": 7,
    "door": 8,
    "window": 9,
    "bookshelf": 10,
    "picture": 11,
    "counter": 12,
    "desk": 14,
    "curtain": 16,
    "refrigerator": 24,
    "shower curtain": 28,
    "toilet": 33,
    "sink": 34,
    "bathtub": 36,
    "garbage bin": 39,
}
CLASSES: tuple[str, ...] = tuple(NYU40)
WALL, FLOOR, CEILING = 1, 2, 22
"""NYU40 ids of the room's shell."""

PARTS: dict[str, tuple[str, ...]] = {
    "cabinet": ("body", "door", "handle", "leg"),
    "bed": ("frame", "mattress", "pillow", "headboard", "leg"),
    "chair": ("seat", "back", "leg", "arm"),
    "sofa": ("seat", "back", "arm", "leg"),
    "table": ("top", "leg", "shelf"),
    "door": ("frame", "leaf", "handle"),
    "window": ("frame", "pane"),
    "bookshelf": ("side", "shelf", "back", "book"),
    "picture": ("frame", "canvas"),
    "counter": ("top", "body", "door", "handle"),
    "desk": ("top", "leg", "drawer", "panel"),
    "curtain": ("cloth", "rod"),
    "refrigerator": ("body", "door", "handle"),
    "shower curtain": ("cloth", "rod"),
    "toilet": ("bowl", "seat", "tank", "base"),
    "sink": ("basin", "tap", "stand"),
    "bathtub": ("side", "bottom", "tap", "leg"),
    "garbage bin": ("body", "lid", "rim", "pedal"),
}
"""Names of the parts of each class; `Solids.part` indexes into its class's tuple."""
