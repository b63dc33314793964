#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A stand-in for the node agent of istio-cni that does what it is told: the listening side of ZDS
(docs/zds.md), as the agent behaves - a snapshot for each connection, then changes, an answer within
5 s, nothing unasked. Messages are encoded here, field by field, so that broken ones can be sent.

  zds.py serve --socket PATH --ctl SOCKET
  zds.py ctl SOCKET JSON        one command, prints the answer

Commands, one of:
  add {uid, namespace, name, serviceAccount, netns}   netns: a path; told to the newest connection
                            answer {error}: of the proxy; "no ztunnel connection" is ours
  del UID                   told to all connections; answer {error}
  tell {add: POD} | {keep: UID} | {del: UID} | {snapshot_sent: true}, and wait, netns as in send:
                            that message to the newest connection; the agent's own list stays
  send {hex, netns: [PATHS], pad: N, wait: bool}   these bytes, N zeros behind them, these
                            descriptors; answer {ack} (its error), {closed} or {} (not waited)
  restart {fds: bool, down: bool}   the agent is another one: all connections end, and (fds false)
                            it has the pods of before without their namespaces; down: nobody listens
  up true                   after down
  manual BOOL               no snapshot is sent by itself
  state true                answer {connections, synced, hello, unsolicited, closed, pods}
