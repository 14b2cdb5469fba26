#!/bin/sh
# Writes the shared secrets of a fleet into the folder $1: the cluster secret, the NATS password, the configuration of the NATS
# server, and the Grafana password. Values from the environment win. A missing value is generated once and kept.
set -eu
folder=$1
umask 027
cd "$folder"

# $1: file name; $2: its content, or empty to generate one
keep() {
  if [ -n "$2" ]; then
    printf '%s' "$2" >"$1.new"
  elif [ -s "$1" ]; then
    return
  else
    head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n' >"$1.new"
  fi
  mv "$1.new" "$1"
}

keep secret "${SHOAL_SECRET:-}"
keep nats-password "${SHOAL_NATS_PASSWORD:-}"
keep grafana-password "${GRAFANA_PASSWORD:-}"

# The text as a JSON string, which the configuration of nats-server accepts.
quoted() {
  node -p 'JSON.stringify(process.argv[1])' "$1"
}

cat >nats.conf.new <<END
port: 4222
jetstream {
  store_dir: /var/lib/nats
  max_memory_store: 64MB
  max_file_store: 512MB
}
authorization {
  user: $(quoted "${SHOAL_NATS_USER:-shoal}")
  password: $(quoted "$(cat nats-password)")
}
END
mv nats.conf.new nats.conf
echo "wrote the secrets of the fleet"
