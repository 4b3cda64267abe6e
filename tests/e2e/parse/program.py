"""A parser that knows no Airflow: does what its jobs say, in a fork for each.

`program.py SOCKET`. A job is one word in its `do`, and its first descriptor is where the fork writes.
"""

import array
import json
import os
import select
import signal
import socket
import struct
import sys
import time

keeper = socket.socket(fileno=int(sys.argv[1]))
running = {}
held = []


def say(**packet):
    keeper.send(json.dumps(packet).encode())


def fork(number, word, descriptors):
    child = os.fork()
    if child == 0:
        os.setsid()
        if word == "name":
            os.write(descriptors[0], os.uname().nodename.encode())
        elif word == "variable":
            os.write(descriptors[0], os.environ.get("WORD", "").encode())
        elif word == "read":
            with open("/seen/file") as file:
                os.write(descriptors[0], file.read().encode())
        elif word == "forever":
            os.write(descriptors[0], b"begun")
            time.sleep(100000)
        elif word == "signal":
            os.kill(os.getpid(), signal.SIGSEGV)
        os._exit(7 if word == "seven" else 0)
    running[number] = child
    for descriptor in descriptors:
        os.close(descriptor)


def send_what_takes_long_to_close():
    """A connection with much that nobody reads: whoever closes it last waits (SO_LINGER, socket(7))."""
    server = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(server.getsockname())
    theirs, _ = server.accept()
    ours.setblocking(False)
    try:
        while True:
            ours.send(b"x" * 65536)
    except BlockingIOError:
        pass
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1000))
    try:
        socket.send_fds(keeper, [b"{}"], [ours.fileno()])
        ours.close()
    except PermissionError:  # Linux 6.17 and later refuse it.
        keeper.send(b"{}")
    held.extend([server, theirs, ours])


def do(number, word, descriptors):
    if word == "die":
        print("the program's last words", file=sys.stderr)
        os._exit(3)
    elif word == "stop":
        os.write(descriptors[0], b"begun")
        os.kill(os.getpid(), signal.SIGSTOP)
    elif word == "garbage":
        keeper.send(b"\xff{")
    elif word == "strange":
        say(id=123456, code=0)
    elif word == "linger":
        send_what_takes_long_to_close()
    elif word == "part":
        say(id=number, code=0)
        keeper.close()
        time.sleep(100000)
    else:
        fork(number, word, descriptors)


def hear():
    data, beside, _, _ = keeper.recvmsg(1 << 18, socket.CMSG_SPACE(64 * 4))
    if not data:
        os._exit(0)
    numbers = array.array("i")
    for _, _, bytes_ in beside:
        numbers.frombytes(bytes_)
    packet = json.loads(data)
    if "kill" in packet:
        if packet["kill"] in running:
            os.killpg(running[packet["kill"]], signal.SIGKILL)
    else:
        do(packet["id"], packet["job"]["do"], list(numbers))


def reap():
    for number, child in list(running.items()):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            del running[number]
            code = os.waitstatus_to_exitcode(status)
            say(id=number, **({"signal": -code} if code < 0 else {"code": code}))


woken, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
signal.signal(signal.SIGCHLD, lambda *_: None)
if os.environ.get("WORD") == "hangs":
    time.sleep(100000)
if os.environ.get("WORD") == "unfit":
    sys.exit("unfit for this")
if os.environ.get("WORD") == "refuses":
    say(failed="not with this image")
    sys.exit("a traceback")
say(ready=True)
while True:
    ready, _, _ = select.select([keeper, woken], [], [])
    if woken in ready:
        os.read(woken, 100)
    reap()
    if keeper in ready:
        hear()
