"""Words of captions as numbers: a vocabulary built from the captions themselves, one token a word."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

PAD, END, UNKNOWN = 0, 1, 2
_SPECIAL = 3
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|,")


def split_words(text: str) -> list[str]:
    """Lower-case words (with the hyphens and apostrophes inside them) and commas; other punctuation is dropped."""
    return _WORD.findall(text.lower())


def leave_out(text: str, words: Iterable[str]) -> str:
    """The text without these words, with "a" and "an" set right before what then follows them."""
    unwanted = "|".join(map(re.escape, words))
    if not unwanted:
        return text
    shorter = re.sub(rf"\b(?:{unwanted})\b ?", "", text, flags=re.IGNORECASE)
    if shorter == text:
        return text
    shorter = re.sub(r"\b([Aa])n (?![aeiouAEIOU])", r"\1 ", shorter.strip())
    return re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", shorter)


@dataclass(frozen=True)
class Vocabulary:
    """The words a teacher knows, most frequent first. Tokens: 0 padding, 1 end, 2 unknown word, then the words."""

    words: tuple[str, ...]
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {word: _SPECIAL + i for i, word in enumerate(self.words)})

    def __len__(self) -> int:
        """Number of tokens, special ones included."""
        return _SPECIAL + len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._index

    @classmethod
    def build(cls, texts: Iterable[str], limit: int = 256) -> "Vocabulary":
        """The most frequent words of `texts` (ties in alphabetical order), at most `limit` tokens in all."""
        counts = Counter(word for text in texts for word in split_words(text))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(tuple(ranked[: limit - _SPECIAL]))

    def encode(self, texts: Sequence[str], length: int) -> Int[Tensor, "batch length"]:
        """Tokens of each text, then the end token, then padding. Texts longer than `length` - 1 words are cut."""
        tokens = torch.full((len(texts), length), PAD, dtype=torch.int64)
        for row, text in enumerate(texts):
            known = [self._index.get(word, UNKNOWN) for word in split_words(text)[: length - 1]]
            tokens[row, : len(known) + 1] = torch.tensor([*known, END])
        return tokens

    def decode(self, tokens: Int[Tensor, "batch length"]) -> list[str]:
        """The text of each row up to its end token; unknown words are left out."""
        texts = []
        for row in tokens.tolist():
            row = row[: row.index(END)] if END in row else row
            text = " ".join(self.words[token - _SPECIAL] for token in row if token >= _SPECIAL)
            texts.append(text.replace(" ,", ","))
        return texts
