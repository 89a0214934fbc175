"""Scaled dot-product attention: one call, several kernels, chosen from the mask's description."""

from __future__ import annotations

from typing import TypedDict, Unpack

import torch
from torch import Tensor

from zoo import hardware
from zoo.kernels import blocked, eager, flex, global_tokens, matmul, sdpa, watching
from zoo.kernels.common import autocasts, without_autocast
from zoo.masks import Mask

KERNELS = ("auto", "eager", "matmul", "sdpa", "blocked", "flex")

# Scores of a sentence and head up to which matmul is as fast as sdpa; its memory grows with them.
_MATMUL_SCORES = 48 * 48
_MATMUL_SCORES_BF16 = 512 * 512
_FEW_SCORES = 4096  # in all; below, the fused kernel's single call wins
_FLEX_KEYS = 1024


class _Rest(TypedDict):
    """What most kernels take besides their tensors."""

    mask: Mask
    scale: float
    dropout: float
    soft_cap: float | None


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Mask,
    scale: float,
    bias: Tensor | None = None,
    dropout: float = 0.0,
    soft_cap: float | None = None,
    kernel: str = "auto",
) -> Tensor:
    """softmax(cap(q kᵀ · scale) + bias) v over what the mask shows, by the kernel that does it best.

    Queries with nothing to attend give zeros and pass no gradient. Under autocast, inputs take its dtype.
    dropout is the probability of dropping a weight, here and now. soft_cap c keeps scores within ±c by
    c · tanh(score / c), before the bias; None leaves them.

    kernel "auto" is the rule below; ratios are forward and backward on two CPU cores with AVX-512.
        blocked: with a radius, where a block's window (32 + radius on each side seen, and 2 for each global token)
            is at most half of the keys, or a fifth of them where matmul would do the whole in bfloat16: it is
            three times as fast as the float32 of blocked. Not with global tokens inside torch.compile, which does
            not know how many there are.
        flex: in blocked's place on CUDA from 1,024 keys on, by operation count; shorter ones go to sdpa. Also for
            capped scores there, whatever the mask.
        matmul: on the CPU for T·S up to 48² (at 16² sdpa takes 1.1 to 2 times as long), in bfloat16 up to 512² (2.5
            to 15 times) where the processor multiplies it, else never (sdpa is 7 to 17 times as fast); and
            where sdpa is unfused, for dropout, a bias with a gradient, values of another width than keys.
            Neither below 4,096 scores in all, where sdpa's single call is faster, nor inside torch.compile,
            whose graph it would break. On every device for capped scores, which sdpa cannot do.
        sdpa: everything else.
        eager: capped scores inside torch.compile, which fuses it. Else it is the reference, and gives the
            weights (see `attend_eager`).
    Inside torch.export, whose graph is for every length and device, the choice hangs on neither: sdpa, or eager
    for capped scores, over the whole.

    Source: Vaswani et al. 2017, section 3.2.1.
    Shapes: q [B, H, T, K], k [B, G, S, K], v [B, G, S, Kv] -> [B, H, T, Kv]; G divides H, and head h reads
        group h // (H / G). bias [1 or B, 1 or H, T, S], finite.
    Raises: ValueError on shapes that do not fit, and where the kernel asked for cannot do the case.
    """
    if kernel not in KERNELS:
        raise ValueError(f"no attention kernel is named {kernel!r} (known: {', '.join(KERNELS)})")
    rest: _Rest = {"mask": mask, "scale": scale, "dropout": dropout, "soft_cap": soft_cap}
    watch = watching.current
    if watch is not None and watch.is_here():
        return _watched(q, k, v, bias=bias, kernel=kernel, **rest)
    if autocasts(q.device):
        q, k, v = _lowered(q, k, v)
        with without_autocast(q.device):
            return attend(q, k, v, bias=bias, kernel=kernel, **rest)
    _check(q, k, v, mask=mask, bias=bias, dropout=dropout, soft_cap=soft_cap)
    if kernel == "auto":
        kernel = choose(q, k, v, mask=mask, bias=bias, dropout=dropout, soft_cap=soft_cap)
    elif refusal := _refusal(kernel, q, k, mask=mask, bias=bias, dropout=dropout, soft_cap=soft_cap):
        raise ValueError(f"the {kernel} kernel cannot do this: {refusal}")
    if kernel == "sdpa":
        return sdpa.attention(q, k, v, mask=mask, scale=scale, bias=bias, dropout=dropout)
    if kernel == "matmul":
        return matmul.attention(q, k, v, bias=bias, **rest)
    if kernel == "eager":
        return eager.attention(q, k, v, bias=bias, **rest)[0]
    if kernel == "flex":
        return flex.attention(q, k, v, mask=mask, scale=scale, soft_cap=soft_cap)
    if mask.global_tokens is not None:
        return global_tokens.attention(q, k, v, **rest)
    return blocked.attention(q, k, v, **rest)[0]


def _watched(
    q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None, kernel: str, **rest: Unpack[_Rest]
) -> Tensor:
    """`attend`, its output and weights by the formula shown to whoever watches."""
    with watching.watching(None):
        out = attend(q, k, v, bias=bias, kernel=kernel, **rest)
    mask, scale, soft_cap = rest["mask"], rest["scale"], rest["soft_cap"]
    expected, weights = attend_eager(q, k, v, mask=mask, scale=scale, bias=bias, soft_cap=soft_cap)
    watching.seen_with_output(weights, out, expected)
    return out


