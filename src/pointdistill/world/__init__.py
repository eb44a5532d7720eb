"""The embedded data: a procedural indoor world, recorded as an RGB-D scanner would.

rooms.py furnishes a room from a seed, cameras.py walks a scanner through it, render.py records what it sees and
captions.py says it in words; the writers turn that into scans, object clouds and captioned images in the data sets' own
files.
"""
