#!/usr/bin/env python3
"""A cable between two network namespaces: a TAP device `cable` in each, and this process, which passes every frame on some time
after it came. (Kernels without tc's netem cannot delay by themselves.) SIGUSR1 cuts the cable: no frame passes any more, and
neither side is told. Arguments: namespace, namespace, milliseconds. Writes "ready" when the devices are there."""
import collections
import ctypes
import fcntl
import os
import select
import signal
import struct
import sys
import time

PR_SET_PDEATHSIG = 1
CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
TAP_WITHOUT_HEADER = 0x0002 | 0x1000
LONGEST_FRAME = 65536


def device_in(namespace):
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns {namespace}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22s", b"cable", TAP_WITHOUT_HEADER, b""))
    return device


def end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main():
    end_with_parent()
    ends = [device_in(namespace) for namespace in sys.argv[1:3]]
    delay = float(sys.argv[3]) / 1000
    cut = []
    signal.signal(signal.SIGUSR1, lambda *_: cut.append(True))
    print("ready", flush=True)
    on_the_way = collections.deque()  # (when it arrives, where, frame): in order, since all take equally long
    while True:
        wait = max(0.0, on_the_way[0][0] - time.monotonic()) if on_the_way else None
        for end in select.select(ends, [], [], wait)[0]:
            frame = os.read(end, LONGEST_FRAME)
            if not cut:
                on_the_way.append((time.monotonic() + delay, ends[1 - ends.index(end)], frame))
        while on_the_way and on_the_way[0][0] <= time.monotonic():
            _, end, frame = on_the_way.popleft()
            try:
                if not cut:
                    os.write(end, frame)
            except OSError:
                pass  # the device is down, or its queue is full: the frame is lost


main()
