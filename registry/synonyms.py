"""What other libraries, papers and habits call the keys and values of a spec: for suggestions, never read as them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_N_LAYERS = ("encoder.n_layers", "decoder.n_layers")
_N_HEADS = ("self_attention.n_heads", "cross_attention.n_heads")
_STEPS = ("training.max_steps",)
_RATE = ("schedule.peak_lr", "schedule.lr", "schedule.factor")

KEYS: dict[str, tuple[str, ...]] = {
    # how far and how fast
    "lr": _RATE, "rate": _RATE, "learningrate": _RATE, "maxlr": _RATE, "peaklr": _RATE, "baselr": _RATE,
    "initlr": _RATE,
    "lrscheduler": ("training.schedule",), "scheduler": ("training.schedule",),
    "lrschedulertype": ("training.schedule",),
    "warmup": ("schedule.warmup_steps",), "nwarmupsteps": ("schedule.warmup_steps",),
    "numwarmupsteps": ("schedule.warmup_steps",), "warmupupdates": ("schedule.warmup_steps",),
    "warmupratio": ("schedule.warmup_steps",),
    "batchsize": ("training.tokens_per_batch",), "bs": ("training.tokens_per_batch",),
    "maxtokens": ("training.tokens_per_batch",), "tokensperstep": ("training.tokens_per_batch",),
    "perdevicetrainbatchsize": ("training.tokens_per_batch",), "trainbatchsize": ("training.tokens_per_batch",),
    "microbatchsize": ("training.tokens_per_batch",),
    "epochs": _STEPS, "nepochs": _STEPS, "numepochs": _STEPS, "maxepochs": _STEPS, "epoch": _STEPS,
    "numtrainepochs": _STEPS, "steps": _STEPS, "maxupdates": _STEPS, "maxupdate": _STEPS, "maxiters": _STEPS,
    "trainsteps": _STEPS, "numsteps": _STEPS, "nsteps": _STEPS,
    "gradclip": ("training.clip_norm",), "clip": ("training.clip_norm",), "clipgradnorm": ("training.clip_norm",),
    "maxgradnorm": ("training.clip_norm",), "gradientclipval": ("training.clip_norm",),
    "gradientaccumulationsteps": ("training.accumulate",), "accumulategradbatches": ("training.accumulate",),
    "gradaccum": ("training.accumulate",), "updatefreq": ("training.accumulate",),
    "gpus": ("training.devices",), "ngpus": ("training.devices",), "nproc": ("training.devices",),
    "device": ("training.accelerator",), "numworkers": ("training.data_workers",),
    "workers": ("training.data_workers",), "dataloadernumworkers": ("training.data_workers",),
    "dtype": ("training.precision",), "fp16": ("training.precision",), "bf16": ("training.precision",),
    "amp": ("training.precision",), "mixedprecision": ("training.precision",),
    "savesteps": ("training.checkpoint_every",), "saveevery": ("training.checkpoint_every",),
    "evalsteps": ("training.validate_every",), "evalevery": ("training.validate_every",),
    "valcheckinterval": ("training.validate_every",), "loggingsteps": ("training.log_every",),
    "logeverynsteps": ("training.log_every",), "randomseed": ("training.seed",),
    "smoothing": ("task.label_smoothing",),
    "labelsmoothingfactor": ("task.label_smoothing",),
    "wd": ("optimizer.weight_decay",), "adambetas": ("optimizer.betas",), "adamepsilon": ("optimizer.eps",),
    "optim": ("training.optimizer",),
    # sizes
    "hiddensize": ("model.d_model",), "hiddendim": ("model.d_model",), "nembd": ("model.d_model",),
    "embeddim": ("model.d_model",), "embdim": ("model.d_model",), "embeddingdim": ("model.d_model",),
    "dim": ("model.d_model",), "dimmodel": ("model.d_model",), "modeldim": ("model.d_model",),
    "dembed": ("model.d_model",), "width": ("model.d_model",),
    "nlayers": _N_LAYERS, "nlayer": _N_LAYERS, "numlayers": _N_LAYERS, "numhiddenlayers": _N_LAYERS,
    "layers": _N_LAYERS, "depth": _N_LAYERS, "numlayer": _N_LAYERS,
    "encoderlayers": ("encoder.n_layers",), "numencoderlayers": ("encoder.n_layers",),
    "nencoderlayers": ("encoder.n_layers",),
    "decoderlayers": ("decoder.n_layers",), "numdecoderlayers": ("decoder.n_layers",),
    "ndecoderlayers": ("decoder.n_layers",),
    "nheads": _N_HEADS, "nhead": _N_HEADS, "numheads": _N_HEADS, "heads": _N_HEADS,
    "numattentionheads": _N_HEADS, "attentionheads": _N_HEADS,
    "numkeyvalueheads": ("self_attention.n_kv_heads",), "kvheads": ("self_attention.n_kv_heads",),
    "numkvheads": ("self_attention.n_kv_heads",),
    "headdim": ("self_attention.d_k",), "dhead": ("self_attention.d_k",), "dimhead": ("self_attention.d_k",),
    "intermediatesize": ("ffn.d_ff",), "ffndim": ("ffn.d_ff",), "dimfeedforward": ("ffn.d_ff",),
    "ninner": ("ffn.d_ff",), "dinner": ("ffn.d_ff",), "mlpdim": ("ffn.d_ff",), "hiddenmult": ("ffn.d_ff",),
    "filtersize": ("ffn.d_ff",), "dff": ("ffn.d_ff",),
    "vocab": ("vocab_size",), "nvocab": ("vocab_size",), "vocabularysize": ("vocab_size",),
    "maxpositionembeddings": ("position.max_len", "task.max_length"), "nctx": ("position.max_len", "task.max_length"),
    "npositions": ("position.max_len", "task.max_length"), "blocksize": ("position.max_len", "task.max_length"),
    "maxseqlen": ("position.max_len", "task.max_length"), "maxseqlength": ("position.max_len", "task.max_length"),
    "contextlength": ("position.max_len", "task.max_length"), "maxlen": ("position.max_len", "task.max_length"),
    # parts
    "dropoutrate": ("layer.dropout",), "dropoutp": ("layer.dropout",), "pdropout": ("layer.dropout",),
    "residpdrop": ("layer.dropout",), "hiddendropoutprob": ("layer.dropout",), "dropoutprob": ("layer.dropout",),
    "hiddendropout": ("layer.dropout",), "embdpdrop": ("input_dropout",), "embeddropout": ("input_dropout",),
    "attndropout": ("self_attention.dropout",), "attnpdrop": ("self_attention.dropout",),
    "attentiondropout": ("self_attention.dropout",), "attentionprobsdropoutprob": ("self_attention.dropout",),
    "hiddenact": ("ffn.activation",), "act": ("ffn.activation",), "activationfn": ("ffn.activation",),
    "activationfunction": ("ffn.activation",), "hiddenactivation": ("ffn.activation",),
    "attention": ("layer.self_attention",), "attn": ("layer.self_attention",), "selfattn": ("layer.self_attention",),
    "crossattn": ("layer.cross_attention",), "encoderattn": ("layer.cross_attention",),
    "mlp": ("layer.ffn",), "feedforward": ("layer.ffn",), "ff": ("layer.ffn",),
    "normalization": ("layer.norm",), "normtype": ("layer.norm",), "layernorm": ("layer.norm",),
    "normfirst": ("layer.layout",), "prenorm": ("layer.layout",), "normalizebefore": ("layer.layout",),
    "normeps": ("norm.eps",), "layernormeps": ("norm.eps",), "layernormepsilon": ("norm.eps",),
    "rmsnormeps": ("norm.eps",),
    "positionembedding": ("model.position",), "positionembeddingtype": ("model.position",),
    "positional": ("model.position",), "positionalencoding": ("model.position",), "posenc": ("model.position",),
    "positionencoding": ("model.position",),
    "ropetheta": ("position.base",), "theta": ("position.base",), "rotarybase": ("position.base",),
    "ropebase": ("position.base",), "ropescaling": ("position.scaling",), "rotarypct": ("position.fraction",),
    "partialrotaryfactor": ("position.fraction",), "slidingwindow": ("self_attention.radius",),
    "window": ("self_attention.radius",), "windowsize": ("self_attention.radius",),
    "tiewordembeddings": ("head.tied",), "tieembeddings": ("head.tied",), "tie": ("head.tied",),
    "initializerrange": ("initialization.std",), "init": ("model.initialization",),
    # text and search
    "sourcelang": ("data.source_language",), "targetlang": ("data.target_language",),
    "srclang": ("data.source_language",), "tgtlang": ("data.target_language",),
    "src": ("data.source_language",), "tgt": ("data.target_language",),
    "datadir": ("data.folder",), "datapath": ("data.folder",), "path": ("data.folder",),
    "beam": ("generation.beam_size",), "beams": ("generation.beam_size",), "numbeams": ("generation.beam_size",),
    "nbest": ("generation.n_best",), "numreturnsequences": ("generation.n_best",),
    "lengthpenaltyalpha": ("length_penalty.alpha",), "lenpen": ("generation.length_penalty",),
    "maxnewtokens": ("generation.max_length",), "maxlengthb": ("generation.max_length",),
    "decoding": ("generation",), "search": ("generation",),
    # names of whole libraries besides: fairseq, x-transformers, nanoGPT, T5X, OpenNMT, JoeyNMT, lightning
    "warmupiters": ("schedule.warmup_steps",), "learningratewarmup": ("schedule.warmup_steps",),
    "warmupratesteps": ("schedule.warmup_steps",), "warmuptokens": ("schedule.warmup_steps",),
    "decaymethod": ("training.schedule",), "scheduling": ("training.schedule",), "decaylr": ("training.schedule",),
    "lrdecay": ("training.schedule",), "lrdecayiters": _STEPS, "maxepoch": _STEPS, "numupdates": _STEPS,
    "totalsteps": _STEPS, "maxtrainsteps": _STEPS, "iterations": _STEPS, "niters": _STEPS,
    "beta1": ("optimizer.betas",), "beta2": ("optimizer.betas",), "adambeta1": ("optimizer.betas",),
    "adambeta2": ("optimizer.betas",), "momentum": ("optimizer.momentum", "optimizer.betas"),
    "epsilon": ("optimizer.eps", "norm.eps"), "decay": ("optimizer.weight_decay",),
    "maxbatchsize": ("training.tokens_per_batch",), "batchtokens": ("training.tokens_per_batch",),
    "batchtype": ("training.tokens_per_batch",), "globalbatchsize": ("training.tokens_per_batch",),
    "accumcount": ("training.accumulate",), "batchmultiplier": ("training.accumulate",),
    "gradientaccumulation": ("training.accumulate",), "gradclipnorm": ("training.clip_norm",),
    "clipgrad": ("training.clip_norm",), "gradientclipping": ("training.clip_norm",),
    "clipnorm": ("training.clip_norm",), "worldsize": ("training.devices",), "gpuranks": ("training.devices",),
    "usecuda": ("training.accelerator",), "usegpu": ("training.accelerator",),
    "gradientcheckpointing": ("training.activation_checkpointing",), "fsdp": ("training.strategy",),
    "ddp": ("training.strategy",), "deepspeed": ("training.strategy",), "torchcompile": ("training.compile",),
    "reportto": ("training.loggers",), "logger": ("training.loggers",), "wandb": ("training.loggers",),
    "callback": ("training.callbacks",), "resumefrom": ("training.init_from",),
    "pretrained": ("training.init_from",), "saveinterval": ("training.checkpoint_every",),
    "saveintervalupdates": ("training.checkpoint_every",), "savecheckpointsteps": ("training.checkpoint_every",),
    "checkpointinterval": ("training.checkpoint_every",), "savetotallimit": ("training.keep_checkpoints",),
    "keeplastepochs": ("training.keep_checkpoints",), "keepbestckpts": ("training.keep_checkpoints",),
    "evalinterval": ("training.validate_every",), "validsteps": ("training.validate_every",),
    "validationfreq": ("training.validate_every",), "validateinterval": ("training.validate_every",),
    "checkvaleverynepoch": ("training.validate_every",), "loginterval": ("training.log_every",),
    "loggingfreq": ("training.log_every",), "reportevery": ("training.log_every",),
    "earlystoppingmetric": ("training.best_by",), "metricforbestmodel": ("training.best_by",),
    "criterion": ("task.label_smoothing", "task"), "loss": ("task.label_smoothing", "task"), "arch": ("model.type",),
    "architecture": ("model.type",), "modeltype": ("model.type",),
    "encoderembeddim": ("model.d_model",), "decoderembeddim": ("model.d_model",), "rnnsize": ("model.d_model",),
    "wordvecsize": ("model.d_model",), "embeddingsize": ("model.d_model",), "embedsize": ("model.d_model",),
    "modelsize": ("model.d_model",), "hidden": ("model.d_model",), "hiddensizes": ("model.d_model",),
    "dhidden": ("model.d_model",), "channels": ("model.d_model",),
    "enclayers": ("encoder.n_layers",), "declayers": ("decoder.n_layers",), "nenclayers": ("encoder.n_layers",),
    "ndeclayers": ("decoder.n_layers",), "numblocks": _N_LAYERS, "nblocks": _N_LAYERS, "blocks": _N_LAYERS,
    "encoderattentionheads": ("encoder.layer.self_attention.n_heads",),
    "decoderattentionheads": ("decoder.layer.self_attention.n_heads",), "attnheads": _N_HEADS, "mhaheads": _N_HEADS,
    "attnkvheads": ("self_attention.n_kv_heads",), "nkvhead": ("self_attention.n_kv_heads",),
    "multiquerygroupnum": ("self_attention.n_kv_heads",), "nkvheads": ("self_attention.n_kv_heads",),
    "attndimhead": ("self_attention.d_k",), "dkv": ("self_attention.d_k",), "headsize": ("self_attention.d_k",),
    "kdim": ("self_attention.d_k",), "vdim": ("self_attention.d_v",),
    "encoderffnembeddim": ("encoder.layer.ffn.d_ff",), "decoderffnembeddim": ("decoder.layer.ffn.d_ff",),
    "encoderffndim": ("encoder.layer.ffn.d_ff",), "decoderffndim": ("decoder.layer.ffn.d_ff",),
    "ffsize": ("ffn.d_ff",), "ffdim": ("ffn.d_ff",), "transformerff": ("ffn.d_ff",), "ffmult": ("ffn.d_ff",),
    "mlpratio": ("ffn.d_ff",), "ffnhiddensize": ("ffn.d_ff",), "ffnembeddim": ("ffn.d_ff",),
    "feedforwardsize": ("ffn.d_ff",), "hiddenff": ("ffn.d_ff",), "innerdim": ("ffn.d_ff",),
    "numtokens": ("vocab_size",), "numembeddings": ("vocab_size",), "ntokens": ("vocab_size",),
    "srcvocabsize": ("source.vocab_size",), "tgtvocabsize": ("target.vocab_size",), "nwords": ("vocab_size",),
    "maxsourcepositions": ("position.max_len", "task.max_length"),
    "maxtargetpositions": ("position.max_len", "task.max_length"), "seqlen": ("position.max_len", "task.max_length"),
    "seqlength": ("position.max_len", "task.max_length"), "sequencelength": ("position.max_len", "task.max_length"),
    "contextsize": ("position.max_len", "task.max_length"), "modelmaxlength": ("position.max_len", "task.max_length"),
    "embdropout": ("input_dropout",), "embeddingdropout": ("input_dropout",), "inputdrop": ("input_dropout",),
    "ffdropout": ("ffn.dropout",), "feedforwarddropout": ("ffn.dropout",), "activationdropout": ("ffn.dropout",),
    "reludropout": ("ffn.dropout",), "mlpdropout": ("ffn.dropout",), "attnprobsdropout": ("self_attention.dropout",),
    "residualdropout": ("layer.dropout",), "drop": ("layer.dropout",), "hiddendrop": ("layer.dropout",),
    "mlpactivations": ("ffn.activation",), "actfn": ("ffn.activation",), "nonlinearity": ("ffn.activation",),
    "ffglu": ("layer.ffn",), "feedforwardproj": ("layer.ffn",), "ffnlayer": ("layer.ffn",),
    "attentionbias": ("self_attention.bias",), "qkvbias": ("self_attention.bias",), "mlpbias": ("ffn.bias",),
    "attnqknorm": ("self_attention.qk_norm",), "qknorm": ("self_attention.qk_norm",),
    "attnflash": ("self_attention.kernel",), "flashattention": ("self_attention.kernel",),
    "useflashattention": ("self_attention.kernel",), "attnimplementation": ("self_attention.kernel",),
    "attnlogitsoftcapping": ("self_attention.soft_cap",), "softcap": ("self_attention.soft_cap",),
    "querypreattnscalar": ("self_attention.scale",), "attnscale": ("self_attention.scale",),
    "encodernormalizebefore": ("encoder.layer.layout",), "decodernormalizebefore": ("decoder.layer.layout",),
    "sandwichnorm": ("layer.layout",), "postnorm": ("layer.layout",), "parallelresidual": ("layer.layout",),
    "useparallelresidual": ("layer.layout",), "usermsnorm": ("layer.norm",), "rmsnorm": ("layer.norm",),
    "rotaryposemb": ("model.position",), "alibiposbias": ("model.position",), "alibi": ("model.position",),
    "relposbias": ("model.position",), "rope": ("model.position",), "useabsposemb": ("model.position",),
    "relativeattentionnumbuckets": ("position.n_buckets",), "relativeattentionmaxdistance": ("position.max_distance",),
    "logitsviaembedding": ("head.tied",), "tiedsoftmax": ("head.tied",), "tieweights": ("head.tied",),
    "sharedecoderinputoutputembed": ("head.tied",), "weighttying": ("head.tied",), "tieembedding": ("head.tied",),
    "shareallembeddings": ("model.target",), "shareembeddings": ("model.target",), "tiedembeddings": ("model.target",),
    "scaleembedding": ("source.scale", "tokens.scale", "inputs.scale"),
    "noscaleembedding": ("source.scale", "tokens.scale", "inputs.scale"),
    "padtokenid": ("padding_id",), "padid": ("padding_id",), "padidx": ("padding_id",), "paddingidx": ("padding_id",),
    "bostokenid": ("ids.start",), "decoderstarttokenid": ("ids.start",), "eostokenid": ("ids.end",),
    "typevocabsize": ("n_types",), "norepeatngramsize": ("generation.no_repeat_ngram",),
    "weightema": ("training.ema",), "emadecay": ("training.ema",), "emaweightaveraging": ("training.ema",),
    "movingaverage": ("training.ema",), "weightaveraging": ("training.ema",),
    "numlabels": ("head.n_classes",), "numclasses": ("head.n_classes",), "nlabels": ("head.n_classes",),
    "classifierdropout": ("head.dropout",), "finallogitsoftcapping": ("head.soft_cap",),
    "numexperts": ("ffn.n_experts",), "numlocalexperts": ("ffn.n_experts",),
    "numexpertspertok": ("ffn.top_k",), "paraminit": ("model.initialization",),
    "initializer": ("model.initialization",), "initstd": ("initialization.std",),
    "sourcelanguage": ("data.source_language",), "targetlanguage": ("data.target_language",),
    "traindata": ("data.train",), "trainfile": ("data.train",), "validationfile": ("data.dev",),
    "trainpref": ("data.train",), "validpref": ("data.dev",), "testpref": ("data.test",), "valid": ("data.dev",),
    "validation": ("data.dev",), "val": ("data.dev",), "dataset": ("task.data",), "corpus": ("task.data",),
    "beamwidth": ("generation.beam_size",), "beamalpha": ("length_penalty.alpha",),
    "maxlenb": ("generation.max_length",), "maxoutputlength": ("generation.max_length",),
    "maxdecodelength": ("generation.max_length",), "dosample": ("generation",), "nbestsize": ("generation.n_best",),
    "temp": ("generation.temperature",), "topk": ("generation.top_k",), "topp": ("generation.top_p",),
}  # fmt: skip
"""Another name, in lower case without signs, and the ends of the keys that it may mean, the likeliest first."""

NOTES = {
    "training.tokens_per_batch": "it counts tokens of a side, not sentences",
    "training.max_steps": "it counts steps, not epochs",
    "training.schedule.factor": "what the schedule's own rate is multiplied by",
}
"""What a key counts, where another name for it counts something else."""

VALUES: dict[str, tuple[str, ...]] = {
    "swish": ("silu",), "geluapprox": ("gelu_tanh",), "gelunew": ("gelu_tanh",), "gelufast": ("gelu_tanh",),
    "gelupytorchtanh": ("gelu_tanh",), "relu2": ("relu_squared",), "squaredrelu": ("relu_squared",),
    "linearactivation": ("identity",),
    "swiglu": ("glu {type: glu, activation: silu}", "silu ffn={type: glu, activation: silu}"),
    "geglu": ("glu {type: glu, activation: gelu}", "gelu ffn={type: glu, activation: gelu}"),
    "reglu": ("glu {type: glu, activation: relu}", "relu ffn={type: glu, activation: relu}"),
    "gatedmlp": ("glu",), "gated": ("glu",), "feedforward": ("mlp",), "ffn": ("mlp",),
    "moe": ("mixture_of_experts",), "experts": ("mixture_of_experts",),
    "rope": ("rotary",), "rotaryembedding": ("rotary",), "sin": ("sinusoidal",), "sine": ("sinusoidal",),
    "sincos": ("sinusoidal",), "absolute": ("learned",), "embedding": ("learned",), "trained": ("learned",),
    "t5": ("relative_buckets",), "relative": ("relative_buckets", "shaw"), "beit": ("relative_2d",), "nope": ("none",),
    "mha": ("multi_head",), "multiheadattention": ("multi_head",), "selfattention": ("multi_head",),
    "gqa": ("multi_head {type: multi_head, n_kv_heads: ...}",), "full": ("multi_head",), "softmax": ("multi_head",),
    "mqa": ("multi_head {type: multi_head, n_kv_heads: 1}",), "local": ("restricted",), "bahdanau": ("additive",),
    "slidingwindow": ("restricted",), "window": ("restricted",), "longformer": ("global_local",),
    "bigbird": ("block_sparse",), "blocksparse": ("block_sparse",),
    "deberta": ("disentangled",), "ln": ("layer_norm",), "rms": ("rms_norm",),
    "preln": ("pre_norm",), "postln": ("post_norm",), "normfirst": ("pre_norm",), "sandwichnorm": ("sandwich",),
    "bf16": ("bf16-mixed",), "bfloat16": ("bf16-mixed",), "amp": ("bf16-mixed",), "mixed": ("bf16-mixed",),
    "16": ("bf16-mixed",), "fp16": ("bf16-mixed",), "float16": ("bf16-mixed",), "half": ("bf16-mixed",),
    "float32": ("fp32",), "float": ("fp32",), "32": ("fp32",), "32true": ("fp32",), "full32": ("fp32",),
    "gpu": ("cuda",), "invsqrt": ("inverse_sqrt",), "transformer": ("noam",), "vaswani": ("noam",),
    "cosineannealing": ("cosine",), "cosinewithwarmup": ("cosine",), "beamsearch": ("beam",),
    "greedysearch": ("greedy",), "argmax": ("greedy",), "bpe": ("sentencepiece {type: sentencepiece, algorithm: bpe}",),
    "unigram": ("sentencepiece {type: sentencepiece, algorithm: unigram}",), "spm": ("sentencepiece",),
    "char": ("characters",), "chars": ("characters",), "word": ("words",), "tsv": ("tab_separated",),
    "lm": ("language_model",), "lmhead": ("language_model",), "mlm": ("masked_language_model",),
    "seq2seq": ("encoder_decoder",), "causallm": ("decoder_only",), "encoder": ("encoder_only",),
    "decoder": ("decoder_only",), "xavier": ("tensor2tensor",), "gaussian": ("normal",),
}  # fmt: skip
"""Another value, written likewise, and what it may mean: a known name, and behind a space how to write it instead."""


def plain(name: str) -> str:
    """A name in lower case and without signs, so that RMSNorm and rms_norm are one."""
    return re.sub(r"[\W_]", "", name.lower())


def meant_keys(key: str, known: Iterable[str]) -> list[str]:
    """The whole keys among the known ones that another name means; none where it means none of them."""
    keys, ends = list(known), KEYS.get(plain(key), ())
    groups = [ends] if ends == _N_LAYERS else [(end,) for end in ends]  # an encoder's and a decoder's, both
    for group in groups:
        if found := [each for each in keys if any(f".{each}".endswith(f".{end}") for end in group)]:
            return found
    return []


def last_keys(key: str) -> list[str]:
    """The keys, without those above them, that another name means."""
    return list(dict.fromkeys(end.rpartition(".")[2] for end in KEYS.get(plain(key), ())))


def meant_value(name: str, known: Iterable[str]) -> str | None:
    """How to write what another name means, where that is known."""
    names = list(known)
    same = next((each for each in names if plain(name) and plain(each) == plain(name)), None)
    if same is not None:
        return same
    for meaning in VALUES.get(plain(name), ()):
        needed, _, instead = meaning.partition(" ")
        if needed in names:
            return instead or needed
    return None
