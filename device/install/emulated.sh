#!/usr/bin/env bash
# Tries edge-nusa on an emulated 64-bit ARM board: QEMU with Debian's own kernel, the installer with its aarch64 lock file,
# then `doctor`, `demo` and tests there. Nothing of this computer but a folder is touched. Takes two hours on two cores.
# Usage: device/install/emulated.sh WORK [CPU]    WORK: a new or earlier folder, 4 GB; CPU: cortex-a76 (Raspberry Pi 5, the
#   default), cortex-a72 (Pi 4) or another of `qemu-system-aarch64 -M virt -cpu help`
# Needs Debian 12 as root with: apt-get install debootstrap qemu-system-arm cpio e2fsprogs; and Python 3.11 with pip.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
work="$(mkdir -p -- "$1" && cd -- "$1" >/dev/null && pwd)"
[ -f "$work/.emulated" ] || [ -z "$(ls -A "$work")" ] || { echo "emulated.sh: $1: expected a new folder, or one that this script made; name another" >&2; exit 2; }
touch "$work/.emulated"
cpu="${2:-cortex-a76}"
source_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
root="$work/root" log="$work/$cpu.log"

# 1. A Debian for ARM: unpacked, never configured, so that nothing of it runs here.
if [ ! -f "$work/unpacked" ]; then
    rm -rf "$work/fetched" "$root"
    debootstrap --foreign --arch=arm64 --variant=minbase --include=python3,python3-venv,libgomp1,busybox-static,linux-image-cloud-arm64 bookworm "$work/fetched"
    mkdir -p "$root"
    for package in "$work"/fetched/var/cache/apt/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
    mkdir -p "$root"/{proc,sys,dev,tmp,wheels,out}
    ln -sf mawk "$root/usr/bin/awk"
    touch "$work/unpacked"
fi

# 2. The wheels: those of the lock file by their hashes, and what the demo and the tests want beside them.
for_board=(--only-binary :all: --python-version 3.11 --platform manylinux2014_aarch64)
for glibc in 17 24 26 27 28; do for_board+=(--platform "manylinux_2_${glibc}_aarch64"); done
python3.11 -m pip download --quiet --no-deps "${for_board[@]}" --require-hashes -r "$source_root/device/install/learn-aarch64.lock" -d "$root/wheels"
python3.11 -m pip download --quiet --no-deps "${for_board[@]}" --require-hashes -r "$source_root/device/install/build.lock" -d "$root/wheels"
python3.11 -m pip download --quiet "${for_board[@]}" -d "$root/wheels" -c <(sed -n 's/^\([a-z0-9_.-]*==[^ ]*\).*/\1/p' "$source_root/device/install/learn-aarch64.lock") \
    scikit-image scikit-learn pytest hypothesis

# 3. What the board does when it starts.
rm -rf "$root/src" && mkdir "$root/src"
(cd "$source_root" && git ls-files -z -co --exclude-standard | tar --null -cf - -T -) | tar -xf - -C "$root/src"
cat >"$root/start.sh" <<END
#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmp /tmp; mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup && echo +memory >/sys/fs/cgroup/cgroup.subtree_control
date -s "$(date -u -d '+1 minute' '+%F %T')" >/dev/null
uname -a
timed() { local began=\$SECONDS code=0; "\$@" || code=\$?; echo "=== ended with \$code after \$((SECONDS - began)) s: \$*"; }
here=/root/.local/share/edge-nusa/venv/bin
cd /src
timed device/install/install.sh --no-services --python /usr/bin/python3.11
timed \$here/python -m pip install --quiet scikit-image scikit-learn pytest hypothesis
timed \$here/edge-nusa demo --out /out/demo --format human
timed env PYTHONSAFEPATH=1 \$here/pytest -q -p no:cacheprovider tests/*/test_{null_space,prefix,head,tails,adamw,tensor_file,fusion,gaussian_replay,state,preprocessing,pictures,answer,training}.py
echo "=== all is done"
sync
echo o >/proc/sysrq-trigger
sleep 30
END
chmod +x "$root/start.sh"

# 4. A disk, and a first file system that knows how to read it.
kernel="$(basename "$root"/lib/modules/*)"
first="$work/first"
rm -rf "$first" && mkdir -p "$first"/{bin,modules,new,proc,sys,dev}
cp "$root/bin/busybox" "$first/bin/"
modules=(virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk)
for module in "${modules[@]}"; do find "$root/lib/modules/$kernel" -name "$module.ko" -exec cp {} "$first/modules/" \;; done
cat >"$first/init" <<END
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in ${modules[*]}; do /bin/busybox insmod /modules/\$module.ko; done
/bin/busybox sleep 2
/bin/busybox mount -t ext4 /dev/vda /new && /bin/busybox mount --move /dev /new/dev && exec /bin/busybox switch_root /new /start.sh
END
chmod +x "$first/init"
(cd "$first" && find . | cpio --quiet -o -H newc) >"$work/first.img"
rm -f "$work/disk.img" && truncate -s 10G "$work/disk.img" && mke2fs -q -t ext4 -d "$root" "$work/disk.img"

# 5. Start it; it ends by itself, or is ended.
echo "starting a $cpu; what it says goes to $log"
timeout 4h qemu-system-aarch64 -M virt -cpu "$cpu" -smp 2 -m 4G -accel tcg,thread=multi -nographic -no-reboot -net none -kernel "$root/boot/vmlinuz-$kernel" \
    -initrd "$work/first.img" -append "console=ttyAMA0 quiet nowatchdog panic=1" -drive "if=none,file=$work/disk.img,format=raw,id=disk,cache=unsafe" \
    -device virtio-blk-pci,drive=disk </dev/null >"$log" 2>&1 || true
grep -a '^=== ' "$log"
! grep -aq '^=== ended with [^0]' "$log" && grep -aq '^=== all is done' "$log"