"""
import argparse
import array
import json
import os
import select
import socket
import sys
import threading

DEADLINE = 5


def varint(n):
    out = b''
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, body):
    if isinstance(body, str):
        body = body.encode()
    return varint(number << 3 | 2) + varint(len(body)) + body


def add_message(pod):
    info = (field(1, pod['name']) + field(2, pod['namespace']) +
            field(3, pod.get('serviceAccount', 'default')))
    return field(1, field(1, pod['uid']) + field(2, info))


def del_message(uid):
    return field(2, field(2, uid))


def keep_message(uid):
    return field(5, field(1, uid))


SNAPSHOT_SENT = field(3, b'')


def ack_of(data):
    """The error of a WorkloadResponse; raises ValueError for anything else."""
    def one(data, number):
        if not data:
            return b''
        if data[0] != number << 3 | 2:
            raise ValueError(data.hex())
        n, at = data[1] & 0x7f, 2
        if data[1] & 0x80:
            n, at = n | data[2] << 7, 3
        if len(data) != at + n:
            raise ValueError(data.hex())
        return data[at:at + n]
    if not data:
        raise ValueError('empty')
    return one(one(data, 1), 1).decode('ascii')


class Gone(Exception):
    pass


class Proxy:
    """One connection of a proxy."""

    def __init__(self, sock):
        self.sock = sock
        self.synced = False
        sock.settimeout(DEADLINE)
        self.hello = sock.recv(1024)

    def send(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        try:
            self.sock.sendmsg([data], rights)
        except OSError as e:
            raise Gone(str(e)) from e

    def ack(self):
        try:
            data = self.sock.recv(1024)
        except OSError as e:
            raise Gone(str(e)) from e
        if not data:
            raise Gone('closed')
        return ack_of(data)

    def ask(self, data, fds=()):
        self.send(data, fds)
        return self.ack()

    def look(self):
        """'' while it lives and is silent, 'closed', or what it said unasked."""
        if not select.select([self.sock], [], [], 0)[0]:
            return ''
        try:
            data = self.sock.recv(1024)
        except OSError:
            return 'closed'
        return 'unsolicited ' + data.hex() if data else 'closed'


class Agent:
    def __init__(self, path):
        self.path = path
        self.lock = threading.RLock()
        self.pods = {}  # uid: pod
        self.fds = {}  # uid: descriptor
        self.proxies = []
        self.total, self.manual = 0, False
        self.unsolicited, self.errors = [], []
        self.listener = None
        self.up()

    def up(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(8)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                if listener is not self.listener:
                    sock.close()
                    return
                self.connected(sock)

    def connected(self, sock):
        try:
            proxy = Proxy(sock)
        except OSError:
            sock.close()
            return
        self.total += 1
        self.proxies.append(proxy)
        if self.manual:
            return
        try:
            for uid, pod in self.pods.items():
                error = (proxy.ask(add_message(pod), [self.fds[uid]]) if uid in self.fds
                         else proxy.ask(keep_message(uid)))
                if error:
                    self.errors.append(error)
            self.errors += filter(None, [proxy.ask(SNAPSHOT_SENT)])
            proxy.synced = True
        except (Gone, ValueError) as e:
            self.drop(proxy, str(e))

    def drop(self, proxy, why):
        self.errors.append(why)
        proxy.sock.close()
        self.proxies.remove(proxy)

    def look(self):
        for proxy in list(self.proxies):
            said = proxy.look()
            if said:
                if said != 'closed':
                    self.unsolicited.append(said)
                self.drop(proxy, said)

    def newest(self):
        self.look()
        return self.proxies[-1] if self.proxies else None

    def do_add(self, pod):
        self.forget(pod['uid'])
        self.pods[pod['uid']] = pod
        self.fds[pod['uid']] = os.open(pod['netns'], os.O_RDONLY)
        proxy = self.newest()
        if not proxy:
            return {'error': 'no ztunnel connection'}
        return {'error': proxy.ask(add_message(pod), [self.fds[pod['uid']]])}

    def forget(self, uid):
        self.pods.pop(uid, None)
        if uid in self.fds:
            os.close(self.fds.pop(uid))

    def do_del(self, uid):
        self.forget(uid)
        self.look()
        return {'error': '; '.join(filter(None, [p.ask(del_message(uid)) for p in self.proxies]))}

    def do_tell(self, what):
        fds = what.get('netns')
        if 'add' in what:
            data = add_message(what['add'])
            fds = [what['add']['netns']] if fds is None else fds
        elif 'keep' in what:
            data = keep_message(what['keep'])
        elif 'del' in what:
            data = del_message(what['del'])
        else:
            data = SNAPSHOT_SENT
        return self.do_send({'hex': data.hex(), 'netns': fds or [], 'wait': what.get('wait', True)})

    def do_send(self, what):
        proxy = self.newest()
        if not proxy:
            return {'closed': True}
        fds = [os.open(path, os.O_RDONLY) for path in what.get('netns', [])]
        try:
            data = bytes.fromhex(what['hex']) + bytes(what.get('pad', 0))
            proxy.send(data, fds)
            if not what.get('wait', True):
                return {}
            answer = {'ack': proxy.ack()}
            if what['hex'] == SNAPSHOT_SENT.hex():
                proxy.synced = True
            return answer
        except Gone:
            self.drop(proxy, 'closed')
            return {'closed': True}
        finally:
            for fd in fds:
                os.close(fd)

    def do_restart(self, what):
        listener, self.listener = self.listener, None
        listener.close()
        for proxy in list(self.proxies):
            self.drop(proxy, 'restart')
        if not what.get('fds', True):
            for fd in self.fds.values():
                os.close(fd)
            self.fds = {}
        if what.get('down'):
            os.unlink(self.path)
        else:
            self.up()
        return {}

    def do_up(self, _):
        self.up()
        return {}

    def do_manual(self, manual):
        self.manual = manual
        return {}

    def do_state(self, _):
        self.look()
        proxy = self.proxies[-1] if self.proxies else None
        return {'connections': self.total, 'open': len(self.proxies),
                'synced': bool(proxy and proxy.synced),
                'hello': proxy.hello.hex() if proxy else '',
                'unsolicited': self.unsolicited, 'errors': self.errors,
                'pods': list(self.pods)}

    def do(self, command):
        with self.lock:
            (what, arg), = command.items()
            try:
                return getattr(self, 'do_' + what)(arg)
            except Gone as e:
                return {'error': 'connection lost: ' + str(e)}


def serve(args):
    agent = Agent(args.socket)
    if os.path.exists(args.ctl):
        os.unlink(args.ctl)
    ctl = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    ctl.bind(args.ctl)
    ctl.listen(8)
    while True:
        conn, _ = ctl.accept()
        with conn, conn.makefile('rw') as f:
            try:
                json.dump(agent.do(json.loads(f.readline())), f)
            except Exception as e:  # pylint: disable=broad-except  # the caller is told
                json.dump({'failed': repr(e)}, f)


def ctl(args):
    conn = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    conn.settimeout(20)
    conn.connect(args.ctl)
    with conn.makefile('rw') as f:
        f.write(json.dumps(json.loads(args.command)) + '\n')
        f.flush()
        answer = json.loads(f.read())
    print(json.dumps(answer))
    return 1 if 'failed' in answer else 0


def main():
    parser = argparse.ArgumentParser()
    subs = parser.add_subparsers(required=True)
    sub = subs.add_parser('serve')
    sub.add_argument('--socket', required=True)
    sub.add_argument('--ctl', required=True)
    sub.set_defaults(run=serve)
    sub = subs.add_parser('ctl')
    sub.add_argument('ctl')
    sub.add_argument('command')
    sub.set_defaults(run=ctl)
    args = parser.parse_args()
    return args.run(args)


if __name__ == '__main__':
    sys.exit(main())
