#!/usr/bin/env bash
# Checks and measures shoal on a real GPU, on CUDA and on WebGPU, on a Linux x64 machine that needs neither network nor anything installed but
# the GPU's driver. What is missing there is skipped, and the report says why.
#
#   bench/gpu.sh pack FOLDER    here, after `npm ci`: puts all that is needed into a new folder, to be copied to the machine
#   FOLDER/bench/gpu.sh run     there: checks and measures, and ends with one JSON and one table for docs/GPU.md, out/gpu.json and out/gpu.md
#
# `run` also runs in a built checkout. Variables of `run`:
#   CUDA_FILES      a folder with the CUDA provider (libonnxruntime_providers_{shared,cuda}.so), and with CUDA's and cuDNN's libraries if the
#                   system's loader does not find them
#   GENAI_WHEELS    a folder with the wheels of onnxruntime-genai, and of what it imports, for the machine's python3
#   VK_DRIVER_FILES the Vulkan driver; default: NVIDIA's
#   GPU_DEVICES     default "cuda webgpu"; cpu is possible too
#   GPU_BENCHMARKS  after the benchmark `device`, default "decode ttft batch"
#   GPU_SECONDS     the time for all of it, default 460: what does not fit is skipped
#   SHOAL_ROUNDS    how often each benchmark measures, default 3
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
fail() { echo "gpu.sh: $*" >&2; exit 1; }
# Progress goes here, also where the output of a stage goes to a file.
exec 3>&1
step() { printf '\n==> %s\n' "$*" >&3; }

pack() {
  local to=$1 modules
  [ ! -e "$to" ] || fail "$to is there already"
  [ "$(uname -sm)" = "Linux x86_64" ] || fail "the machine that packs must be Linux x64, as the one that runs"
  cd "$root"
  npm run --silent build
  mkdir -p "$to/bin" "$to/lib" "$to/bench"
  to=$(cd "$to" && pwd)
  cp bench/gpu.sh bench/genai.py "$to/bench/"
  cp -r dist models src test package.json tsconfig.json vitest.config.ts "$to/"
  modules='--exclude=@biomejs --exclude=@typescript --exclude=typescript --exclude=openai --exclude=darwin --exclude=win32 --exclude=arm64'
  # shellcheck disable=SC2086
  tar -c $modules -C "$(dirname "$(realpath node_modules)")" node_modules | tar -x -C "$to"
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

# skip WHAT WHY: the report lists it.
skip() {
  echo "skipped $1: $2" >&3
  printf '%s\t%s\n' "$1" "$2" >>out/skipped.tsv
}

left() { echo $((${GPU_SECONDS:-460} - SECONDS)); }

# stage WHAT SECONDS COMMAND...: runs it within its time and what is left of the whole. If it did not end, the report says so, and the status is 99.
stage() {
  local what=$1 most=$2 code=0
  shift 2
  [ "$(left)" -ge 15 ] || { skip "$what" "no time left"; return 99; }
  [ "$most" -le "$(left)" ] || most=$(left)
  step "$what, for at most $most s"
  timeout --kill-after=10 --signal=INT "$most" "$@" || code=$?
  case $code in
    124 | 137) skip "$what" "it took more than $most s"; return 99 ;;
    *) return "$code" ;;
  esac
}

run() {
  local device
  cd "$root"
  rm -rf out use && mkdir out use
  touch out/skipped.tsv
  environment
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >out/gpu.txt 2>/dev/null || skip nvidia-smi "it is not installed, or finds no GPU"
  step "shoal doctor"
  node dist/cli/main.js doctor >out/doctor.txt || true
  cat out/gpu.txt out/doctor.txt
  for device in ${GPU_DEVICES:-cuda webgpu}; do
    if usable "$device"; then measure "$device"; fi
  done
  step "the report, after $SECONDS s"
  node dist/bench/gpu-report.js out "$SECONDS"
}

environment() {
  local library
  # The system's own libraries first: theirs fit its driver.
  for library in lib/*; do
    [ -e "$library" ] || continue
    ldconfig -p | grep -q "$(basename "$library" | sed 's/\(\.so\.[0-9]*\).*/\1/')" || ln -s "../$library" use/
  done
  export LD_LIBRARY_PATH=$root/use${CUDA_FILES:+:$CUDA_FILES}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp} XDG_CACHE_HOME=${XDG_CACHE_HOME:-${HOME:-$root}/.cache}
  # A packed folder brings its own programs, and leaves nothing outside itself.
  if [ -x bin/node ]; then export PATH=$root/bin:$PATH SHOAL_NATS_SERVER=$root/bin/nats-server XDG_CACHE_HOME=$root/cache; fi
  if [ -n "${CUDA_FILES:-}" ]; then
    ln -sf "$(cd "$CUDA_FILES" && pwd)"/libonnxruntime_providers_*.so node_modules/onnxruntime-node/bin/napi-v6/linux/x64/
  fi
  [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] || VK_DRIVER_FILES=$(driver)
  [ -z "${VK_DRIVER_FILES:-}" ] || export VK_DRIVER_FILES
  # Otherwise the tests would fetch a driver in software.
  [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] || export VK_DRIVER_FILES=/nonexistent
}

