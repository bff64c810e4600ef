"""Transformer blocks whose queries look at other tokens than themselves."""

from torch import Tensor, nn


class CrossAttention(nn.Module):
    """Multi-head attention from queries to other tokens (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.project = nn.Linear(dim, dim)

    def forward(self, queries: Tensor, tokens: Tensor, hidden: Tensor | None = None) -> Tensor:
        """What each query finds.

        Args:
            queries: float [B, Q, D].
            tokens: float [B, K, D].
            hidden: bool [B, Q, K], the tokens that a query must not see; at least one is left to each.

        Returns:
            float [B, Q, D].
        """
        q = self.query(queries).unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, heads, Q, D / heads]
        k, v = self.key_value(tokens).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)  # [B, heads, Q, K]
        if hidden is not None:
            scores = scores.masked_fill(hidden.unsqueeze(1), float("-inf"))
        found: Tensor = self.project((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
        return found


class CrossBlock(nn.Module):
    """A pre-norm transformer block with cross-attention in place of self-attention.

    Args:
        dim, heads: width and heads of the attention.
    """

    def __init__(self, dim: int, heads: int) -> None:
        from timm.layers import Mlp

        super().__init__()
        self.norm_queries = nn.LayerNorm(dim)
        self.norm_tokens = nn.LayerNorm(dim)
        self.attention = CrossAttention(dim, heads)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, queries: Tensor, tokens: Tensor, hidden: Tensor | None = None) -> Tensor:
        """The queries [B, Q, D] after a look at the tokens; arguments as for `CrossAttention`."""
        queries = queries + self.attention(self.norm_queries(queries), self.norm_tokens(tokens), hidden)
        updated: Tensor = queries + self.mlp(self.norm_mlp(queries))
        return updated
