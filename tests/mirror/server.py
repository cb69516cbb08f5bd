"""A stand-in for W&B on this machine: what its client sends is kept, as a dashboard would find it."""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "local-" + "0" * 40
STREAM = re.compile(r"/files/[^/]+/[^/]+/(?P<run>[^/]+)/file_stream")


@dataclass
class Kept:
    """One run as the server has it. `lines`: {file: {line number: text}}; `files`: what was uploaded, by its path."""

    told: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit: int | None = None
    complete: bool = False

    @property
    def rows(self) -> list[dict[str, Any]]:
        history = self.lines.get("wandb-history.jsonl", {})
        return [json.loads(history[number]) for number in sorted(history)]

    @property
    def summary(self) -> dict[str, Any]:
        kept = self.lines.get("wandb-summary.json", {})
        return json.loads(kept[max(kept)]) if kept else {}

    @property
    def config(self) -> dict[str, Any]:
        return json.loads(self.told.get("config") or "{}")


@dataclass
class Server:
    """`runs`: by their id; `artifacts`: what was asked to be made, in order; `views`: workspaces and reports; `asked`:
    the names of all questions."""

    runs: dict[str, Kept] = field(default_factory=dict)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": f"http://127.0.0.1:{self.port}", "WANDB_API_KEY": KEY}

    # ---- what is asked in GraphQL

    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = found.group(1) if found else ""
        self.asked.append(name)
        answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "upsertBucket": self._upserted, "ResumeStatus": self._resumed, "createRunFiles": self._files,
            "createArtifact(": self._artifact, "upsertView": self._view, "viewer": self._viewer,
            "serverInfo": lambda _: {"serverInfo": SERVER_INFO}, "artifactType": lambda _: {"project": None},
            "GetProjects": lambda given: {"models": {"edges": [{"node": PROJECT, "cursor": "1"}],
                                                     "pageInfo": {"endCursor": None, "hasNextPage": False}}},
            "ProjectInternalId": lambda _: {"project": {"id": "P", "internalId": "12"}},
        }  # fmt: skip
        for words, reply in answers.items():
            if words in query or words.lower() == name.lower() or words in name:
                return reply(given)
        return {}

    def _upserted(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given.get("name") or "unnamed"
        fresh = name not in self.runs
        self.runs.setdefault(name, Kept()).told |= {key: value for key, value in given.items() if value is not None}
        bucket = {"id": _id("Run", name), "name": name, "displayName": given.get("displayName") or name, "config": "{}",
                  "description": "", "sweepName": None, "historyLineCount": len(self.runs[name].rows),
                  "project": self._project(given)}  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": fresh}}

    def _resumed(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(given.get("name") or "")
        bucket = None
        if run is not None:
            history = run.lines.get("wandb-history.jsonl", {})
            tail = [history[max(history)]] if history else []
            bucket = {"id": _id("Run", given["name"]), "name": given["name"], "config": run.told.get("config") or "{}",
                      "displayName": run.told.get("displayName"), "historyLineCount": len(history),
                      "historyTail": json.dumps(tail), "eventsLineCount": 0, "eventsTail": "[]", "logLineCount": 0,
                      "summaryMetrics": json.dumps(run.summary), "tags": [], "wandbConfig": '{"t": 1}'}  # fmt: skip
        return {"model": {"id": "P", "name": "sandbox", "entity": {"id": "E", "name": "me"}, "bucket": bucket}}

    def _files(self, given: dict[str, Any]) -> dict[str, Any]:
        run = given.get("run") or given.get("runName") or given.get("name") or ""
        files = [{"name": name, "uploadUrl": f"http://127.0.0.1:{self.port}/upload/{run}/{name}"}
                 for name in given.get("files") or ()]  # fmt: skip
        return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": files}}

    def _artifact(self, given: dict[str, Any]) -> dict[str, Any]:
        """It is told to be there already, so that nothing is uploaded."""
        self.artifacts.append(given.get("input") or given)
        number = _id("Artifact", str(len(self.artifacts)))
        sequence = {"id": "S", "latestArtifact": {"id": number, "versionIndex": 0}}
        return {"createArtifact": {"artifact": {"id": number, "state": "COMMITTED", "artifactSequence": sequence}}}

    def _viewer(self, given: dict[str, Any]) -> dict[str, Any]:
        viewer = {"id": "U", "entity": "me", "username": "me", "email": "me@localhost", "admin": False, "flags": "{}",
                  "teams": {"edges": []}}  # fmt: skip
        return {"viewer": viewer, "serverInfo": SERVER_INFO}

    def _view(self, given: dict[str, Any]) -> dict[str, Any]:
        self.views.append(given)
        told = {key: given.get(key) or "" for key in ("name", "type", "displayName", "description", "spec")}
        project = {"id": "P", "name": given["projectName"], "entityName": given["entityName"]}
        return {"upsertView": {"view": {**told, "id": _id("View", "1"), "project": project,
                                        "updatedAt": "2026-01-01T00:00:00Z"}, "inserted": True}}  # fmt: skip

    def _project(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"id": "P", "name": given.get("project") or given.get("modelName") or "sandbox",
                "entity": {"id": "E", "name": given.get("entity") or "me"}}  # fmt: skip

    # ---- what is streamed and uploaded

    def streamed(self, name: str, given: dict[str, Any]) -> None:
        run = self.runs.setdefault(name, Kept())
        for file, part in (given.get("files") or {}).items():
            lines = run.lines.setdefault(file, {})
            lines.update(enumerate(part["content"], start=part.get("offset", 0)))
        run.complete = bool(given.get("complete"))
        run.exit = given.get("exitcode") if given.get("complete") else run.exit

    def uploaded(self, path: str, content: bytes) -> None:
        _, _, name, *rest = path.split("/")
        self.runs.setdefault(name, Kept()).files["/".join(rest)] = content


PROJECT = {"id": "P", "name": "sandbox", "entityName": "me", "createdAt": "2026-01-01T00:00:00Z", "isBenchmark": False,
           "user": None}  # fmt: skip
SERVER_INFO = {"features": [], "cliVersionInfo": {"max_cli_version": "99.0.0"}, "latestLocalVersionInfo": None}


def _id(kind: str, name: str) -> str:
    return base64.b64encode(f"{kind}:v1:{name}:sandbox:me".encode()).decode()


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of this machine, for as long as the block lasts."""
    kept = Server()
    held: list[socket.socket] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            self._reply({})

        def do_PUT(self) -> None:
            kept.uploaded(self.path, self._body())
            self._reply({})

        def do_POST(self) -> None:
            try:
                given = json.loads(self._body() or b"{}")
            except ValueError:  # no JSON: nothing of a run
                return self._reply({})
            if streams := STREAM.fullmatch(self.path):
                kept.streamed(streams["run"], given)
                self._reply({"exitcode": None, "limits": {}})
            elif "query" in given:
                self._reply({"data": kept.answer(given["query"], given.get("variables") or {})})
            else:
                self._reply({})

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline().strip() or b"0", 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

        def _reply(self, told: Any) -> None:
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, Any]:
            found = super().get_request()
            held.append(found[0])
            return found

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is no error."""

    with Quiet(("127.0.0.1", 0), Handler) as server:
        kept.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
            for one in held:  # who still speaks is hung up on
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
