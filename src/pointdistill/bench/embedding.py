"""Does `embed` keep up with the backbone alone, and does its memory stay the same however many clouds there are?"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from pointdistill.applications.clouds import cloud_files, read_cloud
from pointdistill.applications.embed import BATCH, embed_all, load_encoder
from pointdistill.applications.feature_file import write_features
from pointdistill.bench.figure import Figure, Limit
from pointdistill.bench.geometry import room
from pointdistill.bench.processes import run
from pointdistill.bench.timing import in_turns
from pointdistill.models.checkpoints import save_backbone
from pointdistill.models.point_transformer import create_backbone
from pointdistill.parallel import torch_threads, usable_cores

LEAST_SHARE = 0.9
"""Of the bare backbone's rate."""
MOST_GROWTH = 0.05
"""Of the memory that a process owns after ten times as many clouds."""
_POINTS, _TIMED = 4096, 64
_FEW, _MANY = 1000, 10_000
_OWNED = """
import sys
from pointdistill.memory import keep_large_blocks
keep_large_blocks()
from pathlib import Path
from pointdistill.applications.clouds import cloud_files
from pointdistill.applications.commands import embed_command
from pointdistill.bench.processes import anonymous_memory
clouds, weights, out, times = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
embed_command(cloud_files(clouds) * times, weights, out, None, None)
print(anonymous_memory())
"""


def figures(rounds: int = 3) -> list[Figure]:
    """Measure on made-up clouds in a temporary folder.

    Args:
        rounds: turns of which medians are taken.
    """
    with tempfile.TemporaryDirectory(prefix="pointdistill-bench-") as folder, torch_threads(usable_cores()):
        clouds = Path(folder) / "clouds"
        clouds.mkdir()
        for number, cloud in enumerate(room(_TIMED * _POINTS).view(_TIMED, _POINTS, 3).numpy()):
            np.save(clouds / f"{number:05d}.npy", cloud)
        return [_rate(Path(folder), clouds, rounds), _memory(Path(folder), clouds)]


def _rate(folder: Path, clouds: Path, rounds: int) -> Figure:
    save_backbone(create_backbone("vit_s"), folder / "vit_s", {})
    encoder, files = load_encoder(folder / "vit_s"), cloud_files(clouds)
    given = torch.from_numpy(np.stack([read_cloud(path) for path in files])).split(BATCH)

    def embedded() -> None:
        opened = ((path, read_cloud(path)) for path in files)
        write_features(folder / "features.npz", embed_all(opened, encoder), [str(path) for path in files])

    @torch.no_grad()
    def bare() -> None:
        for batch in given:
            encoder.backbone(batch)

    seconds = in_turns({"embed": embedded, "bare": bare}, rounds)
    rate, alone = (_TIMED / seconds[name].elapsed for name in ("embed", "bare"))
    share = Limit(f"{LEAST_SHARE:.0%} of it or more", rate >= LEAST_SHARE * alone)
    what = f"embedding files of {_POINTS:,} points, ViT-S"
    return Figure(what, rate, "clouds/s", {"the backbone alone": alone}, share, more=True)


def _memory(folder: Path, clouds: Path) -> Figure:
    save_backbone(create_backbone("vit_nano"), folder / "vit_nano", {})
    given = [str(clouds), str(folder / "vit_nano"), str(folder / "features.npz")]
    owned = {}
    for count in (_FEW, _MANY):
        times = -(-count // _TIMED)
        owned[times * _TIMED] = float(run(["-c", _OWNED, *given, str(times)]).split()[-1]) / 1e6
    (few, before), (many, after) = owned.items()
    limit = Limit(f"{1 + MOST_GROWTH:g} times that of {few:,} or less", after <= (1 + MOST_GROWTH) * before)
    return Figure(f"memory owned after embedding {many:,} clouds", after, "MB", {f"after {few:,}": before}, limit)
