"""The language model of a ClipCap checkpoint: GPT-2 (transformers' network) that continues a prefix.

Greedy and beam search follow ClipCap's own notebooks: at most 67 tokens, a caption ends with its first full stop, beams
are compared by the mean log-probability of their tokens.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from pointdistill.errors import CheckpointError, DataError
from pointdistill.io.pth import require_tensors
from pointdistill.teachers.base import FrozenModule
from pointdistill.teachers.pretrained import load_settings, transformers

STOP, LENGTH = ".", 67
_HEAD_WIDTH = 64
_OLD_BUFFER = re.compile(r"transformer\.h\.\d+\.attn\.(masked_)?bias")
_PAIRS = 32
_REMEDY = "Name a checkpoint as ClipCap's authors publish them."


class CaptionGpt2(FrozenModule):
    """log p(c_j | p_1 ... p_l, c_1 ... c_{j-1}) over GPT-2's tokens (paper eq. 11); a `teachers.base.Captioner`.

    Args:
        model: a transformers `GPT2LMHeadModel`; frozen here for good.
        tokenizer: its tokenizer; anything with `encode(text) -> list[int]` and `decode(tokens) -> str`.
        length: longest caption in tokens.
    """

    def __init__(self, model: Any, tokenizer: Any, length: int = LENGTH):
        super().__init__()
        self.model, self.tokenizer, self.length = model, tokenizer, length
        self.stop: int = tokenizer.encode(STOP)[0]
        self.freeze()

    def caption(self, prefix: Float[Tensor, "batch prefix dim"], beams: int = 1) -> list[str]:
        """A caption a prefix, its full stop included: greedily, or the best of so many beams."""
        prefix = prefix.to(self.model.transformer.wte.weight)
        if beams > 1:
            return [self._text(self.beam_search(row, beams)[0][0]) for row in prefix]
        return [self._text(tokens) for tokens in self.greedy(prefix).tolist()]

    @torch.no_grad()
    def greedy(self, prefix: Float[Tensor, "batch prefix dim"]) -> Int[Tensor, "batch length"]:
        """The most probable token at each step, until every caption has its full stop or `length` is reached."""
        inputs, cache, tokens = prefix, None, []
        stopped = torch.zeros(len(prefix), dtype=torch.bool, device=prefix.device)
        for _ in range(self._longest(prefix.shape[1])):
            logits, cache = self._next(inputs, cache)
            tokens.append(logits.argmax(dim=1))
            stopped |= tokens[-1] == self.stop
            if bool(stopped.all()):
                break
            inputs = self.model.transformer.wte(tokens[-1])[:, None]
        return torch.stack(tokens, dim=1)

    @torch.no_grad()
    def beam_search(self, prefix: Float[Tensor, "prefix dim"], beams: int = 5) -> list[tuple[list[int], float]]:
        """The captions kept by a beam search, as (tokens, mean log-probability of a token in nats), best first.

        At each step the `beams` best of all continuations stay, by their mean over their own length; a finished caption
        competes with its score as it is.
        """
        logits, cache = self._next(prefix[None], None)
        sums, chosen = logits[0].topk(min(beams, logits.shape[1]))
        tokens, stopped = chosen[:, None], chosen == self.stop
        lengths, source = torch.ones_like(sums), torch.zeros_like(chosen)
        while tokens.shape[1] < self._longest(len(prefix)) and not bool(stopped.all()):
            cache.reorder_cache(source)
            logits, cache = self._next(self.model.transformer.wte(tokens[:, -1:]), cache)
            logits[stopped] = -torch.inf
            logits[stopped, 0] = 0.0  # the one continuation of a finished caption: itself
            lengths = lengths + ~stopped
            totals = sums[:, None] + logits
            means = (totals / lengths[:, None]).flatten()
            best = means.topk(min(beams, int(means.isfinite().sum()))).indices
            source, chosen = best // logits.shape[1], best % logits.shape[1]
            tokens = torch.cat([tokens[source], chosen[:, None]], dim=1)
            sums, lengths = totals.flatten()[best], lengths[source]
            stopped = stopped[source] | (chosen == self.stop)
        means = sums / lengths
        order = means.argsort(descending=True).tolist()
        return [(tokens[row, : int(lengths[row])].tolist(), float(means[row])) for row in order]

    @torch.no_grad()
    def log_likelihood(
        self, prefix: Float[Tensor, "batch prefix dim"], texts: Sequence[str]
    ) -> Float[Tensor, "batch texts"]:
        """log p(text | prefix) in nats, as `teachers.base.Captioner` says; a text without full stop gets one."""
        prefix = prefix.to(self.model.transformer.wte.weight)
        rows = [self.tokenizer.encode(text if text.endswith(STOP) else text + STOP) for text in texts]
        longest = max(map(len, rows), default=0)
        tokens = torch.tensor([row + [-100] * (longest - len(row)) for row in rows], device=prefix.device)
        scores = prefix.new_zeros(len(prefix), len(rows))
        pairs = torch.cartesian_prod(torch.arange(len(prefix)), torch.arange(len(rows))).to(prefix.device)
        for chunk in pairs.split(_PAIRS) if pairs.numel() else ():
            image, text = chunk.unbind(1)
            before = self.model.transformer.wte(tokens[text, :-1].clamp(min=0))
            logits = self.model(inputs_embeds=torch.cat([prefix[image], before], 1), logits_to_keep=longest).logits
            nats = functional.cross_entropy(logits.transpose(1, 2), tokens[text], reduction="none")
            scores[image, text] = -nats.sum(dim=1)
        return scores

    def _next(self, inputs: Float[Tensor, "batch length dim"], cache: Any) -> tuple[Tensor, Any]:
        """Log-probabilities of what follows the inputs, (batch, vocabulary), and the cache with the inputs in it."""
        found = self.model(inputs_embeds=inputs, cache=cache, use_cache=True, logits_to_keep=1)
        return found.logits[:, -1].log_softmax(dim=1), found.cache

    def _longest(self, prefix: int) -> int:
        return min(self.length, self.model.config.n_positions - prefix)

    def _text(self, tokens: list[int]) -> str:
        end = tokens.index(self.stop) + 1 if self.stop in tokens else len(tokens)
        return self.tokenizer.decode(tokens[:end]).strip()


def load_caption_gpt2(path: Path, tensors: Mapping[str, Tensor], tokenizer: str) -> CaptionGpt2:
    """GPT-2 from a checkpoint's tensors, its sizes read from them (heads are 64 wide in every published GPT-2).

    The constant buffers that older versions of transformers saved with it are left out.

    Args:
        path: where they are from, for errors.
        tensors: by their names in transformers' `GPT2LMHeadModel`.
        tokenizer: folder or hub id of GPT-2's tokenizer.

    Raises:
        MissingPackage: transformers is not installed.
        DataError: the tokenizer is not there, or not readable.
        CheckpointError: names missing or too many, or a tokenizer of another vocabulary.
    """
    library = transformers()
    there = {key: value for key, value in tensors.items() if not _OLD_BUFFER.fullmatch(key)}
    there.setdefault("lm_head.weight", there.get("transformer.wte.weight", torch.empty(0)))
    with torch.device("meta"):
        model = library.GPT2LMHeadModel(_config(library, path, there))
    found, expected = (
        {"gpt." + key: value.shape for key, value in tensors.items()} for tensors in (there, model.state_dict())
    )
    require_tensors(path, found, expected, "GPT-2", _REMEDY)
    if not torch.equal(there["lm_head.weight"], there["transformer.wte.weight"]):
        raise CheckpointError(path, "gpt.lm_head.weight is not the word embedding, as in GPT-2", _REMEDY)
    model = library.GPT2LMHeadModel(model.config)
    model.load_state_dict({key: value.float() for key, value in there.items()})
    words = load_settings(library.GPT2Tokenizer, tokenizer, "GPT-2's tokenizer")
    if len(words) != model.config.vocab_size:  # without its files transformers makes an empty one
        problem = f"a tokenizer of {len(words)} tokens for a language model of {model.config.vocab_size}"
        raise DataError(tokenizer, problem, "Name GPT-2's own tokenizer.")
    return CaptionGpt2(model, words)


def _config(library: Any, path: Path, tensors: Mapping[str, Tensor]) -> Any:
    layers = {found[1] for key in tensors if (found := re.match(r"transformer\.h\.(\d+)\.", key))}
    try:
        vocabulary, width = tensors["transformer.wte.weight"].shape
        positions, inner = len(tensors["transformer.wpe.weight"]), len(tensors["transformer.h.0.mlp.c_fc.bias"])
    except KeyError as error:
        problem = f"no GPT-2 that could caption: missing gpt.{error.args[0]}"
        raise CheckpointError(path, problem, "Name a whole ClipCap checkpoint, or none of its captions.") from None
    if width % _HEAD_WIDTH:
        raise CheckpointError(path, f"a language model {width} wide does not divide into heads of 64", _REMEDY)
    return library.GPT2Config(
        vocab_size=vocabulary,
        n_positions=positions,
        n_embd=width,
        n_layer=len(layers),
        n_head=width // _HEAD_WIDTH,
        n_inner=inner,
    )
