#!/usr/bin/env bash
# Provides a container engine, Compose and the base images of the project, for the tests of docker-compose.yml.
#
# A running engine is used. If none is running, the script installs and starts one, provided that SHOAL_TEST_ENGINE=install or CI=true, and
# that it runs as root on a system with apt. It pulls the images. If an image cannot be pulled, a stand-in gets its name: Debian with the
# program of the image. A stand-in cannot have the pinned digest: its name is that of the image without it. Existing engines and images stay
# unchanged.
#
# Exit code 0: everything is available. The output has a line VARIABLE=IMAGE for each image, by which Compose finds it; the last line is
# "started PID" if this script started the engine. Exit code 3: something is not available; the last line gives the reason.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
release=bookworm
# The variables of docker-compose.yml that name the images of others.
variables=(NODE_IMAGE NATS_IMAGE PROMETHEUS_IMAGE)

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

# Arguments: PROGRAM:PACKAGE. Installs the packages of missing programs.
need() {
  local entry missing=()
  for entry; do command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}"); done
  ((${#missing[@]})) || return 0
  say "installing ${missing[*]}"
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# Tries several sets of options, because some sandboxes support neither overlay file systems nor packet filters.
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
  cannot "cannot start dockerd: $(tail -n 1 "$log")"
}

# Debian with this machine's node and npm.
node_stand_in() {
  need debootstrap:debootstrap
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' EXIT
  debootstrap --variant=minbase --include=ca-certificates,libstdc++6,libgomp1,libatomic1 "$release" "$tree" >/dev/null
  # Programs in the image trust the same certificate authorities as this machine.
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

# $1: image; $2: Debian package; $3: program in the package. Standard input: further lines of the Dockerfile.
program_stand_in() {
  local scratch found
  scratch=$(mktemp -d)
  (cd "$scratch" && { apt-get download -qq "$2" || { apt-get update -qq && apt-get download -qq "$2"; }; }) >&2
  dpkg-deb -x "$scratch/$2"_*.deb "$scratch/package"
  found=$(find "$scratch/package/usr" -path "*/*bin/*" -type f -name "$3" -perm -u+x | head -n 1)
  mkdir "$scratch/context"
  install -m 755 "$found" "$scratch/context/$3"
  { echo "FROM $node" && echo "COPY $3 /usr/local/bin/$3" && cat; } >"$scratch/context/Dockerfile"
  docker build -q -t "$1" "$scratch/context" >/dev/null
  rm -rf "$scratch"
}

stand_in() {
  may_install || cannot "cannot pull the image $1; root on Debian can build a stand-in with SHOAL_TEST_ENGINE=install"
  say "building a stand-in for $1"
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
  may_install || cannot "no container engine is running; root on Debian or Ubuntu can install one with SHOAL_TEST_ENGINE=install"
  need docker:docker.io dockerd:docker.io iptables:iptables
  start_engine
fi
if ! compose; then
  may_install || cannot "Compose is not installed; root on Debian or Ubuntu can install it with SHOAL_TEST_ENGINE=install"
  need docker-compose:docker-compose
fi
node=
for variable in "${variables[@]}"; do
  image=$(sed -n "s/.*\${$variable:-\([^}]*\)}.*/\1/p" docker-compose.yml | head -n 1)
  if ! has "$image" && ! timeout 300 docker pull -q "$image" >&2; then
    image=${image%@*}
    has "$image" || stand_in "$image"
  fi
  node=${node:-$image}
  echo "$variable=$image"
done
[[ -z $started ]] || echo "started $started"
