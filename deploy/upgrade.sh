#!/bin/sh
# Replaces the workers' containers one after another with containers of the current image, while the fleet keeps answering:
#
#   docker compose build          # or pull
#   deploy/upgrade.sh             # options, such as -p NAME or -f FILE, go to Compose
#
# Each worker finishes its running requests and hands its blocks over. The next worker follows when the replacement is healthy.
set -eu

if docker compose version >/dev/null 2>&1; then compose='docker compose'; else compose=docker-compose; fi
compose() { $compose "$@"; }

old=$(compose "$@" ps -q worker)
count=$(echo "$old" | grep -c . || true)
if [ "$count" = 0 ]; then
  echo "cannot find any worker of this fleet; run this script next to docker-compose.yml, with the -p and -f options of the fleet" >&2
  exit 1
fi

all_healthy() {
  healthy=0
  for id in $(compose "$@" ps -q worker); do
    [ "$(docker inspect -f '{{.State.Health.Status}}' "$id")" = healthy ] || return 1
    healthy=$((healthy + 1))
  done
  [ "$healthy" = "$count" ]
}

for id in $old; do
  docker stop -t 20 "$id" >/dev/null
  docker rm "$id" >/dev/null
  compose "$@" up -d --no-deps --no-recreate --scale "worker=$count" worker
  tries=120
  until all_healthy "$@"; do
    tries=$((tries - 1))
    if [ "$tries" = 0 ]; then
      echo "cannot continue: the new worker is not healthy after two minutes; the other workers are unchanged; see $compose logs worker" >&2
      exit 1
    fi
    sleep 1
  done
done
echo "replaced all $count workers; to replace the coordinator: $compose up -d --no-deps coordinator"
