#!/bin/sh
# The guest's init. What it prints on ttyS0 is read by SerialLog:
#   HB <i> <uptime>                five times a second; a gap is downtime, i starting over a reset, i skipped a loss
#   TB ip <nic> <address> uptime=  a DHCP lease
#   TB ready uptime= / TB data <device> / TB heard <line> / TB typed <line> / TB shutdown
export PATH=/bin:/sbin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /run /tmp /data /var
mount -t devpts pts /dev/pts
ln -s /run /var/run
exec >/dev/ttyS0 2>&1 </dev/null

while read -r module; do
    insmod "/modules/$module"
done </modules/order

name=$(sed -n 's/.*tb\.name=\([^ ]*\).*/\1/p' /proc/cmdline)
hostname "${name:-guest}"
ip link set lo up
# New memory is only of use, and only removable again, when it comes online as movable.
echo online_movable >/sys/devices/system/memory/auto_online_blocks

# Whole, or the second partition of our bootable disk image. Any other disk is none of our business.
for device in vda vda2 sda sda2; do
    if [ -b "/dev/$device" ] && mount -t ext4 "/dev/$device" /data 2>/dev/null; then
        echo "TB data $device"
        break
    fi
done

# Without a listener ACPI shutdown does nothing. Waking up sends events too, with another key: 0x74 is KEY_POWER.
power_button() {
    event=$(sed -n '/Name="Power Button"/,/^$/s/.*Handlers=.*\(event[0-9]*\).*/\1/p' /proc/bus/input/devices)
    [ -n "$event" ] || return
    while event=$(dd bs=24 count=1 2>/dev/null | tail -c 8 | hexdump -e '3/2 "%x " "\n"' | head -n 1); do
        case $event in
        "1 74 1"*) /sbin/shutdown -h ;;
        "") return ;;
        esac
    done <"/dev/input/$event"
}
power_button &

agent() {
    for port in /sys/class/virtio-ports/vport*; do
        if [ "$(cat "$port/name" 2>/dev/null)" = org.qemu.guest_agent.0 ]; then
            qemu-ga -m virtio-serial -p "/dev/${port##*/}" -t /run
        fi
    done
}
while :; do agent; sleep 1; done >/dev/null 2>&1 &

# For tests of consoles that can be typed into: what came is in /run, one line after another.
while read -r line; do
    echo "$line" >>/run/heard
    echo "TB heard $line"
done </dev/ttyS0 &
while read -r line; do
    echo "$line" >>/run/typed
    echo "TB typed $line"
done </dev/tty1 &

# A NIC with a carrier gets a DHCP client; the client of a NIC that is gone or unplugged goes too, so that the next
# carrier, which may be another network's, starts from scratch.
follow_nics() {
    for nic in /sys/class/net/eth*; do
        nic=${nic##*/}
        [ -e "/sys/class/net/$nic" ] || continue
        ip link set "$nic" up
        if [ "$(cat "/sys/class/net/$nic/carrier")" = 1 ] && [ ! -e "/run/dhcp-$nic" ]; then
            udhcpc -f -i "$nic" -s /bin/lease -t 5 -T 1 -A 1 >/dev/null 2>&1 &
            echo $! >"/run/dhcp-$nic"
        fi
    done
    for client in /run/dhcp-*; do
        [ -e "$client" ] || continue
        if [ "$(cat "/sys/class/net/${client##*/dhcp-}/carrier" 2>/dev/null)" != 1 ]; then
            kill "$(cat "$client")"
            rm "$client"
        fi
    done
}

follow_cpus() {
    for cpu in /sys/devices/system/cpu/cpu[1-9]*/online; do
        [ -e "$cpu" ] && [ "$(cat "$cpu")" = 0 ] && echo 1 >"$cpu"
    done
}

read -r uptime _ </proc/uptime
echo "TB ready uptime=$uptime"
i=0
while :; do
    read -r uptime _ </proc/uptime
    echo "HB $i $uptime"
    if [ $((i % 5)) = 0 ]; then
        follow_nics 2>/dev/null
        follow_cpus 2>/dev/null
    fi
    i=$((i + 1))
    sleep 0.2
done
