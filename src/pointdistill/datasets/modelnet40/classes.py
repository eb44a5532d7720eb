"""ModelNet40's classes (Princeton, https://modelnet.cs.princeton.edu), and where to get its releases."""

CLASSES: tuple[str, ...] = (
    *("airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair", "cone", "cup", "curtain"),
    *("desk", "door", "dresser", "flower_pot", "glass_box", "guitar", "keyboard", "lamp", "laptop", "mantel"),
    *("monitor", "night_stand", "person", "piano", "plant", "radio", "range_hood", "sink", "sofa", "stairs"),
    *("stool", "table", "tent", "toilet", "tv_stand", "vase", "wardrobe", "xbox"),
)
"""The 40 official classes, used where the folder brings no list of its own."""

GET = (
    "Unpack modelnet40_normal_resampled.zip, modelnet40_ply_hdf5_2048.zip or ModelNet40.zip there, or write an "
    "embedded one with `pointdistill world`."
)
