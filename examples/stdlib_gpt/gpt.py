"""A small GPT that reads bytes: a decoder-only transformer, in the style of nanoGPT's model.

Every position of a window sees the bytes up to its own, and gives logits for the byte that comes
next. Tokens of a vocabulary may stand in the place of bytes. See Radford et al., "Language models
are unsupervised multitask learners", 2019 (GPT-2), and nanoGPT,
https://github.com/karpathy/nanoGPT, whose `model.py` has the same parts.
"""

import math

import torch
from torch import nn
from torch.nn import functional

#: Standard deviation of initial weights, as in GPT-2.
_SPREAD = 0.02


class Gpt(nn.Module):
    """Embeddings, a stack of blocks, and a linear map to the logits of the next byte.

    Args:
        in_features: bytes of a window, the longest that the model can see.
        out_features: number of different bytes, 256.
        width: numbers that stand for one byte inside of the model.
        heads: heads of each attention; `width` is a multiple of it.
        layers: number of blocks.
        dropout: share of the numbers that is dropped in training.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        width: int = 96,
        heads: int = 4,
        layers: int = 4,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.length = in_features
        self.bytes = nn.Embedding(out_features, width)
        self.positions = nn.Embedding(in_features, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, out_features, bias=False)
        self.apply(_initialize)
        for block in self.blocks:
            # Each block adds twice to the same numbers, which would grow with the depth.
            for last in (block.attention.out, block.mlp[2]):
                nn.init.normal_(last.weight, std=_SPREAD / math.sqrt(2 * layers))

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Map bytes, integers (rows, length), to logits of the next ones, (rows, length, bytes).

        The length may be shorter than that of a window.
        """
        place = torch.arange(text.shape[1], device=text.device)
        inside = self.dropout(self.bytes(text.long()) + self.positions(place))
        return self.head(self.norm(self.blocks(inside)))

    @torch.no_grad()
    def continue_text(
        self, text: torch.Tensor, count: int, temperature: float = 1.0
    ) -> torch.Tensor:
        """Write on: draw bytes one by one from what the model says comes next.

        Args:
            text: bytes to go on from, integers (bytes,), one or more.
            count: bytes to draw, from torch's generator.
            temperature: logits are divided by it; below 1, the model dares less.

        Returns:
            The text with what follows, int64 (bytes + count,).
        """
        text = text.long()
        for _ in range(count):
            logits = self(text[None, -self.length :])[0, -1] / temperature
            text = torch.cat([text, torch.multinomial(logits.softmax(0), 1)])
        return text


class Block(nn.Module):
    """An attention and a small network, each of which adds to what comes in."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, inside: torch.Tensor) -> torch.Tensor:
        """Map (rows, length, width) to the same shape."""
        inside = inside + self.attention(self.attention_norm(inside))
        return inside + self.mlp(self.mlp_norm(inside))


class Attention(nn.Module):
    """Every position gathers from the positions up to its own, with several heads."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inside: torch.Tensor) -> torch.Tensor:
        """Map (rows, length, width) to the same shape."""
        rows, length, width = inside.shape
        # Queries, keys and values, each (rows, heads, length, width / heads).
        parts = self.into(inside).reshape(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        gathered = functional.scaled_dot_product_attention(*parts, is_causal=True)
        return self.dropout(self.out(gathered.transpose(1, 2).reshape(rows, length, width)))


def _initialize(part: nn.Module) -> None:
    """Give a layer the initial weights of GPT-2."""
    if isinstance(part, nn.Linear | nn.Embedding):
        nn.init.normal_(part.weight, std=_SPREAD)
    if isinstance(part, nn.Linear) and part.bias is not None:
        nn.init.zeros_(part.bias)
