"""Which provider computes: what was asked for, what taught the state, what works, and what is remembered of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import onnxruntime
import pytest
from conftest import MICRO
from PIL import Image

from edge_nusa.device import trials as trials_file
from edge_nusa.device.board import provider_check
from edge_nusa.device.model import Model
from edge_nusa.device.opened import Opened, default_state, taught_with
from edge_nusa.device.provider import Chosen, chosen
from edge_nusa.device.trials import MOST, Trials, decode, encode
from edge_nusa.errors import DamagedError, ResourceError, UsageError
from edge_nusa.model import probing, providers
from edge_nusa.model.bundle import Bundle, embedded_bundle
from edge_nusa.model.foreign_trunk import ForeignTrunk, provider_of
from edge_nusa.model.probing import Tried
from edge_nusa.model.providers import CPU, CPU_SESSION, Provider
from edge_nusa.state.state import State

LITE = embedded_bundle()
CARD = Provider(name="card", group="card", session=CPU_SESSION, options={"n": "1"})
CHIP = Provider(name="chip", group="chip", session=CPU_SESSION, options={"n": "2"})
ABSENT = Provider(name="absent", group="absent", session="AbsentExecutionProvider")
SLOW = Provider(name="openvino", group="openvino", session=CPU_SESSION, options={"n": "3"})


class Known(Trials):
    """Trials whose outcome is known: name -> failure."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        super().__init__(None)
        self.failures, self.asked = failures, list[str]()

    def failure(self, provider: Provider, bundle: Bundle) -> str:
        self.asked.append(provider.name)
        return self.failures[provider.name]


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(providers, "TABLE", (CPU, ABSENT, SLOW, CARD, CHIP))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("EDGE_NUSA_STATE", "EDGE_NUSA_PROVIDER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(MICRO)


@pytest.mark.parametrize(
    ("asked", "taught", "failures", "expected"),
    [
        ("cpu", "card", {}, "cpu"),  # refused later, by the identity
        ("card", None, {"card": ""}, "card"),
        ("card", "chip", {"card": ""}, "card"),  # as above
        ("auto", None, {"card": "", "chip": ""}, "card"),
        ("auto", None, {"card": "no", "chip": ""}, "chip"),
        ("auto", "chip", {"card": "", "chip": ""}, "chip"),
        ("auto", "cpu", {"card": ""}, "cpu"),
        ("auto", "openvino", {"openvino": ""}, "openvino"),
    ],
)
def test_what_works_is_taken_as_it_was_asked_for_or_as_it_taught(
    bundle: Bundle, asked: str, taught: str | None, failures: Mapping[str, str], expected: str
) -> None:
    found = chosen(asked, bundle, taught, Known(failures))
    assert (found.provider.name, found.note) == (expected, "")


def test_the_cpu_is_never_tried(bundle: Bundle) -> None:
    for asked, taught in (("cpu", None), ("cpu", "card"), ("auto", "cpu")):
        known = Known({})
        assert chosen(asked, bundle, taught, known) == Chosen(CPU) and known.asked == []


def test_what_does_not_work_gives_way_to_the_cpu_with_a_line_that_says_why(bundle: Bundle) -> None:
    for taught in (None, "cpu", "chip"):
        found = chosen("card", bundle, taught, Known({"card": "no driver"}))
        assert found.provider is CPU and found.note == (
            "--provider card does not work here (no driver); the CPU computes instead; `edge-nusa doctor --provider "
            "card` tries it anew and says what to do"
        )
    found = chosen("auto", bundle, None, Known({"card": "no driver", "chip": "it hangs"}))
    assert found.provider is CPU and found.note == (
        "--provider auto: no accelerator works here (card: no driver; chip: it hangs); the CPU computes; "
        "`edge-nusa doctor --provider auto` tries it anew and says what to do"
    )


def test_without_any_accelerator_auto_says_so(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "TABLE", (CPU, ABSENT, SLOW))
    known = Known({})
    assert "(this onnxruntime has the CPU alone)" in chosen("auto", bundle, None, known).note
    assert known.asked == []


@pytest.mark.parametrize("asked", ["card", "auto"])
def test_what_taught_the_state_gives_way_to_nothing(bundle: Bundle, asked: str) -> None:
    with pytest.raises(
        ResourceError, match=r"taught with the provider card: .* \(no driver\); repair it .* begin anew"
    ):
        chosen(asked, bundle, "card", Known({"card": "no driver"}))
    with pytest.raises(ResourceError, match="taught with the provider hailo: .*no package here brings a trunk"):
        chosen("auto", bundle, "hailo", Known({}))


@pytest.mark.parametrize("asked", ["tpu", "../x", "CPU", ""])
def test_a_name_that_nothing_has_is_refused(bundle: Bundle, asked: str) -> None:
    with pytest.raises(UsageError, match="--provider: expected one of auto, cpu, absent, openvino, card, chip, found"):
        chosen(asked, bundle, None, Known({}))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what a child tried; card works, chip does not."""
    asked: list[str] = []

    def tried(provider: Provider, bundle: Bundle, threads: int = 0) -> Tried:
        asked.append(provider.name)
        return Tried(failure="no driver" if provider is CHIP else "", same=8, of=8, cosine=1.0)

    monkeypatch.setattr(probing, "tried", tried)
    return asked


def test_a_trial_is_made_once_for_a_provider_a_bundle_and_an_onnxruntime(
    bundle: Bundle, counted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "new" / "providers.json"
    for _ in range(2):
        assert Trials(place).failure(CARD, bundle) == "" and Trials(place).failure(CHIP, bundle) == "no driver"
    assert counted == ["card", "chip"]
    other = Bundle.open(LITE)
    assert Trials(place).failure(CARD, other) == "" and counted == ["card", "chip", "card"]
    monkeypatch.setenv("SYSTEMD_EXEC_PID", "1")  # of the terminal's service, say
    assert Trials(place).failure(CARD, bundle) == "" and len(counted) == 3
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))  # in a sandbox of its own
    assert Trials(place).failure(CARD, bundle) == "" and len(counted) == 4
    monkeypatch.setattr(onnxruntime, "__version__", "9.9")
    assert Trials(place).anew(CARD, bundle).same == 8 and len(counted) == 5
    assert Trials(place).failure(CARD, bundle) == "" and len(counted) == 5
    assert "built without AbsentExecutionProvider" in Trials(place).failure(ABSENT, bundle)
    assert len(counted) == 5 and len(decode(place.read_bytes(), "here")) == 5


def test_what_is_not_installed_is_not_remembered_by_the_doctor_either(
    bundle: Bundle, counted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "providers.json"
    assert "built without AbsentExecutionProvider" in Trials(place).anew(ABSENT, bundle).failure
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU_SESSION, ABSENT.session])
    assert Trials(place).failure(ABSENT, bundle) == "" and counted == ["absent"]  # the same onnxruntime, with it


def test_a_service_remembers_no_failure_and_the_doctor_forgets_what_services_found(
    bundle: Bundle, counted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "providers.json"
    assert Trials(place).failure(CARD, bundle) == ""
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    for _ in range(2):
        assert Trials(place).failure(CHIP, bundle) == "no driver" and Trials(place).failure(CARD, bundle) == ""
    assert counted == ["card", "chip", "card", "chip"]
    monkeypatch.delenv("SYSTEMD_EXEC_PID")
    assert Trials(place).failure(CARD, bundle) == "" and len(counted) == 4  # neither pushes the other's out
    Trials(place).anew(CARD, bundle)
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    assert Trials(place).failure(CARD, bundle) == "" and counted[4:] == ["card", "card"]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format_version": 2, "trials": {}}', b"\xff" * 100_000])
def test_a_file_that_remembers_nothing_costs_a_trial(
    bundle: Bundle, counted: list[str], tmp_path: Path, content: bytes
) -> None:
    place = tmp_path / "providers.json"
    place.write_bytes(content)
    with pytest.raises(DamagedError, match="remove the file: each provider is tried again"):
        decode(content, "here")
    assert Trials(place).failure(CARD, bundle) == "" and counted == ["card"]
    assert Trials(place).failure(CARD, bundle) == "" and counted == ["card"]


def test_where_nothing_can_be_remembered_it_is_tried_again(bundle: Bundle, counted: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (None, tmp_path / "file" / "providers.json"):
        counted.clear()
        for _ in range(2):
            assert Trials(place).failure(CARD, bundle) == ""
        assert counted == ["card", "card"]


def test_the_oldest_trials_are_forgotten(bundle: Bundle, counted: list[str], tmp_path: Path) -> None:
    place = tmp_path / "providers.json"
    place.write_bytes(encode({f"{number:064x}": Tried(failure="old") for number in range(MOST)}))
    Trials(place).anew(CARD, bundle)
    known = decode(place.read_bytes(), "here")
    assert len(known) == MOST and f"{0:064x}" not in known and f"{1:064x}" in known
    assert len(encode({f"{n:064x}": Tried(failure="x" * 300) for n in range(MOST)})) < trials_file.LARGEST_BYTES


def commit(folder: Path, bundle: Bundle, provider: Provider) -> Path:
    bundle.provider = provider
    state = State(folder, bundle.identity)
    with state.writer():
        state.commit({"labels.json": b"{}"}, "learn")
    return folder


def test_auto_and_nothing_take_what_taught_the_state_and_a_fresh_state_the_first_that_works(
    counted: list[str], tmp_path: Path
) -> None:
    fresh = Opened.open(MICRO, tmp_path / "fresh", provider="auto")
    assert (fresh.bundle.provider, fresh.note, fresh.state.identity.provider) == (CARD, "", "card")
    assert counted == ["card"]
    by_chip = commit(tmp_path / "chip", Bundle.open(MICRO), CHIP)
    looked = Opened.open(MICRO, by_chip)
    assert (looked.bundle.provider, counted) == (CHIP, ["card"])  # nothing is tried to look at a state
    with pytest.raises(ResourceError, match="taught with the provider chip: .*no driver"):
        Opened.open(MICRO, by_chip, provider="auto")
    by_cpu = commit(tmp_path / "cpu", Bundle.open(MICRO), CPU)
    for asked in ("auto", None, "cpu"):
        assert Opened.open(MICRO, by_cpu, provider=asked).bundle.provider is CPU
    gave_way = Opened.open(MICRO, by_cpu, provider="chip")
    assert gave_way.bundle.provider is CPU and "--provider chip does not work here (no driver)" in gave_way.note
    assert gave_way.state.current() is not None
    with pytest.raises(DamagedError, match="another provider.*by another provider: cpu, not card; pass --provider cpu"):
        Opened.open(MICRO, by_cpu, provider="card").state.current()


def test_the_setting_decides_for_a_fresh_state_alone(
    counted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_NUSA_PROVIDER", "card")
    assert Opened.open(MICRO, tmp_path / "fresh").bundle.provider is CARD
    assert Opened.open(MICRO, tmp_path / "fresh", provider="cpu").bundle.provider is CPU
    by_cpu = commit(tmp_path / "cpu", Bundle.open(MICRO), CPU)
    assert Opened.open(MICRO, by_cpu).bundle.provider is CPU


def test_a_bundle_has_one_default_state_whatever_taught_it(counted: list[str], tmp_path: Path) -> None:
    bundle, home = Bundle.open(MICRO), tmp_path / "data" / "edge-nusa"
    commit(home / "state", bundle, CARD)
    assert default_state(bundle.identity) == home / "state" and taught_with(bundle, None) == bundle.identity
    assert Opened.open(MICRO, provider="auto").state.folder == home / "state"
    by_cpu = Opened.open(MICRO, provider="cpu")
    assert by_cpu.state.folder == default_state(bundle.manifest.identity) == home / "state"
    with pytest.raises(DamagedError, match="another provider: .*pass --provider card, which taught it, or --provider"):
        by_cpu.state.current()
    assert taught_with(bundle, tmp_path / "named") is None
    other = Bundle.open(LITE)
    assert default_state(other.identity).name.startswith("state-") and taught_with(other, home / "state") is None


def test_a_second_bundles_state_is_found_beside_the_first_whatever_taught_it(
    counted: list[str], tmp_path: Path
) -> None:
    home, other = tmp_path / "data" / "edge-nusa", Bundle.open(LITE)
    commit(home / "state", Bundle.open(MICRO), CPU)
    trunk = ForeignTrunk(run=lambda pixels: (pixels, pixels), provider="zz-hailo", precision="a8w8")
    other.provider = provider_of(trunk)  # which no table has
    by_trunk = commit(default_state(other.identity), other, other.provider)
    assert by_trunk == home / f"state-{other.identity.sha256[:12]}"
    assert taught_with(other, None) == other.identity
    for asked in (None, "cpu", "card", trunk):
        assert Opened.open(LITE, provider=asked).state.folder == by_trunk
    shutil.rmtree(home / "state")
    assert Opened.open(LITE, provider="cpu").state.folder == by_trunk
    shutil.copytree(by_trunk, home / "state-of-march")
    (home / "state-list").write_text("")
    other.provider = CPU
    commit(home / f"state-{other.identity.sha256[:12]}", other, CPU)
    found = taught_with(other, None)
    assert found is not None and found.provider == "cpu"
    shutil.rmtree(by_trunk)
    shutil.rmtree(home / f"state-{other.identity.sha256[:12]}")
    assert taught_with(other, None) is None and default_state(other.identity) == home / "state"


def test_a_trunk_of_ones_own_is_handed_to_the_model_and_its_state_goes_with_no_other(tmp_path: Path) -> None:
    trunk = ForeignTrunk(run=lambda pixels: (pixels, pixels), provider="hailo", precision="a8w8")
    model = Model.open(MICRO, tmp_path / "state", provider=trunk)
    assert (model.state.identity.provider, model.state.identity.precision) == ("hailo", "a8w8")
    commit(tmp_path / "state", model.bundle, model.bundle.provider)
    looked = Model.open(MICRO, tmp_path / "state")  # which labels and undo do, and which needs no trunk
    told = (
        r"was taught by the foreign trunk hailo of precision a8w8: .* hand it in \(Model.open\(..., provider=trunk\)\)"
    )
    with pytest.raises(UsageError, match=told):
        looked.predict([Image.new("RGB", (64, 64))])
    with pytest.raises(DamagedError, match="by another provider: hailo, not cpu; pass --provider hailo"):
        Model.open(MICRO, tmp_path / "state", provider="cpu").state.current()
    other = ForeignTrunk(run=trunk.run, provider="hailo", precision="a16w8")
    with pytest.raises(DamagedError, match="use the hailo trunk of precision a8w8, which taught it"):
        Model.open(MICRO, tmp_path / "state", provider=other).state.current()
    assert json.loads((tmp_path / "state" / "CURRENT").read_text())["generation"] == 1


def findings(asked: str, state: Path) -> list[tuple[str, str, str]]:
    found = list(provider_check.provider(Bundle.open(MICRO), state, asked))
    assert all(one.next_step for one in found if one.status != "ok")
    return [(one.name, one.status, one.found) for one in found]


def test_the_doctor_tries_what_is_asked_for_anew_and_nothing_for_the_cpu(
    counted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = tmp_path / "fresh"
    assert findings("cpu", fresh) == [("provider", "ok", "cpu computes")] and counted == []
    for _ in range(2):
        asked, card = findings("card", fresh)
        assert asked == ("provider", "ok", "card is asked for") and card[:2] == ("provider card", "ok")
        assert card[2].startswith("works: 8 of 8 drawn pictures get the CPU's answer")
    assert counted == ["card", "card"]
    assert findings("chip", fresh)[1] == ("provider chip", "warning", "does not work here: no driver")
    assert [one[0] for one in findings("auto", fresh)] == ["provider", "provider card", "provider chip"]
    [(_, status, found)] = findings("tpu", fresh)
    assert status == "error" and "expected one of auto, cpu" in found
    counted.clear()
    assert chosen("card", Bundle.open(MICRO), None, Trials(tmp_path / "data/edge-nusa/providers.json")).note == ""
    assert counted == []  # it remembers what the doctor found
    monkeypatch.setattr(providers, "TABLE", (CPU, ABSENT))
    assert findings("auto", fresh) == [("provider", "ok", "auto is asked for, and this onnxruntime has the CPU alone")]


def test_the_doctor_says_where_another_provider_taught_the_state(counted: list[str], tmp_path: Path) -> None:
    state = commit(tmp_path / "state", Bundle.open(MICRO), CHIP)
    assert findings("cpu", state) == [("provider", "warning", "cpu is asked for, and this state was taught with chip")]
    assert [one[0] for one in findings("auto", state)] == ["provider", "provider chip"]
    by_cpu = commit(tmp_path / "cpu", Bundle.open(MICRO), CPU)
    assert findings("card", by_cpu)[0][2] == "card is asked for, and this state was taught with cpu"
    assert findings("auto", by_cpu) == [("provider", "ok", "auto is asked for, and this state was taught with cpu")]
