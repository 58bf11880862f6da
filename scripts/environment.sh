#!/bin/sh
# Makes .venv with the extra $1 of pyproject.toml installed in it. Where that is done already it does nothing.
# PYTHON is the Python to make it with.
set -eu
cd "$(dirname "$0")/.."
extra=$1
stamp=.venv/fanlab-$extra.stamp

say() { echo "$*" >&2; }

version() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null; }

apt_install() { # install a Debian package; fail where that cannot be done
    command -v apt-get >/dev/null || return 1
    sudo=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || return 1
        sudo=sudo
    fi
    say "installing the Debian package $1"
    $sudo apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=5 update >&2 || return 1
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=5 --no-install-recommends \
        install "$1" </dev/null >/dev/null
}

# A shim or an active .venv stands for the Python behind it.
python=$("${PYTHON:-python3}" -c 'import os, sys; print(os.path.realpath(sys.executable))') ||
    { say "there is no ${PYTHON:-python3}: name another one with make PYTHON=..."; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { say "fanlab needs Python 3.11 or later, and $python is $(version "$python"): name another one with make PYTHON=..."; exit 1; }

# Usable: it answers, it is of this Python, and it was made in this folder and not copied here.
if [ -e .venv ] && ! { [ "$(version .venv/bin/python)" = "$(version "$python")" ] &&
    grep -qsF "$PWD/.venv/bin/" .venv/bin/pip; }; then
    say ".venv is broken, was made elsewhere or is not of Python $(version "$python"): it is made anew"
    rm -rf .venv
fi
if [ ! -e .venv ]; then
    "$python" -c 'import ensurepip' 2>/dev/null || apt_install python3-venv ||
        { say "$python cannot make virtual environments: install the package python3-venv"; exit 1; }
    "$python" -m venv .venv
fi
if [ "$extra" = dev ] && ! command -v chromium >/dev/null; then
    apt_install chromium || say "the browser chromium is not here and could not be installed: tests that look at pages will fail"
fi
if [ "$extra" = dev ] && ! command -v dot >/dev/null; then
    apt_install graphviz || say "the program dot is not here and could not be installed: tests that draw with it will fail"
fi
if [ -n "$(find pyproject.toml -newer "$stamp" 2>/dev/null)" ] || [ ! -e "$stamp" ]; then
    say "installing fanlab[$extra] into .venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --retries 10 --timeout 60 \
        --editable ".[$extra]"
    touch "$stamp"
fi
