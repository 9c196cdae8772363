"""`python-gitlab` on the double of GitLab: what it finds there is what our client is tested with."""

import json
import sys
import urllib.request

import gitlab

PLAIN = sys.argv[1]


def control(what, body=None):
    data = json.dumps(body or {}).encode()
    request = urllib.request.Request(f"{PLAIN}/control/{what}", data=data, method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def refused(kind, text, work, *arguments, **more):
    try:
        work(*arguments, **more)
    except kind as error:
        assert text in str(error), error
        return
    raise AssertionError(f"{kind} was expected")


control("reset")
token = control("gitlab/token")["token"]
client = gitlab.Gitlab("https://gitlab.example", private_token=token)
project = client.projects.get(7, lazy=True)
project.variables.create({"key": "DB", "value": "everywhere"})
assert project.variables.get("DB").value == "everywhere"
project.variables.create({"key": "DB", "value": "production", "environment_scope": "production"})
refused(gitlab.GitlabGetError, "multiple variables", project.variables.get, "DB")
scoped = project.variables.get("DB", filter={"environment_scope": "production"})
assert scoped.value == "production" and scoped.environment_scope == "production"
refused(gitlab.GitlabGetError, "404", project.variables.get, "DB", filter={"environment_scope": "other"})
refused(gitlab.GitlabGetError, "404 Variable Not Found", project.variables.get, "NONE")
for number in range(120):
    project.variables.create({"key": f"MANY_{number:03}", "value": str(number)})
assert len(project.variables.list(get_all=True, per_page=100)) == 122
group = client.groups.get(3, lazy=True)
group.variables.create({"key": "OF_GROUP", "value": "g"})
assert group.variables.get("OF_GROUP").value == "g"
control("gitlab/groups", {"project": 7, "groups": [3, 4]})
assert [one.id for one in project.groups.list(get_all=True)] == [3, 4]
scopes = ["read_registry", "read_package_registry"]
made = project.deploytokens.create({"name": "pull", "scopes": scopes, "expires_at": "2030-01-01T00:00:00Z"})
assert made.token == f"gldt-{made.id}" and made.username == f"gitlab+deploy-token-{made.id}"
assert made.scopes == scopes and made.expires_at == "2030-01-01T00:00:00Z" and not made.revoked
named = group.deploytokens.create({"name": "pull", "scopes": scopes, "username": "puller"})
assert named.username == "puller"
# A token is shown once, and is one of its project or group.
assert [one.id for one in project.deploytokens.list(get_all=True)] == [made.id]
assert not hasattr(project.deploytokens.get(made.id), "token")
refused(gitlab.GitlabGetError, "404", project.deploytokens.get, named.id)
refused(gitlab.GitlabCreateError, "scopes is missing", project.deploytokens.create, {"name": "pull", "scopes": []})
control("deny", ["destroy_deploy_token"])
refused(gitlab.GitlabDeleteError, "403", project.deploytokens.delete, made.id)
control("deny", [])
project.deploytokens.delete(made.id)
refused(gitlab.GitlabDeleteError, "404 Deploy Token Not Found", project.deploytokens.delete, made.id)
assert control("gitlab/token")["deploy_tokens"] == [named.id]
wrong = gitlab.Gitlab("https://gitlab.example", private_token="wrong")
refused(gitlab.GitlabAuthenticationError, "401", wrong.projects.get(7, lazy=True).variables.get, "DB")
by_bearer = gitlab.Gitlab("https://gitlab.example", oauth_token=token)
assert by_bearer.projects.get(7, lazy=True).variables.get("MANY_001").value == "1"
control("reset")
print("proved")
