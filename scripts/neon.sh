#!/usr/bin/env bash
# Compares the core on NEON, under qemu, with the baseline of this machine.
# Needs: apt-get install g++-aarch64-linux-gnu qemu-user-static
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/neon
mkdir -p "$out"
flags=(-std=c++17 -O3 -fno-math-errno -fno-trapping-math -Wno-psabi -DKERNELS=kernels_baseline
  -static -pthread)
sources=(scripts/neon.cpp native/core.cpp native/lists.cpp native/pool.cpp native/kernels.cpp)
g++ "${flags[@]}" "${sources[@]}" -o "$out/here"
aarch64-linux-gnu-g++ "${flags[@]}" "${sources[@]}" -o "$out/there"
aarch64-linux-gnu-objdump -d "$out/there" | grep -c 'fmla.*\.4s' |
  sed 's/$/ fused multiply-adds of four lanes in the code for NEON/'
"$out/here" >"$out/here.txt"
qemu-aarch64-static "$out/there" >"$out/there.txt"
# Largest difference of every quantity, over its largest value.
paste -d ' ' "$out/here.txt" "$out/there.txt" | awk '
  function size(x) { return x < 0 ? -x : x }
  $1 != $3 || $4 != $4 + 0 { print "not a number: " $0; bad = 1 }
  { if (size($2) > most[$1]) most[$1] = size($2); if (size($2 - $4) > off[$1]) off[$1] = size($2 - $4) }
  END {
    for (k in most) {
      printf "%-12s %.1e\n", k, off[k] / most[k]
      if (off[k] > 1e-4 * most[k]) bad = 1
    }
    exit bad
  }'
