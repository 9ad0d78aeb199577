#!/usr/bin/env python3
"""Proves an export of dbward's audit log with the public keys alone; docs/audit.md says what that means.

    pip install cryptography
    python3 verify_export.py audit.jsonl audit-keys.json

Ends with 0 where the export holds, with 1 where it does not, with 2 where it could not be tried.
"""
import base64, hashlib, json, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FIELDS = """id event_type event_category event_version outcome actor_id actor_type resource_type resource_id peer_ip
client_ip client_ip_source request_id operation database_name environment detail_fingerprint detail_raw reason
metadata_json prev_hash created_at""".split()
NULLABLE = set(FIELDS[7:19] + ["prev_hash"])
NULL = type(None)
KEYS = {
    "export": {"export", "instance", "after", "after_hash", "purge"},
    "seq": {"seq", *FIELDS, "event_hash"},
    "head": {"head"},
    "purge": {"purged_before", "retained", "key_id", "signature"},
    "of a head": {"seq", "event_hash", "recipe_sha256", "sums", "key_id", "signature"},
}


class Broken(Exception):
    pass


def need(holds, problem):
    if not holds:
        raise Broken(problem)


def once(pairs):
    need(len({name for name, _ in pairs}) == len(pairs), "a key stands twice")
    return dict(pairs)


def has(value, kind):
    need(isinstance(value, dict) and set(value) == KEYS[kind], f"not the keys of `{kind}`")
    return value


def signed(keys, key_id, message, signature):
    need(key_id in keys, f"signed by the unknown key {key_id}")
    try:
        keys[key_id].verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        raise Broken("a signature does not hold") from None


def event_hash(event):
    """SHA-256 of `<bytes>:<value>` of every field, joined by line feeds; null is empty."""
    parts = []
    for name in FIELDS:
        value = event[name]
        null = name in NULLABLE and type(value) is NULL
        need(null or type(value) is (int if name == "event_version" else str), f"{name} is of another type")
        need(value != "" or name not in NULLABLE, f"{name} is an empty text instead of null")
        text = ("" if null else str(value)).encode()
        parts.append(b"%d:%s" % (len(text), text))
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


def head_message(instance, head):
    """SHA-256 of fields that are each preceded by their length in eight bytes."""
    fields = ["dbward-head:v1", instance, str(head["seq"]), head["event_hash"], head["recipe_sha256"]]
    for table, total in sorted(head["sums"].items(), key=lambda item: item[0].encode()):
        fields += [table, total]
    digest = hashlib.sha256()
    for field in fields:
        digest.update(len(field.encode()).to_bytes(8, "big") + field.encode())
    return digest.digest()


def check_event(keys, event, seq, last, start):
    need(type(event["seq"]) is int and event["seq"] == seq + 1, f"number {event['seq']} after {seq}")
    need((event["prev_hash"] or "") == last, "does not name the event before it")
    need(event_hash(event) == event["event_hash"], "its hash is not the hash of its fields")
    kind, purge = event["event_type"], start["purge"]
    if kind == "audit.signed_checkpoint":
        facts = json.loads(event["metadata_json"], object_pairs_hook=once)
        need((facts["chain_head_hash"], facts["event_count"]) == (last, seq), "its checkpoint is of another place")
        message = f"audit-checkpoint:v1|{last}|{seq}|{event['created_at']}"
        signed(keys, facts["key_id"], message.encode(), facts["signature"])
    if purge and seq == start["after"]:
        need(kind == "audit.signed_checkpoint", "the first event after a purge is not a checkpoint")
        message = f"purge-checkpoint:v1|{last}|{purge['purged_before']}|{purge['retained']}"
        signed(keys, purge["key_id"], message.encode(), purge["signature"])
    if purge and event["seq"] == start["after"] + purge["retained"] + 1:
        facts = json.loads(event["metadata_json"], object_pairs_hook=once)
        described = (facts["purged_before"], facts["last_purged_hash"], facts["retained_count"])
        removed = (purge["purged_before"], start["after_hash"], purge["retained"])
        need(kind == "audit.purge_checkpoint" and described == removed, "it does not tell of the purge")
        return True
    return False


def verify(lines, keys):
    start = {}  # where the first export of the file begins
    seq, last, before, ended, reported = 0, "", None, False, True
    for line in lines:
        need(line.endswith(b"\n"), "it breaks off")
        value = json.loads(line, object_pairs_hook=once)
        kind = next(iter(value), None) if isinstance(value, dict) else None
        need(kind in ("export", "seq", "head"), "not a line of an export")
        has(value, kind)
        if kind == "export" and not start:
            need(value["export"] == "dbward-audit-v1", "of another form")
            start, seq, last = value, value["after"], value["after_hash"]
            reported = type(start["purge"]) is NULL or not has(start["purge"], "purge")
        elif kind == "export":
            place = (value["export"], value["instance"], value["after"], value["after_hash"], value["purge"])
            follows = place == ("dbward-audit-v1", start["instance"], seq, last, None) and before != "export"
            need(follows, "it does not begin where the one before ends")
            ended = False
        elif kind == "seq":
            need(start and not ended, "an event outside an export")
            reported = check_event(keys, value, seq, last, start) or reported
            seq, last = value["seq"], value["event_hash"]
        else:
            need(start and not ended, "a head outside an export")
            head = has(value["head"], "of a head")
            need((head["seq"], head["event_hash"]) == (seq, last), "the head is of another place")
            signed(keys, head["key_id"], head_message(start["instance"], head), head["signature"])
            ended = True
        before = kind
    need(ended, "it ends without a signed head: it was cut")
    need(reported, "no event tells of the last purge")
    return start, seq


def main(arguments):
    try:
        export, keys_file = arguments
        with open(keys_file, "rb") as file:
            keys = {
                name: Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
                for name, key in json.load(file)["keys"].items()
            }
        lines = open(export, "rb")
    except (ValueError, KeyError, OSError) as error:
        print(f"not tried: {error}\nusage: verify_export.py EXPORT AUDIT_KEYS", file=sys.stderr)
        return 2
    number = 0

    def counted():
        nonlocal number
        for number, line in enumerate(lines, 1):
            yield line

    try:
        start, seq = verify(counted(), keys)
    except (Broken, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"the export does not hold: line {number}: {error}")
        return 1
    begins = "with the log" if start["after"] == 0 else f"after event {start['after']}"
    print(f"the export holds: it begins {begins} and ends with event {seq}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
