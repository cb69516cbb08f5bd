"""A language model behind an OpenAI-compatible endpoint: asked within limits, its answers kept word for word."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from sandbox.core.error import ConfigError, SourceError, explain

BASE_URL = "OPENAI_BASE_URL"
NAME = re.compile(r"[A-Z][A-Z0-9_]*\Z")  # of an environment variable; no key looks so
BYTES = 1_000_000  # of an answer: more is cut off
PAUSE = 0.25  # seconds before half an answer is asked for again, doubled each time
TOKENS = 10**9  # of an answer: more is no count
TOLD = 200  # characters of an error that are told
SECRET = 8  # characters: a shorter key, such as 'none', is a word and no secret
SCRIPTED = "scripted"  # the model that is none

Message = Mapping[str, str]


class OutageError(SourceError):
    """No answer can be had: how many `requests` were sent, in how many `seconds`."""

    def __init__(self, said: str, requests: int = 0, seconds: float = 0.0) -> None:
        super().__init__(said)
        self.requests, self.seconds = requests, seconds


@dataclass(frozen=True)
class Reply:
    """What came back for one question: the `text`, why it ended, requests sent, tokens (`estimated` where the server
    tells none: four bytes each) and seconds."""

    text: str
    ended: str
    requests: int
    tokens: int
    estimated: bool
    seconds: float


@dataclass(frozen=True)
class Endpoint:
    """`model` at `base_url` (empty: the environment's OPENAI_BASE_URL, or else OpenAI's own), with the key that the
    environment variable `key_variable` holds. `timeout` [s] is for one request, `retries` how often a request is sent
    again after 408, 409, 429, 5xx or a broken connection: with exponential backoff, or when Retry-After says.
    `request`: what is sent besides model and messages.
    """

    model: str
    base_url: str
    key_variable: str
    timeout: float
    retries: int
    request: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def ready(self) -> None:
        """Raises `ConfigError` where it is plain, without asking, that nobody can be asked."""
        if not self.model:
            raise ConfigError(explain(expected="the name of a model", got="none",
                                      do="Set meta_learner.model=NAME or OPENAI_MODEL (preset=proposer reads it), or "
                                         "try meta_learner.model=scripted, which needs no model."))  # fmt: skip
        if find_spec("openai") is None:
            raise ConfigError(explain(expected="the package openai", got="none",
                                      do="pip install 'reflective-sandbox[proposer]'"))  # fmt: skip
        if self.model != SCRIPTED and not (self._url or self._key):
            raise ConfigError(explain(
                expected="an endpoint", got=f"neither {BASE_URL} nor {self.key_variable} in the environment",
                do=f"Set {BASE_URL}=http://localhost:8080/v1 for a local server, or {self.key_variable} for OpenAI's."
            ))  # fmt: skip
        checked_url(self._url)

    @property
    def where(self) -> str:
        """The endpoint as it may be written down."""
        return SCRIPTED if self.model == SCRIPTED else self._url or "OpenAI's own"

    def say(self, messages: Sequence[Message], seconds: float) -> Reply:
        """The model's reply, each request to be answered within `seconds` and the timeout. Raises `OutageError` where
        none can be had, with the reason and never the key."""
        import openai

        self.ready()
        began, sent = time.monotonic(), [0]
        last = ""
        with self._client(sent, min(seconds, self.timeout)) as client:
            for again in range(self.retries + 1):
                try:
                    found = client.chat.completions.create(
                        model=self.model,
                        messages=list(messages),
                        extra_body=dict(self.request),  # type: ignore[arg-type]
                    )
                    return self._read(found, messages, sent[0], time.monotonic() - began)
                except openai.APIError as error:
                    last = self.told(error)
                    break  # the client has tried again as often as it should
                except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
                    last = f"no answer of the protocol ({type(error).__name__})"  # half an answer, say
                    time.sleep(PAUSE * 2**again if again < self.retries else 0)
        said = explain(
            expected=f"an answer of {self.model} at {self.where}", got=f"{last}, after {sent[0]} requests",
            do="Mend the server or the key, then give the same command: the run goes on where it stopped. "
               "meta_learner.outage=skip goes on without an edit.")  # fmt: skip
        raise OutageError(self.scrub(said), sent[0], time.monotonic() - began)

    def told(self, error: Exception) -> str:
        """An error of the client, in words of ours; what a server wrote is told where it can't be about the key."""
        status, kind = getattr(error, "status_code", None), type(error).__name__
        if status is None:
            known = {
                "APITimeoutError": "no answer in time",
                "APIConnectionError": "a broken connection, or too long an answer",
            }
            return known.get(kind, kind)
        wrote = "" if status in (401, 403) else " ".join(str(getattr(error, "message", "")).split())
        printed = "".join(each for each in wrote if each.isprintable())
        return f"HTTP {status} {self.scrub(printed)[:TOLD]}".strip()  # cut last: a piece of the key is no key to scrub

    def scrub(self, text: str) -> str:
        """The text as it may be kept: without the key, and with ? for what no file holds (half a surrogate pair)."""
        text = text.encode("utf-8", "replace").decode()
        return text.replace(self._key, "[key]") if len(self._key) >= SECRET else text

    @property
    def _url(self) -> str:
        return self.base_url or os.environ.get(BASE_URL, "")

    @property
    def _key(self) -> str:
        return os.environ.get(self.key_variable, "")

    def _client(self, sent: list[int], seconds: float) -> Any:
        import openai

        def counted(_: Any) -> None:
            sent[0] += 1

        def guarded(response: Any) -> None:
            response.stream = limited(response, seconds)

        hooks = {"request": [counted], "response": [guarded]}
        extra: dict[str, Any] = {"event_hooks": hooks, "timeout": seconds, "follow_redirects": False}
        if self.model == SCRIPTED:
            from sandbox.meta_learner.scripted import transport

            extra["transport"] = transport()
        return openai.OpenAI(
            api_key=self._key or "none",
            base_url="http://scripted/v1" if self.model == SCRIPTED else self._url or None,
            max_retries=self.retries,
            timeout=seconds,
            default_headers={"Accept-Encoding": "identity"},
            http_client=openai.DefaultHttpxClient(**extra),
        )

    def _read(self, found: Any, messages: Sequence[Message], sent: int, seconds: float) -> Reply:
        choice, usage = found.choices[0], found.usage
        text = choice.message.content or ""
        if not isinstance(text, str):
            raise TypeError("content is no text")
        told = getattr(usage, "total_tokens", None)
        known = isinstance(told, int) and 0 <= told <= TOKENS
        guess = (len(text) + sum(len(message["content"]) for message in messages)) // 4
        seconds = 0.0 if self.model == SCRIPTED else seconds  # it is a function, and two runs with it are one
        text, ended = self.scrub(text), self.scrub(str(choice.finish_reason))
        return Reply(text, ended, sent, told if known else guess, not known, seconds)  # type: ignore[arg-type]


def checked_url(url: str) -> str:
    """The url itself; raises `ConfigError` for one that holds a secret, or is none."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a host in a bracket that is never closed, say
        parts = urlsplit("")
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ConfigError(explain(expected="a base_url such as http://localhost:8080/v1", got="another form",
                                  do="Give scheme, host and path."))  # fmt: skip
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(explain(expected="a base_url without a password, a query or a fragment",
                                  got="one that holds more",
                                  do="A key belongs in the environment: it is sent as a bearer token."))  # fmt: skip
    return url


def limited(response: Any, seconds: float) -> Any:
    """The body of a response, cut off after so many bytes and so much time: a server may drip for ever."""
    from httpx2 import ReadError, ReadTimeout, SyncByteStream

    inner, until = response.stream, time.monotonic() + seconds

    class Limited(SyncByteStream):
        def __iter__(self) -> Any:
            left = BYTES
            for chunk in inner:
                left -= len(chunk)
                if left < 0 or response.headers.get("content-encoding", "identity") != "identity":
                    raise ReadError(f"more than {BYTES} bytes, or packed ones")
                if time.monotonic() > until:
                    raise ReadTimeout("no end of the answer in time")
                yield chunk

        def close(self) -> None:
            inner.close()

    return Limited()
