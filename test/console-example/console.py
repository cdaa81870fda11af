"""A console for Picket's sensors, as small as one can be: it stores what they report, acknowledges it, and asks each
for its processes once. Python, from stubs generated out of proto/ (python3-grpcio, python3-protobuf,
protobuf-compiler, protobuf-compiler-grpc, libprotobuf-dev):

    protoc --plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin -I proto \\
        --python_out=OUT --grpc_python_out=OUT proto/picket/v1/*.proto
    PYTHONPATH=OUT python3 test/console-example/console.py 127.0.0.1:7443 records.jsonl

Listens on loopback without TLS; for another address give grpc.ssl_server_credentials (TLS 1.3, client certificates).
"""

import json
import os
import queue
import sys
import threading
import time
from concurrent import futures

import grpc
from google.protobuf.json_format import MessageToDict
from picket.v1 import sensor_pb2 as wire
from picket.v1 import sensor_pb2_grpc as service

END = object()


class Store:
    """One JSON line a record. Knows the last sequence of each (host id, boot id), also after a restart."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.last = {}
        self.file = open(path, "a+", encoding="utf-8")
        self.file.seek(0)
        for line in self.file:
            entry = json.loads(line)
            self.last[(entry["hostId"], entry["bootId"])] = int(entry["record"]["sequence"])

    def append(self, host_id, boot_id, records):
        """Returns the last sequence stored; records that were stored before are left out."""
        with self.lock:
            key = (host_id, boot_id)
            last = self.last.get(key, 0)
            for record in records:
                if record.sequence > last:
                    last = record.sequence
                    entry = {"hostId": host_id, "bootId": boot_id, "record": MessageToDict(record)}
                    self.file.write(json.dumps(entry) + "\n")
            self.file.flush()
            os.fdatasync(self.file.fileno())
            self.last[key] = last
            return last


class Console(service.SensorServiceServicer):
    def __init__(self, store):
        self.store = store

    def Connect(self, requests, context):
        answers = queue.Queue()
        threading.Thread(target=self.listen, args=(requests, answers), daemon=True).start()
        while True:
            answer = answers.get()
            if answer is END:
                return
            yield answer

    def listen(self, requests, answers):
        """Everything a sensor says, in order; what is put into `answers` goes back."""
        hello = None
        try:
            for request in requests:
                kind = request.WhichOneof("message")
                if kind == "hello" and hello is None:
                    hello = request.hello
                    last = self.store.last.get((hello.host_id, hello.boot_id), 0)
                    answers.put(wire.ConnectResponse(welcome=wire.Welcome(console="example", last_sequence=last)))
                    answers.put(wire.ConnectResponse(command=self.question()))
                elif hello is None:
                    return
                elif kind == "batch" and request.batch.ahead:
                    # It comes again in its place.
                    print("ahead:", len(request.batch.records), flush=True)
                elif kind == "batch":
                    boot_id = request.batch.boot_id or hello.boot_id
                    last = self.store.append(hello.host_id, boot_id, request.batch.records)
                    done = wire.Acknowledgement(last_sequence=last, boot_id=boot_id)
                    answers.put(wire.ConnectResponse(acknowledgement=done))
                elif kind == "heartbeat":
                    answers.put(wire.ConnectResponse(heartbeat=wire.Heartbeat()))
                elif kind == "result":
                    print("result:", request.result.command_id, request.result.accepted, flush=True)
                elif kind == "farewell":
                    print("farewell:", wire.Farewell.Reason.Name(request.farewell.reason), flush=True)
        except grpc.RpcError:
            pass  # The sensor went away; it comes back by itself.
        finally:
            answers.put(END)

    def question(self):
        command = wire.Command(id=f"q-{time.time_ns()}", requester="example")
        command.expires.FromSeconds(int(time.time()) + 60)
        command.query_processes.limit = 10
        return command


def main():
    address, path = sys.argv[1:3]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=100))
    service.add_SensorServiceServicer_to_server(Console(Store(path)), server)
    port = server.add_insecure_port(address)
    server.start()
    print("listening:", port, flush=True)
    server.wait_for_termination()


main()
