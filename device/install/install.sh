#!/usr/bin/env bash
# Installs edge-nusa for one user of a board: an environment of its own, the command, and services; or takes them away.
# Run it again at any time: what is there and right is left alone, an upgrade is complete or does not happen.
set -euo pipefail
umask 077

usage() {
    cat <<'END'
Usage: device/install/install.sh [options]        (as the user who will use it, from a copy of the source)
  --predict-only       no torch: this board asks, watches, and learns by its head alone
  --wheel FILE         install this wheel of edge-nusa instead of the source around this script
  --python PROGRAM     which Python (3.11 to 3.13); the newest found by itself
  --bundle DIR         the bundle that commands and services use, of which a copy is kept here; the embedded `lite` without it
  --watch DIR          also a service that answers the pictures that appear in DIR
  --camera SOURCE      also a service that answers what a camera shows: /dev/video0, rtsp://..., picamera; with --teach the page shows it instead
  --teach              also a service of the page (edge-nusa teach), for this board alone; with --lan for a phone too, by a token
  --mqtt URL           also a service that tells a broker what the watch answers, such as mqtt://homeassistant.local
  --sync               also a timer that runs `edge-nusa sync run`, four times a day
  --store PLACE        with --token-file: the fleet's store, a folder or s3://BUCKET/PREFIX
  --token-file FILE    with --sync: join the fleet by this join token (edge-nusa hub token); a board that is in a fleet stays in it
  --hub                also a timer that runs `edge-nusa hub run` every hour: on the machine of a fleet's hub, after `hub init`
  --set KEY=VALUE      a further setting (docs/settings.md), such as watch.keep=/home/me/unsure; may be repeated, also for one list
  --writable DIR       a further folder that the services may write, such as a store; may be repeated
  --no-lock            take the newest packages, without hashes, instead of those of the lock files (they are for aarch64)
  --no-services        write the services' files but start nothing
  --stop NAME          a service that is not wanted any more: watch, teach, mqtt, sync or hub; may be repeated
  --uninstall          stop and remove all of the above; what was learned and the settings stay
  --purge              with --uninstall: remove what was learned, a hub that is kept beside it, and the settings too
END
}

fail() { echo "install.sh: $1" >&2; exit "${2:-1}"; }
say() { echo "install.sh: $1"; }

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source_root="$(cd "$here/../.." && pwd)"
[ -n "${HOME:-}" ] || fail "expected HOME to be set"
# The services name this folder by %h, so it does not follow XDG_DATA_HOME.
root="$HOME/.local/share/edge-nusa"
settings="${XDG_CONFIG_HOME:-$HOME/.config}/edge-nusa"
units="${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user"
command_link="$HOME/.local/bin/edge-nusa"
# What is set in this shell is not what services see: the settings file alone decides what is installed.
unset "${!EDGE_NUSA_@}"

learn=learn wheel="" python="" bundle="" watch="" camera="" teach="" lan="" mqtt="" store="" token_file="" lock=yes services=yes uninstall="" purge=""
writable=() set=() stop=() wanted=()
while [ $# -gt 0 ]; do
    case "$1" in
        --wheel | --python | --bundle | --watch | --camera | --mqtt | --set | --writable | --stop | --store | --token-file) [ $# -ge 2 ] || fail "$1: expected a value; see --help" 2 ;;
    esac
    case "$1" in
        --predict-only) learn=predict ;;
        --wheel) wheel="$2"; shift ;;
        --python) python="$2"; shift ;;
        --bundle) bundle="$2"; shift ;;
        --watch) watch="$2"; shift ;;
        --camera) camera="$2"; shift ;;
        --teach) teach=yes wanted+=(teach) ;;
        --lan) lan=yes ;;
        --mqtt) mqtt="$2" wanted+=(mqtt); shift ;;
        --set) set+=("$2"); shift ;;
        --stop) stop+=("$2"); shift ;;
        --writable) writable+=("$2"); shift ;;
        --sync) wanted+=(sync) ;;
        --store) store="$2"; shift ;;
        --token-file) token_file="$2"; shift ;;
        --hub) wanted+=(hub) ;;
        --no-lock) lock="" ;;
        --no-services) services="" ;;
        --uninstall) uninstall=yes ;;
        --purge) purge=yes ;;
        -h | --help) usage; exit 0 ;;
        *) fail "there is no option $1; see --help" 2 ;;
    esac
    shift
