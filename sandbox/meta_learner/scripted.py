"""A stand-in that speaks the protocol and is no language model: it goes through a list of proposals, to see the loop
turn without a model, a key or a network."""

from __future__ import annotations

import json
import re
from typing import Any

PROPOSALS: dict[str, tuple[str, ...]] = {
    "loss amounts": (
        "loss amounts\n  x1 = sub p y\n  x2 = abs x1\n  return x2",
        "loss amounts\n  x1 = sub p y\n  x2 = abs x1\n  x3 = min x2 2\n  return x3",
        "change loss\n  x9 = sub p y\n  x8 = tanh x9\n  x7 = square x8\n  return x7",
        "loss amounts\n  x1 = sub p y\n  x2 = square x1\n  x3 = add x2 1\n  x4 = log x3\n  return x4",
    ),
    "loss classes": (
        "loss classes\n  x1 = softmax p\n  x2 = gather x1 y\n  x3 = sub 1 x2\n  return x3",
        "change loss\n  x9 = log_softmax p\n  x8 = gather x9 y\n  x7 = neg x8\n  x6 = min x7 2\n  return x6",
    ),
    "update": (
        "update\n  x1 = mul 0.9 m\n  x2 = add x1 g\n  keep m x2\n  return x2",
        "change update\n  x9 = sign g\n  return x9",
        "update\n  x1 = clip_by_norm g 1\n  return x1",
    ),
}


def answer(body: bytes) -> dict[str, Any]:
    """The completion for the body of a request: of the first kind of program that it names, the proposal whose turn it
    is after all that it tells of; when the list is at its end, one with another number each time."""
    asked = json.loads(body)
    messages = [message for message in asked.get("messages", ()) if isinstance(message, dict)]
    words = "\n".join(str(message.get("content", "")) for message in messages)
    kind = next((kind for kind in PROPOSALS if f"Kind `{kind}`" in words), "update")
    turn = max(map(int, re.findall(r"(?:^Proposal|accepted as) (\d+)", words, re.MULTILINE)), default=0)
    turn += sum(message.get("role") == "assistant" for message in messages)
    said = PROPOSALS[kind][turn] if turn < len(PROPOSALS[kind]) else endless(kind, turn)
    text = f"A scripted proposal, by no language model.\n```\n{said}\n```"
    return {
        "id": "scripted", "object": "chat.completion", "created": 0, "model": "scripted",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": len(words) // 4, "completion_tokens": len(text) // 4,
                  "total_tokens": (len(words) + len(text)) // 4},
    }  # fmt: skip


def endless(kind: str, turn: int) -> str:
    """One more proposal of a kind, another one at each turn."""
    n = turn / 4
    lines = {
        "loss amounts": ("x1 = sub p y", f"x2 = aq x1 {n}", "x3 = mul x1 x2", "return x3"),
        "loss classes": ("x1 = log_softmax p", "x2 = gather x1 y", f"x3 = max x2 -{n}", "x4 = neg x3", "return x4"),
        "update": (f"x1 = clip g -{n} {n}", "return x1"),
    }
    return "\n  ".join([kind, *lines[kind]])


def transport() -> Any:
    """What stands in for the network: answers without one."""
    from httpx2 import MockTransport, Response

    return MockTransport(lambda request: Response(200, json=answer(request.content)))
