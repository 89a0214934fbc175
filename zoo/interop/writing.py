"""How a model is searched: transformers' settings of `generate` as a search of ours, and back.

transformers reads the settings from generation_config.json, and from config.json only where that file is not there.
Token ids that generation_config.json leaves out are taken from config.json all the same: no search works without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.interop.config import Config, shown
from zoo.interop.search_fields import EXPRESSED, FIELDS, IDS, NEUTRAL, SAMPLING, WITHOUT_EFFECT

_STOPS = {True: "full", False: "estimate", "never": "exact"}
_NEW_TOKENS = 100  # ours, after a prompt


@dataclass(frozen=True)
class Writing:
    """How a family's models are searched where a folder says nothing."""

    end: int | None
    """eos_token_id, as transformers' config class has it; so the next two."""
    start: int | None = None
    """bos_token_id, or decoder_start_token_id of an encoder-decoder; None: what ends an output, or fills it up."""
    pad: int | None = None
    """pad_token_id; None: what ends an output."""
    max_length: int | str = f"source + {_NEW_TOKENS}"
    """As in our specs."""
    forbidding: str = "bad_words_ids"
    """The setting in which its folders say what is never written: this or suppress_tokens."""


def search_of(
    writing: Writing, config: Config, settings: Config | None, spec: Any
) -> tuple[dict[str, Any], list[str]]:
    """How a model of this config and spec is searched, as plain data, and which settings say more than that can.

    settings are those of generation_config.json, None where there are none and config.json's hold.
    """
    said = config if settings is None else settings
    is_pair = len(spec.slots) > 1
    ids = _ids(writing, config, settings, is_pair=is_pair)
    ends = ids["end"] if isinstance(ids["end"], list) else [ids["end"]]
    never, left_out = _never(said, ends, _vocab_size(spec))
    ids["first"], unmarked = _first(config, said, is_pair=is_pair)
    # Whisper's first ids are a prompt there, which is new to no length.
    n_given = 0 if said.value("forced_bos_token_id", None) is not None else len(ids["first"])
    max_length, also = _max_length(writing, said, spec, ends, n_more=n_given)
    constraints = _constraints(said, n_begun=1 + len(ids["first"]) if is_pair else None, n_given=n_given)
    drawn = _drawing(said)
    strategy, more = _strategy(said, constraints, drawn)
    if strategy["type"] == "beam":
        strategy["at_limit"] = "free_end" if _forces_end(said, ends) else "cut"
    if n_given and strategy["type"] == "beam" and (alpha := strategy["length_penalty"]["alpha"]):
        more.append(
            f"{_named('length_penalty', alpha)} (the ids that begin the output are not counted in it)"
        )
    unexpressed = _unexpressed(said, [*constraints, *drawn], everything=settings is not None)
    left_out += [*more, *also, *sorted([*unmarked, *unexpressed])]
    ids |= {"never": never, "not_first": _ids_in(said, "begin_suppress_tokens", _vocab_size(spec))}
    return {**strategy, "max_length": max_length, "ids": ids}, left_out


def says_length(said: Config) -> bool:
    """Whether settings say how long an output may become."""
    return any(said.value(name, None) is not None for name in ("max_new_tokens", "max_length"))


def passed_over(config: Config, settings: Config) -> list[str]:
    """Settings of config.json that transformers does not read, for generation_config.json stands beside it."""
    names = sorted(name for name in config.data if name in FIELDS and name not in WITHOUT_EFFECT)
    return [
        _named(name, config.data[name])
        for name in names
        if _does_something(config.data, name) and config.data[name] != settings.data.get(name)
    ]


def _ids(writing: Writing, config: Config, settings: Config | None, *, is_pair: bool) -> dict[str, Any]:
    def find(name: str, default: int | None) -> Any:
        if settings is not None and settings.value(name, None) is not None:
            return settings.value(name)
        return config.value(name, default)

    where = config if settings is None or settings.value("eos_token_id", None) is None else settings
    end = find("eos_token_id", writing.end)
    ends = list(dict.fromkeys(end)) if isinstance(end, list) else [end]
    if not ends or end is None:
        where.refuse("eos_token_id", "no token is said to end an output")
    pad = find("pad_token_id", writing.pad)
    pad = ends[0] if pad is None or pad == -1 else pad
    if is_pair:
        start = find("decoder_start_token_id", writing.start)
        start = find("bos_token_id", None) if start is None else start
        start = pad if start is None else start
    else:
        start = find("bos_token_id", writing.start)
        start = ends[0] if start is None else start
    return {"pad": pad, "start": start, "end": ends[0] if len(ends) == 1 else ends}


