"""explore: what the page is told, and whom the server answers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import presets
import zoo as library
from presets import text_of
from tests.cli.exploring import asked, request, served
from zoo.cli.explore.answers import answer, complete
from zoo.cli.explore.completion import cursor_at
from zoo.cli.explore.server import MAX_BODY, MOST_AT_ONCE


def told(text: str, **further):
    return answer({"text": text, **further}, lambda: None)


@pytest.mark.parametrize("name", ["char_gpt", "bert_base", "transformer_base", "hybrid", "seq2seq_lstm"])
def test_a_preset_is_drawn_counted_and_unchanged(name: str) -> None:
    text = text_of(name)
    found = told(text, base=text, name=name)
    assert found["problems"] == []
    assert found["diff"] == []
    ET.fromstring(found["svg"])
    run = library.load(name)
    figures = {each["name"]: each["value"] for each in found["figures"]}
    assert figures["parameters"] == f"{library.cost(run).n_parameters:,}"
    assert found["scales"] == presets.read(name).scales
    assert library.load(json.loads(json.dumps(presets.read_typed(found["yaml"], "x").data))) == run


def test_a_mistake_has_its_line_and_the_words_of_check(tmp_path, monkeypatch, zoo) -> None:
    text = text_of("char_gpt").replace("n_heads", "n_haeds", 1)
    (found,) = told(text)["problems"]
    assert text.split("\n")[found["line"] - 1].count("n_haeds") == 1
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    said = zoo("check", "spec.yaml").stderr.strip()
    assert said == f"spec.yaml:{found['line']}: {found['message']}"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("model: {", 2, "not YAML"),
        ("", 1, "is empty"),
        ("model:\n  type: decoder_onyl\n", 2, "did you mean 'decoder_only'?"),
        ("extends: gpt2\nmodel:\n  decoder: {n_layers: 1000}\n  d_model: 60000\n", None, "must be a mistake"),
    ],
)
def test_what_is_no_spec_or_one_of_no_model_is_said_before_anything_is_built(text, line, message) -> None:
    found = told(text)
    assert any(each["line"] == line and message in each["message"] for each in found["problems"])
    assert "svg" not in found


def test_overrides_count_and_what_they_change_is_told() -> None:
    text = text_of("char_gpt")
    found = told(
        text, base=text, overrides="model.decoder.layer.ffn.d_ff=96 'model.position=rotary'", batch=3
    )
    assert {each["path"] for each in found["diff"]} == {"model.decoder.layer.ffn.d_ff", "model.position"}
    assert found["costs"][:2] == ["params", "forward"]
    assert {each["path"]: each["costs"][:2] for each in found["diff"]} == {
        "model.decoder.layer.ffn.d_ff": ["-426K", "-852K"],  # 4 layers, 2 matrices, 416 columns fewer of 128
        "model.position": ["-8.19K", "0"],  # 64 learned vectors of 128
    }
    before = {each["name"]: each["before"] for each in found["figures"]}
    assert before["parameters"] == f"{library.cost(library.load('char_gpt')).n_parameters:,}"
    assert told(text, overrides="'a")["problems"][0]["message"].startswith("overrides: ")
    (wrong,) = told(text, overrides="model.d_modle=3")["problems"]
    assert wrong["line"] is None
    assert "d_model" in wrong["message"]


def test_a_step_that_nobody_waits_for_is_not_taken() -> None:
    class NobodyError(Exception):
        pass

    def go_on() -> None:
        raise NobodyError

    with pytest.raises(NobodyError):
        answer({"text": text_of("char_gpt")}, go_on)


HEAD = "model:\n  type: decoder_only\n  decoder:\n    "


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("mo", "model"),
        ("extends: gpt", "gpt2"),
        ("model:\n  ty", "type"),
        ("model:\n  type: decoder_o", "decoder_only"),
        (f"{HEAD}n_la", "n_layers"),
        (f"{HEAD}layer:\n      norm: rm", "rms_norm"),
        (f"{HEAD}layer:\n      norm:\n        type: rm", "rms_norm"),
        (f"{HEAD}layer:\n      ffn: {{type: glu, act", "activation"),
        (f"{HEAD}layer:\n      ffn: {{type: glu, activation: sil", "silu"),
        (f"{HEAD}layer:\n      self_attention: {{type: multi_head, n_h", "n_heads"),
        (
            f"{HEAD}layers:\n    - repeat: 2\n      layer:\n        ffn:\n          type: glu\n          d_",
            "d_ff",
        ),
        (f"{HEAD}layers:\n    - layer: {{ffn: none}}\n    - layer:\n        ffn: {{type: mlp, d_", "d_ff"),
        ("training:\n  compile: t", "true"),
    ],
)
def test_what_may_stand_at_the_cursor_comes_first(text: str, first: str) -> None:
    found = complete({"text": text, "at": len(text)})
    assert [each["text"] for each in found["options"]][:1] == [first]
    assert all(each["about"] for each in found["options"])
    further = "\ntask:\n  type: language_model\n"
    again = complete({"text": text + further, "at": len(text), "last": text})
    assert first in [each["text"] for each in again["options"]]


@pytest.mark.parametrize(
    ("text", "path", "key", "word"),
    [
        ("a:\n  b:\n    c: 1\n  d", ("a",), None, "d"),
        ("a:\n- b: 1\n- c: {d: {e: 1}, f", ("a", "1", "c"), None, "f"),
        ("a:\n  - b: 1\n    c: x", ("a", "0"), "c", "x"),
        ("a: {b: {c: 1}, d: ", ("a",), "d", ""),
        ("a:\n  b: 1\nc", (), None, "c"),
    ],
)
def test_the_cursor_is_where_indentation_and_braces_say(text, path, key, word) -> None:
    found = cursor_at(text, len(text))
    assert (found.path, found.key, found.word) == (path, key, word)


@pytest.fixture(scope="module")
def server():
    with served("char_gpt") as found:
        yield found


def test_the_page_and_its_files_are_served_and_load_nothing_from_elsewhere(server) -> None:
    status, headers, content = request(server, "GET", "")
    assert status == 200
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    names = re.findall(r'(?:src|href)="([^"]+)"', content.decode())
    assert sorted(names) == ["data:,", "page.css", "page.js"]
    files = [request(server, "GET", name)[2].decode() for name in ("page.css", "page.js")]
    assert not any(re.search(r"https?://|@import|eval\(", each) for each in files)
    assert "--ground:" in files[0]


A_FILE = json.dumps({"name": str(Path(presets.__file__).with_name("gpt2.yaml"))}).encode()


@pytest.mark.parametrize(
    ("method", "name", "given", "status"),
    [
        ("GET", "", {"token": "guessed"}, 404),
        ("GET", "", {"Host": "example.org"}, 403),
        ("GET", "", {"Host": "127.0.0.1.example.org"}, 403),
        ("GET", "../server.py", {}, 404),
        ("POST", "answer", {"Origin": "http://example.org", "Content_Type": "application/json"}, 403),
        ("POST", "answer", {"Content_Type": "text/plain"}, 415),
        ("POST", "answer", {"Content_Type": "application/json", "Content_Length": str(MAX_BODY + 1)}, 413),
        ("POST", "answer", {"Content_Type": "application/json"}, 400),
        ("POST", "else", {"Content_Type": "application/json", "body": b"{}"}, 404),
        ("POST", "preset", {"Content_Type": "application/json", "body": A_FILE}, 400),
        ("PUT", "answer", {}, 501),
    ],
)
def test_others_are_refused(server, method, name, given, status) -> None:
    assert request(server, method, name, **given)[0] == status


def test_it_listens_on_the_loopback_alone_and_its_address_cannot_be_guessed(server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.token) >= 32
    with served("char_gpt") as other:
        assert other.token != server.token


def test_the_page_is_told_where_it_begins_and_answered(server) -> None:
    start = asked(server, "start")
    assert (start["name"], start["text"]) == ("char_gpt", text_of("char_gpt"))
    assert asked(server, "preset", name="gpt2")["text"] == text_of("gpt2")
    found = asked(server, "answer", number=1, page="a", text=start["text"], base=start["text"])
    assert (found["problems"], found["diff"]) == ([], [])


def test_the_newest_request_of_a_page_wins_and_one_that_stalls_blocks_none(server, monkeypatch) -> None:
    from zoo.cli.explore import server as module

    is_stalled, may_go = threading.Event(), threading.Event()
    plain = module.answer

    def stalling(given, go_on):
        if given["text"] == "stall":
            is_stalled.set()
            may_go.wait(20)
            go_on()
        return plain(given, go_on)

    monkeypatch.setattr(module, "answer", stalling)
    statuses: list[int] = []

    def stall() -> None:
        body = json.dumps({"page": "p", "number": 1, "text": "stall"}).encode()
        statuses.append(request(server, "POST", "answer", body, Content_Type="application/json")[0])

    thread = threading.Thread(target=stall)
    thread.start()
    assert is_stalled.wait(20)
    assert asked(server, "answer", page="p", number=2, text=text_of("char_gpt"))["problems"] == []
    may_go.set()
    thread.join()
    assert statuses == [409]


def test_more_at_once_than_there_is_room_for_are_asked_to_come_again(server) -> None:
    for _ in range(MOST_AT_ONCE):
        server.running.acquire()
    try:
        assert request(server, "POST", "start", b"{}", Content_Type="application/json")[0] == 503
    finally:
        for _ in range(MOST_AT_ONCE):
            server.running.release()


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo.cli.main", "explore", "char_gpt", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # As from a terminal: what a shell starts in the background ignores the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("char_gpt: http://127.0.0.1:")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, errors.strip()) == (130, "interrupted")


def test_a_port_that_is_taken_and_a_spec_that_is_not_there_are_said(zoo, server) -> None:
    result = zoo("explore", "char_gpt", "--no-browser", "--port", str(server.server_port))
    assert result.exit_code == 2
    assert f"--port {server.server_port}: 127.0.0.1 cannot listen there" in result.stderr
    assert "did you mean 'char_gpt'?" in zoo("explore", "char_gtp", "--no-browser").stderr
