#!/bin/sh
# Prints the configuration of a fleet's nats-server: JetStream in /var/lib/nats, and a user for each role, whose passwords are in
# SHOAL_NATS_COORDINATOR_PASSWORD, SHOAL_NATS_WORKER_PASSWORD and SHOAL_NATS_NODE_PASSWORD. Without the last one, nobody can be that user.
set -eu
shoal="$(cd "$(dirname "$0")/.." && pwd)/dist/cli/main.js"

# The text as a JSON string, which the configuration of nats-server accepts.
quoted() {
  TEXT="$1" node -p 'JSON.stringify(process.env.TEXT)'
}

echo "SHOAL_NATS_COORDINATOR_PASSWORD: $(quoted "$SHOAL_NATS_COORDINATOR_PASSWORD")"
echo "SHOAL_NATS_WORKER_PASSWORD: $(quoted "$SHOAL_NATS_WORKER_PASSWORD")"
node_password="${SHOAL_NATS_NODE_PASSWORD:-$(head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n')}"
echo "SHOAL_NATS_NODE_PASSWORD: $(quoted "$node_password")"
cat <<END
port: 4222
jetstream {
  store_dir: /var/lib/nats
  max_memory_store: 64MB
  max_file_store: 512MB
}
END
exec node "$shoal" nats-users --namespace "${SHOAL_NAMESPACE:-shoal}"
