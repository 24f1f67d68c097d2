"""tasks.py - the documents of the benchmark, and a writer that changes them.

The documents are tasks of the platform's task repository, all that its reference names, and a counter "rev" that every write
raises: two sides hold the same if they hold the same pairs of _id and rev.  Everything follows from the document's number.
"""
import random
from datetime import datetime, timedelta, timezone

import bson
import pymongo
from bson import Int64, ObjectId
from pymongo import WriteConcern

DATABASE = "bench"
COLLECTION = "tasks"
PROBE = ObjectId("ffffffffffffffffffffffff")

EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)
STATES = ["pending", "running", "completed", "failed", "cancelled"]
TYPES = ["call", "mail", "invoice", "import", "review", "export"]

# The foreign table's columns, in document 001's order.
COLUMNS = """
    _id text, task_id text, tenant_id text, service_id text, type text, status text, priority integer, payload jsonb,
    result jsonb, created_at timestamptz, updated_at timestamptz, started_at timestamptz, completed_at timestamptz,
    error jsonb, rev bigint"""


def document_id(number):
    return ObjectId(bytes.fromhex("6500000074736b73") + number.to_bytes(4, "big"))


def document(number, rev=1):
    created = EPOCH + timedelta(seconds=number)
    status = STATES[number % 5]
    task = {
        "_id": document_id(number),
        "task_id": f"task-{number:09d}",
        "tenant_id": f"tenant-{number * 2654435761 % 500:04d}",
        "service_id": f"service-{number % 17:02d}",
        "type": TYPES[number % 6],
        "status": status,
        "priority": number % 10,
        "payload": {
            "customer": {"id": f"c{number % 9999:05d}", "name": f"Customer {number % 9999}"},
            "subject": f"Task number {number} of the week",
            "steps": [{"name": "first", "done": True}, {"name": "second", "done": False}],
            "labels": ["alpha", f"beta-{number % 50}"],
            "estimate": number % 160 * 0.25,
        },
        "created_at": created,
        "updated_at": created,
        "rev": Int64(rev),
    }
    if status != "pending":
        task["started_at"] = created + timedelta(minutes=1)
    if status == "completed":
        task["completed_at"] = created + timedelta(minutes=2)
        task["result"] = {"code": 0, "rows": number % 1000}
    if status == "failed":
        task["error"] = {"code": 70, "message": "the other side did not answer"}
    return task


def load(collection, count):
    """Drops the collection and fills it; the probe document comes last."""
    collection.drop()
    unsafe = collection.with_options(write_concern=WriteConcern(1))
    for start in range(0, count, 5000):
        unsafe.insert_many([document(i) for i in range(start, min(start + 5000, count))], ordered=False)
    majority(collection).insert_one(dict(document(0), _id=PROBE, task_id="probe"))


def majority(collection):
    return collection.with_options(write_concern=WriteConcern("majority"))


class Writer:
    """Mixed changes from a fixed seed: 35 % inserts, 40 % updates, 10 % replacements, 15 % deletions."""

    def __init__(self, collection, count):
        self.collection = collection
        self.random = random.Random(7)
        self.alive = {number: 1 for number in range(count)}  # number of a document: its rev
        self.numbers = list(self.alive)
        self.next = count

    def change(self):
        kind = self.random.random()
        if kind < 0.35 or not self.numbers:
            number = self.next
            self.next += 1
            self.alive[number] = 1
            self.numbers.append(number)
            return pymongo.InsertOne(document(number))

        place = self.random.randrange(len(self.numbers))
        number = self.numbers[place]
        key = {"_id": document_id(number)}
        if kind < 0.85:
            self.alive[number] += 1
            rev = self.alive[number]
            if kind >= 0.75:
                return pymongo.ReplaceOne(key, document(number, rev))
            return pymongo.UpdateOne(key, {"$set": {
                "rev": Int64(rev), "status": self.random.choice(STATES), "updated_at": datetime.now(timezone.utc),
                "payload.estimate": self.random.randrange(160) * 0.25}})

        del self.alive[number]
        self.numbers[place] = self.numbers[-1]
        self.numbers.pop()
        return pymongo.DeleteOne(key)

    def write(self, count, concern=1):
        """Unordered: a chunk is sent as inserts, updates, deletions, which keeps the order of each document's changes."""
        collection = self.collection.with_options(write_concern=WriteConcern(concern))
        for start in range(0, count, 500):
            collection.bulk_write([self.change() for _ in range(min(500, count - start))], ordered=False)


def revisions(collection):
    """The pairs of _id and rev as MongoDB has them."""
    pairs = {}
    for batch in collection.find_raw_batches({}, {"rev": 1}):
        for found in bson.decode_all(batch):
            pairs[str(found["_id"])] = int(found["rev"])
    return pairs
