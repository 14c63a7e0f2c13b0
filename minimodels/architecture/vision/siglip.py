"""The encoder that turns a picture into vectors: SigLIP's (Zhai et al. 2023, arXiv 2303.15343), a
ViT (2010.11929), as Gemma 3 uses it (2503.19786): without its pooling head.

    picture (B, 3, S, S) -> patches (B, N, E) -> the same, each knowing the whole picture

S pixels a side, N = (S / patch_size)² patches, E hidden size, H heads of d = E / H. What is unlike
the decoder: every patch sees every other, positions are learned vectors, norms are LayerNorms, and
all linear layers have biases. Attributes carry the names of the Hugging Face layout.
"""

from torch import nn
from torch.nn import functional as F

from minimodels.architecture.configs.gemma3_vision import VisionConfig
from minimodels.errors import UserError


class Embeddings(nn.Module):
    """Each patch through one linear map, plus a learned vector for its place."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        # A convolution whose steps are as long as it is wide: a linear map of each patch's pixels.
        self.patch_embedding = nn.Conv2d(config.num_channels, config.hidden_size,
                                         config.patch_size, config.patch_size)  # fmt: skip
        self.position_embedding = nn.Embedding(config.num_patches, config.hidden_size)

    def forward(self, pictures):
        x = self.patch_embedding(pictures)  # (B, E, S/p, S/p)
        return x.flatten(2).transpose(1, 2) + self.position_embedding.weight  # (B, N, E)


class Attention(nn.Module):
    """Everything sees everything: no mask, no rotation, no cache. (B, N, E) in and out."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        E = config.hidden_size
        self.head_dim = E // config.num_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(E, E) for _ in range(4))

    def forward(self, x):
        q, k, v = (self.heads(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        y = F.scaled_dot_product_attention(q, k, v)  # (B, H, N, d)
        return self.out_proj(y.transpose(1, 2).flatten(2))

    def heads(self, x):
        """(B, N, H·d) -> (B, H, N, d)"""
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)


class MLP(nn.Module):
    """fc2(gelu(fc1 x)): two matrices, no gate."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Layer(nn.Module):
    """x + attention(norm x), then x + mlp(norm x): the decoder's block, without its mask."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, config.norm_eps)
        self.self_attn = Attention(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, config.norm_eps)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Encoder(nn.Module):
    """The layers, one after the other."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_layers))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class SigLIP(nn.Module):
    """Pictures (B, 3, S, S), numbers from −1 to 1, to patches (B, N, E). See VisionConfig."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, config.norm_eps)
        self.initialize()

    def initialize(self):
        """Matrices as Glorot and Bengio (2010) draw them, patches of size one, places a third.

        Where a picture is blank its patches are equal, and only their places tell them apart.
        """
        for name, weight in self.named_parameters():
            if name.endswith("position_embedding.weight"):
                nn.init.normal_(weight, std=0.3)
            elif name.endswith("patch_embedding.weight"):
                nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
            elif weight.dim() > 1:
                nn.init.xavier_uniform_(weight)
            elif name.endswith(".bias"):
                nn.init.zeros_(weight)

    def forward(self, pictures):
        """Raises UserError if the pictures have another size than the config says."""
        wanted = (self.config.num_channels, self.config.image_size, self.config.image_size)
        if tuple(pictures.shape[1:]) != wanted:
            raise UserError(f"the pictures have shape {tuple(pictures.shape[1:])} but the model "
                            f"sees {wanted}: prepare them with preprocess.")  # fmt: skip
        return self.post_layernorm(self.encoder(self.embeddings(pictures)))
