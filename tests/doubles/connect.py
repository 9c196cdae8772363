"""A 1Password Connect server: vaults, items with fields and files."""

import json
import re
import secrets
import threading

TOKEN = "eyJ.connect-made-for-tests"
TITLE = re.compile(r'(title|name) eq "((?:[^"\\]|\\.)*)"')


def new_id():
    return secrets.token_hex(13)


class Connect:
    def __init__(self, switches, answer):
        self.switches, self.answer = switches, answer
        self.lock = threading.RLock()
        self.reset()

    def reset(self):
        with self.lock:
            # By id: a vault's name and its items; contents of files by their ids.
            self.vaults = {}
            self.contents = {}
            # After how many looks a new item is listed.
            self.late = 0
            self.hidden = {}

    def control(self, what, body):
        with self.lock:
            if what == "vault":
                return {"id": self.vault(body["name"])}
            if what == "item":
                vault = self.vault(body["vault"])
                return {"id": self.put(vault, None, body["item"], body.get("files", {}))["id"]}
            if what == "rename":
                for vault in self.vaults.values():
                    if body["id"] in vault["items"]:
                        vault["items"][body["id"]]["title"] = body["title"]
            if what == "late":
                self.late = body["looks"]
        return {"token": TOKEN}

    def vault(self, name):
        for id, vault in self.vaults.items():
            if vault["name"] == name:
                return id
        id = new_id()
        self.vaults[id] = {"name": name, "items": {}}
        return id

    def put(self, vault, id, item, files=None):
        new = id is None
        id = id or new_id()
        old = self.vaults[vault]["items"].get(id, {})
        fields = [{"id": new_id(), "type": "STRING", **field} for field in item.get("fields") or []]
        listed = old.get("files", [])
        for name, content in (files or {}).items():
            file = new_id()
            path = f"/v1/vaults/{vault}/items/{id}/files/{file}/content"
            listed = listed + [{"id": file, "name": name, "size": len(content), "content_path": path}]
            self.contents[file] = content.encode()
        held = {
            "id": id,
            "title": item.get("title", ""),
            "version": old.get("version", 0) + 1,
            "vault": {"id": vault},
            "category": item.get("category", "LOGIN"),
            "tags": item.get("tags") or [],
            "sections": item.get("sections") or [],
            "fields": fields,
            "files": listed,
            "lastEditedBy": "made for tests",
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z",
        }
        self.vaults[vault]["items"][id] = held
        if new and self.late:
            self.hidden[id] = self.late
        return held

    def refused(self, status, text):
        return self.answer(status, {"status": status, "message": text})

    def serve(self, request):
        if request.bearer() != TOKEN:
            raise self.refused(401, "Invalid token signature")
        fault = self.switches.next_fault()
        if fault == 429:
            raise self.answer(
                429, {"status": 429, "message": "Too many requests"}, {"Retry-After": str(self.switches.retry_after or 0)}
            )
        if fault == 503:
            raise self.answer(503, "<html>Bad Gateway</html>", {"Content-Type": "text/html"})
        with self.lock:
            return self.route(request)

    def allow(self, permission):
        if self.switches.refuses(permission):
            raise self.refused(403, "Authorization: token does not have permission to perform this action")

    def route(self, request):
        parts, method = request.path.removeprefix("/v1/").split("/"), request.method
        if parts[0] != "vaults":
            raise self.refused(404, "Not found")
        self.allow("read" if method == "GET" else "write")
        if len(parts) == 1:
            found = [self.vault_of(id) for id in self.vaults]
            return self.answer(200, self.filtered(request, found, "name"))
        vault = self.vaults.get(parts[1])
        if vault is None:
            raise self.refused(404, f"Vault {parts[1]} not found")
        if len(parts) == 2:
            return self.answer(200, self.vault_of(parts[1]))
        if len(parts) == 3 and method == "POST":
            return self.answer(200, self.put(parts[1], None, self.item_in(request, parts[1])))
        if len(parts) == 3:
            summaries = []
            for item in vault["items"].values():
                if self.hidden.get(item["id"], 0) > 0:
                    self.hidden[item["id"]] -= 1
                    continue
                left = ("fields", "sections", "files")
                summaries.append({name: value for name, value in item.items() if name not in left})
            return self.answer(200, self.filtered(request, summaries, "title"))
        item = vault["items"].get(parts[3])
        if item is None:
            raise self.refused(404, f"Item {parts[3]} not found")
        if len(parts) == 4:
            return self.one(request, parts[1], item)
        return self.files(parts[5:], item)

    def one(self, request, vault, item):
        if request.method == "DELETE":
            del self.vaults[vault]["items"][item["id"]]
            return self.answer(204, b"")
        if request.method == "PUT":
            wanted = self.item_in(request, vault)
            if wanted.get("id") != item["id"]:
                raise self.refused(400, "The item's id does not match that of the path")
            return self.answer(200, self.put(vault, item["id"], wanted))
        return self.answer(200, item)

    def files(self, parts, item):
        if not parts:
            return self.answer(200, item["files"])
        file = next((file for file in item["files"] if file["id"] == parts[0]), None)
        if file is None:
            raise self.refused(404, "File not found")
        if parts[1:] == ["content"]:
            return self.answer(200, self.contents[file["id"]], {"Content-Type": "application/octet-stream"})
        return self.answer(200, file)

    def item_in(self, request, vault):
        item = request.json()
        if item.get("vault", {}).get("id") != vault:
            raise self.refused(400, "The item's vault does not match that of the path")
        return item

    def vault_of(self, id):
        vault = self.vaults[id]
        return {"id": id, "name": vault["name"], "items": len(vault["items"]), "type": "USER_CREATED"}

    def filtered(self, request, found, member):
        if "filter" not in request.query:
            return found
        match = TITLE.fullmatch(request.query["filter"])
        if match is None:
            raise self.refused(400, "Invalid filter")
        wanted = json.loads(f'"{match[2]}"')
        return [one for one in found if one[member] == wanted]
