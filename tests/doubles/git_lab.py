"""GitLab: variables and deploy tokens of projects and groups."""

import threading

TOKEN = "glpat-made-for-tests"


class Gitlab:
    def __init__(self, switches, answer):
        self.switches, self.answer = switches, answer
        self.lock = threading.RLock()
        self.reset()

    def reset(self):
        with self.lock:
            # By kind and id: the variables, each by its key and scope.
            self.variables = {}
            self.groups = {}
            # By their numbers: the kind and id that each belongs to, and what is told of it.
            self.deploy_tokens = {}
            self.made = 0

    def control(self, what, body):
        with self.lock:
            if what == "variable":
                self.put(body["kind"], str(body["id"]), body)
            if what == "groups":
                groups = [one if isinstance(one, dict) else {"id": one} for one in body["groups"]]
                self.groups[str(body["project"])] = groups
            return {"token": TOKEN, "deploy_tokens": sorted(self.deploy_tokens)}

    def put(self, kind, id, body):
        scope = body.get("environment_scope") or "*"
        variable = {
            "variable_type": "env_var",
            "key": body["key"],
            "value": body["value"],
            "protected": False,
            "masked": False,
            "hidden": False,
            "raw": True,
            "environment_scope": scope,
            "description": None,
        }
        self.variables.setdefault((kind, id), {})[(body["key"], scope)] = variable
        return variable

    def refused(self, status, text):
        return self.answer(status, {"message": text})

    def serve(self, request):
        token = request.headers.get("PRIVATE-TOKEN") or request.bearer()
        if token != TOKEN:
            raise self.refused(401, "401 Unauthorized")
        fault = self.switches.next_fault()
        if fault == 429:
            raise self.answer(429, "Retry later", {"Retry-After": "0"})
        if fault == 503:
            raise self.answer(503, "<html>GitLab is not responding</html>", {"Content-Type": "text/html"})
        if self.switches.refuses("read_api"):
            raise self.refused(403, "403 Forbidden")
        with self.lock:
            return self.route(request)

    def route(self, request):
        parts = request.path.removeprefix("/api/v4/").split("/")
        kind, id, rest = parts[0], parts[1], parts[2:]
        if kind not in ("projects", "groups") or not rest:
            raise self.answer(404, {"error": "404 Not Found"})
        if kind == "projects" and rest == ["groups"]:
            groups = [{"name": f"group {one['id']}", "full_path": "group", **one} for one in self.groups.get(id, [])]
            return self.page(request, groups)
        if rest[0] == "deploy_tokens":
            return self.deploy_token(request, (kind, id), rest[1:])
        if rest[0] != "variables":
            raise self.answer(404, {"error": "404 Not Found"})
        held = self.variables.get((kind, id), {})
        if len(rest) == 1 and request.method == "POST":
            body = request.json()
            if (body["key"], body.get("environment_scope") or "*") in held:
                raise self.refused(400, {"key": ["has already been taken"]})
            return self.answer(201, self.put(kind, id, body))
        if len(rest) == 1:
            return self.page(request, [held[name] for name in sorted(held)])
        scope = request.query.get("filter[environment_scope]")
        found = [one for (key, there), one in held.items() if key == rest[1] and scope in (None, there)]
        if not found:
            raise self.refused(404, "404 Variable Not Found")
        if len(found) > 1:
            raise self.refused(
                409,
                "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'",
            )
        return self.answer(200, found[0])

    def deploy_token(self, request, place, rest):
        """Makes a token, shows what is told of them, and deletes one; the token itself is in the first answer only."""
        if request.method == "POST" and not rest:
            return self.make_deploy_token(place, request.json())
        held = [one for there, one in self.deploy_tokens.values() if there == place]
        if request.method == "GET" and not rest:
            return self.page(request, held)
        found = [one for one in held if rest == [str(one["id"])]]
        if not found:
            raise self.refused(404, "404 Deploy Token Not Found")
        if request.method == "DELETE":
            if self.switches.refuses("destroy_deploy_token"):
                raise self.refused(403, "403 Forbidden")
            del self.deploy_tokens[found[0]["id"]]
            return self.answer(204, b"")
        return self.answer(200, found[0])

    def make_deploy_token(self, place, body):
        for name in ("name", "scopes"):
            if not body.get(name):
                raise self.answer(400, {"error": f"{name} is missing"})
        self.made += 1
        told = {
            "id": self.made,
            "name": body["name"],
            "username": body.get("username") or f"gitlab+deploy-token-{self.made}",
            "expires_at": body.get("expires_at"),
            "scopes": body["scopes"],
            "revoked": False,
            "expired": False,
        }
        self.deploy_tokens[self.made] = (place, told)
        return self.answer(201, {**told, "token": f"gldt-{self.made}"})

    def page(self, request, items):
        size = min(int(request.query.get("per_page") or 20), 100)
        page = int(request.query.get("page") or 1)
        headers = {"X-Page": str(page), "X-Per-Page": str(size), "X-Total": str(len(items))}
        headers["X-Total-Pages"] = str(-(-len(items) // size))
        headers["X-Next-Page"] = str(page + 1) if page * size < len(items) else ""
        if headers["X-Next-Page"]:
            headers["Link"] = f'<https://{request.host}{request.path}?page={page + 1}&per_page={size}>; rel="next"'
        return self.answer(200, items[(page - 1) * size : page * size], headers)