def attend_eager(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Mask,
    scale: float,
    bias: Tensor | None = None,
    dropout: float = 0.0,
    soft_cap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """`attend` by the formula, with the weights [B, H, T, S] before dropout, in float32 at least."""
    if autocasts(q.device):
        q, k, v = _lowered(q, k, v)
    _check(q, k, v, mask=mask, bias=bias, dropout=dropout, soft_cap=soft_cap)
    with without_autocast(q.device):
        return eager.attention(q, k, v, mask=mask, scale=scale, bias=bias, dropout=dropout, soft_cap=soft_cap)


def choose(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Mask,
    bias: Tensor | None,
    dropout: float,
    soft_cap: float | None = None,
) -> str:
    """The kernel that "auto" stands for: the rule and its reasons are in `attend`."""
    (B, H, T, K), S = q.shape, k.shape[2]
    on_cpu, on_cuda = q.device.type == "cpu", q.device.type == "cuda"
    is_bf16 = on_cpu and q.dtype == torch.bfloat16
    whole = "sdpa"
    if torch.compiler.is_exporting():
        return whole if soft_cap is None else "eager"
    if torch.compiler.is_compiling():
        whole = "sdpa" if soft_cap is None else "eager"
    elif soft_cap is not None:
        whole = "matmul"
    elif on_cpu:
        learns_bias = bias is not None and bias.requires_grad and torch.is_grad_enabled()
        is_unfused = dropout > 0.0 or learns_bias or v.shape[3] != K
        n_scores, most = T * S, _MATMUL_SCORES
        if is_bf16:
            most = _MATMUL_SCORES_BF16 if hardware.multiplies_bf16() else 0
        if is_unfused or (n_scores <= most and B * H * n_scores >= _FEW_SCORES):
            whole = "matmul"
    flexes = on_cuda and min(T, S) >= _FLEX_KEYS and not flex.refusal(q, bias=bias, dropout=dropout)
    if mask.radius is None:
        return "flex" if flexes and soft_cap is not None else whole
    window = blocked.window(mask)
    if flexes and (2 * window <= S or soft_cap is not None):
        return "flex"
    share = 5 if is_bf16 and whole == "matmul" else 2
    pays = share * window <= S and not (on_cuda and S < _FLEX_KEYS)
    if pays and not blocked.refusal(q, k, mask=mask, bias=bias):
        if mask.global_tokens is None:
            return "blocked"
        if not torch.compiler.is_compiling():
            pays = share * (window + 2 * global_tokens.places(mask, T).n) <= S
            return "blocked" if pays else whole
    return whole


def _refusal(
    kernel: str,
    q: Tensor,
    k: Tensor,
    *,
    mask: Mask,
    bias: Tensor | None,
    dropout: float,
    soft_cap: float | None,
) -> str:
    """Why a kernel cannot do a case; empty when it can."""
    if kernel == "blocked":
        return blocked.refusal(q, k, mask=mask, bias=bias)
    if kernel == "flex":
        return flex.refusal(q, bias=bias, dropout=dropout)
    if kernel == "sdpa" and soft_cap is not None:
        return "it caps no scores"
    return ""


def _lowered(q: Tensor, k: Tensor, v: Tensor) -> list[Tensor]:
    """Inputs in the dtype that autocast asks of matrix products; float64 is left alone, as torch leaves
    it."""
    dtype = torch.get_autocast_dtype(q.device.type)
    return [x if x.dtype == torch.float64 else x.to(dtype) for x in (q, k, v)]


def _check(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Mask,
    bias: Tensor | None,
    dropout: float,
    soft_cap: float | None,
) -> None:
    if not (q.dim() == k.dim() == v.dim() == 4):
        raise ValueError(
            f"q, k and v must have 4 dimensions, not {list(q.shape)}, {list(k.shape)}, {list(v.shape)}"
        )
    (B, H, T, K), (G, S) = q.shape, k.shape[1:3]
    if k.shape != (B, G, S, K) or v.shape[:3] != (B, G, S) or H % G:
        raise ValueError(
            f"q [B, H, T, K], k [B, G, S, K] and v [B, G, S, Kv] with G dividing H do not fit: "
            f"{list(q.shape)}, {list(k.shape)}, {list(v.shape)}"
        )
    if not q.dtype == k.dtype == v.dtype:
        raise ValueError(f"q, k and v must have one dtype, not {q.dtype}, {k.dtype} and {v.dtype}")
    if mask.batch not in (1, B):
        raise ValueError(f"the mask is for {mask.batch} sentences, but there are {B}")
    mask.check(T, S)
    if bias is not None and not _fits(bias.shape, (B, H, T, S)):
        raise ValueError(f"bias must have the shape [{B} or 1, {H} or 1, {T}, {S}], not {list(bias.shape)}")
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout ({dropout}) must be at least 0 and below 1")
    if soft_cap is not None and soft_cap <= 0.0:
        raise ValueError(f"soft_cap ({soft_cap}) must be above 0")


def _fits(shape: torch.Size, scores: tuple[int, int, int, int]) -> bool:
    """Whether a bias broadcasts to the scores over sentences and heads alone."""
    if len(shape) != 4 or shape[2] != scores[2] or shape[3] != scores[3]:
        return False
    return (shape[0] == 1 or shape[0] == scores[0]) and (shape[1] == 1 or shape[1] == scores[1])
