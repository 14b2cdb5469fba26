#!/bin/sh
# Writes the secrets of a fleet below the folder $1: all of them into `kept`, and into one folder for each role what that role needs and nothing else.
# Values from the environment win. A missing value is generated once and kept.
set -eu
shoal="$(cd "$(dirname "$0")/.." && pwd)/dist/cli/main.js"
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

# The text as a JSON string, which the configuration of nats-server accepts.
quoted() {
  node -p 'JSON.stringify(process.argv[1])' "$1"
}

keep secret "${SHOAL_SECRET:-}"
keep nats-coordinator-password "${SHOAL_NATS_COORDINATOR_PASSWORD:-}"
keep nats-worker-password "${SHOAL_NATS_WORKER_PASSWORD:-}"
keep grafana-password "${GRAFANA_PASSWORD:-}"

for role in coordinator worker; do
  share secret "$role" secret
  share "nats-$role-password" "$role" nats-password
done
share grafana-password grafana grafana-password

{
  echo "SHOAL_NATS_COORDINATOR_PASSWORD: $(quoted "$(cat kept/nats-coordinator-password)")"
  echo "SHOAL_NATS_WORKER_PASSWORD: $(quoted "$(cat kept/nats-worker-password)")"
  cat <<END
port: 4222
jetstream {
  store_dir: /var/lib/nats
  max_memory_store: 64MB
  max_file_store: 512MB
}
END
  node "$shoal" nats-users --namespace "${SHOAL_NAMESPACE:-shoal}"
} >nats/nats.conf.new
mv nats/nats.conf.new nats/nats.conf
echo "wrote the secrets of the fleet"
