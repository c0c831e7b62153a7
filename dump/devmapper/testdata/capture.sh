#!/bin/bash
# capture.sh OUT DISK DISK -- write to the folder OUT what dmsetup and lvs say of all kinds of volumes.
# As root on a machine with nothing but two scratch disks of 300 MiB: Debian 12, Linux 6.1, LVM 2.03.16.
# The fields that lvs is asked for are those of lv.go.
set -eu
out=$1 disk1=$2 disk2=$3
export LC_ALL=C LVM_SUPPRESS_FD_WARNINGS=1
fields=$(sed -n '/^const lvFields/,/^$/p' "$(dirname "$0")/../lv.go" | grep -o '[a-z_]*,[a-z_,]*' | paste -sd '' -)

# lv NAME VOLUME: what lvs says of VOLUME, to NAME.json and NAME.err
lv() {
  lvs -a --reportformat json --units b --nosuffix --binary --config 'report/time_format="%s"' -o "$fields" -- "$2" > "$out/$1.json" 2> "$out/$1.err" || true
  [ -s "$out/$1.err" ] || rm "$out/$1.err"
}
# dm NAME: what dmsetup says of all devices, to NAME.info, NAME.table and NAME.status
dm() {
  dmsetup info -c --noheadings --separator / -o major,minor,vg_name,lv_name,lv_layer,name,uuid > "$out/$1.info"
  dmsetup table > "$out/$1.table"
  dmsetup status > "$out/$1.status"
}
dirty() { dd if=/dev/urandom of="$1" bs=64k count="$2" oflag=direct status=none; }
plain() { lvcreate -q -q -y -Zn -n "$1" -l "$2" "${@:3}" my-vg; }
snap() { lvcreate -q -q -s -n "$1" -c "$2" -l "$3" "my-vg/$4"; }

mkdir -p "$out"
dm none
lv no-vg no-vg/lv
vgcreate -q -q -s 4k my-vg "$disk1" "$disk2"
plain or-ig 1501
snap s-1 64k 900 or-ig
lvcreate -q -q -s -pr -n ro -c 4k -l 900 my-vg/or-ig
dirty /dev/my-vg/or-ig 3
plain str.ip+ed 3000 -i 2 -I 4k
snap st.snap+x_1 8k 300 str.ip+ed
plain overflowed 1501
snap tiny 4k 20 overflowed
dirty /dev/my-vg/overflowed 20
plain two 100
lvextend -q -q -l +50 my-vg/two "$disk2"
plain reverted 15000
snap mrg 4k 15400 reverted
dirty /dev/my-vg/reverted 800
plain idle 100
snap idle-snap 4k 50 idle
lvchange -an -y my-vg/idle
lvcreate -q -q -y -L 8m --thinpool po-ol my-vg
lvcreate -q -q -V 10304k --thin -n t-o my-vg/po-ol
lvcreate -q -q -s -n t-s my-vg/t-o
dmsetup create 'odd: name|1' --table "0 2048 linear $disk1 2048"
dmsetup create --notable empty

exec 9< /dev/my-vg/reverted # so that the merge has to wait
lvconvert -q -q --merge my-vg/mrg
lv origin my-vg/or-ig
lv snapshot my-vg/s-1
lv read-only my-vg/ro
lv striped my-vg/str.ip+ed
lv odd-name my-vg/st.snap+x_1
lv invalid my-vg/tiny
lv delayed-merge my-vg/mrg
lv delayed-merge-origin my-vg/reverted
lv segments my-vg/two
lv inactive my-vg/idle
lv inactive-snapshot my-vg/idle-snap
lv inactive-by-mapper-name /dev/mapper/my--vg-idle--snap
lv pool my-vg/po-ol
lv thin my-vg/t-o
lv thin-snapshot my-vg/t-s
lv no-lv my-vg/nosuch
lv no-path /dev/disk/by-id/x
lv bad-vg-name './x'
lv cow-device my-vg/s-1-cow
lv all my-vg
dm all
exec 9<&-

# 50 MiB take the merge longer than LVM's first look at it, and the next one is 15 seconds later.
lvchange -q -q -an my-vg/reverted
lvchange -q -q -ay my-vg/reverted
lv merging my-vg/mrg
lv merging-origin my-vg/reverted
dm merging

# setpriv rather than su: there may be no such user.
setpriv --reuid 1000 --clear-groups dmsetup table > /dev/null 2> "$out/not-root-dmsetup.err" || true
setpriv --reuid 1000 --clear-groups lvs -a --reportformat json --units b --nosuffix --binary \
  --config 'report/time_format="%s"' -o "$fields" -- my-vg/s-1 > "$out/not-root.json" 2> "$out/not-root.err" || true
