#!/usr/bin/env bash
# Measures shoal on a real GPU, over the Vulkan driver of a Linux x64 machine that needs neither network nor anything installed but that driver.
#
#   bench/gpu.sh pack FOLDER    here, after `npm ci`: puts all that is needed into a new folder, to be copied to the machine
#   FOLDER/bench/gpu.sh run     there: checks and measures, and prints a table for docs/GPU.md
#
# `run` uses the driver of NVIDIA, or the one that VK_DRIVER_FILES names. SHOAL_ROUNDS says how often each benchmark measures (default 5),
# GPU_BENCHMARKS which ones (default "ttft decode"). What it printed stays in FOLDER/out.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
fail() { echo "gpu.sh: $*" >&2; exit 1; }
step() { echo; echo "==> $*"; }

pack() {
  local to=$1 modules
  [ ! -e "$to" ] || fail "$to is there already"
  [ "$(uname -sm)" = "Linux x86_64" ] || fail "the machine that packs must be Linux x64, as the one that runs"
  cd "$root"
  npm run --silent build
  mkdir -p "$to/bin" "$to/lib" "$to/bench"
  to=$(cd "$to" && pwd)
  cp bench/gpu.sh "$to/bench/"
  cp -r dist models src test package.json tsconfig.json vitest.config.ts "$to/"
  modules='--exclude=@biomejs --exclude=@typescript --exclude=typescript --exclude=openai --exclude=darwin --exclude=win32 --exclude=arm64'
  # shellcheck disable=SC2086
  tar -c $modules node_modules | tar -x -C "$to"
  cp "$(node -p process.execPath)" "$to/bin/node"
  cp "$(nats_server)" "$to/bin/nats-server"
  libraries "$to/lib"
  echo "Packed $(du -sh "$to" | cut -f1) into $to."
}

# The program that `shoal up` would take; it is installed if there is none.
nats_server() {
  node --input-type=module -e '
    const { findNatsServer } = await import(`${process.cwd()}/dist/cli/nats/find-server.js`);
    console.log((await findNatsServer()).path);'
}

# The Vulkan loader and what NVIDIA's driver is linked with, for machines that lack them.
libraries() {
  local into=$1 work
  work=$(mktemp -d)
  (
    cd "$work"
    apt-get -qq -o APT::Sandbox::User=root download libvulkan1 libx11-6 libxext6 libxcb1 libxau6 libxdmcp6 libbsd0 libmd0 >/dev/null
    for package in *.deb; do dpkg-deb -x "$package" unpacked; done
    cp -L unpacked/usr/lib/x86_64-linux-gnu/*.so.* "$into/"
  ) || fail "apt cannot fetch the Vulkan loader and the libraries of X11 (apt-get update?)"
  rm -rf "$work"
}

run() {
  local rounds=${SHOAL_ROUNDS:-5} benchmarks=${GPU_BENCHMARKS:-ttft decode} name
  [ -x "$root/bin/node" ] || fail "this is no packed folder: see bench/gpu.sh pack"
  cd "$root"
  rm -rf out use && mkdir out use
  # The system's own libraries first: theirs fit its driver.
  for library in lib/*; do
    ldconfig -p | grep -q "$(basename "$library" | sed 's/\(\.so\.[0-9]*\).*/\1/')" || ln -s "../$library" use/
  done
  export PATH=$root/bin:$PATH LD_LIBRARY_PATH=$root/use${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp}
  export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$root/cache} SHOAL_NATS_SERVER=$root/bin/nats-server
  [ -n "${VK_DRIVER_FILES:-}" ] || export VK_DRIVER_FILES=$(driver)
  step "driver $VK_DRIVER_FILES"
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | tee out/gpu.txt || true
  step "shoal doctor"
  node dist/cli/main.js doctor | tee out/doctor.txt
  step "the contract of devices"
  node node_modules/vitest/vitest.mjs run --project unit test/contract/webgpu-device.test.ts 2>&1 | tee out/contract.txt
  export SHOAL_DEVICE=webgpu
  for name in $benchmarks; do
    step "shoal bench $name, $rounds rounds"
    # It ends with 1 where a bound is missed, which it then says.
    node dist/cli/main.js bench "$name" --json --rounds "$rounds" >"out/$name.json" || true
    [ -s "out/$name.json" ] || fail "shoal bench $name gave no figures"
  done
  step "for docs/GPU.md"
  table | tee out/table.md
}

driver() {
  local file
  for file in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/nvidia/share/vulkan/icd.d; do
    file=$file/nvidia_icd.json
    [ ! -e "$file" ] || { echo "$file"; return; }
  done
  fail "no Vulkan driver of NVIDIA is found: give its file as VK_DRIVER_FILES"
}

table() {
  node --input-type=module -e '
    import { existsSync, readdirSync, readFileSync } from "node:fs";
    const text = (file) => (existsSync(file) ? readFileSync(file, "utf8").trim() : "");
    const adapter = /^ok +WebGPU +(.*)$/m.exec(text("out/doctor.txt"))?.[1] ?? "no adapter";
    const reports = readdirSync("out").filter((file) => file.endsWith(".json")).map((file) => JSON.parse(text(`out/${file}`)));
    const number = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
    console.log(`Adapter: ${adapter}. ${text("out/gpu.txt")}\nMachine: ${reports[0].machine}\n`);
    console.log("| benchmark | what | median | least to most | samples |\n| --- | --- | --- | --- | --- |");
    for (const { name, rows } of reports)
      for (const row of rows)
        console.log(`| ${name} | ${row.name} | ${number(row.median)} ${row.unit} | ${number(row.min)} to ${number(row.max)} | ${row.samples} |`);'
}

case "${1:-}" in
  pack) [ $# = 2 ] || fail "give the folder to make"; pack "$2" ;;
  run) run ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