def _never(said: Config, ends: list[Any], vocab_size: int) -> tuple[list[int], list[str]]:
    """The ids that are never written, and what was forbidden besides.

    transformers lets an end among bad_words_ids be written, and knows no id beyond the vocabulary.
    """
    bad = said.value("bad_words_ids", None) or []
    suppressed = _ids_in(said, "suppress_tokens", vocab_size)
    if not _is_list_of(bad, list) or not all(_is_list_of(words, int) for words in bad):
        said.refuse("bad_words_ids", f"must be lists of token ids, got {shown(bad)}")
    single = [words[0] for words in bad if len(words) == 1 and words[0] not in ends]
    left_out = []
    if longer := [words for words in bad if len(words) > 1]:
        left_out.append(_named("bad_words_ids", longer))
    if set(ends) <= set(suppressed):  # nothing would end an output
        left_out.append(_named("suppress_tokens", ends))
        suppressed = [token for token in suppressed if token not in ends]
    found = [token for token in [*single, *suppressed] if 0 <= token < vocab_size]
    return list(dict.fromkeys(found)), left_out


def _ids_in(said: Config, name: str, vocab_size: int) -> list[int]:
    """A setting's list of ids, but for those beyond the vocabulary, which do nothing in transformers."""
    ids = said.value(name, None) or []
    if not _is_list_of(ids, int):
        said.refuse(name, f"must be token ids, got {shown(ids)}")
    return [number for number in ids if 0 <= number < vocab_size]


def _first(config: Config, said: Config, *, is_pair: bool) -> tuple[list[int], list[str]]:
    """The ids that every output begins with, and which settings say more than that."""
    bos = said.integer("forced_bos_token_id", None)
    if bos is not None:  # a prompt may be longer than the one token behind which it would stand
        return ([bos], []) if is_pair else ([], [_named("forced_bos_token_id", bos)])
    if not is_pair:
        forced = said.value("forced_decoder_ids", None)
        return [], [_named("forced_decoder_ids", forced)] if forced else []
    if said.value("return_timestamps", False):
        return [], [_named("return_timestamps", True)]
    unmarked = said.value("no_timestamps_token_id", None)
    opening, left_out = _task_ids(config, said)
    if left_out or unmarked is None or unmarked in opening:
        return opening, left_out
    return [*opening, unmarked], []


def _task_ids(config: Config, said: Config) -> tuple[list[int], list[str]]:
    """Whisper's ids of a language and of what is to be done with it, and which settings say neither."""
    languages, tasks = said.value("lang_to_id", None) or {}, said.value("task_to_id", None) or {}
    asked = {name: value for name in ("language", "task") if (value := said.value(name, None)) is not None}
    if asked:
        language = asked.get("language")
        known = languages.get(language, languages.get(f"<|{language}|>"))
        doing = tasks.get(asked.get("task", "transcribe"))
        if known is None or doing is None:
            return [], [_named(name, value) for name, value in asked.items()]
        return [known, doing], []
    forced = said.value("forced_decoder_ids", None) or config.value("forced_decoder_ids", None)
    if forced:
        ids = [each[1] for each in forced if _is_list_of(each, int) and len(each) == 2]
        if forced != [[place, number] for place, number in enumerate(ids, 1)]:
            return [], [_named("forced_decoder_ids", forced)]
        return ids, []
    return [], ["lang_to_id"] if languages else []  # transformers has the model guess it


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(each) is kind for each in value)


_DRAWING = ("temperature", "top_p", "min_p")
"""What a sampling draws by, which transformers calls alike."""
_WEIGHING = {"repetition_penalty": "repetition_penalty", "no_repeat_ngram_size": "no_repeat_ngram"}
"""What makes tokens less probable, by transformers' names."""
_TOP_K = 50  # transformers', where it draws and no number is said


