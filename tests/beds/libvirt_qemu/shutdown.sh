#!/bin/sh
# Called by the power button and by the guest agent, which passes -h always and -r besides for a reboot.
export PATH=/bin:/sbin
echo "TB shutdown" >/dev/ttyS0
umount /data 2>/dev/null
sync
case " $* " in
*" -r "*) reboot -f ;;
*) poweroff -f ;;
esac
