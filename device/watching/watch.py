"""Watches a folder into which a camera drops pictures, and answers each once, whatever ends the process in between.

The folder is listed again and again rather than watched by inotify: a network share, FUSE or a camera's own mount says
nothing through inotify, and a picture must be looked at twice anyway to see that the camera has finished writing it.
A picture is answered when two looks found the same size and time, or as it is where it changes at every look
(`unsettled`). Its line is written first and the ledger after it, so a kill in between repeats a line and never loses
one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from edge_nusa.device.asking.predict import Prediction, Predictor
from edge_nusa.device.opened import Opened
from edge_nusa.device.watching import changing_bundle
from edge_nusa.device.watching.agreeing import Agreeing
from edge_nusa.device.watching.decoding import KILLED, Decoding
from edge_nusa.device.watching.ledger import LEFT_OUT, Ledger, Stamp
from edge_nusa.device.watching.line import Answered, SetAside, Sink
from edge_nusa.device.watching.settings import WatchSettings
from edge_nusa.device.watching.uncertain import UncertainFolder
from edge_nusa.device.watching.unknown_endings import UnknownEndings
from edge_nusa.device.watching.unsettled import CHANGES_TOLD, Unsettled, at_rest
from edge_nusa.errors import InputError
from edge_nusa.files import durable
from edge_nusa.files.node import FileBytes, Node
from edge_nusa.files.opening import remove
from edge_nusa.model.unchanged import BundleChangedError
from edge_nusa.pictures.names import NAME_FAULTS
from edge_nusa.pictures.picture_file import read_again
from edge_nusa.pictures.pictures import MOST_ENTRIES, Quarantined, newest_pictures, printable
from edge_nusa.state.generation import Generation

PAUSE_A_LOOK = 9
"""The pause is at least so many times as long as listing the folder took: listing takes a tenth of the time at most."""
PICTURES_A_ROUND = 16
"""After so many answers the lines are synced, the ledger is written and the state is looked at again."""
NOTHING = "nothing was learned yet and no labels were offered"
_RESTLESS = "it changes at every look and could not be had whole in between"
_RENAME = (
    "write it under a name that starts with a dot and rename it when it is done; it is answered as soon as it is whole"
)


class Watch:
    """One watched folder with its ledger, the sink of its lines, and the folder of uncertain pictures where one is
    kept."""

    def __init__(
        self,
        opened: Opened,
        settings: WatchSettings,
        ledger: Ledger,
        sink: Sink,
        uncertain: UncertainFolder | None = None,
    ) -> None:
        self.opened, self.settings, self.ledger = opened, settings, ledger
        self.sink, self.uncertain = sink, uncertain
        self._unsettled, self._endings = Unsettled(), UnknownEndings()
        self._decoding = Decoding(ledger.path)
        self._is_full_told, self._agreeing = False, Agreeing(settings.agree)
        self._predictor: Predictor | None = None
        self._current: Generation | None = None

    def run(self, note: Callable[[str], None]) -> None:
        """Look, answer, pause, for ever. Raises InputError where the folder cannot be read, DamagedError,
        ResourceError."""
        with closing(self._decoding):
            self._run(note)

    def stop(self) -> None:
        """Let go of what is being decoded, as this process ends; from any thread."""
        self._decoding.close()

    def _run(self, note: Callable[[str], None]) -> None:
        self._set_killed_aside()
        is_told = False
        while True:
            began = time.monotonic()
            ready, left_out = self._look()
            pause = max(self.settings.seconds, PAUSE_A_LOOK * (time.monotonic() - began))
            try:
                if self._is_able():
                    self._answer(ready, left_out)
                    self._take(self._unsettled.due())
                else:
                    self._answer({}, left_out)
                    self._unsettled.put_back(ready)
                    if not is_told:
                        note(f"{NOTHING}; waiting for `edge-nusa learn`")
                        is_told = True
            except BundleChangedError:
                self._unsettled.put_back({path: at for path, at in ready.items() if not self.ledger.has(path, at)})
                self._predictor, self.opened = None, changing_bundle.again(self.opened, note)
            time.sleep(pause)

    def once(self) -> None:
        """Look twice, answer what is complete, and return. Raises what `run` raises, and InputError where nothing
        can be answered."""
        if not self._is_able():
            raise InputError(f"{NOTHING}; pass --label NAME, or teach one with `edge-nusa learn`")
        with closing(self._decoding):
            self._set_killed_aside()
            ready, left_out = self._look()
            self._unsettled.put_back(ready)
            time.sleep(self.settings.seconds)
            ready, more = self._look()
            self._answer(ready, list(dict.fromkeys([*left_out, *more])))
            self._take(self._unsettled.changing(), changes_told=1)

    def _set_killed_aside(self) -> None:
        """Say of a picture that ended the process before that it is not tried again."""
        killed = self._decoding.killed()
        if killed is not None and not self.ledger.has(*killed):
            self.sink.write(SetAside(printable(killed[0]), KILLED))
            self._remember(dict([killed]))

    def _look(self) -> tuple[dict[Path, Stamp], list[Quarantined]]:
        """Complete pictures that were not answered yet with their stamps, and what is left out, to be said once."""
        paths, faults, is_all = newest_pictures(self.settings.folder, MOST_ENTRIES)
        found = {
            path: stamp for path in paths if (stamp := Stamp.at(path)) is not None and not self.ledger.has(path, stamp)
        }
        ready = self._unsettled.look(found)
        said = [fault for fault in faults if fault.reason not in NAME_FAULTS]
        said += self._endings.look([fault for fault in faults if fault.reason in NAME_FAULTS])
        self.ledger.forget_gone([*paths, *(Path(fault.image) for fault in faults)])
        news = [fault for fault in said if not self.ledger.has(Path(fault.image), LEFT_OUT)]
        return ready, news if is_all else [*self._full(), *news]

    def _full(self) -> list[Quarantined]:
        """That the folder has more files than a look takes; once."""
        if self._is_full_told:
            return []
        self._is_full_told = True
        rule = f"expected at most {MOST_ENTRIES} files, found more; only those that came or changed last are answered"
        return [
            Quarantined(
                printable(self.settings.folder), f"{rule}: move answered pictures elsewhere, or watch with --delete"
            )
        ]

    def _answer(self, ready: dict[Path, Stamp], left_out: list[Quarantined]) -> None:
        for entry in left_out:
            self.sink.write(SetAside(entry.image, entry.reason))
        self._remember({Path(entry.image): LEFT_OUT for entry in left_out})
        names = list(ready)
        for start in range(0, len(names), PICTURES_A_ROUND):
            if not self._is_able():  # all was undone meanwhile
                self._unsettled.put_back({path: ready[path] for path in names[start:]})
                return
            part = {path: ready[path] for path in names[start : start + PICTURES_A_ROUND]}
            answered = self._round(list(part))
            self._remember(part)
            self._delete(answered)

    def _take(self, paths: list[Path], changes_told: int = CHANGES_TOLD) -> None:
        """Answer pictures that change at every look as each is at one reading, and say of which none could be had."""
        for path in paths:
            if not self._is_able():
                return
            file = at_rest(path)
            fault = "it changed while it was read" if file is None else self._answer_file(path, file)
            if fault is None:
                self._unsettled.answered(path)
            elif self._unsettled.failed(path, changes_told):
                self.sink.write(SetAside(printable(path), f"{_RESTLESS} ({fault}); {_RENAME}"))

    def _answer_file(self, path: Path, file: FileBytes) -> str | None:
        """Put a line out for `path` as `file` shows it; returns why there is none."""
        assert self._predictor is not None
        result = next(iter(self._predictor([file], self.settings.top)))
        if isinstance(result, Quarantined):
            return result.reason
        self._write(path, file, result)
        self._remember({path: Stamp.of(file.node)})
        self._delete({path: file.node})
        return None

    def _round(self, paths: list[Path]) -> dict[Path, Node]:
        """Put a line out for each of these; returns the files that were opened of those that got an answer."""
        assert self._predictor is not None
        answered = {}
        for path, result in zip(paths, self._predictor(paths, self.settings.top), strict=True):
            if isinstance(result, Quarantined):
                self.sink.write(SetAside(result.image, result.reason))
                continue
            assert result.node is not None
            self._write(path, None, result)
            answered[path] = result.node
        return answered

    def _write(self, path: Path, file: FileBytes | None, result: Prediction) -> None:
        """The line of the picture `path`, where it is to be said; file: what was answered, where it was not read from
        there."""
        assert self._predictor is not None
        kept = self._kept(path, file, result) if self.uncertain and self.uncertain.is_unsure(result) else None
        line = Answered(replace(result, image=printable(path)), self._predictor.generation, kept)
        if self._agreeing.says(line):
            self.sink.write(line)

    def _kept(self, path: Path, file: FileBytes | None, result: Prediction) -> str | None:
        """The name of the copy among the uncertain; None where there is none, such as of a file that was changed or
        replaced since it was answered."""
        assert self.uncertain is not None and result.node is not None
        same = file or read_again(path, result.node)
        return None if same is None else self.uncertain.keep(same)

    def _delete(self, answered: Mapping[Path, Node]) -> None:
        """Remove these where that is asked for, but no other picture that has taken the name of one."""
        for path, node in answered.items() if self.settings.deletes else ():
            with durable.explained(f"delete {printable(path)}"):
                remove(path, node)

    def _remember(self, files: dict[Path, Stamp]) -> None:
        if files:
            self.sink.sync()
            self.ledger.add(files)

    def _is_able(self) -> bool:
        """Take up what was learned since the last time; False where there is no label to choose from."""
        current = self.opened.state.current()
        if self._predictor is not None and current == self._current:
            return True
        self._predictor = None
        try:
            self._decoding.start()  # meanwhile it gets ready
            self._predictor = Predictor(self.opened, self.settings.others, self._decoding, Decoding.bytes_beside)
            self._current = current
        except InputError:
            if self.settings.others:
                raise
            return False
        return True
