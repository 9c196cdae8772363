"""Quay: temporary tokens of robot accounts, for tokens of an issuer that the account trusts.

Quay has no client for this endpoint that could prove it, so it follows Quay's own server (`endpoints/oauth/robot_identity_federation.py`
and `util/security/federated_robot_auth.py`): the robot account is the user of a basic authentication and the token its password,
whose signature, issuer, subject and audience count; what is given is a JSON Web Token of an hour.
"""

import base64
import threading
import time

import jwt

KEY = "a key of a double of Quay, which no one else has"
LIFETIME = 3600


class Quay:
    def __init__(self, switches, answer):
        self.switches, self.answer = switches, answer
        self.lock = threading.RLock()
        self.reset()

    def reset(self):
        with self.lock:
            # By name: whose tokens are exchanged for theirs, and with which key they are signed.
            self.robots = {}
            self.issued = []

    def control(self, what, body):
        with self.lock:
            if what == "robot":
                self.robots[body["name"]] = body
            return {"issued": self.issued}

    def serve(self, request):
        if (request.method, request.path) != ("GET", "/oauth2/federation/robot/token"):
            raise self.answer(404, {"error": "not found"})
        fault = self.switches.next_fault()
        if fault is not None:
            raise self.answer(fault, "<html>Quay is not responding</html>", {"Content-Type": "text/html"})
        kind, _, pair = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            raise self.answer(401, {"error": "missing auth"})
        name, _, token = base64.b64decode(pair).decode().partition(":")
        with self.lock:
            robot = self.robots.get(name)
            if robot is None:
                raise self.answer(401, {"error": "Invalid robot"})
            self.check(robot, token)
            return self.answer(200, {"token": self.issue(name)})

    def check(self, robot, token):
        try:
            claims = jwt.decode(
                token,
                robot["key"],
                algorithms=["RS256", "ES256"],
                issuer=robot["issuer"],
                audience=robot["audiences"],
                options={"verify_nbf": False},
            )
        except jwt.PyJWTError as error:
            raise self.answer(401, {"error": f"Invalid token: {error}"}) from None
        if claims.get("sub") != robot["subject"]:
            raise self.answer(401, {"error": "Token does not match robot"})

    def issue(self, name):
        now = int(time.time())
        claims = {"sub": name, "iat": now, "exp": now + LIFETIME, "number": len(self.issued)}
        token = jwt.encode(claims, KEY, algorithm="HS256")
        self.issued.append({"token": token, "exp": claims["exp"]})
        return token
