#!/usr/bin/env bash
# Makes or mends the virtual environment $1 so that incarnate and its checks run in it.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

if [ ! -x "$venv/bin/python" ]; then
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup: $python is older than 3.11; set PYTHON=python3.11 or newer" >&2
    exit 1
  }
  "$python" -m venv "$venv"
fi

apt_install() {  # for <what it is for> <packages>
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${@:2}"
  else
    echo "setup: $1 is missing; as root: apt-get install ${*:2}" >&2
    exit 1
  fi
}

command -v c++ >/dev/null || apt_install "a C++ compiler" g++

pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt)
# Built against the pinned tools of the environment itself: nothing is fetched twice.
"${pip[@]}" scikit-build-core nanobind cmake ninja
PATH="$PWD/$venv/bin:$PATH" "${pip[@]}" --no-build-isolation --editable '.[dev]'

"$venv/bin/python" -c 'import cv2, mediapipe.tasks.python.vision' 2>/dev/null ||
  apt_install "libGL, which mediapipe loads," libgl1 libegl1 libgles2

# The page that .html exports are filled into; all else works without it.
{ command -v npm >/dev/null && make page; } ||
  echo "setup: no page for .html exports: once npm is there, \`make page\` makes it" >&2
