#!/usr/bin/env bash
# Static, stripped binaries for the shipped targets: target/dist/<target>/coracle.
#
#   cross/build.sh [TARGET…]
#
# Zig is the C compiler and linker, so one machine builds for all. Fails on a binary that is dynamic or
# over its size budget. Exit code 75: the toolchain could not be downloaded, nothing was built.
set -euo pipefail
cd "$(dirname "$0")/.."
source cross/targets.sh

ZIG_VERSION=0.15.2
ZIGBUILD_VERSION=0.24.0
# The small flash of a NAS: 8 MiB.
SIZE_MAX=$((8 * 1024 * 1024))
TOOLS=target/cross-tools

targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=("${TARGETS[@]}")

retry() {
  local try
  for try in 1 2 3; do
    "$@" && return 0
    echo "attempt $try of 3 failed: $*" >&2
    [ "$try" = 3 ] || sleep $((try * 5))
  done
  return 1
}

no_toolchain() {
  echo "cross/build.sh: CANNOT DOWNLOAD THE CROSS TOOLCHAIN ($1), NOTHING WAS BUILT" >&2
  exit 75
}

install_tools() {
  [ -x "$TOOLS/bin/cargo-zigbuild" ] && [ -e "$TOOLS/zig-$ZIG_VERSION-$ZIGBUILD_VERSION" ] && return 0
  rm -rf "$TOOLS"
  python3 -m venv "$TOOLS"
  retry "$TOOLS/bin/pip" install --quiet --disable-pip-version-check \
    "ziglang==$ZIG_VERSION" "cargo-zigbuild==$ZIGBUILD_VERSION" || no_toolchain zig
  touch "$TOOLS/zig-$ZIG_VERSION-$ZIGBUILD_VERSION"
}

# No interpreter and no needed library, or it would not start on a box with another libc.
check_static() {
  local headers dynamic
  headers=$(readelf -lW "$1")
  dynamic=$(readelf -dW "$1")
  if grep -q INTERP <<<"$headers" || grep -q NEEDED <<<"$dynamic"; then
    echo "$1 is a dynamic binary:" >&2
    grep -h -e INTERP -e 'Requesting' -e NEEDED <<<"$headers$dynamic" >&2
    return 1
  fi
}

check_size() {
  local size
  size=$(stat -c %s "$1")
  printf '%s: %s bytes, static (budget %s)\n' "$1" "$size" "$SIZE_MAX"
  if [ "$size" -gt "$SIZE_MAX" ]; then
    echo "$1 is over the budget of $SIZE_MAX bytes" >&2
    return 1
  fi
}

install_tools
for target in "${targets[@]}"; do
  retry rustup target add "$target" || no_toolchain "$target"
done
# cargo-zigbuild finds zig through the Python of the same directory.
PATH=$PWD/$TOOLS/bin:$PATH
export PATH
# The builder's folders are nobody's business.
export RUSTFLAGS="--remap-path-prefix=$PWD=coracle --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
failed=0
for target in "${targets[@]}"; do
  cargo zigbuild --locked --profile dist --bin coracle --target "$target"
  mkdir -p "target/dist/$target"
  cp "target/$target/dist/coracle" "target/dist/$target/coracle"
  check_static "target/dist/$target/coracle" || failed=1
  check_size "target/dist/$target/coracle" || failed=1
done
exit "$failed"