done
[ -z "$purge" ] || [ -n "$uninstall" ] || fail "--purge: expected --uninstall beside it" 2
[ -z "$lan" ] || [ -n "$teach" ] || fail "--lan: expected --teach beside it" 2
if [ -n "$token_file$store" ]; then
    case " ${wanted[*]} " in *" sync "*) ;; *) fail "--token-file: expected --sync beside it" 2 ;; esac
    [ -n "$token_file" ] && [ -n "$store" ] || fail "--token-file and --store: expected both, to join a fleet" 2
    [ -f "$token_file" ] || fail "--token-file: expected the file of a join token, found none of that name; it is not repeated here, in case it is a token itself"
fi
[ -z "$watch" ] || [ -z "$camera" ] || [ -n "$teach" ] || fail "--watch and --camera: expected one of them for the one watch service; --teach takes the camera" 2
for pair in "${set[@]}"; do case "$pair" in ?*=*) ;; *) fail "--set $pair: expected KEY=VALUE" 2 ;; esac; done
for name in "${stop[@]}"; do case "$name" in watch | teach | mqtt | sync | hub) ;; *) fail "--stop $name: expected watch, teach, mqtt, sync or hub" 2 ;; esac; done

user_manager() { systemctl --user show-environment >/dev/null 2>&1; }

remove_units() {
    for unit in "$@"; do
        if [ -e "$units/$unit" ] && user_manager; then systemctl --user disable --now "$unit" >/dev/null 2>&1 || true; fi
        rm -f "$units/$unit" "$units/default.target.wants/$unit" "$units/timers.target.wants/$unit"
    done
    if user_manager; then systemctl --user daemon-reload; fi
}

if [ -n "$uninstall" ]; then
    remove_units edge-nusa-{watch,teach,mqtt,sync,hub}.service edge-nusa-{sync,hub}.timer
    if [ -L "$command_link" ] && [ "$(readlink "$command_link")" = "$root/venv/bin/edge-nusa" ]; then rm -f "$command_link"; fi
    rm -rf "$root"/venv "$root"/venv-*
    # The bundle that the settings name stays with them: what was learned goes with it.
    for old in "$root"/bundle-*; do
        if [ -n "$purge" ] || ! grep -qsF "$(basename "$old")\"" "$settings/config.toml"; then rm -rf "$old"; else say "the bundle that the settings name stays: $old"; fi
    done
    if [ -n "$purge" ]; then rm -rf "$root" "$settings"; fi
    rmdir "$root" 2>/dev/null || true
    say "removed${purge:+, with all that was learned}"
    [ ! -d "$root" ] || say "what was learned stays in $root (--purge removes it too)"
    exit 0
fi

[ "$(getconf LONG_BIT)" = 64 ] || fail "expected a 64-bit system, found $(getconf LONG_BIT) bits; onnxruntime has no 32-bit packages: install the 64-bit image"
if [ -z "$python" ]; then
    for candidate in python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            python="$(command -v "$candidate")"
            break
        fi
    done
fi
[ -n "$python" ] || fail "expected Python 3.11, 3.12 or 3.13, found none; see docs/board.md for boards with an older one"
"$python" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || fail "$python: expected Python 3.11, 3.12 or 3.13"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python cannot make environments; run: sudo apt install python3-venv"
for folder in ${bundle:+"$bundle"} ${watch:+"$watch"} "${writable[@]}"; do [ -d "$folder" ] || fail "$folder: expected a folder"; done
environment="$settings/environment"
if old="$(grep -sE '^EDGE_NUSA_(BUNDLE|STATE|THREADS|MAX_MEMORY|FORMAT|WATCH|WATCH_OPTIONS|SYNC_OPTIONS|ANSWERS|MQTT_OPTIONS|WRITABLE)=' "$environment")"; then
    fail "$environment: expected passwords and tokens alone, found a setting (${old%%$'\n'*}); give it by an option or --set, and remove its line" 2
fi
if [ -n "$wheel" ]; then [ -f "$wheel" ] || fail "$wheel: expected a wheel of edge-nusa"; fi
locked="" locked_sync=""
if [ -n "$lock" ]; then
    locked="$here/$learn-$(uname -m).lock" locked_sync="$here/sync-$(uname -m).lock"
    [ -f "$locked" ] || fail "expected a lock file for $(uname -m), found none; pass --no-lock to take packages without hashes"
fi

# A timer of sync or of a hub, asked for now or before, needs the packages of the extra `sync`, which have a lock file of
# their own.
with_sync=""
for name in sync hub; do
    case " ${stop[*]} " in *" $name "*) continue ;; esac
    case " ${wanted[*]} " in *" $name "*) with_sync=yes ;; esac
    if [ -e "$units/edge-nusa-$name.timer" ] || grep -qsE "^ *run *=.*\"$name\"" "$settings/config.toml"; then with_sync=yes; fi
    case " ${set[*]} " in *" services.run=$name "*) with_sync=yes ;; esac
