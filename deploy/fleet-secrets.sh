#!/bin/sh
# Writes the secrets of a fleet below the folder $1: all of them into `kept`, and into one folder for each role what that role needs and nothing else.
# Values from the environment win. A missing value is generated once and kept.
set -eu
deploy="$(cd "$(dirname "$0")" && pwd)"
cd "$1"
umask 027

# $1: file name; $2: its content, or empty to generate one
keep() {
  if [ -n "$2" ]; then
    printf '%s' "$2" >"kept/$1.new"
  elif [ -s "kept/$1" ]; then
    return
  else
    head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n' >"kept/$1.new"
  fi
  mv "kept/$1.new" "kept/$1"
}

# $1: file name; $2: folder of a role; $3: file name there
share() {
  cp "kept/$1" "$2/$3.new"
  mv "$2/$3.new" "$2/$3"
}

keep secret "${SHOAL_SECRET:-}"
keep nats-coordinator-password "${SHOAL_NATS_COORDINATOR_PASSWORD:-}"
keep nats-worker-password "${SHOAL_NATS_WORKER_PASSWORD:-}"
keep nats-node-password "${SHOAL_NATS_NODE_PASSWORD:-}"
keep grafana-password "${GRAFANA_PASSWORD:-}"
keep metrics-key "${SHOAL_METRICS_KEY:-}"

for role in coordinator worker; do
  share secret "$role" secret
  share "nats-$role-password" "$role" nats-password
done
share grafana-password grafana grafana-password
share metrics-key coordinator metrics-key
share metrics-key prometheus metrics-key

SHOAL_NATS_COORDINATOR_PASSWORD=$(cat kept/nats-coordinator-password) SHOAL_NATS_WORKER_PASSWORD=$(cat kept/nats-worker-password) \
  SHOAL_NATS_NODE_PASSWORD=$(cat kept/nats-node-password) \
  sh "$deploy/nats-conf.sh" >nats/nats.conf.new
mv nats/nats.conf.new nats/nats.conf
echo "wrote the secrets of the fleet"
