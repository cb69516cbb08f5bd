"""A server that speaks the protocol of language models and is none: it hands out a list of programs, so that a proposer
can be seen at work over HTTP without a model or a key.

scripts/scripted_model.py [port=8080]
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sandbox.meta_learner.scripted import answer


class Handler(BaseHTTPRequestHandler):
    """Answers POST /v1/chat/completions."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        known = self.path.endswith("/chat/completions")
        said = json.dumps(answer(body) if known else {"error": {"message": "only chat/completions"}}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)


if __name__ == "__main__":
    port = int(dict(word.split("=") for word in sys.argv[1:]).get("port", 8080))
    print(f"No language model, but a list: export OPENAI_BASE_URL=http://127.0.0.1:{port}/v1 OPENAI_MODEL=a-list")
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
