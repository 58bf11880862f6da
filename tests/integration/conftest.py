"""Notebooks in real kernels: cells go in, and what would be saved under them comes out."""

import os
import shutil
import signal
import tempfile
import time

import pytest
from jupyter_client.manager import KernelManager

SECONDS = 300  # for whatever is waited for: machines are slow when much is tested at once


class Notebook:
    """A kernel in this test's folder. Its cells are numbered from 1."""

    def __init__(self, folder):
        # No ports: those that are chosen for a kernel may be another one's before it has come up to take them.
        self._sockets = tempfile.mkdtemp(prefix="kernel-")
        self.manager = KernelManager(kernel_name="python3", transport="ipc", ip=f"{self._sockets}/at")
        self.manager.start_kernel(cwd=str(folder), env={**os.environ, "IPYTHONDIR": str(folder / "ipython")})
        self._connect()

    def _connect(self):
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    @property
    def pid(self):
        return self.manager.provisioner.pid

    def begin(self, code):
        """Send a cell and return what its outputs are asked for with."""
        return self.client.execute(code)

    def outputs(self, request, seconds=SECONDS):
        """The outputs of a cell when it has ended, with display updates done, as a front end saves them."""
        limit = time.monotonic() + seconds
        found, displays = [], {}
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.001, limit - time.monotonic()))
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return found
            name = content.get("transient", {}).get("display_id")
            if kind == "update_display_data":
                displays[name]["data"] = content["data"]
            elif kind in ("display_data", "execute_result"):
                found.append({"kind": kind, "data": content["data"]})
                displays[name] = found[-1]
            elif kind == "stream" and found and found[-1].get("name") == content["name"]:
                found[-1]["text"] += content["text"]
            elif kind in ("stream", "error"):
                found.append({"kind": kind, **content})

    def run(self, code):
        """Run a cell and return its outputs."""
        return self.outputs(self.begin(code))

    def value(self, code):
        """The repr of an expression; an error of the cell fails the test."""
        (output,) = self.run(code)
        assert output["kind"] == "execute_result", output
        return output["data"]["text/plain"]

    def ask(self, what, *words):
        """The content of the kernel's reply to another request: "complete" or "inspect"."""
        request = getattr(self.client, what)(*words)
        while True:
            reply = self.client.get_shell_msg(timeout=SECONDS)
            if reply["parent_header"].get("msg_id") == request:
                return reply["content"]

    def interrupt(self):
        self.manager.interrupt_kernel()

    def restart(self):
        self.client.stop_channels()
        self.manager.restart_kernel(now=True)
        self._connect()

    def kill(self):
        """End the kernel as the system does when memory is out; whoever started it takes notice."""
        process = self.manager.provisioner.process
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=SECONDS)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        shutil.rmtree(self._sockets, ignore_errors=True)


@pytest.fixture
def new_notebook(tmp_path):
    """Open notebooks; they are closed after the test."""
    opened = []

    def new_notebook(code=""):
        opened.append(Notebook(tmp_path))
        assert opened[-1].run(f"%load_ext fanlab\n{code}") == []
        return opened[-1]

    yield new_notebook
    for notebook in opened:
        notebook.close()


@pytest.fixture(scope="session")
def new_kernel():
    """A kernel in a folder, for tests that share one; whoever asks closes it."""
    return Notebook
