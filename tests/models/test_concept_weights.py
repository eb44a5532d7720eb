"""The weights that are looked at are those that the concepts were made with."""

import pytest
import torch

from pointdistill.models.blocks import CrossAttention
from pointdistill.models.concepts import ConceptConfig, ConceptExtractor
from pointdistill.models.point_transformer import Trace


def test_weights_of_values_are_the_modules_output():
    torch.manual_seed(0)
    module = CrossAttention(24, 4, context_width=18).double()
    queries, context = torch.randn(2, 5, 24).double(), torch.randn(2, 7, 18).double()
    weights = module.weights(queries, context)
    assert weights.shape == (2, 4, 5, 7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 5).double())
    values = module.key_value(context)[..., 24:].view(2, 7, 4, 6).transpose(1, 2)
    read = (weights @ values).transpose(1, 2).reshape(2, 5, 24)
    torch.testing.assert_close(module.out(read), module(queries, context))


@pytest.mark.parametrize("attend", ["block_input", "block_output"])
@pytest.mark.parametrize("tie_layers", [True, False])
def test_the_last_layers_weights(attend, tie_layers):
    torch.manual_seed(1)
    config = ConceptConfig(count=3, heads=2, attend=attend, tie_layers=tie_layers, unit_start=True)
    extractor = ConceptExtractor(config, width=12, depth=3)
    trace = Trace(*([torch.randn(2, 6, 12) for _ in range(3)] for _ in range(2)))
    *earlier, last = trace.inputs if attend == "block_input" else trace.outputs
    blocks = list(extractor.blocks) * (3 if tie_layers else 1)
    concepts = extractor.prototypes.expand(2, -1, -1)
    for block, features in zip(blocks, earlier, strict=False):
        concepts = block(concepts, features)
    torch.testing.assert_close(extractor.weights(trace), blocks[-1].weights(concepts, last).mean(1))
    torch.testing.assert_close(extractor(trace), blocks[-1](concepts, last))
