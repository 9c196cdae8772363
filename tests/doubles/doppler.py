"""Doppler: the secrets of configs, and identities that are given to tokens of service accounts."""

import json
import secrets
import threading

import tokens

TOKEN = "dp.sa.made-for-tests"
IDENTITY = "5f2f1c1e-8a5b-4c55-9d1d-2b7c6f0f3a10"
MANAGED = ("DOPPLER_CONFIG", "DOPPLER_ENVIRONMENT", "DOPPLER_PROJECT")
TRANSFORMERS = {
    "upper-camel": lambda words: "".join(word.capitalize() for word in words),
    "camel": lambda words: words[0] + "".join(word.capitalize() for word in words[1:]),
    "lower-snake": "_".join,
    "tf-var": lambda words: "TF_VAR_" + "_".join(words),
    "dotnet-env": lambda words: "__".join(word.capitalize() for word in words),
    "lower-kebab": "-".join,
}


class Doppler:
    def __init__(self, switches, answer):
        self.switches, self.answer = switches, answer
        self.lock = threading.RLock()
        self.reset()

    def reset(self):
        with self.lock:
            # By project and config: the secrets by their names.
            self.configs = {}
            self.issued = set()
            self.wanted_audience = None

    def control(self, what, body):
        with self.lock:
            if what == "secret":
                self.config(body.get("project", "shop"), body.get("config", "prd"))[body["name"]] = body["value"]
            if what == "audience":
                self.wanted_audience = body["audience"]
        return {"token": TOKEN, "identity": IDENTITY}

    def config(self, project, config):
        return self.configs.setdefault((project, config), {})

    def refused(self, status, text):
        return self.answer(status, {"messages": [text], "success": False})

    def serve(self, request):
        if request.path == "/v3/auth/oidc":
            return self.exchange(request.json())
        token = request.bearer() or request.basic()
        with self.lock:
            if token != TOKEN and token not in self.issued:
                raise self.refused(401, "Invalid Auth token")
        fault = self.switches.next_fault()
        if fault == 429:
            after = {"Retry-After": str(self.switches.retry_after or 0)}
            raise self.answer(429, {"messages": ["Exceeded rate limit"], "success": False}, after)
        if fault == 503:
            raise self.answer(503, "<html>Service Unavailable</html>", {"Content-Type": "text/html"})
        with self.lock:
            return self.route(request)

    def exchange(self, body):
        claims = tokens.verified(body.get("token", ""), self.authority)
        audience = claims and claims.get("aud")
        good = claims is not None and body.get("identity") == IDENTITY
        if not good or self.wanted_audience not in (None, audience):
            raise self.refused(401, "Unable to authenticate with the provided token")
        token = "dp.said." + secrets.token_hex(16)
        with self.lock:
            self.issued.add(token)
        return self.answer(200, {"success": True, "token": token, "expires_at": "2099-01-01T00:00:00.000Z"})

    def allow(self, permission):
        if self.switches.refuses(permission):
            raise self.refused(403, "You do not have access to this resource")

    def route(self, request):
        path, method = request.path, request.method
        if path == "/v3/projects" and method == "GET":
            self.allow("read")
            names = sorted({project for project, _ in self.configs})
            page = [{"id": name, "slug": name, "name": name, "description": "", "created_at": None} for name in names]
            return self.answer(200, {"page": 1, "projects": page, "success": True})
        body = request.json() if request.body else {}
        project = request.query.get("project") or body.get("project") or "shop"
        config = request.query.get("config") or body.get("config") or "prd"
        if (project, config) not in self.configs:
            raise self.refused(404, f"Could not find requested config '{config}'")
        held = self.configs[(project, config)]
        managed = {"DOPPLER_CONFIG": config, "DOPPLER_ENVIRONMENT": config.split("_")[0], "DOPPLER_PROJECT": project}
        everything = dict(sorted({**managed, **held}.items()))
        if path == "/v3/configs/config/secrets/download" and method == "GET":
            self.allow("read")
            return self.download(request, everything)
        if path == "/v3/configs/config/secrets/names" and method == "GET":
            self.allow("read")
            return self.answer(200, {"names": list(everything), "success": True})
        if path == "/v3/configs/config/secrets" and method == "GET":
            self.allow("read")
            wanted = names_in(request, everything)
            return self.answer(200, {"secrets": {name: shown(everything[name]) for name in wanted}, "success": True})
        if path == "/v3/configs/config/secrets" and method == "POST":
            self.allow("write")
            return self.update(body, held, everything)
        if path == "/v3/configs/config/secret" and method == "GET":
            self.allow("read")
            name = request.query["name"]
            if name not in everything:
                raise self.refused(404, f"Could not find requested secret: {name}")
            return self.answer(200, {"name": name, "value": shown(everything[name]), "success": True})
        if path == "/v3/configs/config/secret" and method == "DELETE":
            self.allow("write")
            if held.pop(request.query["name"], None) is None:
                raise self.refused(404, "Could not find requested secret")
            return self.answer(204, b"")
        raise self.answer(404, {"messages": ["Not Found"], "success": False})

    def download(self, request, everything):
        chosen = {name: everything[name] for name in names_in(request, everything)}
        if transformer := TRANSFORMERS.get(request.query.get("name_transformer")):
            chosen = {transformer(name.lower().split("_")): value for name, value in chosen.items()}
        tag = '"' + str(hash(tuple(chosen.items()))) + '"'
        if request.headers.get("If-None-Match") == tag:
            return self.answer(304, b"", {"ETag": tag})
        kind = request.query.get("format", "json")
        if kind in ("json", "dotnet-json"):
            return self.answer(200, chosen, {"ETag": tag})
        lines = {"env": '{}="{}"', "yaml": '{}: "{}"', "docker": "{}={}"}[kind]
        text = "\n".join(lines.format(name, value) for name, value in chosen.items())
        return self.answer(200, text, {"ETag": tag})

    def update(self, body, held, everything):
        if ("secrets" in body) == ("change_requests" in body):
            raise self.refused(400, "Exactly one of secrets and change_requests is needed")
        for name, value in (body.get("secrets") or {}).items():
            if not name.replace("_", "").isalnum() or name != name.upper():
                raise self.refused(400, "Secret names may have capital letters, digits and underscores")
            if value is None:
                held.pop(name, None)
            elif isinstance(value, str):
                held[name] = value
            else:
                raise self.refused(400, f"The value {json.dumps(value)} is no text")
        for change in body.get("change_requests") or []:
            if change.get("originalName") not in everything:
                raise self.refused(400, f"Secret {change.get('originalName')} does not exist")
            held.pop(change["originalName"], None)
            if not change.get("shouldDelete"):
                held[change["name"]] = change["value"]
        return self.answer(200, {"secrets": {name: shown(value) for name, value in held.items()}, "success": True})


def shown(value):
    return {"raw": value, "computed": value, "note": ""}


def names_in(request, everything):
    """Names that the query asks for and that are there; all without a list."""
    wanted = request.query.get("secrets")
    if not wanted:
        return list(everything)
    return [name for name in wanted.split(",") if name in everything]
