# Reads the facts of a host and changes nothing. POSIX sh: dash, busybox ash, bash.
#
# Output: one fact a line, `key value`. A file is `file MODE PATH`, then its text, each line behind
# a `|`; the last line is `|.`, with what follows the last line end before the dot. The last line
# of all is `end`: without it the output was cut off.
#
# The docker CLI is never called: behind docker.socket it waits for an engine that may not come.

PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LC_ALL=C
SYSTEMD_COLORS=0
export PATH LC_ALL SYSTEMD_COLORS

have() { command -v "$1" >/dev/null 2>&1; }

exec 3>&1
fact() { printf '%s %s\n' "$1" "$2"; }

# bounded SECONDS COMMAND…: a question that is not answered in time is a fact; that there is nothing
# would be another.
bounded() {
  if ! have timeout; then
    shift
    "$@"
    return
  fi
  timeout "$@" 3>&-
  answered=$?
  case $answered in
    124 | 143) shift && fact unanswered "$*" >&3 ;;
  esac
  return "$answered"
}

# text KEY PATH FILE: the permission bits and the text of FILE.
text() {
  printf '%s %s %s\n' "$1" "$(stat -L -c %a "$3" 2>/dev/null || echo 644)" "$2"
  { cat "$3" && echo .; } | sed 's/^/|/'
}

# A file once, whoever names it again; nothing when it is not there.
file() {
  [ -f "$1" ] && [ -r "$1" ] || return 0
  case " $shown " in *" $1 "*) return 0 ;; esac
  shown="$shown $1"
  text file "$1" "$1"
}
shown=

state=/var/lib/rmachine
lock=/run/rmachine.lock
[ -d /run ] || lock=/var/run/rmachine.lock

echo 'rmachine-facts 1'

# A run that lost its connection may still be at work: what it leaves counts.
if [ -e "$lock" ] && have flock; then
  waited=0
  until flock -n "$lock" true; do
    waited=$((waited + 1))
    if [ "$waited" -gt 60 ]; then
      fact busy "$lock"
      break
    fi
    sleep 1
  done
fi

if have id; then fact uid "$(id -u)"; else fact uid 0; fi
fact kernel "$(uname -r)"
fact arch "$(uname -m)"
fact hostname "$(uname -n)"
fact clock "$(date +%s)"

if [ -r /etc/os-release ]; then
  file /etc/os-release
else
  file /usr/lib/os-release
fi

if [ -d /run/systemd/system ]; then
  init=systemd
elif have rc-service && [ -d /run/openrc ]; then
  init=openrc
elif [ -d /etc/init.d ] && [ -x /etc/init.d/docker ]; then
  init=sysvinit
else
  init=none
fi
fact init "$init"

have apt-get && fact packages apt
have dnf && fact packages dnf
have yum && ! have dnf && fact packages yum
have zypper && fact packages zypper
have pacman && fact packages pacman
have apk && fact packages apk
have curl && fact fetcher curl
have wget && fact fetcher wget

if have apt-get && have flock; then
  for held in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock; do
    # dpkg locks by fcntl, which flock does not see; the kernel's table has both.
    inode=$(stat -c %i "$held" 2>/dev/null) || continue
    holder=$(awk -v inode=":$inode" '$2 == "POSIX" && $4 == "WRITE" && index($6, inode) &&
      substr($6, length($6) - length(inode) + 1) == inode { print $5; exit }' /proc/locks 2>/dev/null)
    if [ -n "$holder" ]; then
      read -r name <"/proc/$holder/comm" 2>/dev/null || name=program
      fact packagelock "$name ($holder)"
      break
    fi
  done
fi

# The service: what systemd has read, and what is on the disk, which may be newer.
dockerd=
if [ "$init" = systemd ]; then
  bounded 20 systemctl show -p Id -p LoadState -p ActiveState -p UnitFileState \
    -p NeedDaemonReload docker.service docker.socket 2>/dev/null | sed 's/^/unit /'
  places='/etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system
    /usr/lib/systemd/system /lib/systemd/system'
  found=
  seen=
  dropins=
  for place in $places; do
    unit=$place/docker.service
    if [ -L "$unit" ] && [ "$(readlink "$unit")" = /dev/null ]; then
      fact masked "$unit"
    elif [ -z "$found" ] && [ -f "$unit" ]; then
      found=$unit
      fact fragment "$unit"
      file "$unit"
    fi
    for unit in "$place"/docker.service.d/*.conf; do
      [ -f "$unit" ] || continue
      name=${unit##*/}
      # The same name in an earlier place hides it.
      case " $seen " in *" $name "*) continue ;; esac
      seen="$seen $name"
      dropins="$dropins $unit"
      fact dropin "$unit"
      file "$unit"
    done
  done
  if [ -n "$found" ]; then
    # shellcheck disable=SC2086
    for path in $(sed -n 's/^ExecStart=[-@:+!]*\([^ ]*dockerd[^ ]*\).*/\1/p' "$found" $dropins); do
      [ -x "$path" ] && dockerd=$path
    done
    # shellcheck disable=SC2086
    for path in $(sed -n 's/^EnvironmentFile=-\{0,1\}\(\/.*\)/\1/p' "$found" $dropins); do
      file "$path"
    done
  fi
