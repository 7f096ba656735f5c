#!/usr/bin/env python3
"""A reward server whose completions tell it what to do. Arguments: the port (0: any), a file that gets the port, seconds to wait before it listens."""
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections
    connections = 0

    def setup(self):
        Handler.connections += 1
        super().setup()

    def log_message(self, *_):
        pass

    def answer(self, text, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_POST(self):
        calls = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Content-Type"] == "application/json" and "Expect" not in self.headers
        word = calls[0]["completion"]
        if word == "hang":
            time.sleep(3)
        elif word == "error":
            self.answer("out of memory", 500)
        elif word == "garbage":
            self.answer("<html>")
        elif word == "object":
            self.answer("{}")
        elif word == "flood":
            self.answer("x" * (4 << 20))
        elif word == "short":
            self.answer("[]")
        elif word == "die":
            os._exit(0)
        else:
            replies = [{"id": call["id"], "reward": self.reward(call), "metrics": {"sample": call["sample"]}} for call in calls]
            self.answer(json.dumps(replies[::-1]))

    def reward(self, call):
        return Handler.connections if call["completion"] == "connections" else float(call["completion"])


if __name__ == "__main__":
    port, file, wait = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    time.sleep(wait)
    server = HTTPServer(("127.0.0.1", port), Handler)
    with open(file + ".new", "w") as out:
        out.write(str(server.server_port))
    os.rename(file + ".new", file)
    server.serve_forever()
