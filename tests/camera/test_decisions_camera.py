"""Which packets of a stream are decoded: by hand-made streams, a decoder that counts, and a clock that is set."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("av")

from edge_nusa.device.camera import stream as reading  # noqa: E402
from edge_nusa.device.camera import wishes as talking  # noqa: E402
from edge_nusa.device.camera.lost import Lost, reason  # noqa: E402
from edge_nusa.device.camera.stream import Reading  # noqa: E402
from edge_nusa.device.camera.wishes import Wishes  # noqa: E402

RATE = 8
"""Packets a second: a power of two, so that times are exact."""


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


class Asked(Wishes):
    """Who asks for a frame so many seconds after the last one came, from `begins` until `ends`."""

    def __init__(self, clock: Clock, every: float, begins: float = 0.0, ends: float = 1e9) -> None:
        super().__init__(os.memfd_create("frame"))
        self.clock, self.every, self.begins, self.ends = clock, every, begins, ends
        self.given: list[float] = []

    def look(self) -> None:
        last = self.given[-1] if self.given else self.clock.now
        is_time = self.begins <= self.clock.now < self.ends and self.clock.now - last >= self.every
        if is_time and not self.is_wanted:
            self._asked, self.is_wanted = self.clock.now, True

    def give(self, rows: Any, width: int, height: int, taken: float) -> None:
        super().give(rows, width, height, taken)
        self.given.append(taken)


@dataclass
class Decoder:
    """Counts what it is asked to decode; as a real one it gives nothing without the keyframe before."""

    width: int = 320
    height: int = 240
    decoded: list[int] = field(default_factory=list)
    has_key: bool = False

    def decode(self, packet: Any) -> list[Any]:
        if packet is None:
            return []
        self.decoded.append(packet.number)
        self.has_key = self.has_key or packet.is_keyframe
        plane = memoryview(bytes(16 * 16 * 3))
        frame: Any = SimpleNamespace(width=16, height=16, rotation=0, planes=[Plane(plane)])
        frame.reformat = lambda **how: frame
        return [frame] if self.has_key else []

    def flush_buffers(self) -> None:
        self.has_key = False


class Plane(bytes):
    line_size = 48


def played(
    monkeypatch: pytest.MonkeyPatch, *, gop: int, every: float, seconds: float = 20.0, least: float = 0.1, **more: Any
) -> tuple[list[int], list[float]]:
    """Numbers of the packets that were decoded, and when frames were given, of a stream of RATE packets a second with a
    keyframe each `gop` packets (0: none at all)."""
    clock = Clock()
    for module in (reading, talking):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(talking, "say", lambda line: None)
    wishes, decoder = Asked(clock, every, more.get("begins", 0.0), more.get("ends", 1e9)), Decoder()
    settings = {"kind": "rtsp", "seconds": least, "most_side": 1280, "most_pixels": 10**6}
    stream = SimpleNamespace(codec_context=decoder)

    def packets(_: Any) -> Any:
        for number in range(int(seconds * RATE)):
            clock.now = 1000.0 + number / RATE
            wishes.look()
            yield SimpleNamespace(
                number=number,
                size=100,
                is_keyframe=gop > 0 and number >= more.get("first", 0) and number % gop == 0,
                is_disposable=more.get("disposable", False) and number % 2 == 1,
            )

    Reading(settings, wishes, stream).all(SimpleNamespace(demux=packets))  # type: ignore[arg-type]
    return decoder.decoded, wishes.given


def test_of_a_stream_of_whole_pictures_only_those_that_are_asked_for_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded, given = played(monkeypatch, gop=1, every=1.0, least=1.0)
    assert len(given) == 20
    assert len(decoded) <= 22  # the first two, before it is known that all are whole


def test_keyframes_do_where_they_come_as_often_as_frames_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, given = played(monkeypatch, gop=8, every=1.0, least=1.0)
    assert [number for number in decoded if number % 8 and number > 8] == []
    assert 18 <= len(given) <= 20


def test_everything_is_decoded_where_keyframes_are_too_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, given = played(monkeypatch, gop=20, every=1.0, least=1.0)
    assert decoded == list(range(160))
    assert len(given) == 20


@pytest.mark.parametrize(("gop", "only_keys"), [(24, True), (25, False)])
def test_keyframes_may_come_a_fifth_more_seldom(monkeypatch: pytest.MonkeyPatch, gop: int, only_keys: bool) -> None:
    decoded, _ = played(monkeypatch, gop=gop, every=2.5, least=2.5, seconds=40)
    later = [number for number in decoded if number > 2 * gop]
    assert all(number % gop == 0 for number in later) == only_keys


def test_what_nothing_refers_to_is_left_out_unless_a_frame_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, given = played(monkeypatch, gop=50, every=1.0, least=1.0, disposable=True)
    assert all(number in decoded for number in range(0, 160, 2))
    assert len(decoded) <= 80 + 20
    assert len(given) == 20


def test_nobody_asking_nothing_is_decoded_and_asking_again_begins_with_a_keyframe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded, given = played(monkeypatch, gop=50, every=0.25, least=0.25, ends=1005.0)
    assert max(given) == 1004.75
    assert max(decoded) == 8 * 6.75  # two seconds after the last question

    decoded, _ = played(monkeypatch, gop=50, every=0.25, least=1.0, ends=1005.0)
    assert max(decoded) == 8 * 8  # three times the least time between two frames after the last one, at 5


def test_who_asks_again_gets_frames_from_the_next_keyframe_on(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, given = played(monkeypatch, gop=32, every=1.0, least=1.0, begins=1009.0)
    assert given == [1000.0, *(1012.0 + second for second in range(8))]
    assert [number for number in decoded if number > 8 * 9] == list(range(8 * 12, 160))


def test_frames_between_keyframes_come_also_where_the_first_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _, given = played(monkeypatch, gop=32, every=1.0, least=1.0, first=1)
    assert given == [1004.0 + second for second in range(16)]


def test_the_first_frame_is_that_of_the_first_keyframe(monkeypatch: pytest.MonkeyPatch) -> None:
    _, given = played(monkeypatch, gop=20, every=1.0)
    assert given[0] == 1000.0


def test_a_stream_without_keyframes_is_decoded_after_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, _ = played(monkeypatch, gop=0, every=1.0)
    assert decoded[0] == 8 * 5 + 1


def test_a_frame_is_given_at_most_twice_in_the_least_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, given = played(monkeypatch, gop=1, every=0.0, least=1.25)
    assert {round(later - earlier, 3) for earlier, later in zip(given, given[1:], strict=False)} == {0.625}


@pytest.mark.parametrize(("width", "height", "fits"), [(1000, 1000, True), (1001, 1000, False)])
def test_a_stream_is_refused_by_the_size_that_it_says(width: int, height: int, fits: bool) -> None:
    settings = {"kind": "rtsp", "seconds": 1, "most_side": 1280, "most_pixels": 10**6}
    stream = SimpleNamespace(codec_context=Decoder(width, height))
    if fits:
        Reading(settings, Asked(Clock(), 1.0), stream)  # type: ignore[arg-type]
        return
    with pytest.raises(Lost, match="expected pictures of at most 1000000 pixels, found 1001 x 1000; set the camera to"):
        Reading(settings, Asked(Clock(), 1.0), stream)  # type: ignore[arg-type]


def test_a_reason_never_holds_what_the_library_says_of_the_address() -> None:
    import av

    secret = "rtsp://anna:secret@10.0.0.2/x"
    for kind in (av.error.ConnectionRefusedError, av.error.HTTPUnauthorizedError, av.error.UndefinedError):
        assert "secret" not in reason(kind(111, "said", secret))
    assert reason(OSError(16, "busy", secret)) == (
        "expected a camera that is free, found that another program uses it; end that program"
    )
    assert "(OSError: strange)" in reason(OSError(999, "strange", secret))