elif [ "$init" = openrc ] && [ -e /etc/init.d/docker ]; then
  fact service docker
  bounded 20 rc-service docker status >/dev/null 2>&1 && fact serviceactive yes
  bounded 20 rc-update show default 2>/dev/null | grep -q '^ *docker ' && fact serviceenabled yes
elif [ "$init" = sysvinit ]; then
  fact service docker
  bounded 20 /etc/init.d/docker status >/dev/null 2>&1 && fact serviceactive yes
  for link in /etc/rc[2-5].d/S*docker; do
    [ -e "$link" ] && fact serviceenabled yes && break
  done
  # Its boot starts the engine without a link.
  grep -qs '^ID=boot2docker' /etc/os-release && fact serviceenabled yes
fi

[ -n "$dockerd" ] && [ -x "$dockerd" ] || dockerd=$(command -v dockerd 2>/dev/null)
if [ -n "$dockerd" ]; then
  fact dockerd "$dockerd"
fi

file /etc/docker/daemon.json
file /etc/sysconfig/docker
file /etc/sysconfig/docker-network
file /etc/sysconfig/docker-storage
file /etc/default/docker
file /etc/conf.d/docker
file /etc/hostname
file /etc/hosts
file "$state/applied.json"
file /var/lib/boot2docker/profile
file /var/lib/boot2docker/etc/hostname

# The slowest question; only single lines are printed until it is answered. A version may be unknown.
if [ -n "$dockerd" ]; then
  fact dockerdversion "$(bounded 10 "$dockerd" --version 2>/dev/null 3>/dev/null | head -n 1)" &
fi

for pem in ca server server-key store-ca store store-key; do
  pem=/etc/docker/$pem.pem
  [ -f "$pem" ] || continue
  sum=$(sha256sum "$pem" 2>/dev/null || openssl dgst -r -sha256 "$pem" 2>/dev/null)
  fact hash "${sum%% *} $(stat -L -c %a "$pem" 2>/dev/null || echo 0) $pem"
done

if have ip; then
  bounded 20 ip -o addr show 2>/dev/null |
    awk '{ name = $2; sub(/@.*/, "", name); sub(/:$/, "", name)
      if ($3 == "inet" || $3 == "inet6") { split($4, a, "/"); print "address " name " " a[1] } }'
  for link in /sys/class/net/*; do
    [ -e "$link" ] && fact interface "${link##*/}"
  done
else
  for link in /sys/class/net/*; do
    [ -e "$link" ] || continue
    fact interface "${link##*/}"
    have ifconfig && bounded 20 ifconfig "${link##*/}" 2>/dev/null |
      sed -n "s/.*inet addr:\\([0-9.]*\\).*/address ${link##*/} \\1/p;
        s/^ *inet \\([0-9.]*\\) .*/address ${link##*/} \\1/p;
        s/.*inet6 addr: *\\([0-9a-f:]*\\).*/address ${link##*/} \\1/p"
  done
fi

# Only listening sockets; the program's name where the host tells it.
if have ss; then
  bounded 20 ss -Hltnp 2>/dev/null |
    awk '{ port = $4; sub(/.*:/, "", port); name = "?"
      if (match($0, /\(\("[^"]*"/)) name = substr($0, RSTART + 3, RLENGTH - 4)
      print "listen " port " " name }'
elif have netstat; then
  bounded 20 netstat -ltnp 2>/dev/null |
    awk '$1 ~ /^tcp/ { port = $4; sub(/.*:/, "", port); name = $7; sub(/^[0-9]*\//, "", name)
      if (name == "" || name == "-") name = "?"
      print "listen " port " " name }'
else
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    while read -r _ at _ status _; do
      [ "$status" = 0A ] && fact listen "$((0x${at##*:})) ?"
    done
fi

for place in / /var/lib; do
  df -Pk "$place" 2>/dev/null |
    awk -v place="$place" 'NR > 1 && $4 ~ /^[0-9]+$/ { print "free " $4 " " place; exit }'
done
while read -r key value _; do
  [ "$key" = MemTotal: ] && fact memory "$value" && break
done </proc/meminfo
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then fact cgroup 2; else fact cgroup 1; fi

[ -e "$state/installing" ] && fact unfinished install
[ -e "$state/pending.new" ] && fact unfinished staging
[ -e "$state/pending" ] && fact unfinished changing

wait

# What a run that was cut off was replacing. Keys stay where they are.
for entry in "$state"/pending/*/; do
  [ -f "${entry}path" ] || continue
  read -r path <"${entry}path"
  case $path in
    *.pem) ;;
    *) if [ -f "${entry}file" ]; then text before "$path" "${entry}file"; else fact absent "$path"; fi ;;
  esac
done

echo end