done

# The environment's name says what is in it, so the same call finds it whole and another call makes another.
fingerprint() {
    "$python" --version
    echo "$learn ${locked:+locked}${with_sync:+ sync}"
    if [ -n "$locked" ]; then cat "$locked" ${with_sync:+"$locked_sync"} | sha256sum; fi
    if [ -n "$wheel" ]; then sha256sum <"$wheel"; else
        cd "$source_root"
        find pyproject.toml edge_nusa export device -type f -not -path '*/__pycache__/*' -not -path 'device/install/*' -print0 | sort -z | xargs -0 sha256sum
    fi
}
venv="$root/venv-$(fingerprint | sha256sum | cut -c 1-16)"
if [ -f "$venv/complete" ]; then
    say "the environment is there already: $venv"
else
    free_mib=$(df -Pm "$(dirname "$root" | xargs -I{} sh -c 'd={}; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; echo "$d"')" | awk 'NR == 2 { print $4 }')
    need_mib=$([ "$learn" = learn ] && echo 1500 || echo 600)
    [ "$free_mib" -ge "$need_mib" ] || fail "expected $need_mib MiB free for the packages, found $free_mib; free some space" 5
    rm -rf "$venv"
    mkdir -p "$root"
    trap 'rm -rf "$venv"' EXIT
    "$python" -m venv "$venv"
    pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet)
    extras=page,camera,mqtt,metrics,heic$([ "$learn" = learn ] && echo ",learn" || true)${with_sync:+,sync}
    say "installing packages${locked:+ of $(basename "$locked")}; this takes minutes on a slow card"
    if [ -n "$locked" ]; then "${pip[@]}" install --require-hashes --only-binary=:all: -r "$locked" ${with_sync:+-r "$locked_sync"}; fi
    what="${wheel:-}"
    if [ -z "$what" ]; then
        build="$(mktemp -d)"
        (cd "$source_root" && tar -cf - pyproject.toml README.md LICENSE NOTICE edge_nusa export device research) | tar -xf - -C "$build"
        "$python" -m venv "$build/builder"
        builder=("$build/builder/bin/python" -m pip --disable-pip-version-check --quiet)
        "${builder[@]}" install --require-hashes --only-binary=:all: -r "$here/build.lock"
        "${builder[@]}" wheel --no-deps --no-build-isolation -w "$build/wheels" "$build"
        what="$(echo "$build"/wheels/*.whl)"
    fi
    "${pip[@]}" install ${locked:+--no-deps} "$what[$extras]"
    if [ -n "${build:-}" ]; then rm -rf "$build"; fi
    "$venv/bin/edge-nusa" --help >/dev/null
    touch "$venv/complete"
    trap - EXIT
fi
ln -sfn "$venv" "$root/venv.new" && mv -T "$root/venv.new" "$root/venv"
for old in "$root"/venv-*; do [ "$old" = "$venv" ] || rm -rf "$old"; done
mkdir -p "$(dirname "$command_link")" "$settings" "$units"
if [ -e "$command_link" ] && [ ! -L "$command_link" ]; then fail "$command_link: expected a link of ours or nothing; move that file away"; fi
ln -sfn "$root/venv/bin/edge-nusa" "$command_link"

