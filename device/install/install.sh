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
  --watch-options "…"  more options of `edge-nusa watch`, such as "--keep /home/me/unsure --out /home/me/answers.jsonl"
  --writable DIR       a further folder that the services may write (for --keep, --out, --delete, a store); may be repeated
  --sync "…"           also a timer that runs `edge-nusa sync run` with these options, four times a day
  --no-lock            take the newest packages, without hashes, instead of those of the lock files (they are for aarch64)
  --no-services        write the services' files but start nothing
  --uninstall          stop and remove all of the above; what was learned and the settings stay
  --purge              with --uninstall: remove what was learned and the settings too
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
all_units=(edge-nusa-watch.service edge-nusa-sync.service edge-nusa-sync.timer)

learn=learn wheel="" python="" bundle="" watch="" watch_options="" sync="" has_sync="" lock=yes services=yes uninstall="" purge=""
writable=()
while [ $# -gt 0 ]; do
    case "$1" in
        --wheel | --python | --bundle | --watch | --watch-options | --writable | --sync) [ $# -ge 2 ] || fail "$1: expected a value; see --help" 2 ;;
    esac
    case "$1" in
        --predict-only) learn=predict ;;
        --wheel) wheel="$2"; shift ;;
        --python) python="$2"; shift ;;
        --bundle) bundle="$2"; shift ;;
        --watch) watch="$2"; shift ;;
        --watch-options) watch_options="$2"; shift ;;
        --writable) writable+=("$2"); shift ;;
        --sync) has_sync=yes sync="$2"; shift ;;
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

user_manager() { systemctl --user show-environment >/dev/null 2>&1; }

remove_units() {
    for unit in "${all_units[@]}"; do
        [ -e "$units/$unit" ] || continue
        if user_manager; then systemctl --user disable --now "$unit" >/dev/null 2>&1 || true; fi
        rm -f "$units/$unit"
    done
    rm -f "$units/default.target.wants/edge-nusa-watch.service" "$units/timers.target.wants/edge-nusa-sync.timer"
    if user_manager; then systemctl --user daemon-reload; fi
}

