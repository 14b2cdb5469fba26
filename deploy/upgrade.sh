#!/bin/sh
# Replaces the containers of the workers one after another by ones of the image as it is now, while the fleet goes on answering:
#
#   docker compose build          # or pull
#   deploy/upgrade.sh             # options, such as -p NAME or -f FILE, go to Compose
#
# Each worker finishes what runs and hands its blocks on; the next one goes when the one in its place is healthy.
set -eu

if docker compose version >/dev/null 2>&1; then compose='docker compose'; else compose=docker-compose; fi
compose() { $compose "$@"; }

old=$(compose "$@" ps -q worker)
count=$(echo "$old" | grep -c . || true)
if [ "$count" = 0 ]; then
  echo "There are no workers of this fleet here: run it where docker-compose.yml is, with the -p and -f that started it." >&2
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
      echo "The new worker is not healthy after two minutes, so the others stay as they are. Its log says why: $compose logs worker" >&2
      exit 1
    fi
    sleep 1
  done
done
echo "All $count workers are new. The coordinator follows with: $compose up -d --no-deps coordinator"
