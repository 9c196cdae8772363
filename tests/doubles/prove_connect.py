"""`onepasswordconnectsdk` on the double of a Connect server: what it finds there is what our client is tested with."""

import json
import sys
import urllib.request

from onepasswordconnectsdk.client import new_client
from onepasswordconnectsdk.errors import FailedToRetrieveItemException, FailedToRetrieveVaultException
from onepasswordconnectsdk.models import Field, Item, ItemVault

PLAIN = sys.argv[1]


def control(what, body=None):
    data = json.dumps(body or {}).encode()
    request = urllib.request.Request(f"{PLAIN}/control/{what}", data=data, method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def refused(kind, text, work, *arguments):
    try:
        work(*arguments)
    except kind as error:
        assert text in str(error), error
        return
    raise AssertionError(f"{kind} was expected")


control("reset")
token = control("connect/token")["token"]
vault = control("connect/vault", {"name": "shop"})["id"]
fields = [{"label": "user", "value": "u"}, {"label": "password", "value": "p"}]
item = {"title": "db \"one\"", "category": "LOGIN", "fields": fields, "tags": ["web"]}
id = control("connect/item", {"vault": "shop", "item": item})["id"]
document = {"title": "key", "category": "DOCUMENT"}
paper = control("connect/item", {"vault": "shop", "item": document, "files": {"key.pem": "content"}})["id"]
client = new_client("https://connect.example", token)
assert client.get_vault_by_title("shop").id == vault == client.get_vault(vault).id
assert [one.name for one in client.get_vaults()] == ["shop"]
assert client.get_item(id, vault).title == 'db "one"'
assert sorted(one.title for one in client.get_items(vault)) == ['db "one"', "key"]
assert client.get_item("key", "shop").id == paper
files = client.get_files(paper, vault)
assert [file.name for file in files] == ["key.pem"]
assert client.get_file_content(files[0].id, paper, vault) == b"content"
new = Item(vault=ItemVault(id=vault), title="new", category="SERVER", fields=[Field(label="password", value="n")])
made = client.create_item(vault, new)
assert client.get_item("new", vault).fields[0].value == "n"
made.fields[0].value = "m"
client.update_item(made.id, vault, made)
assert client.get_item_by_id(made.id, vault).fields[0].value == "m"
client.delete_item(made.id, vault)
refused(FailedToRetrieveItemException, "404", client.get_item_by_id, made.id, vault)
refused(FailedToRetrieveItemException, "0 items", client.get_item_by_title, "new", vault)
refused(FailedToRetrieveVaultException, "404", client.get_vault, "a" * 26)
wrong = new_client("https://connect.example", "wrong")
refused(FailedToRetrieveItemException, "401", wrong.get_item_by_id, id, vault)
control("deny", ["write"])
refused(FailedToRetrieveItemException, "403", client.create_item, vault, new)
control("reset")
print("proved")