if [ -n "$uninstall" ]; then
    remove_units
    if [ -L "$command_link" ] && [ "$(readlink "$command_link")" = "$root/venv/bin/edge-nusa" ]; then rm -f "$command_link"; fi
    rm -rf "$root"/venv "$root"/venv-* "$root"/bundle-*
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
for folder in ${bundle:+"$bundle"} ${watch:+"$watch"} "${writable[@]}"; do
    [ -d "$folder" ] || fail "$folder: expected a folder"
    case "$folder" in *[[:space:]%\"\'\\]*) fail "$folder: a service needs a path without spaces, quotes and percent signs" ;; esac
done
if [ -n "$wheel" ]; then [ -f "$wheel" ] || fail "$wheel: expected a wheel of edge-nusa"; fi
locked="" locked_sync=""
if [ -n "$lock" ]; then
    locked="$here/$learn-$(uname -m).lock" locked_sync="$here/sync-$(uname -m).lock"
    [ -f "$locked" ] || fail "expected a lock file for $(uname -m), found none; pass --no-lock to take packages without hashes"
fi

# A sync timer, asked for now or before, needs the packages of the extra `sync`, which the lock files do not hold.
with_sync="$has_sync"
if grep -qs '^EDGE_NUSA_SYNC_OPTIONS=' "$settings/environment"; then with_sync=yes; fi

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
    extras=$([ "$learn" = learn ] && echo "learn" || true)${with_sync:+,sync}
    extras="${extras#,}"
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
    "${pip[@]}" install ${locked:+--no-deps} "$what${extras:+[$extras]}"
    if [ -n "${build:-}" ]; then rm -rf "$build"; fi
    "$venv/bin/edge-nusa" --help >/dev/null
    touch "$venv/complete"
    trap - EXIT
fi
ln -sfn "$venv" "$root/venv.new" && mv -T "$root/venv.new" "$root/venv"
for old in "$root"/venv-*; do [ "$old" = "$venv" ] || rm -rf "$old"; done
mkdir -p "$(dirname "$command_link")" "$settings" "$units" "$root/state"
if [ -e "$command_link" ] && [ ! -L "$command_link" ]; then fail "$command_link: expected a link of ours or nothing; move that file away"; fi
ln -sfn "$root/venv/bin/edge-nusa" "$command_link"

# Settings: made once, then only the lines that an option names are changed.
environment="$settings/environment"
[ -f "$environment" ] || printf '%s\n' "# Settings of edge-nusa's services; every EDGE_NUSA_* variable of docs/commands.md may stand here." "EDGE_NUSA_STATE=$root/state" >"$environment"
# A bundle is never written in place: a copy of its own name is made beside, proved and renamed. The one before it stays
# until the next call, since a running service may still have it open.
is_whole() { "$root/venv/bin/python" -c 'import sys, pathlib; from edge_nusa.model.bundle import Bundle; Bundle.open(pathlib.Path(sys.argv[1]))' "$1" 2>/dev/null; }
take_bundle() {
    [ -f "$bundle/manifest.json" ] || fail "$bundle: expected a bundle, a folder with manifest.json"
    taken="$root/bundle-$(sha256sum <"$bundle/manifest.json" | cut -c 1-16)"
    [ "$(realpath "$bundle")" != "$(realpath -m "$taken")" ] || return 0
    for old in "$root"/bundle-*; do
        case "$old" in "$taken" | "$(sed -n 's/^EDGE_NUSA_BUNDLE=//p' "$environment")") ;; *) rm -rf "$old" ;; esac
    done
    if [ -d "$taken" ] && is_whole "$taken"; then return 0; fi
    cp -rL --reflink=auto "$bundle" "$taken.new"
    is_whole "$taken.new" || { rm -rf "$taken.new"; fail "$bundle: expected a whole bundle, found another; edge-nusa doctor --bundle $bundle says more" 4; }
    sync -f "$taken.new"
    if [ -d "$taken" ]; then mv -T "$taken" "$taken.old"; fi
    mv -T "$taken.new" "$taken"
    say "the bundle is kept as $taken; $bundle is not needed any more"
}
set_line() {
    { grep -v "^$1=" "$environment" || true; printf '%s=%s\n' "$1" "$2"; } >"$environment.new"
    mv "$environment.new" "$environment"
}
if [ -n "$bundle" ]; then take_bundle; set_line EDGE_NUSA_BUNDLE "$taken"; fi
[ -z "$watch" ] || set_line EDGE_NUSA_WATCH "$(realpath "$watch")"
[ -z "$watch_options" ] || set_line EDGE_NUSA_WATCH_OPTIONS "$watch_options"
[ -z "$has_sync" ] || set_line EDGE_NUSA_SYNC_OPTIONS "$sync"
if [ ${#writable[@]} -gt 0 ]; then set_line EDGE_NUSA_WRITABLE "$(realpath "${writable[@]}" | tr '\n' ' ' | sed 's/ $//')"; fi
read_write="$root/state $(sed -n 's/^EDGE_NUSA_WRITABLE=//p' "$environment")"

install_unit() {
    sed "s|@READ_WRITE@|${read_write% }|" "$here/$1" >"$units/$1.new"
    if cmp -s "$units/$1.new" "$units/$1" 2>/dev/null; then rm "$units/$1.new"; else mv "$units/$1.new" "$units/$1"; fi
}
started=()
if grep -q '^EDGE_NUSA_WATCH=' "$environment"; then install_unit edge-nusa-watch.service; started+=(edge-nusa-watch.service); fi
if grep -q '^EDGE_NUSA_SYNC_OPTIONS=' "$environment"; then
    install_unit edge-nusa-sync.service
    install_unit edge-nusa-sync.timer
    started+=(edge-nusa-sync.timer)
fi
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
EDGE_NUSA_STATE="$root/state" EDGE_NUSA_BUNDLE="$(sed -n 's/^EDGE_NUSA_BUNDLE=//p' "$environment")" "$command_link" doctor --format human || fail "the doctor found an error; what it says next to it is the next step" 4
say "done; the first steps: edge-nusa learn --images DIR --label NAME, then edge-nusa predict PICTURE"
