"""Malformed files that are made by what they reach: libFuzzer through atheris (`pip install atheris`), by kinds.

    python -m fuzzing.guided ply -max_total_time=60

Stops at the first file that is neither read nor refused, and keeps it. Which kinds there are: `fuzzing.targets`. The
limits of `fuzzing.harness` are not held here, where memory and time are libFuzzer's too.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pointdistill"]):
    import pointdistill.applications.clouds
    import pointdistill.datasets
    import pointdistill.datasets.rgbd
    import pointdistill.datasets.scannet
    import pointdistill.io.off
    import pointdistill.io.ply
    import pointdistill.tensors  # noqa: F401
    from fuzzing.targets import Target, targets
    from pointdistill.console import silence
    from pointdistill.errors import PointdistillError


def _try(target: Target, content: bytes) -> None:
    path = target.files[0]
    valid = path.read_bytes()
    path.write_bytes(content)
    try:
        with warnings.catch_warnings(), silence():
            warnings.simplefilter("ignore")
            target.read(path)
    except PointdistillError:
        pass
    finally:
        path.write_bytes(valid)


def main() -> None:
    name, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="pointdistill-guided-") as folder:
        target = next(each for each in targets(Path(folder) / "files") if each.name == name)
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        (corpus / "valid").write_bytes(target.files[0].read_bytes())
        atheris.Setup(["guided", *options, str(corpus)], lambda content: _try(target, content))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
