#!/usr/bin/env bash
# Sees to it that there is a container engine, Compose, and the images that the project builds on, for the tests of docker-compose.yml.
#
# An engine that runs is taken. Where none runs, one is installed and started if SHOAL_TEST_ENGINE=install or CI=true, and this is root
# on a system with apt. Images are pulled; where they cannot be, stand-ins take their names: Debian with the program that
# the image is about. What is there already is not touched.
#
# Exit code 0: all is there; the last line is "started PID" if the engine was started here. 3: it cannot be, and the last line says why.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
release=bookworm
images=(node:22-bookworm-slim nats:2.12-alpine prom/prometheus:v3.5.0)

say() { echo "engine: $*" >&2; }
cannot() { echo "$*"; exit 3; }
runs() { docker info >/dev/null 2>&1; }
compose() { docker compose version >/dev/null 2>&1 || docker-compose version >/dev/null 2>&1; }
has() { docker image inspect "$1" >/dev/null 2>&1; }

# Whether this script may change the machine.
may_install() {
  [[ ${SHOAL_TEST_ENGINE:-} == install || ${CI:-} == true || ${CI:-} == 1 ]] || return 1
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null
}

# Programs, each with the package that has it after a colon.
need() {
  local entry missing=()
  for entry; do command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}"); done
  ((${#missing[@]})) || return 0
  say "installing ${missing[*]}"
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# With the first set of options under which it comes up: not every sandbox can have overlays or rules for packets.
start_engine() {
  local log=/var/log/shoal-test-dockerd.log options pid
  for options in '' '--storage-driver=vfs' '--storage-driver=vfs --iptables=false --ip6tables=false'; do
    say "starting dockerd $options"
    # shellcheck disable=SC2086
    setsid dockerd $options >"$log" 2>&1 </dev/null &
    pid=$!
    for _ in $(seq 60); do
      if runs; then
        started=$pid
        return
      fi
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.5
    done
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  cannot "no engine runs here, and dockerd does not start: $(tail -n 1 "$log")"
}

# Debian with this machine's node and npm.
node_stand_in() {
  need debootstrap:debootstrap
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' EXIT
  debootstrap --variant=minbase --include=ca-certificates,libstdc++6,libgomp1,libatomic1 "$release" "$tree" >/dev/null
  # What this machine trusts, programs in the image trust too.
  cp -L /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt"
  rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
  chroot "$tree" groupadd --gid 1000 node
  chroot "$tree" useradd --uid 1000 --gid node --create-home node
  local npm
  npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
  mkdir -p "$tree/usr/local/lib/node_modules"
  cp -L "$(command -v node)" "$tree/usr/local/bin/node"
  cp -a "$npm" "$tree/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$tree/usr/local/bin/npm"
  tar -C "$tree" -c . | docker import --change 'CMD ["node"]' \
    --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' - "$1" >/dev/null
}

# $1: the image; $2: a package of Debian; $3: the program in it. Further lines of its Dockerfile come from standard input.
program_stand_in() {
  local scratch found
  scratch=$(mktemp -d)
  (cd "$scratch" && { apt-get download -qq "$2" || { apt-get update -qq && apt-get download -qq "$2"; }; }) >&2
  dpkg-deb -x "$scratch/$2"_*.deb "$scratch/package"
  found=$(find "$scratch/package/usr" -path "*/*bin/*" -type f -name "$3" -perm -u+x | head -n 1)
  mkdir "$scratch/context"
  install -m 755 "$found" "$scratch/context/$3"
  { echo "FROM ${images[0]}" && echo "COPY $3 /usr/local/bin/$3" && cat; } >"$scratch/context/Dockerfile"
  docker build -q -t "$1" "$scratch/context" >/dev/null
  rm -rf "$scratch"
}

stand_in() {
  may_install || cannot "the image $1 cannot be pulled, and only root on Debian makes stand-ins (SHOAL_TEST_ENGINE=install)"
  say "making a stand-in for $1"
  case $1 in
    node:*) node_stand_in "$1" ;;
    nats:*) program_stand_in "$1" nats-server nats-server <<<'ENTRYPOINT ["nats-server"]' ;;
    prom/*)
      program_stand_in "$1" prometheus prometheus <<END
RUN install -d -o nobody -g nogroup /prometheus
USER nobody
ENTRYPOINT ["prometheus"]
END
      ;;
  esac
}

started=
if ! command -v docker >/dev/null || ! runs; then
  may_install || cannot "no engine runs here; SHOAL_TEST_ENGINE=install has root install one on Debian or Ubuntu"
  need docker:docker.io dockerd:docker.io iptables:iptables
  start_engine
fi
if ! compose; then
  may_install || cannot "there is an engine but no Compose; SHOAL_TEST_ENGINE=install has root install it on Debian or Ubuntu"
  need docker-compose:docker-compose
fi
for image in "${images[@]}"; do
  has "$image" || timeout 300 docker pull -q "$image" >&2 || stand_in "$image"
done
[[ -z $started ]] || echo "started $started"
