"""Container registries of Azure: tokens are exchanged for those of a registry, and its catalog is listed with them."""

import time

import tokens

HOSTS = (".azurecr.io", ".azurecr.us")
MANAGEMENT = {".azurecr.io": "management.azure.com", ".azurecr.us": "management.usgovcloudapi.net"}


class Registry:
    def __init__(self, azure, answer):
        self.azure, self.answer = azure, answer
        self.key = tokens.new_key()

    def refused(self, status, code, headers=()):
        return self.answer(status, {"errors": [{"code": code, "message": code.lower()}]}, dict(headers))

    def serve(self, request):
        form = request.form() if request.method == "POST" else {}
        if request.path == "/oauth2/exchange" and request.method == "POST":
            claims = tokens.verified(form.get("access_token", ""), self.azure.tenant_key)
            resource = MANAGEMENT["." + request.host.split(".", 1)[1]]
            good = claims is not None and claims["aud"].rstrip("/") == f"https://{resource}"
            if not good or form.get("grant_type") != "access_token" or form.get("service") != request.host:
                raise self.refused(401, "UNAUTHORIZED")
            return self.answer(200, {"refresh_token": self.issue(request.host, "refresh_token", claims["appid"])})
        if request.path == "/oauth2/token" and request.method == "POST":
            claims = self.claims(form.get("refresh_token"), request.host, "refresh_token")
            if claims is None or form.get("grant_type") != "refresh_token" or not form.get("scope"):
                raise self.refused(401, "UNAUTHORIZED")
            token = self.issue(request.host, "access_token", claims["sub"], form["scope"])
            return self.answer(200, {"access_token": token})
        if request.path == "/acr/v1/_catalog":
            scope = "registry:catalog:*"
            claims = self.claims(request.bearer(), request.host, "access_token")
            if claims is None or claims["scope"] != scope:
                base = f"https://{request.host}/oauth2/token"
                challenge = f'Bearer realm="{base}",service="{request.host}",scope="{scope}"'
                raise self.refused(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge})
            return self.answer(200, {"repositories": ["web"]})
        raise self.refused(404, "NOT_FOUND")

    def issue(self, host, kind, subject, scope=None):
        now = int(time.time())
        claims = {"aud": host, "grant_type": kind, "sub": subject, "scope": scope, "iat": now, "exp": now + 3600}
        return tokens.sign(self.key, claims)

    def claims(self, token, host, kind):
        """The claims of a token of ours that is for this registry and of this kind."""
        claims = tokens.verified(token, self.key) if token else None
        good = claims is not None and claims["aud"] == host and claims["grant_type"] == kind
        return claims if good else None

    def control(self, what, body):
        """What a token is good for."""
        claims = tokens.verified(body["token"], self.key) or {}
        return {name: claims.get(name) for name in ("aud", "grant_type", "sub", "scope")}
