#!/bin/sh
# What the guest's udhcpc calls on a change; it sets $interface, $ip, $mask and $router.
export PATH=/bin:/sbin
case $1 in
deconfig)
    ip addr flush dev "$interface"
    ;;
bound | renew)
    ip addr flush dev "$interface"
    ip addr add "$ip/$mask" dev "$interface"
    [ -z "$router" ] || ip route replace default via "${router%% *}" dev "$interface"
    read -r uptime _ </proc/uptime
    echo "TB ip $interface $ip uptime=$uptime" >/dev/ttyS0
    ;;
esac
