"""The control API below ``/_local/``: faults, traits and request counts of a running server, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http.answer import Answer
from airflow_provider_ci.local.http.counts import RequestCounts
from airflow_provider_ci.local.http.faults import Faults
from airflow_provider_ci.local.http.request import Request, is_from_here
from airflow_provider_ci.local.http.traits import TraitSwitch

FAULTS_PATH = "/_local/faults"
TRAITS_PATH = "/_local/traits"
REQUESTS_PATH = "/_local/requests"
PATHS = (FAULTS_PATH, TRAITS_PATH, REQUESTS_PATH)


class Control:
    """GET reads, POST changes, DELETE resets. Serves only requests from this machine."""

    def __init__(self, faults: Faults, traits: TraitSwitch, counts: RequestCounts) -> None:
        self._faults = faults
        self._traits = traits
        self._counts = counts

    async def answer(self, request: Request) -> Answer:
        """Do what a request for one of ``PATHS`` asks for."""
        # The Host header proves nothing about the client, because the client chooses its value.
        if not is_from_here(request.http):
            return _json({"error": "only programs on the machine of the local CI may control it"}, 403)
        try:
            if request.method == "POST" and request.path != REQUESTS_PATH:
                await self._change(request)
            elif request.method == "DELETE":
                self._reset(request.path)
            elif request.method != "GET":
                return _json({"error": "GET and DELETE are known, and POST for faults and traits"}, 405)
        except (ValueError, RecursionError, ServiceError) as error:
            return _json({"error": str(error)}, 400)
        return _json(self._present(request.path))

    def _present(self, path: str) -> dict[str, object]:
        if path == FAULTS_PATH:
            return {"faults": self._faults.pending()}
        if path == TRAITS_PATH:
            return {"traits": self._traits.as_mapping()}
        return {"requests": self._counts.as_mapping()}

    def _reset(self, path: str) -> None:
        if path == FAULTS_PATH:
            self._faults.clear()
        elif path == TRAITS_PATH:
            self._traits.reset()
        else:
            self._counts.reset()

    async def _change(self, request: Request) -> None:
        # A web page cannot send this content type to another origin without a CORS preflight request.
        if request.header("Content-Type").partition(";")[0].strip().lower() != "application/json":
            raise ValueError("the body must be application/json")
        given = json.loads(await request.body())
        if request.path == TRAITS_PATH:
            self._traits.set_mapping(_object(given, "traits are a JSON object"))
            return
        for item in given if isinstance(given, list) else [given]:
            self._faults.add_mapping(_object(item, "a fault is a JSON object, several are a list of them"))


def _object(given: object, message: str) -> Mapping[str, object]:
    if not isinstance(given, dict):
        raise ValueError(message)
    return given


def _json(content: Mapping[str, object], status: int = 200) -> Answer:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    return Answer(status=status, body=json.dumps(content).encode(), headers=headers)
