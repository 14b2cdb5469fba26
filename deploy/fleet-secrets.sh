#!/bin/sh
# Puts what the members of a fleet share into $1: the fleet's secret, the password for NATS and its server's configuration, and the
# password of Grafana. What the environment gives is taken; what it does not give is made up once, and kept.
set -eu
folder=$1
umask 027
cd "$folder"

# $1: name of the file, $2: its text, or nothing
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

# A JSON string: nats-server reads it as it stands.
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
echo "The fleet's secrets are in place."
