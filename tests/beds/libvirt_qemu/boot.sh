#!/bin/bash
# PID 1 of a private libvirt host, run in its own mount, network, PID and UTS namespaces (see host.py).
# usage: boot.sh HOST_DIRECTORY HOSTNAME [CGROUP_V1_CONTROLLER ...]
set -eu
home=$1
hostname "$2"
shift 2

# A /dev of its own, without kvm: the node may be there yet run no guest, and libvirt then prefers it. Only a node
# that is absent is believed; hiding it behind another makes libvirt probe QEMU again at every define and start.
dev=$home/dev
mount -t tmpfs -o mode=755 dev "$dev"
mkdir -p "$dev"/{pts,shm,net,mqueue}
for node in null zero full random urandom tty ptmx fuse net/tun userfaultfd; do
    [ ! -e "/dev/$node" ] || cp -a "/dev/$node" "$dev/$node"
done
[ -e "$dev/net/tun" ] || mknod "$dev/net/tun" c 10 200
ln -s /proc/self/fd "$dev/fd"
mount --bind /dev/pts "$dev/pts"
mount -t tmpfs -o mode=1777 shm "$dev/shm"
umount -l /dev
mount --rbind "$dev" /dev
umount -l "$dev"

# libvirt compiles these paths in; no option moves all of them, bind mounts do.
own() {
    mkdir -p "$2"
    mount --bind "$home/$1" "$2"
}
own etc /etc/libvirt
own run /run/libvirt
own lib /var/lib/libvirt
own cache /var/cache/libvirt
own log /var/log/libvirt
own swtpm-localca /var/lib/swtpm-localca
own ovs /run/openvswitch
mount --bind "$home/hosts" /etc/hosts

# The old /sys shows the network devices of the namespace we left. Its control groups would stay in the list of
# mounts, where the driver of containers would find some that it cannot use.
[ $# -eq 0 ] || umount -R /sys/fs/cgroup
mount -t sysfs sys /sys
if [ $# -gt 0 ]; then
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    for controller; do
        mkdir "/sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
    done
fi
ip link set lo up

# The device nodes of macvtap, which udev would make: libvirt opens one a fifth of a second after it made the link.
ip monitor link </dev/null | while read -r _; do
    for tap in /sys/class/net/*/macvtap/tap*; do
        node=/dev/${tap##*/}
        [ ! -e "$tap/dev" ] || [ -e "$node" ] || mknod "$node" c $(tr : ' ' <"$tap/dev")
    done
done &

# Our standard input is the owner's lifeline: a line asks for another libvirtd, its end means that the owner is
# gone. PID 1 then returns, and the kernel takes every process of the host with it. bash reaps orphans meanwhile.
start_libvirtd() {
    # shellcheck disable=SC2086  # words on purpose
    libvirtd ${LIBVIRTD_ARGUMENTS:-} -f /etc/libvirt/libvirtd.conf -p "$home/run/libvirtd.pid" </dev/null &
    echo $! >"$home/run/libvirtd.started"
}
start_libvirtd
while read -r _; do
    start_libvirtd
done
