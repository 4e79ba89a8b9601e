"""The settings files: which are read, who may have written them, what their keys mean, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_nusa.errors import UsageError
from edge_nusa.settings import settings_file, shared
from edge_nusa.settings.settings_file import Place, SettingsFile, lines_of, places, read, read_all


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home with no variable of ours, and a system of its own."""
    for name in [*os.environ]:
        if name.startswith("EDGE_NUSA_") or name == "XDG_CONFIG_HOME":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(settings_file, "SYSTEM", tmp_path / "etc" / "config.toml")
    return tmp_path / "home"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found(text: str, tmp_path: Path) -> SettingsFile:
    file = read(Place(written(tmp_path / "config.toml", text), "user file"))
    assert file is not None
    return file


def test_the_users_file_is_read_before_the_systems(home: Path) -> None:
    assert [place.path for place in places()] == [home / ".config/edge-nusa/config.toml", settings_file.SYSTEM]
    assert read_all() == []
    written(home / ".config/edge-nusa/config.toml", "threads = 2")
    written(settings_file.SYSTEM, 'threads = 3\nbundle = "/opt/bundle"')
    assert [(file.place.name, file.get(("threads",))) for file in read_all()] == [("user file", 2), ("system file", 3)]
    two, bundle = shared.setting(("threads",)), shared.setting(("bundle",))
    assert two is not None and (two.value, two.source, two.line) == (2, "user file", 1)
    assert bundle is not None
    assert (bundle.value, bundle.source, bundle.line) == (Path("/opt/bundle"), "system file", 2)


def test_a_variable_decides_before_every_file_and_an_empty_one_says_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(home / ".config/edge-nusa/config.toml", 'state = "/one"')
    monkeypatch.setenv("EDGE_NUSA_STATE", "/two")
    assert shared.setting(("state",)) == shared.Found(Path("/two"), "environment (EDGE_NUSA_STATE)")
    monkeypatch.setenv("EDGE_NUSA_STATE", "")
    assert shared.chosen_folder("state") == Path("/one")


