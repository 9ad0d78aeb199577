#!/usr/bin/env python3
"""Proves an export of dbward's audit log with the public keys alone (docs/audit.md), after `pip install cryptography`:
python3 verify_export.py audit.jsonl audit-keys.json [--part]. Ends with 0: it holds, 1: it does not, 2: not tried, 3:
it holds, but begins after an event, nothing proves what came before, and no `--part` says that this is meant."""
import base64, hashlib, json, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FIELDS = """id event_type event_category event_version outcome actor_id actor_type resource_type resource_id peer_ip
client_ip client_ip_source request_id operation database_name environment detail_fingerprint detail_raw reason
metadata_json prev_hash created_at""".split()
NULLABLE = {*FIELDS[7:19], "prev_hash"}
KEYS = {  # of the lines, which are known by their first key, and of what is in them
    "export": {"export", "instance", "after", "after_hash", "purge"},
    "seq": {"seq", *FIELDS, "event_hash"},
    "head": {"head"}, "purge": {"purged_before", "retained", "key_id", "signature"},
    "of a head": {"seq", "event_hash", "recipe_sha256", "sums", "key_id", "signature"},
}
def need(holds, problem):
    if not holds:
        raise ValueError(problem)
def once(pairs):
    need(len(dict(pairs)) == len(pairs), "a key stands twice")
    return dict(pairs)
def has(value, kind):
    need(isinstance(value, dict) and set(value) == KEYS[kind], f"not the keys of `{kind}`")
    return value
def signed(keys, by, message):
    need(by["key_id"] in keys, f"signed by the unknown key {by['key_id']}")
    keys[by["key_id"]].verify(bytes.fromhex(by["signature"]), message)
def event_hash(event):
    """SHA-256 of `<bytes>:<value>` of every field, joined by line feeds; null is empty."""
    parts = []
    for name in FIELDS:
        value, null = event[name], name in NULLABLE and event[name] == None
        typed = type(value) is (int if name == "event_version" else str) and (value != "" or name not in NULLABLE)
        need(null or typed, f"{name} is of another type, or an empty text instead of null")
        text = b"" if null else str(value).encode()
        parts.append(b"%d:%s" % (len(text), text))
    return hashlib.sha256(b"\n".join(parts)).hexdigest()
def head_message(instance, head):
    """SHA-256 of fields that are each preceded by their length in eight bytes."""
    fields = ["dbward-head:v2", instance, str(head["seq"]), head["event_hash"], head["recipe_sha256"]]
    fields += [text for table in sorted(head["sums"], key=str.encode) for text in (table, head["sums"][table])]
    return hashlib.sha256(b"".join(len(f.encode()).to_bytes(8, "big") + f.encode() for f in fields)).digest()
def check_event(keys, event, seq, last, start):
    kind, purge = event["event_type"], start["purge"]
    need(type(event["seq"]) is int and event["seq"] == seq + 1, f"number {event['seq']} after {seq}")
    need((event["prev_hash"] or "") == last, "does not name the event before it")
    need(event_hash(event) == event["event_hash"], "its hash is not the hash of its fields")
    facts = json.loads(event["metadata_json"], object_pairs_hook=once)
    if kind == "audit.signed_checkpoint":
        need((facts["chain_head_hash"], facts["event_count"]) == (last, seq), "its checkpoint is of another place")
        signed(keys, facts, f"audit-checkpoint:v1|{last}|{seq}|{event['created_at']}".encode())
    if purge and seq == start["after"]:
        need(kind == "audit.signed_checkpoint", "the first event after a purge is not a checkpoint")
        signed(keys, purge, f"purge-checkpoint:v1|{last}|{purge['purged_before']}|{purge['retained']}".encode())
    if purge and event["seq"] == start["after"] + purge["retained"] + 1:
        recorded = [facts.get(key) for key in ("purged_before", "last_purged_hash", "retained_count")]
        removed = [purge["purged_before"], start["after_hash"], purge["retained"]]
        need(kind == "audit.purge_checkpoint" and recorded == removed, "it does not tell of the purge")
        start["reported"] = True
def verify(lines, keys):
    start, seq, last, before = {}, 0, "", None
    for line in lines:
        value = json.loads(line, object_pairs_hook=once)
        kind = [*value, ""][0]
        belongs = kind == "export" or (kind in ("seq", "head") and start and before != "head")
        need(belongs and has(value, kind) and line.endswith(b"\n"), "it breaks off, or a line does not belong there")
        if kind == "export":
            need(not start or (value["purge"] == None and before != "export"), "it begins twice")
            if not start:
                start, seq, last = value, value["after"], value["after_hash"]
                start["reported"] = value["purge"] == None or not has(value["purge"], "purge")
            place = [value[key] for key in ("export", "instance", "after", "after_hash")]
            need(place == ["dbward-audit-v1", start["instance"], seq, last], "it does not begin where another ends")
        elif kind == "seq":
            check_event(keys, value, seq, last, start)
            seq, last = value["seq"], value["event_hash"]
        else:
            head = has(value["head"], "of a head")
            need((head["seq"], head["event_hash"]) == (seq, last), "the head is of another place")
            signed(keys, head, head_message(start["instance"], head))
        before = kind
    need(before == "head" and start["reported"], "it ends without a signed head, or without the event of its purge")
    return start["after"], seq, start["after"] == 0 or start["purge"] != None

try:
    export, keys = open(sys.argv[1], "rb"), json.load(open(sys.argv[2], "rb"))["keys"]
    keys = {name: Ed25519PublicKey.from_public_bytes(base64.b64decode(key)) for name, key in keys.items()}
except (IndexError, ValueError, KeyError, OSError) as error:
    print(f"not tried: {error}\nusage: verify_export.py EXPORT AUDIT_KEYS [--part]", file=sys.stderr)
    sys.exit(2)
try:
    after, last, whole = verify(export, keys)
    print(f"the export holds: it begins after event {after} and ends with event {last}"
          + ("" if whole else ", and nothing proves what came before: it may have been cut"))
    sys.exit(0 if whole or "--part" in sys.argv[3:] else 3)
except (InvalidSignature, ValueError, KeyError, TypeError, AttributeError) as error:
    sys.exit(f"the export does not hold, before byte {export.tell()}: {str(error) or 'a signature does not hold'}")
