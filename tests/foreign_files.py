"""Every reader of what comes from outside, with a sound file of its kind and the mutator that gets it furthest.

Those of JSON are the table of tests/files/test_readers.py. What is signed, sealed or hashed is signed, sealed or hashed
anew after the change, by keys that the reader trusts, so that what lies behind is reached.
"""

from __future__ import annotations

import copy
import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import flower_samples
import golden_files
import mutators
import numpy as np
from evil_bundles import MICRO, trunk
from fleet_world import bundle as real_bundle
from golden_files import FOLDER
from onnx_bytes import external
from small_fleets import small_shapes
from test_readers import COVER, GENERATION, READERS, files_with
from test_sync_trust import World
from watch_lines import ANSWERED

from edge_nusa.device.camera.login import login_of
from edge_nusa.device.report.page import html_report
from edge_nusa.device.telling import told
from edge_nusa.device.watching.ledger import Ledger
from edge_nusa.errors import InputError, UsageError
from edge_nusa.files import tensor_file
from edge_nusa.files.file_record import sha256_hex
from edge_nusa.files.json_bytes import parse
from edge_nusa.files.json_record import Origin
from edge_nusa.flower import hub_settings
from edge_nusa.flower.hub_settings import HubSettings
from edge_nusa.flower.messages import Answer, Question
from edge_nusa.knowledge import stored
from edge_nusa.model import graph_file
from edge_nusa.model.tokenizer import Tokenizer
from edge_nusa.settings import edit, settings_file, shared
from edge_nusa.settings.settings_file import Place
from edge_nusa.sync import board_report, parcel, round_file, update
from edge_nusa.sync.trust import device_keys, join_token, keys, roots, sealing
from edge_nusa.sync.trust.join_token import JoinToken

Change = Callable[[random.Random, bytes], bytes]


JOIN_TOKEN = JoinToken("a" * 64, bytes(32))


class Foreign(NamedTuple):
    """data: a sound file; change: makes another of it; read: what is to raise only errors of ours."""

    data: bytes
    change: Change
    read: Callable[[bytes], object]


def told_line(data: bytes) -> object:
    """What `mqtt` tells of a line in the file that it follows."""
    origin = Origin("here", "try another", InputError)
    return told.of_line(parse(data, origin).fields, origin)


def with_temporary(read: Callable[[bytes, Path], object]) -> Callable[[bytes], object]:
    """A reader that wants a folder of its own."""

    def reads(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            return read(data, Path(folder))

    return reads


@cache
def signer() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return keys.new_key(Path(folder) / "key.pem")


def signed_cover(data: bytes) -> object:
    """A cover signed anew, opened, and its sealed statement with it."""
    key = signer().public_key
    cover = parcel.opened_cover(keys.sealed(data, parcel.PAYLOAD_TYPE, signer()), key, "here")
    return parcel.opened_statement(cover, [golden_files.sealing_key()], "here")


def resealed_statement(data: bytes) -> object:
    """A statement sealed anew under its cover."""
    golden = json.loads((FOLDER / "update" / "statement.json").read_bytes())["place"]
    place = update.Statement.from_bytes((FOLDER / "update" / "statement.json").read_bytes(), "here").place
    cover = parcel.Cover(
        fleet=place.fleet,
        device=place.device,
        sequence=golden["sequence"],
        before=place.before,
        sha256="0" * 64,
        size=0,
        sealed=sealing.sealed(data, [golden_files.sealing_key().public], parcel._context("statement", place)),
    )
    return parcel.opened_statement(cover, [golden_files.sealing_key()], "here")


def signed_report(data: bytes) -> object:
    """A report sealed and signed anew, as a hub opens it."""
    device = signer().public_key
    seal = sealing.sealed(data, [golden_files.sealing_key().public], board_report._context("f", device.keyid, 12))
    envelope = keys.sealed(seal, board_report.PAYLOAD_TYPE, signer())
    key = f"reports/{device.keyid}/00000012-0.json"
    return board_report.opened(envelope, device, "f", [golden_files.sealing_key()], key)


def own_report() -> bytes:
    """One that passes."""
    return replace(golden_files.a_report(), fleet="f", device=signer().public_key.keyid, number=12).to_bytes()


def numbers(data: bytes) -> object:
    """An update's numbers under a statement that names them."""
    statement, _ = made_update()
    return update.decode(replace(statement, sha256=sha256_hex(data), size=len(data)), data, small_shapes(), "here")


@cache
def made_update() -> tuple[update.Statement, bytes]:
    return update.encode(golden_files.change(), golden_files.place("d" * 64), "float16")


def renumbered_round(data: bytes) -> object:
    """A round whose line names the numbers behind it."""
    line, _, _ = (FOLDER / "current.round").read_bytes().partition(b"\n")
    record = {**json.loads(line), "sha256": sha256_hex(data), "bytes": len(data)}
    head = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    return round_file.decode(head + b"\n" + data, small_shapes(), "here")


@cache
def world() -> tuple[World, Path]:
    folder = Path(tempfile.mkdtemp(prefix="edge-nusa-fuzz-"))
    made = World(folder)
    made.publish(1)
    return made, folder


class Planted:
    """A store whose newest metadata of one role is another; of the root the next one."""

    def __init__(self, role: str, data: bytes) -> None:
        self.inside, self.data = world()[0].store, data
        newest = max(key for key in self.inside.list("metadata") if f".{role}." in key)
        self.name = "metadata/2.root.json" if role == "root" else newest

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inside, name)

    def get(self, key: str, most_bytes: int) -> bytes:
        return self.data[:most_bytes] if key == self.name else self.inside.get(key, most_bytes)