def test_xdg_config_home_moves_the_users_file_where_it_is_absolute(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert places()[0].path == Path("/elsewhere/edge-nusa/config.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert places()[0].path == home / ".config/edge-nusa/config.toml"


def test_one_variable_names_one_file_instead_of_both_or_none(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(home / ".config/edge-nusa/config.toml", "threads = 2")
    monkeypatch.setenv("EDGE_NUSA_CONFIG", str(written(tmp_path / "other.toml", "threads = 5")))
    assert [file.get(("threads",)) for file in read_all()] == [5]
    monkeypatch.setenv("EDGE_NUSA_CONFIG", "")
    assert read_all() == []


def test_a_relative_path_begins_where_the_file_lies_and_a_tilde_at_home(home: Path) -> None:
    folder = home / ".config/edge-nusa"
    written(folder / "config.toml", 'bundle = "../b"\nstate = "~/s"\n[services]\nwritable = ["c", "/d"]')
    assert shared.chosen_folder("bundle") == folder / ".." / "b"
    assert shared.chosen_folder("state") == home / "s"
    [file] = read_all()
    assert shared.value(file, ("services", "writable")) == [folder / "c", Path("/d")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bundel = 'x'", r"config.toml, line 1: expected bundle \(did you mean that\?\), found bundel; correct it"),
        (
            "\nthreads = 'two'",
            r"line 2: threads: expected a whole number from 0 to 1024, found 'two'; correct",
        ),
        ("threads = 1025", "threads: expected a whole number from 0 to 1024, found 1025"),
        ("threads = -1", "threads: expected a whole number from 0 to 1024, found -1"),
        ("threads = true", "threads: expected a whole number from 0 to 1024, found True"),
        ("threads = 1.0", "threads: expected a whole number"),
        ("max_memory = '0'", 'max_memory: expected a size such as "512M" or "1G", found \'0\''),
        ("max_memory = 512", "max_memory: expected a size"),
        ("format = 'xml'", 'format: expected "human" or "json", found \'xml\''),
        ("bundle = ''", "bundle: expected the path of a folder, found ''"),
        ("bundle = ['a']", "bundle: expected the path of a folder"),
        ("state = 3", "state: expected the path of a folder, found 3"),
        ("state = '~nobody-of-this-name/x'", "state: expected the home of a user that there is"),
        ("[services]\nwritable = 'x'", "line 2: services.writable: expected a list of at most 32 paths, found 'x'"),
        ("[services]\nwriteable = ['x']", r"expected services.writable \(did you mean that\?\), found services.writ"),
    ],
)
def test_what_does_not_fit_is_one_line_with_the_place_what_was_expected_and_found(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        shared.check(found(text, tmp_path), None)


@pytest.mark.parametrize("text", ["threads = 0", "threads = 1024", "max_memory = '300k'", "max_memory = '1G'"])
def test_the_ends_of_what_fits_are_taken(text: str, tmp_path: Path) -> None:
    shared.check(found(text, tmp_path), None)


def test_as_many_folders_as_a_list_may_have_are_taken_and_one_more_is_not(tmp_path: Path) -> None:
    shared.check(found(f"[services]\nwritable = {['x'] * 32}", tmp_path), None)
    with pytest.raises(UsageError, match="at most 32 paths"):
        shared.check(found(f"[services]\nwritable = {['x'] * 33}", tmp_path), None)


def test_a_table_of_a_command_is_left_to_who_knows_the_commands(tmp_path: Path) -> None:
    file = found("[wacth]\nkeep = 'x'", tmp_path)
    shared.check(file, None)
    with pytest.raises(UsageError, match=r"line 2: expected watch \(did you mean that\?\), found wacth.keep"):
        shared.check(file, ["watch", "learn"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"threads = x\n", r"expected settings in TOML, such as threads = 2, found something else \(.*line 1"),
        (b"threads = 1\nthreads = 2", "expected settings in TOML"),
        (b"\xff\xfe", "expected settings in TOML"),
        (b"a = " + b"[" * 5000, "expected settings in TOML"),
        (b"#" * (settings_file.LARGEST_BYTES + 1), "expected a settings file of at most 65536 bytes, found more"),
    ],
)
def test_a_broken_file_is_one_line_with_its_name(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=rf"config.toml: {said}"):
        read(Place(path, "user file"))


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    assert found("#" * settings_file.LARGEST_BYTES, tmp_path).values == {}


@pytest.mark.parametrize(("mode", "is_read"), [(0o600, True), (0o644, True), (0o602, False), (0o646, False)])
def test_a_file_that_everybody_may_write_is_not_read(mode: int, is_read: bool, tmp_path: Path) -> None:
    path = written(tmp_path / "config.toml", "threads = 1")
    path.chmod(mode)
    if is_read:
        assert read(Place(path, "user file")) is not None
        return
    with pytest.raises(UsageError, match=rf"only its owner may write, found mode {mode:04o}.*chmod go-w {path}"):
        read(Place(path, "user file"))


def looked(uid: int, gid: int, mode: int) -> os.stat_result:
    return os.stat_result((0o100000 | mode, 1, 1, 1, uid, gid, 1, 0, 0, 0))


def test_a_group_may_write_it_only_where_it_is_the_users_own(tmp_path: Path) -> None:
    place, own = Place(tmp_path / "config.toml", "user file"), os.geteuid()
    settings_file._check_writers(place, looked(own, own, 0o664))
    settings_file._check_writers(place, looked(own, own + 1, 0o644))
    settings_file._check_writers(place, looked(0, 0, 0o664))
    with pytest.raises(UsageError, match="only its owner may write, found mode 0664"):
        settings_file._check_writers(place, looked(own, own + 1, 0o664))


def test_a_file_of_another_user_is_not_read(tmp_path: Path) -> None:
    place = Place(tmp_path / "config.toml", "user file")
    with pytest.raises(UsageError, match=r"expected a settings file of this user or of root, found one of user 12345"):
        settings_file._check_writers(place, looked(12345, 12345, 0o644))


def test_a_service_that_does_not_see_who_is_root_reads_roots_files(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = looked(65534, 65534, 0o644)
    system, user = Place(settings_file.SYSTEM, "system file"), Place(Path("/x/config.toml"), "user file")
    for place in (system, user):
        monkeypatch.setattr(settings_file, "_hidden_root", lambda: 65534)
        settings_file._check_writers(place, nobody)
        with pytest.raises(UsageError, match="of this user or of root, found one of user 12345"):
            settings_file._check_writers(place, looked(12345, 12345, 0o644))
        monkeypatch.setattr(settings_file, "_hidden_root", lambda: None)
        with pytest.raises(UsageError, match="of this user or of root"):
            settings_file._check_writers(place, nobody)


@pytest.mark.parametrize(("number", "hidden"), [(0, None), (65534, 65534)])
def test_roots_number_is_that_of_the_root_folder(
    number: int, hidden: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "stat", lambda path: looked(number, 0, 0o755) if path == "/" else None)
    found = settings_file._hidden_root()
    monkeypatch.undo()
    assert found == hidden


def test_a_link_of_the_users_is_followed_and_a_pipe_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "dotfiles/mine.toml", "bundle = 'b'")
    (tmp_path / "config.toml").symlink_to(tmp_path / "dotfiles/mine.toml")
    file = read(Place(tmp_path / "config.toml", "user file"))
    assert file is not None and shared.value(file, ("bundle",)) == tmp_path / "b"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="expected a settings file that can be read, found"):
        read(Place(tmp_path / "pipe", "user file"))


def test_a_line_is_told_only_where_it_is_sure() -> None:
    text = 'a = 1\n[watch]\nkeep = "x"\n# keep = 2\n["sync".run]\nbetween="1"\nb.c = 2\nd = """\nkeep = 1\n"""\nd = 3'
    assert lines_of(text) == {
        ("a",): 1,
        ("watch", "keep"): 3,
        ("sync", "run", "between"): 6,
        ("sync", "run", "b", "c"): 7,
        ("sync", "run", "keep"): 9,
    }
