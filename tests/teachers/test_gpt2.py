"""ClipCap's language model: decoding and scoring against searches written out without a cache."""

import itertools

import pytest
import torch

import build_clipcap
from pointdistill.errors import CheckpointError, DataError
from pointdistill.teachers.base import Captioner
from pointdistill.teachers.gpt2 import CaptionGpt2, load_caption_gpt2

STOP = build_clipcap.WORDS.index(".")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return build_clipcap.write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "gpt2")


@pytest.fixture(scope="module")
def tensors():
    return {name.removeprefix("gpt."): value for name, value in build_clipcap.gpt2_tensors().items()}


@pytest.fixture(scope="module")
def language(tokenizer, tensors) -> CaptionGpt2:
    return load_caption_gpt2(tokenizer / "weights.pt", tensors, str(tokenizer))


@pytest.fixture(scope="module")
def prefixes() -> torch.Tensor:
    return 2 * torch.randn(6, build_clipcap.PREFIX, build_clipcap.GPT_WIDTH, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def log_probabilities(language, prefix, tokens):
    """Of every next token, after a prefix and some tokens; the whole sequence anew each time."""
    words = language.model.transformer.wte.weight[torch.tensor(tokens, dtype=torch.long)]
    return language.model(inputs_embeds=torch.cat([prefix, words])[None]).logits[0, -1].log_softmax(0).tolist()


def mean_score(language, prefix, tokens):
    return sum(log_probabilities(language, prefix, tokens[:at])[token] for at, token in enumerate(tokens)) / len(tokens)


def plain_beam_search(language, prefix, beams, length):
    """Keep the best by mean log-probability; finished ones stay as they are."""
    kept = [([], [])]
    for _ in range(length):
        candidates = []
        for tokens, scores in kept:
            if tokens and tokens[-1] == STOP:
                candidates.append((tokens, scores))
                continue
            for token, score in enumerate(log_probabilities(language, prefix, tokens)):
                candidates.append(([*tokens, token], [*scores, score]))
        kept = sorted(candidates, key=lambda found: -sum(found[1]) / len(found[1]))[:beams]
    return [(tokens, sum(scores) / len(scores)) for tokens, scores in kept]


def test_loads_what_old_checkpoints_hold(language, tensors):
    assert isinstance(language, Captioner)
    assert language.model.config.n_head == 1 and language.model.config.n_layer == build_clipcap.LAYERS
    state = language.model.state_dict()
    for name, value in state.items():
        torch.testing.assert_close(value, tensors[name])
    assert not any(module.training for module in language.modules())


def test_greedy_takes_the_best_token_each_time(language, prefixes):
    found = language.greedy(prefixes).tolist()
    for prefix, row in zip(prefixes, found, strict=True):
        row = row[: row.index(STOP) + 1] if STOP in row else row
        for at, token in enumerate(row):
            scores = log_probabilities(language, prefix, row[:at])
            assert scores[token] >= max(scores) - 1e-4
        assert row[-1] == STOP or len(row) == build_clipcap.POSITIONS - build_clipcap.PREFIX
    assert len({row.index(STOP) for row in found}) > 3  # captions of a batch end where they end
    alone = [language.caption(prefix[None])[0] for prefix in prefixes]
    assert language.caption(prefixes) == alone
    assert all(text.endswith(".") and text.count(".") == 1 for text in alone)


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_beam_search_equals_the_plain_one(language, prefixes, beams):
    short = CaptionGpt2(language.model, language.tokenizer, length=6)
    for prefix in prefixes[:3]:
        expected = plain_beam_search(short, prefix, beams, 6)
        found = short.beam_search(prefix, beams)
        assert beams == 1 or any(tokens[-1] == STOP and len(tokens) < 6 for tokens, _ in found)
        assert [tokens for tokens, _ in found] == [tokens for tokens, _ in expected]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-4)


def test_a_wide_beam_finds_the_best_caption_there_is(language, prefixes):
    short = CaptionGpt2(language.model, language.tokenizer, length=2)
    vocabulary = range(language.model.config.vocab_size)
    every = [[STOP], *([first, second] for first, second in itertools.product(vocabulary, repeat=2) if first != STOP)]
    for prefix in prefixes[:2]:
        best = max(every, key=lambda tokens: mean_score(short, prefix, tokens))
        found, score = short.beam_search(prefix, beams=400)[0]
        assert found == best and score == pytest.approx(mean_score(short, prefix, best), abs=1e-4)
        assert short.caption(prefix[None], beams=400) == [short.tokenizer.decode(best).strip()]


def test_likelihood_sums_the_tokens_and_the_full_stop(language, prefixes):
    texts = ["ab", "c a.", "", "edcbaedcba"]
    tokens = [[4, 5, 3], [6, 10, 3], [3], [8, 7, 6, 5, 4, 8, 7, 6, 5, 4, 3]]
    found = language.log_likelihood(prefixes[:2], texts)
    assert found.shape == (2, 4)
    for image, prefix in enumerate(prefixes[:2]):
        for text, row in enumerate(tokens):
            assert found[image, text].item() == pytest.approx(mean_score(language, prefix, row) * len(row), abs=1e-3)
    assert language.log_likelihood(prefixes[:2], []).shape == (2, 0)
    assert language.log_likelihood(prefixes[:0], texts).shape == (0, 4)
    many = language.log_likelihood(prefixes, texts * 3)  # more pairs than go at once
    torch.testing.assert_close(many[:2, 4:8], found, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("transformer.h.1.ln_1.bias"), r"missing gpt\.transformer\.h\.1\.ln_1\.bias"),
        (lambda tensors: tensors.update(other=torch.ones(1)), r"unexpected gpt\.other"),
        (lambda tensors: tensors.pop("transformer.wpe.weight"), r"missing gpt\.transformer\.wpe\.weight"),
        (lambda tensors: tensors.update({"transformer.ln_f.bias": torch.ones(2)}), r"ln_f\.bias is \(2,\) where \(64,"),
        (lambda tensors: tensors["lm_head.weight"].add_(1), r"lm_head\.weight is not the word embedding"),
    ],
)
def test_other_language_models_are_refused(tokenizer, tensors, change, said):
    changed = {name: value.clone() for name, value in tensors.items()}
    change(changed)
    with pytest.raises(CheckpointError, match=said):
        load_caption_gpt2(tokenizer / "weights.pt", changed, str(tokenizer))


def test_the_output_layer_may_be_left_out_but_not_the_tokenizer(tokenizer, tensors, language, tmp_path):
    tied = {name: value for name, value in tensors.items() if name != "lm_head.weight"}
    again = load_caption_gpt2(tokenizer / "weights.pt", tied, str(tokenizer))
    torch.testing.assert_close(again.model.lm_head.weight, language.model.lm_head.weight)
    with pytest.raises(DataError, match=r"no such folder .*tokenizer"):
        load_caption_gpt2(tokenizer / "weights.pt", tensors, str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="a tokenizer of 1 tokens for a language model of 13"):
        load_caption_gpt2(tokenizer / "weights.pt", tensors, str(tmp_path))
