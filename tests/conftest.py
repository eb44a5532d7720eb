"""Shape annotations are checked in the tests: jaxtyping's hook puts beartype around every annotated function."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the model hub

from jaxtyping import install_import_hook

install_import_hook("pointdistill", "typechecker.check")

import torch  # noqa: E402

torch.set_num_threads(1)  # tiny tensors: a second thread only waits
