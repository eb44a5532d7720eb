"""A small causal language model of captions that continues a prefix, and the encoder that teaches it to listen to one.

A language model trained on captions alone has never seen anything in front of a caption; frozen, it would ignore what
ClipCap's mapper puts there. So it is trained on "notes -> caption": a throw-away encoder fills the prefix with an
embedding of some of the caption's own words, and the model learns to write out its notes.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from pointdistill.models.clipcap import MlpMapper
from pointdistill.teachers.text import END, PAD, UNKNOWN
from pointdistill.teachers.transformer import CausalTransformer


class CaptionLanguageModel(nn.Module):
    """log p(c_j | p_1 ... p_l, c_1 ... c_{j-1}) over the words of captions (paper eq. 11).

    Args:
        vocabulary: number of tokens.
        length: longest caption in tokens, the end token included.
        prefix_length: number of prefix vectors in front of the caption.
    """

    def __init__(self, vocabulary: int, length: int, prefix_length: int, width: int, depth: int, heads: int):
        super().__init__()
        self.length, self.prefix_length = length, prefix_length
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(0.02 * torch.randn(prefix_length + length, width))
        self.transformer = CausalTransformer(width, depth, heads)
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(
        self, prefix: Float[Tensor, "batch prefix dim"], tokens: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length+1 vocabulary"]:
        """Logits of the token at each place of the caption and of the one after it; place j sees the prefix and tokens
        before j. The output layer is the word embedding, as in GPT-2."""
        inputs = torch.cat([prefix, self.words(tokens)], dim=1)
        hidden = self.transformer(inputs + self.positions[: inputs.shape[1]])
        return hidden[:, self.prefix_length - 1 :] @ self.words.weight.T

    @torch.no_grad()
    def greedy(self, prefix: Float[Tensor, "batch prefix dim"]) -> Int[Tensor, "batch length"]:
        """The most probable word at each step, until every caption has its end token or `length` is reached."""
        tokens = torch.empty(len(prefix), 0, dtype=torch.int64, device=prefix.device)
        for _ in range(self.length):
            following = self(prefix, tokens)[:, -1]
            following[:, [PAD, UNKNOWN]] = -torch.inf
            tokens = torch.cat([tokens, following.argmax(dim=1, keepdim=True)], dim=1)
            if bool((tokens == END).any(dim=1).all()):
                break
        return tokens


def caption_loss(
    model: CaptionLanguageModel, prefix: Float[Tensor, "batch prefix dim"], tokens: Int[Tensor, "batch length"]
) -> Float[Tensor, ""]:
    """Mean negative log-likelihood in nats of the caption's tokens, the end token included (eq. 11)."""
    logits = model(prefix, tokens[:, :-1])
    return functional.cross_entropy(logits.flatten(0, 1), tokens.flatten(), ignore_index=PAD)


def caption_log_likelihood(
    model: CaptionLanguageModel, prefix: Float[Tensor, "batch prefix dim"], tokens: Int[Tensor, "texts length"]
) -> Float[Tensor, "batch texts"]:
    """log p in nats of every caption after every prefix, the end token included (eq. 11, summed and not averaged)."""
    batch, texts = len(prefix), len(tokens)
    if not batch or not texts:
        return prefix.new_zeros(batch, texts)
    pairs = tokens.repeat(batch, 1)
    logits = model(prefix.repeat_interleave(texts, dim=0), pairs[:, :-1])
    nats = functional.cross_entropy(logits.transpose(1, 2), pairs, ignore_index=PAD, reduction="none")
    return -nats.sum(dim=1).unflatten(0, (batch, texts))


class NotesEncoder(nn.Module):
    """Some of a caption's words, as a bag, to a prefix. Only used while the language model learns.

    Words are kept with a probability drawn anew for each caption, and noise of `noise` times the prefix's own scale is
    added: the model then has to make do with partial and imprecise prefixes, such as an image will give it.
    """

    def __init__(self, vocabulary: int, prefix_length: int, width: int, hidden: int = 128, noise: float = 0.3):
        super().__init__()
        self.vocabulary, self.noise = vocabulary, noise
        self.mapper = MlpMapper(vocabulary, prefix_length, width, hidden)

    def forward(
        self, tokens: Int[Tensor, "batch length"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch prefix dim"]:
        """Without a generator: the prefix of all the words, without noise."""
        keep = torch.ones(tokens.shape)
        if generator is not None:
            rate = torch.rand(len(tokens), 1, generator=generator)
            keep = (torch.rand(tokens.shape, generator=generator) < rate.sqrt()).float()
        bag = torch.zeros(len(tokens), self.vocabulary)
        bag.scatter_add_(1, tokens, keep * (tokens > END))
        prefix = self.mapper(bag)
        if generator is not None:
            scale = prefix.detach().square().mean().sqrt()
            prefix = prefix + self.noise * scale * torch.randn(prefix.shape, generator=generator)
        return prefix