def _constraints(said: Config, *, n_begun: int | None, n_given: int) -> dict[str, dict[str, Any]]:
    """The constraints of a search of ours, by the settings that say them.

    n_begun: how many ids an output begins with, which min_length counts; None where it counts the prompt instead.
    n_given: how many of our first ids are not new for min_new_tokens.
    """
    found: dict[str, dict[str, Any]] = {}
    for theirs, ours in _WEIGHING.items():
        value = said.number(theirs, None)
        if value not in (None, NEUTRAL[theirs]):
            found[theirs] = {ours: int(value) if ours == "no_repeat_ngram" else value}
    if least := said.integer("min_new_tokens", None):
        # transformers then reads no min_length.
        n_new = 0 if n_begun is None else n_begun - 1 - n_given
        found |= {"min_length": {}, "min_new_tokens": {"min_length": max(least - n_new, 0)}}
    elif n_begun is not None and (least := said.integer("min_length", None)):
        found["min_length"] = {"min_length": max(least - n_begun, 0)}
    return found


def _drawing(said: Config) -> dict[str, dict[str, Any]]:
    """What a sampling of ours draws by, by the settings that say it; {} where nothing is drawn."""
    if not said.value("do_sample", None) or _n_beams(said) > 1:
        return {}
    top_k = said.integer("top_k", None)
    found: dict[str, dict[str, Any]] = {
        "do_sample": {},
        "top_k": {"top_k": (_TOP_K if top_k is None else top_k) or None},
    }
    for name in _DRAWING:
        if (value := said.number(name, None)) is not None:
            found[name] = {name: value}
    return found


def _n_beams(said: Config) -> int:
    return said.integer("num_beams", None) or 1


def _strategy(
    said: Config,
    constraints: Mapping[str, Mapping[str, Any]],
    drawn: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, Any], list[str]]:
    """The search without its length and its ids."""
    n_outputs = said.integer("num_return_sequences", None) or 1
    left_out = []
    if drawn:
        strategy: dict[str, Any] = {"type": "sampling"}
    elif _n_beams(said) == 1:
        strategy = {"type": "greedy"}
    else:
        stop, alpha = said.value("early_stopping", None) or False, said.number("length_penalty", None)
        if not isinstance(stop, bool | str) or stop not in _STOPS:
            said.refuse("early_stopping", f"must be true, false or 'never', got {shown(stop)}")
        alpha = 1.0 if alpha is None else alpha
        if not 0 <= alpha <= 10:
            left_out.append(_named("length_penalty", alpha))
        penalty = {"type": "power", "alpha": min(max(alpha, 0.0), 10.0)}
        strategy = {
            "type": "beam",
            "beam_size": _n_beams(said),
            "length_penalty": penalty,
            "stop": _STOPS[stop],
        }
    for fields in (*constraints.values(), *drawn.values()):
        strategy |= fields
    if n_outputs > 1 and n_outputs <= strategy.get("beam_size", 1):
        strategy["n_best"] = n_outputs
    elif n_outputs > 1:
        left_out.append(_named("num_return_sequences", n_outputs))
    return strategy, left_out


def _max_length(
    writing: Writing, said: Config, spec: Any, ends: list[Any], *, n_more: int
) -> tuple[int | str, list[str]]:
    """The most tokens of an output without its end, n_more of which are not counted there.

    transformers counts the end, and in max_length the start or the prompt too. Where no end is forced it may write a
    further token in its place.
    """
    is_pair = len(spec.slots) > 1
    n_forced = 1 if _forces_end(said, ends) else 0
    forced = said.value("forced_eos_token_id", None)
    left_out = [] if n_forced or forced in (None, []) else [_named("forced_eos_token_id", _listed(forced))]
    new, whole = said.integer("max_new_tokens", None), said.integer("max_length", None)
    n_positions = n_output_positions(spec)
    limit = None if n_positions is None else n_positions - 1  # the start, or a token of the prompt, takes one
    found: int | str = writing.max_length
    if new is not None:
        found = new - n_forced + n_more
    elif whole is not None and is_pair:
        found = whole - 1 - n_forced + n_more
    elif whole is not None:
        left_out.append(f"{_named('max_length', whole)} (the prompt is counted in it)")
    if limit is not None:
        found = min(found, limit) if isinstance(found, int) else limit if is_pair else min(_NEW_TOKENS, limit)
    return (max(found, 1) if isinstance(found, int) else found), left_out