def metadata(role: str, is_signed_anew: bool) -> Foreign:
    """TUF's metadata of a role, as a device meets it in a store."""
    planted = Planted(role, b"")
    if role == "root":
        record = json.loads(world()[0].root)
        record["signed"]["version"] = 2
        data = signed_anew(role, json.dumps(record).encode())
    else:
        data = planted.inside.get(planted.name, 1 << 20)

    def read(content: bytes) -> object:
        content = signed_anew(role, content) if is_signed_anew else content
        met: Any = copy.copy(world()[0])
        with tempfile.TemporaryDirectory() as cache:
            met.store, met.cache = Planted(role, content), Path(cache)
            return met.pull()

    return Foreign(data, mutators.of_record, read)


def signed_anew(role: str, content: bytes) -> bytes:
    """The same with true signatures, where it is metadata at all."""
    from securesystemslib.formats import encode_canonical
    from securesystemslib.signer import CryptoSigner

    made, folder = world()
    place = folder / "roots" if role == "root" else made.hub / "keys"
    try:
        record = json.loads(content)
        bare = str(encode_canonical(record["signed"])).encode()
    except Exception:  # noqa: BLE001 - what cannot be signed goes in as it is
        return content
    signers = [keys.load_key(path) for path in sorted(place.glob(f"{role}-*.pem"))]
    assert all(isinstance(one, CryptoSigner) for one in signers)
    record["signatures"] = [{"keyid": one.public_key.keyid, "sig": one.sign(bare).signature} for one in signers]
    return json.dumps(record).encode()


def asked_tokenizer(data: bytes) -> object:
    manifest = real_bundle().manifest
    return Tokenizer(data, manifest.tokenizer, manifest.text, manifest.vocab_size)(["a photo of a cup.", "日本", ""])


def opened_ledger(data: bytes, folder: Path) -> object:
    (folder / "watch.sqlite").write_bytes(data)
    ledger = Ledger(folder / "watch.sqlite")
    try:
        ledger.add(golden_files.ANSWERED)
        return len(ledger)
    finally:
        ledger.close()


def camera_login(data: bytes, folder: Path) -> object:
    (folder / "login").write_bytes(data)
    return login_of(folder / "login", {})


def reported(data: bytes) -> object:
    """What `learn` stored of its report, as far as the page that shows it."""
    report = stored.read_report(data)
    entries = [{"generation": 1, "operation": "learn", "created": "now", "report": report}]
    return html_report(golden_files.known(), entries, "micro", {}, 0)


SETTINGS = b"""# of a board
bundle = "b"
threads = 2
max_memory = "1G"
[watch]
label = ["a", "b"]
top = 3
[services]
writable = ["c"]
"""


def settings_of(data: bytes) -> object:
    """A settings file, as far as every key that all commands share, and a change of one."""
    place = Place(Path("/home/config.toml"), "user file")
    file = settings_file.parse(data, place, Origin(str(place.path), "correct it", UsageError))
    shared.check(file, ["watch"])
    return edit.changed(file, ("threads",), 4)


def resealed_request(data: bytes) -> object:
    """A join request that is sealed to the hub after the change, as its MAC is looked at later."""
    key = golden_files.sealing_key()
    sealed = sealing.sealed(data, [key.public], join_token.CONTEXT + JOIN_TOKEN.root.encode())
    return join_token.opened(sealed, [key], JOIN_TOKEN.root, "here")


def join_request() -> bytes:
    """What a board puts into the store, before it is sealed."""
    key, public = golden_files.sealing_key(), (FOLDER / "update/device.pub").read_bytes()
    made, sealed = join_token.request(JOIN_TOKEN, device_keys.decode(public, "device.pub"), key.public)
    return sealing.opened(sealed, key, join_token.CONTEXT + JOIN_TOKEN.root.encode(), made)


