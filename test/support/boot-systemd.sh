#!/bin/sh
# boot-systemd.sh TOP REPOSITORY: boots systemd as the first process of namespaces of its own, over a view of this machine's
# files that keeps its changes in memory. Of the machine's own services it starts none. It ends with this process.
set -eu
top=$1 repository=$2

if [ "${3-}" = "" ]; then
  groups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  mkdir "$groups/${top##*/}"
  echo $$ >"$groups/${top##*/}/cgroup.procs"
  exec unshare --fork --kill-child --pid --mount --uts --ipc --net --cgroup --propagation private \
    "$0" "$top" "$repository" inside
fi

root=$top/root
mount -t tmpfs none "$top"
mkdir "$top/upper" "$top/work" "$root"
mount -t overlay none -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
for folder in run tmp etc/systemd/system; do mount -t tmpfs none "$root/$folder"; done
for target in sysinit multi-user sockets timers; do
  wants=$root/usr/lib/systemd/system/$target.target.wants
  if [ -d "$wants" ]; then mount -t tmpfs none "$wants"; fi
done

# The repository and Node may stand on file systems of their own, which the view does not have.
for folder in "$repository" "$(dirname "$(command -v node)")"; do
  mkdir -p "$root/$folder"
  mount --rbind "$folder" "$root/$folder"
done
printf '#!/bin/sh\nexec %s %s/dist/bin.js "$@"\n' "$(command -v node)" "$repository" >"$top/des"
chmod 755 "$top/des"
mkdir -p "$root/usr/local/bin"
cp "$top/des" "$root/usr/local/bin/des"
rm -rf "$root/etc/docker/events.d" "$root/var/lib/des" "$root/var/run/docker.sock"
cp "$repository/contrib/systemd/des.service" "$root/etc/systemd/system/"
mkdir -p "$root/etc/systemd/user"
cp "$repository/contrib/systemd/user/des.service" "$root/etc/systemd/user/"

exec env -i container=other "PATH=$PATH" chroot "$root" \
  /lib/systemd/systemd --system --unit=basic.target --show-status=false --log-target=console
