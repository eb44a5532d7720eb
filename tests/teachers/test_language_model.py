import pytest
import torch

from pointdistill.models.clipcap import MlpMapper
from pointdistill.teachers.language_model import CaptionLanguageModel, NotesEncoder, caption_loss
from pointdistill.teachers.text import Vocabulary

TEXTS = [f"a {colour} {thing}" for colour in ("red", "blue", "green") for thing in ("chair", "table", "sofa")]


@pytest.fixture(scope="module")
def toy():
    """A language model that learned notes -> caption on nine captions."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.build(TEXTS)
    tokens = vocabulary.encode(TEXTS, 6)
    model = CaptionLanguageModel(len(vocabulary), length=6, prefix_length=2, width=32, depth=1, heads=2)
    notes = NotesEncoder(len(vocabulary), 2, 32, hidden=32)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW([*model.parameters(), *notes.parameters()], lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        caption_loss(model, notes(tokens, generator), tokens).backward()
        optimizer.step()
    return vocabulary, tokens, model, notes


def test_prefix_steers_what_is_written(toy):
    vocabulary, tokens, model, notes = toy
    assert vocabulary.decode(model.greedy(notes(tokens))) == TEXTS


def test_frozen_model_trains_a_mapper(toy):
    """Eq. 11 through the frozen model: gradients reach the mapper, the loss falls, the model stays as it was."""
    _, tokens, model, _ = toy
    model.requires_grad_(False)
    before = [parameter.clone() for parameter in model.parameters()]
    torch.manual_seed(1)
    mapper, features = MlpMapper(9, 2, 32, hidden=32), torch.eye(9)
    optimizer = torch.optim.AdamW(mapper.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = caption_loss(model, mapper(features), tokens)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))


def test_a_word_does_not_see_the_words_after_it():
    torch.manual_seed(0)
    model = CaptionLanguageModel(12, length=6, prefix_length=2, width=16, depth=2, heads=2)
    prefix, tokens = torch.randn(1, 2, 16), torch.tensor([[3, 4, 5, 6]])
    changed = tokens.clone()
    changed[0, 2] = 9
    difference = (model(prefix, tokens) - model(prefix, changed)).abs().amax(dim=(0, 2))
    assert difference[:3].max() == 0 and difference[3:].min() > 0


def test_mapper_is_linear_tanh_linear():
    mapper = MlpMapper(5, 3, 4)
    features = torch.randn(2, 5)
    first, second = mapper.model[0], mapper.model[2]
    by_hand = torch.tanh(features @ first.weight.T + first.bias) @ second.weight.T + second.bias
    assert torch.allclose(mapper(features), by_hand.reshape(2, 3, 4), atol=1e-6)
    assert first.out_features == 6