def foreign() -> dict[str, Foreign]:
    """name -> how to fuzz it."""
    golden, key = FOLDER, golden_files.sealing_key()
    found = {name: Foreign(data, mutators.of_record, read) for name, (data, read) in READERS.items()}
    found["cover, signed anew"] = Foreign(COVER, mutators.of_record, signed_cover)
    found["statement, sealed anew"] = Foreign(
        (golden / "update/statement.json").read_bytes(), mutators.of_record, resealed_statement
    )
    found["report, signed anew"] = Foreign(own_report(), mutators.of_record, signed_report)
    found["sealed bytes"] = Foreign(
        sealing.sealed(b"what was sealed", [key.public], b"here"),
        mutators.of_bytes,
        lambda data: sealing.opened(data, key, b"here", "here"),
    )
    found["numbers of an update"] = Foreign(made_update()[1], mutators.of_packed, numbers)
    found["numbers of a round"] = Foreign(
        (golden / "current.round").read_bytes().partition(b"\n")[2], mutators.of_packed, renumbered_round
    )
    tensors = tensor_file.encode({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, np.int64)})
    found["safetensors"] = Foreign(tensors, mutators.of_tensors, lambda data: tensor_file.decode(data, "here"))
    for name in ("anchors", "core", "head", "taught"):
        path = GENERATION / f"{name}.safetensors"
        found[f"state's {path.name}"] = Foreign(path.read_bytes(), mutators.of_tensors, files_with(path.name))
    root = (golden / "member/sync/root.json").read_bytes()
    found["line of a watch"] = Foreign(json.dumps(ANSWERED).encode(), mutators.of_record, told_line)
    found["join token"] = Foreign(
        JOIN_TOKEN.text.encode(), mutators.of_bytes, lambda data: join_token.decode(data, "here")
    )
    found["join request, sealed anew"] = Foreign(join_request(), mutators.of_record, resealed_request)
    found["root"] = Foreign(root, mutators.of_record, lambda data: roots.read_root(data, "here"))
    for role in ("root", "timestamp", "snapshot", "targets"):
        found[f"TUF {role}"] = metadata(role, False)
        found[f"TUF {role}, signed anew"] = metadata(role, True)
    found["tokenizer"] = Foreign((MICRO / "tokenizer.json").read_bytes(), mutators.of_bytes, asked_tokenizer)
    found["tokenizer, small"] = Foreign(small_tokenizer(), mutators.of_record, asked_tokenizer)
    small = trunk(scale="sc", tensors=[external("sc", "weights.safetensors")], sizes={"embedding": (8,)})
    found["graph"] = Foreign(small, mutators.of_bytes, lambda data: graph_file.of_bytes(data, "here"))
    found["micro's graph"] = Foreign(
        (MICRO / "text_tail.onnx").read_bytes(), mutators.of_bytes, lambda data: graph_file.of_bytes(data, "here")
    )
    found["report, shown"] = Foreign((GENERATION / "report.json").read_bytes(), mutators.of_record, reported)
    found["settings"] = Foreign(SETTINGS, mutators.of_bytes, settings_of)
    found["ledger"] = Foreign((golden / "ledger.sqlite").read_bytes(), mutators.of_bytes, with_temporary(opened_ledger))
    found["question over Flower"] = Foreign(
        flower_samples.question(), mutators.of_first_line, lambda data: Question.decode(data, "here")
    )
    found["answer over Flower"] = Foreign(
        flower_samples.answer(), mutators.of_first_line, lambda data: Answer.decode(data, "here")
    )
    found["answer over Flower, its bytes"] = Foreign(
        flower_samples.answer(), mutators.of_bytes, lambda data: Answer.decode(data, "here")
    )
    settings_data = HubSettings(hub="/hub", bundle="/b").encoded()
    found["settings of a round over Flower"] = Foreign(
        settings_data, mutators.of_record, lambda data: hub_settings.decode(data, "here")
    )
    found["login of a camera"] = Foreign(b"anna:secret\n", mutators.of_bytes, with_temporary(camera_login))
    return found


def small_tokenizer() -> bytes:
    """A tokenizer.json of a few words, whose every field a change can reach."""
    record = json.loads((MICRO / "tokenizer.json").read_bytes())
    kept = dict(sorted(record["model"]["vocab"].items(), key=lambda pair: int(pair[1]))[:520])
    record["model"]["vocab"] = kept
    merges = [one if isinstance(one, list) else one.split(" ") for one in record["model"]["merges"]]
    record["model"]["merges"] = [one for one in merges if "".join(one) in kept and set(one) <= set(kept)][:5]
    return json.dumps(record).encode()
