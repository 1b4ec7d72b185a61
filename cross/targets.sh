# Sourced by the scripts beside it: what is shipped, and the emulator of each.
TARGETS=(aarch64-unknown-linux-musl x86_64-unknown-linux-musl)

emulator() {
  case "$1" in
    aarch64-*) echo qemu-aarch64-static ;;
    x86_64-*) echo qemu-x86_64-static ;;
    *) echo "no emulator is known for $1" >&2; return 1 ;;
  esac
}