# The one settings file, of commands and services: only what an option names is changed.
setting() { "$command_link" config --format human "$1"; }
change() { "$command_link" config --format human "$@" >/dev/null || fail "the settings are as they were; what the line above says is the next step" 2; }
# A bundle is never written in place: a copy of its own name is made beside, proved and renamed. The one before it stays
# until the next call, since a running service may still have it open.
is_whole() { "$root/venv/bin/python" -c 'import sys, pathlib; from edge_nusa.model.bundle import Bundle; Bundle.open(pathlib.Path(sys.argv[1]))' "$1" 2>/dev/null; }
take_bundle() {
    [ -f "$bundle/manifest.json" ] || fail "$bundle: expected a bundle, a folder with manifest.json"
    taken="$root/bundle-$(sha256sum <"$bundle/manifest.json" | cut -c 1-16)"
    [ "$(realpath "$bundle")" != "$(realpath -m "$taken")" ] || return 0
    for old in "$root"/bundle-*; do
        case "$old" in "$taken" | "$(setting bundle)") ;; *) rm -rf "$old" ;; esac
    done
    if [ -d "$taken" ] && is_whole "$taken"; then return 0; fi
    cp -rL --reflink=auto "$bundle" "$taken.new"
    is_whole "$taken.new" || { rm -rf "$taken.new"; fail "$bundle: expected a whole bundle, found another; edge-nusa doctor --bundle $bundle says more" 4; }
    sync -f "$taken.new"
    if [ -d "$taken" ]; then mv -T "$taken" "$taken.old"; fi
    mv -T "$taken.new" "$taken"
    say "the bundle is kept as $taken; $bundle is not needed any more"
}
# Values of one key go together, as of a list.
while [ ${#set[@]} -gt 0 ]; do
    key="${set[0]%%=*}" values=() rest=()
    for pair in "${set[@]}"; do if [ "${pair%%=*}" = "$key" ]; then values+=("${pair#*=}"); else rest+=("$pair"); fi; done
    change "$key" "${values[@]}"
    set=("${rest[@]}")
done
if [ -n "$bundle" ]; then take_bundle; change bundle "$taken"; fi
# What was set of the other kind of source goes, as it would come back with the next folder or camera.
unset_all() { for key in "$@"; do [ -z "$(setting "$key")" ] || change --unset "$key"; done; }
if [ -n "$watch" ]; then change watch.source "$watch"; unset_all watch.login; fi
if [ -n "$camera" ] && [ -n "$teach" ]; then change teach.camera "$camera"
elif [ -n "$camera" ]; then change watch.source "$camera"; unset_all watch.delete watch.ledger; fi
if [ -n "$watch" ] || { [ -n "$camera" ] && [ -z "$teach" ]; }; then wanted+=(watch); fi
if [ -n "$teach" ]; then change teach.lan "$([ -n "$lan" ] && echo true || echo false)"; fi
if [ -n "$lan" ] && ! grep -qs '^EDGE_NUSA_TOKEN=' "$environment"; then
    # Kept, so that a phone stays let in after the next start.
    [ ! -s "$environment" ] || [ -z "$(tail -c1 "$environment")" ] || echo >>"$environment"
    echo "EDGE_NUSA_TOKEN=$("$python" -c 'import secrets; print(secrets.token_hex(16))')" >>"$environment"
fi
if [ -n "$mqtt" ]; then
    change mqtt.broker "$mqtt"
    if [ -z "$(setting watch.out)" ]; then change watch.out "$root/answers/answers.jsonl"; fi
    change mqtt.file "$(setting watch.out)"
fi
if [ ${#writable[@]} -gt 0 ]; then change services.writable "${writable[@]}"; fi
kept=()
for name in watch teach mqtt sync hub; do
    case " ${stop[*]} " in *" $name "*) remove_units "edge-nusa-$name.service" "edge-nusa-$name.timer"; continue ;; esac
    case " ${wanted[*]} $(setting services.run | tr '\n' ' ') " in *" $name "*) kept+=("$name") ;; esac
done
case " ${kept[*]} " in *" mqtt "*)
    case " ${kept[*]} " in *" watch "*) ;; *) fail "--mqtt: expected a watch whose answers it tells; pass --watch DIR or --camera SOURCE too, or --stop mqtt" 2 ;; esac ;;
esac
if [ ${#kept[@]} -gt 0 ]; then change services.run "${kept[@]}"; else change --unset services.run; fi

if [ -n "$token_file" ]; then
    if "$command_link" sync status >/dev/null 2>&1; then say "this board is in a fleet already, and stays in it"
    else "$command_link" sync init "$store" --token "$token_file" --format human || fail "the board has not joined; what the line above says is the next step" 6; fi
fi

written="$("$root/venv/bin/python" -P "$here/units.py" "$command_link" "$units")" || fail "the services' files could not be written; what the line above says is the next step" 2
read -r -a started <<<"$written"
if [ ${#started[@]} -gt 0 ] && [ -n "$services" ]; then
    if user_manager; then
        systemctl --user daemon-reload
        systemctl --user enable "${started[@]}"
        systemctl --user restart "${started[@]}"
        [ "$(loginctl show-user "$(id -un)" --property=Linger --value 2>/dev/null)" = yes ] || say "to run without anyone logged in: sudo loginctl enable-linger $(id -un)"
    else
        say "there is no systemd user manager here; when there is: systemctl --user daemon-reload && systemctl --user enable --now ${started[*]}"
    fi
fi
case ":$PATH:" in *":$(dirname "$command_link"):"*) ;; *) say "$(dirname "$command_link") is not in PATH; log in again or add it" ;; esac
"$command_link" doctor --format human || fail "the doctor found an error; what it says next to it is the next step" 4
if [ -n "$teach" ]; then say "the page is at http://127.0.0.1:$(setting teach.port)/${lan:+; for a phone: journalctl --user -u edge-nusa-teach.service}"; fi
say "done; the first steps: edge-nusa learn --images DIR --label NAME, then edge-nusa predict PICTURE"
