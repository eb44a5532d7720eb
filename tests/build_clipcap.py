"""Tiny CLIP, GPT-2 and ClipCap checkpoints with random numbers, in the layouts their owners publish.

Names and shapes of the ClipCap tensors are written out here from rmokady/CLIP_prefix_caption, and GPT-2's buffers from
the versions of transformers of its day; nothing of the package under test is used.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

CLIP_WIDTH, FEATURE, SIDE, PATCH = 32, 24, 32, 8
GPT_WIDTH, LAYERS, POSITIONS, PREFIX = 64, 2, 48, 3
WORDS = ["!", '"', "#", ".", "a", "b", "c", "d", "e", "Ġ", "Ġa", "Ġb"]
"""GPT-2's alphabet in small: one token a letter, Ġ is a space."""


def write_clip(folder: Path, seed: int = 0, **vision: int) -> Path:
    """The whole CLIP, text part and all, as transformers saves it."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(seed)
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**text, "vocab_size": 20, "max_position_embeddings": 8, "projection_dim": FEATURE},
        vision_config={
            "hidden_size": CLIP_WIDTH,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": PATCH,
            **vision,
        },
        projection_dim=FEATURE,
    )
    CLIPModel(config).save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path) -> Path:
    """vocab.json and merges.txt, as GPT-2's folder holds them."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [*WORDS, "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\nĠ a\nĠ b\n")
    return folder


def gpt2_tensors(seed: int = 2) -> dict[str, Tensor]:
    """A GPT-2 as old checkpoints hold it: the tied output layer, and two constant buffers a layer."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    sizes = {"vocab_size": len(WORDS) + 1, "n_positions": POSITIONS, "n_embd": GPT_WIDTH, "n_layer": LAYERS}
    model = GPT2LMHeadModel(GPT2Config(**sizes, n_head=GPT_WIDTH // 64, initializer_range=0.4))
    torch.nn.init.normal_(model.transformer.wpe.weight, std=0.8)  # else random numbers repeat their last word for ever
    tensors = {f"gpt.{name}": value.clone() for name, value in model.state_dict().items()}
    for layer in range(LAYERS):
        attention = f"gpt.transformer.h.{layer}.attn."
        tensors[attention + "bias"] = torch.ones(1, 1, POSITIONS, POSITIONS, dtype=torch.uint8).tril()
        tensors[attention + "masked_bias"] = torch.tensor(-1e4)
    return tensors


def mlp_tensors(seed: int = 0, feature: int = FEATURE) -> dict[str, Tensor]:
    """The MLP mapper, feature -> half of the prefix -> prefix."""
    generator, size = torch.Generator().manual_seed(seed), PREFIX * GPT_WIDTH
    shapes = {
        "0.weight": (size // 2, feature),
        "0.bias": (size // 2,),
        "2.weight": (size, size // 2),
        "2.bias": (size,),
    }
    return {f"clip_project.model.{name}": torch.randn(shape, generator=generator) / 4 for name, shape in shapes.items()}


def transformer_tensors(feature: int = 20, clip_length: int = 4, layers: int = 2) -> dict[str, Tensor]:
    """The transformer mapper: 8 heads, MLPs twice as wide, no bias on queries, keys and values."""
    width = GPT_WIDTH
    shapes: dict[str, tuple[int, ...]] = {
        "prefix_const": (PREFIX, width),
        "linear.weight": (clip_length * width, feature),
        "linear.bias": (clip_length * width,),
    }
    for layer in range(layers):
        of_layer = {
            "norm1.weight": (width,),
            "norm1.bias": (width,),
            "attn.to_queries.weight": (width, width),
            "attn.to_keys_values.weight": (2 * width, width),
            "attn.project.weight": (width, width),
            "attn.project.bias": (width,),
            "norm2.weight": (width,),
            "norm2.bias": (width,),
            "mlp.fc1.weight": (2 * width, width),
            "mlp.fc1.bias": (2 * width,),
            "mlp.fc2.weight": (width, 2 * width),
            "mlp.fc2.bias": (width,),
        }
        shapes.update({f"transformer.layers.{layer}.{name}": shape for name, shape in of_layer.items()})
    generator = torch.Generator().manual_seed(0)
    return {f"clip_project.{name}": torch.randn(shape, generator=generator) / 4 for name, shape in shapes.items()}


def write_weights(path: Path, *parts: dict[str, Tensor]) -> Path:
    """A checkpoint as `torch.save` writes it."""
    torch.save({name: value for part in parts for name, value in part.items()}, path)
    return path
