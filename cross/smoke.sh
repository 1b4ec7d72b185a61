#!/usr/bin/env bash
# Runs each shipped binary under emulation: its version, a piece commitment, a whole deal.
#
#   cross/smoke.sh [TARGET…]      after cross/build.sh, with qemu-user-static installed
set -euo pipefail
cd "$(dirname "$0")/.."
source cross/targets.sh

# Emulation is ten to twenty times slower than the machine.
DEMO_SECONDS=600

targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=("${TARGETS[@]}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# 127 bytes of zeros are one piece of 128 bytes, the smallest there is.
ZERO_PIECE=baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy
head -c 127 /dev/zero >"$work/zeros"
# Not a multiple of anything, and larger than every buffer.
head -c 3000001 /dev/urandom >"$work/data"

for target in "${targets[@]}"; do
  binary=$PWD/target/dist/$target/coracle
  run=("$(emulator "$target")" "$binary")
  echo "== $target"
  version=$("${run[@]}" --version)
  echo "$version"
  if [[ $version != *"$target)" ]]; then
    echo "the version does not name the target" >&2
    exit 1
  fi
  commitment=$("${run[@]}" commp "$work/zeros" --json)
  if [[ $commitment != *"$ZERO_PIECE"* ]]; then
    echo "wrong piece commitment: $commitment" >&2
    exit 1
  fi
  mkdir -p "$work/$target"
  HOME=$work/$target timeout "$DEMO_SECONDS" "${run[@]}" demo "$work/data"
done
echo "smoke: all of ${targets[*]} work"