def _forces_end(said: Config, ends: list[Any]) -> bool:
    """Whether an output that becomes too long is ended by one of its ends."""
    forced = _listed(said.value("forced_eos_token_id", None))
    return bool(forced) and set(forced) <= set(ends)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def n_output_positions(spec: Any) -> int | None:
    """How many positions a model that writes has for its output; None: no end is set to them."""
    position = getattr(spec.decoder, "position", None) or spec.position
    return getattr(position, "max_len", None)


def _vocab_size(spec: Any) -> int:
    return int(spec.slots[spec.writes].vocab_size)


def _unexpressed(said: Config, drawn: Iterable[str], *, everything: bool) -> list[str]:
    """The settings that do something and that our searches have not; everything: fields not known as well."""
    known = {*EXPRESSED, *WITHOUT_EFFECT, *IDS, *drawn}
    names = [name for name in said.data if name not in known and (everything or name in FIELDS)]
    return sorted(_named(name, said.data[name]) for name in names if _does_something(said.data, name))


def _does_something(data: Mapping[str, Any], name: str) -> bool:
    value = data[name]
    is_nothing = value is None or value is False or value in ([], {}) or value == NEUTRAL.get(name)
    return not is_nothing and not (name in SAMPLING and not data.get("do_sample"))


def _named(name: str, value: Any) -> str:
    text = shown(value)
    return f"{name} {text}" if len(text) <= 30 else name


def settings_of(writing: Writing, search: Any, spec: Any) -> tuple[dict[str, Any], list[str]]:
    """The inverse of `search_of`: generation_config.json's fields, and which keys of a search say more than they can.

    As our searches do at their limit, transformers is told to write the end there; not where a beam is cut.
    """
    is_pair, ids = len(spec.slots) > 1, search.ids
    fields: dict[str, Any] = {**ids_of(search, spec), "pad_token_id": ids.pad}
    left_out = []
    if search.type == "beam":
        stops = {ours: theirs for theirs, ours in _STOPS.items()}
        fields |= {"num_beams": search.beam_size, "early_stopping": stops[search.stop]}
        fields |= {"num_return_sequences": search.n_best} if search.n_best > 1 else {}
        penalty = search.length_penalty
        if penalty.type not in ("power", "none"):
            left_out.append(f"length_penalty '{penalty.type}'")
        fields["length_penalty"] = getattr(penalty, "alpha", 0.0) if penalty.type == "power" else 0.0
        if search.at_limit == "end":
            left_out.append("at_limit 'end' (an output as long as may be ends there at no cost)")
    elif search.type == "sampling":
        fields |= {name: getattr(search, name) for name in _DRAWING}
        fields |= {"do_sample": True, "top_k": search.top_k or 0}
    elif search.type != "greedy":
        left_out.append(f"type '{search.type}'")
    for theirs, ours in _WEIGHING.items():
        if getattr(search, ours) != NEUTRAL[theirs]:
            fields[theirs] = getattr(search, ours)
    n_forced = 0
    if len(ids.first) == 1 and is_pair:
        fields["forced_bos_token_id"], n_forced = ids.first[0], 1
    elif ids.first:
        left_out.append(f"ids.first {list(ids.first)}")
    if search.min_length:
        fields["min_new_tokens"] = search.min_length + n_forced
    if never := [token for token in ids.never if token not in ids.ends]:
        in_lists = writing.forbidding == "bad_words_ids"
        fields[writing.forbidding] = [[token] for token in never] if in_lists else never
    if ended := [end for end in ids.ends if end in ids.never]:
        fields["suppress_tokens"] = [*fields.get("suppress_tokens", []), *ended]
    if ids.not_first:
        fields["begin_suppress_tokens"] = list(ids.not_first)
    if isinstance(search.max_length, int):
        is_cut = getattr(search, "at_limit", None) == "cut"
        n_new = search.max_length if is_cut else search.max_length + 1
        fields |= {"max_length": n_new + 1} if is_pair else {"max_new_tokens": n_new}
        fields |= {} if is_cut else {"forced_eos_token_id": fields["eos_token_id"]}
    else:
        left_out.append(f"max_length '{search.max_length}'")
    return fields, left_out


def ids_of(search: Any, spec: Any) -> dict[str, Any]:
    """The ids of a search that a config.json has too, as transformers calls them."""
    start = "decoder_start_token_id" if len(spec.slots) > 1 else "bos_token_id"
    end = search.ids.end
    return {start: search.ids.start, "eos_token_id": end if isinstance(end, int) else list(end)}