driver() {
  local folder
  for folder in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/nvidia/share/vulkan/icd.d; do
    [ ! -e "$folder/nvidia_icd.json" ] || { echo "$folder/nvidia_icd.json"; return; }
  done
}

# Whether shoal can use the device. A device in software is usable, but its speed means nothing.
usable() {
  local name why
  case $1 in
    cpu) return ;;
    cuda) name=CUDA ;;
    webgpu) name=WebGPU ;;
    *) fail "GPU_DEVICES: $1 is none of cuda, webgpu, cpu" ;;
  esac
  ! grep -q "^ok  *$name " out/doctor.txt || return 0
  why=$(sed -n "s/^warning  *$name  *//p" out/doctor.txt)
  skip "$1" "${why:-shoal doctor does not list it}"
  return 1
}

measure() {
  local device=$1 name rounds=${SHOAL_ROUNDS:-3}
  export SHOAL_DEVICE=$device
  contract "$device" || true
  if [ "$device" = webgpu ] && grep -q '^ok  *WebGPU .*(software)' out/doctor.txt; then
    skip "$device: benchmarks" "its adapter is software"
    return
  fi
  watch_gpu "out/$device.utilisation"
  for name in device ${GPU_BENCHMARKS:-decode ttft batch}; do
    # It ends with 1 where a bound is missed, which its report says.
    stage "$device: shoal bench $name" 120 node dist/cli/main.js bench "$name" --json --rounds "$rounds" >"out/$device.$name.json" 2>"out/$device.$name.log" || [ $? != 99 ] || continue
    [ -s "out/$device.$name.json" ] || skip "$device: shoal bench $name" "it gave no figures: $(tail -n 1 "out/$device.$name.log" 2>/dev/null)"
  done
  if [ -n "$watcher" ]; then kill "$watcher" 2>/dev/null || true; fi
  genai "$device" "$rounds" || true
}

contract() {
  local device=$1 file
  case $device in
    cpu) file=device ;;
    cuda) file=real-cuda-device ;;
    webgpu) file=webgpu-device ;;
  esac
  stage "$device: the contract of devices" 150 node node_modules/vitest/vitest.mjs run --project unit "test/contract/$file.test.ts" --reporter=default --reporter=json --outputFile.json="out/$device.contract" 2>&1 | tail -n 40
}

# Samples the GPU's utilisation (%) and used memory (MiB) each second.
watch_gpu() {
  watcher=
  [ -s out/gpu.txt ] || return 0
  nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader,nounits -l 1 >"$1" 2>/dev/null &
  watcher=$!
}

genai() {
  local device=$1 rounds=$2 wheel model
  if [ -z "${GENAI_WHEELS:-}" ]; then skip "$device: onnxruntime-genai" "no wheels are given (GENAI_WHEELS)"; return; fi
  if ! command -v python3 >/dev/null; then skip "$device: onnxruntime-genai" "there is no python3"; return; fi
  for wheel in "$GENAI_WHEELS"/*.whl; do
    if ! python3 -m zipfile -e "$wheel" out/wheels; then skip "$device: onnxruntime-genai" "$wheel cannot be unpacked"; return; fi
  done 2>/dev/null
  model=$(ls -d "$XDG_CACHE_HOME"/shoal/models/*/bench-90m 2>/dev/null | head -n 1)
  if [ -z "$model" ]; then skip "$device: onnxruntime-genai" "no benchmark has made the model"; return; fi
  PYTHONPATH=$root/out/wheels stage "$device: onnxruntime-genai" 60 python3 bench/genai.py "$model" "$device" "$rounds" >"out/$device.genai.json" 2>"out/$device.genai.log" || [ $? != 99 ] || return
  [ -s "out/$device.genai.json" ] || skip "$device: onnxruntime-genai" "it gave no figures: $(tail -n 1 "out/$device.genai.log")"
}

case "${1:-}" in
  pack) [ $# = 2 ] || fail "give the folder to make"; pack "$2" ;;
  run) run ;;
  *) sed -n '2,19s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
