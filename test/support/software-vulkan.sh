#!/usr/bin/env bash
# Gives a Debian machine without a GPU a Vulkan device in software: SwiftShader and a Vulkan loader out of the package chromium-common,
# unpacked into a folder of their own. Nothing is installed, and no root is needed. Prints what a process needs:
#
#   eval "$(test/support/software-vulkan.sh)"
#
# Slow and without float16: for tests, not for timing. Mesa's llvmpipe of Debian 12 will not do: Dawn refuses it. See docs/GPU.md.
set -euo pipefail

dir=${XDG_CACHE_HOME:-$HOME/.cache}/shoal/software-vulkan
icd=$dir/vk_swiftshader_icd.json

# The newest package that apt knows, from the lists of the system, or else from lists of our own.
download() {
  apt-get -qq "${apt[@]}" download chromium-common >/dev/null 2>&1
}

if [ ! -e "$icd" ]; then
  command -v apt-get dpkg-deb >/dev/null || { echo "there is no apt on this system" >&2; exit 1; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  apt=(-o APT::Sandbox::User=root -o Acquire::Retries=1 -o Acquire::http::Timeout=20)
  if ! download; then
    mkdir -p lists/partial cache/archives/partial
    apt+=(-o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache")
    apt-get -qq "${apt[@]}" update >/dev/null 2>&1 || true
    download || { echo "apt cannot fetch the package chromium-common" >&2; exit 1; }
  fi
  dpkg-deb -x chromium-common_*.deb unpacked
  mkdir new
  cp unpacked/usr/lib/chromium/{libvulkan.so.1,libvk_swiftshader.so,vk_swiftshader_icd.json} new/
  mkdir -p "$(dirname "$dir")"
  # Whole or not at all, whoever else does the same.
  mv -T new "$dir" 2>/dev/null || [ -e "$icd" ]
fi

echo "export VK_ICD_FILENAMES=$icd"
echo "export LD_LIBRARY_PATH=$dir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
echo "export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp}"
