"""`doppler-sdk` on the double of Doppler: what it finds there is what our client is tested with."""

import json
import sys
import urllib.request

from dopplersdk import DopplerSDK

PLAIN = sys.argv[1]


def control(what, body=None):
    data = json.dumps(body or {}).encode()
    request = urllib.request.Request(f"{PLAIN}/control/{what}", data=data, method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def refused(text, work, **arguments):
    try:
        work(**arguments)
    except Exception as error:
        assert text in f"{error} {vars(error)}", (error, vars(error))
        return
    raise AssertionError("a refusal was expected")


control("reset")
token = control("doppler/secret", {"name": "DB", "value": "p<&>\"\u00e4\n"})["token"]
client = DopplerSDK()
client.set_access_token(token)
place = {"project": "shop", "config": "prd"}
assert client.projects.list().projects[0]["slug"] == "shop"
assert client.secrets.get(name="DB", **place).value["raw"] == "p<&>\"\u00e4\n"
client.secrets.update({**place, "secrets": {"API_KEY": "k", "OTHER": "o"}})
assert client.secrets.get(name="API_KEY", **place).value["computed"] == "k"
assert set(client.secrets.list(**place).secrets) >= {"DB", "API_KEY", "OTHER", "DOPPLER_PROJECT"}
assert "API_KEY" in client.secrets.names(**place).names
# The answer of a download has the names of the vendor's example in this client, and no others.
client.secrets.update({**place, "secrets": {"STRIPE": "s", "ALGOLIA": "a"}})
some = client.secrets.download(secrets="STRIPE,NONE", format="json", **place)
assert (some.STRIPE, some.ALGOLIA) == ("s", None), vars(some)
assert client.secrets.download(**place).ALGOLIA == "a"
client.secrets.delete(name="OTHER", **place)
assert "OTHER" not in client.secrets.names(**place).names
refused("404", client.secrets.get, name="OTHER", **place)
refused("404", client.secrets.names, project="shop", config="none")
wrong = DopplerSDK()
wrong.set_access_token("wrong")
refused("401", wrong.secrets.get, name="DB", **place)
control("deny", ["read"])
refused("403", client.secrets.get, name="DB", **place)
control("reset")
print("proved")
