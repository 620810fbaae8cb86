#!/usr/bin/env bash
# Installs what the tests need, then checks everything: format, lints, documentation, contracts, and the whole suite on
# SQLite and on PostgreSQL. Needs a Rust toolchain, git and a package manager; a failure stops it.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

# Installs packages with whatever package manager there is.
install_packages() {
  local as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  if command -v apt-get >/dev/null; then
    "${as_root[@]}" apt-get update -qq && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
  elif command -v dnf >/dev/null; then
    "${as_root[@]}" dnf install -y -q "$@"
  elif command -v apk >/dev/null; then
    "${as_root[@]}" apk add -q "$@"
  elif command -v brew >/dev/null; then
    brew install -q "$@"
  else
    echo "no package manager known here: install $* by hand" >&2
    return 1
  fi
}

step "A client that we did not write: buf"
clients=$PWD/target/clients
if [ ! -x "$clients/bin/buf" ]; then
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv
  python3 -m venv "$clients"
  "$clients/bin/pip" install --quiet --disable-pip-version-check 'buf-bin==1.75.0'
fi
command -v openssl >/dev/null || install_packages openssl
export PATH="$clients/bin:$PATH"

step "Format"
cargo fmt --all --check

step "Contracts"
(cd proto && buf lint)

step "Lints"
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings

step "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet

step "Tests on SQLite"
env -u TEST_POSTGRES_URL cargo test --workspace --locked

step "Tests on PostgreSQL"
tests/postgres.sh run cargo test --workspace --locked

step "All is well"
