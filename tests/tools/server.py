# SPDX-License-Identifier: Apache-2.0
"""A web server that misbehaves as told by the first folder of a path, for the test of
tools/datasets: server.py FOLDER PORT_FILE LOG

/good/FILE    whole, or from where a Range header says
/plain/FILE   always whole: ranges are not understood
/cut/FILE     as good, but the first answer for each file ends in the middle
/slow/FILE    as good, but in the middle it waits for a minute
/wrong/FILE   other bytes of the same length
"""
import http.server
import os
import re
import sys
import time

folder, port_file, log = sys.argv[1:]
answered = set()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _, name = self.path.lstrip("/").partition("/")
        wanted = self.headers.get("Range", "")
        with open(log, "a", encoding="ascii") as file:
            file.write(f"{kind} {name} {wanted}\n")
        path = os.path.join(folder, os.path.basename(name))
        if kind not in ("good", "plain", "cut", "slow", "wrong") or not os.path.isfile(path):
            self.send_error(404)
            return
        with open(path, "rb") as file:
            content = file.read()
        if kind == "wrong":
            content = bytes(byte ^ 1 for byte in content)
        self.answer(kind, name, content, re.fullmatch(r"bytes=(\d+)-", wanted))

    def answer(self, kind, name, content, resumed):
        start = int(resumed.group(1)) if resumed and kind != "plain" else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if kind == "cut" and name not in answered:
            end = start + (end - start) // 2
        answered.add(name)
        if kind == "slow":
            self.wfile.write(content[start:end // 2])
            self.wfile.flush()
            time.sleep(60)
            return
        self.wfile.write(content[start:end])

    def log_message(self, format, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(port_file + ".new", "w", encoding="ascii") as file:
    file.write(str(server.server_address[1]))
os.rename(port_file + ".new", port_file)
server.serve_forever()
