#!/bin/sh
# /init of the guest that tools/make_initramfs.sh builds: runs under busybox, in the guest only.
#
# The kernel command line chooses what happens after the mounts:
#   orrery.run="uname -a; poweroff -f"   these commands, then power-off
#   (nothing)                            /orrery/run if the initramfs carries it, then power-off; else a shell
# orrery.modules=no loads no modules.
/bin/busybox mkdir -p /bin /sbin /usr/bin /usr/sbin /proc /sys /dev /tmp /mnt /run
/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/ TERM=linux
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
hostname orrery

cmdline=$(cat /proc/cmdline)
case " $cmdline " in
*" orrery.modules=no "*) ;;
*)
  while read -r module; do
    insmod "/modules/$module" || echo "init: could not load $module"
  done </modules/order
  ;;
esac

run=$(echo "$cmdline" | sed -n 's/.*orrery\.run="\([^"]*\)".*/\1/p')
[ -n "$run" ] || run=$(echo "$cmdline" | sed -n 's/.*orrery\.run=\([^" ][^ ]*\).*/\1/p')
if [ -n "$run" ]; then
  sh -c "$run" </dev/console
  poweroff -f
elif [ -e /orrery/run ]; then
  sh /orrery/run </dev/console
  poweroff -f
fi

echo
echo "Orrery: a Debian kernel and busybox. 'poweroff -f' turns the machine off, Ctrl-A x leaves it."
[ -b /dev/vda ] && echo "A disk is at /dev/vda: mount /dev/vda /mnt"
# A shell that is left starts again: init must not end.
while true; do
  setsid cttyhack sh
done
