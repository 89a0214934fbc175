"""What embeddings of every kind are to be handed."""

import torch


def n_raw(embedding, n_vectors):
    """What an embedding is to be handed to give so many vectors."""
    n = n_vectors
    for kernel, stride in zip(reversed(embedding.kernels), reversed(embedding.strides), strict=True):
        n = (n - 1) * stride + kernel
    return n


def raw_inputs(embedding, rows, n):
    """Inputs that give n vectors a row, or as many as the embedding always gives."""
    match embedding.type:
        case "tokens" | "factorised_tokens":
            return torch.randint(embedding.vocab_size, (rows, n))
        case "series_steps":
            return torch.randn(rows, n * embedding.patch_len)
        case "mel_frames":
            return torch.randn(rows, embedding.n_mels, embedding.n_frames or 2 * n)
        case "waveform_frames":
            return torch.randn(rows, n_raw(embedding, n))
        case _:
            return embedding.example_inputs(rows)[0]
