#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A stand-in for istiod that does what it is told: delta ADS for the two types that a node proxy
asks for, and IstioCertificateService, both behind TLS and a token. Messages are encoded here,
field by field, so that broken ones can be sent as well.

  istiod.py serve --port P --ctl SOCKET --cert F --key F [--ca DIR] [--proxy P2]
  istiod.py ctl SOCKET JSON        one command, prints the answer

Commands (all optional in one object, done in this order):
  token TEXT         what the bearer must be from now on; "" anything
  load FILE          the mesh is what the mesh file says
  put {workloads, services, policies}
  patch {UID: {...}}   changes workloads that were loaded
  raw [{type, name, hex}]   a resource with these bytes; type address or authorization
  remove [NAMES]
  generate {workloads, services, moved}   many of them, on other nodes; moved: only every so
                     many-th workload, which has another address now
  end TEXT           streams end with this status, "" orderly
  ca {fail, ttl, uri}   fail: the next N requests are refused; uri: for somebody else
  proxy {rate, cut}  the port --proxy hands on `rate` bytes per 10 ms (0: no limit) and resets
                     each connection after `cut` bytes of istiod's from now on (0: not)
  mute BOOL          names that are asked for wait (a client on demand: it subscribes to nothing and names
                     what it needs, and gets that, what is behind a VIP, and all workloads of its node)
  log true           what was seen since the last time: requests of streams, of the CA
"""
import argparse
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from concurrent import futures

ADDRESS = 'type.googleapis.com/istio.workload.Address'
AUTHORIZATION = 'type.googleapis.com/istio.security.Authorization'
URLS = {'address': ADDRESS, 'authorization': AUTHORIZATION}

# ---- Protocol Buffers ----


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def msg(*fields):
    """(number, value): value may be None, an int, text, bytes, or a list of them."""
    out = []
    for number, value in fields:
        for v in value if isinstance(value, list) else [value]:
            if v is None or v is False:
                continue
            if isinstance(v, int):
                out.append(varint(number << 3) + varint(int(v)))
                continue
            if isinstance(v, str):
                v = v.encode()
            out.append(varint(number << 3 | 2) + varint(len(v)) + v)
    return b''.join(out)


def text(v):
    return v or None


def fields(data):
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            v, at = read_varint(data, at)
        elif tag & 7 == 2:
            n, at = read_varint(data, at)
            v, at = data[at:at + n], at + n
        elif tag & 7 == 1:
            v, at = data[at:at + 8], at + 8
        else:
            v, at = data[at:at + 4], at + 4
        yield tag >> 3, v


def read_varint(data, at):
    v = shift = 0
    while True:
        b = data[at]
        at += 1
        v |= (b & 0x7f) << shift
        if not b & 0x80:
            return v, at
        shift += 7


def first(data, number, default=b''):
    for n, v in fields(data):
        if n == number:
            return v
    return default


# ---- resources, from the shape of a mesh file ----


def ip(s):
    s = s.split('/')[-1]
    return socket.inet_pton(socket.AF_INET6 if ':' in s else socket.AF_INET, s)


def ports(table):
    return [msg((1, int(k)), (2, int(v))) for k, v in (table or {}).items()]


def enum(words, value, default=0):
    return words.index(value) if value in words else int(value) if value is not None else default


def workload(w):
    uid = w.get('uid') or f"{w.get('clusterId', 'Kubernetes')}//Pod/{w['namespace']}/{w['name']}"
    td = w.get('trustDomain', '')
    body = msg(
        (1, text(w.get('name'))), (2, w.get('namespace')),
        (3, [ip(a) for a in w.get('workloadIps', [])]), (4, text(w.get('network'))),
        (5, enum(['TCP', 'HBONE', 'LEGACY'], w.get('protocol'))),
        (6, text('' if td == 'cluster.local' else td)), (7, text(w.get('serviceAccount'))),
        (9, text(w.get('node'))), (10, text(w.get('canonicalName'))),
        (11, text(w.get('canonicalRevision'))),
        (12, enum(['deployment', 'cronjob', 'pod', 'job'], w.get('workloadType'))),
        (13, text(w.get('workloadName'))), (14, bool(w.get('nativeTunnel')) or None),
        (16, list(w.get('authorizationPolicies', []))),
        (17, enum(['Healthy', 'Unhealthy'], w.get('status'))), (18, text(w.get('clusterId'))),
        (20, uid),
        (22, [msg((1, k), (2, msg((1, ports(v))))) for k, v in w.get('services', {}).items()]),
        (25, enum(['Standard', 'HostNetwork'], w.get('networkMode'))),
        (27, msg((1, w['capacity'])) if 'capacity' in w else None))
    return ADDRESS, uid, msg((1, body))


def service(s):
    lb = s.get('loadBalancer')
    body = msg(
        (1, s['name']), (2, s['namespace']), (3, s['hostname']),
        (4, [msg((2, ip(v))) for v in s.get('vips', [])]), (5, ports(s.get('ports'))),
        (6, list(s.get('subjectAltNames', []))),
        (8, msg((1, [enum(['', 'Region', 'Zone', 'Subzone', 'Node', 'Cluster', 'Network'], x)
                     for x in lb.get('routingPreferences', [])]),
                (2, enum(['Standard', 'Strict', 'Failover', 'Passthrough'], lb.get('mode'))))
         if lb else None))
    return ADDRESS, f"{s['namespace']}/{s['hostname']}", msg((2, body))


def string_match(s):
    if s == '*':
        return msg((4, b''))
    if s.startswith('*'):
        return msg((3, s[1:]))
    if s.endswith('*'):
        return msg((2, s[:-1]))
    return msg((1, s))


def prefix(s):
    a, _, n = s.partition('/')
    raw = ip(a)
    return msg((1, raw), (2, int(n) if n else len(raw) * 8))


def account(s):
    ns, _, sa = s.partition('/')
    return msg((1, ns), (2, sa))


MATCH = {'namespaces': (1, string_match), 'notNamespaces': (2, string_match),
         'principals': (3, string_match), 'notPrincipals': (4, string_match),
         'sourceIps': (5, prefix), 'notSourceIps': (6, prefix),
         'destinationIps': (7, prefix), 'notDestinationIps': (8, prefix),
         'destinationPorts': (9, int), 'notDestinationPorts': (10, int),
         'serviceAccounts': (11, account), 'notServiceAccounts': (12, account)}


def match(m):
    return msg(*[(MATCH[k][0], [MATCH[k][1](x) for x in v]) for k, v in m.items()])


def policy(p):
    rules = [msg((1, [msg((2, [match(m) for m in clause])) for clause in rule]))
             for rule in p.get('rules', [])]
    body = msg((1, p['name']), (2, text(p.get('namespace'))),
               (3, enum(['Global', 'Namespace', 'WorkloadSelector'], p.get('scope'))),
               (4, enum(['Allow', 'Deny'], p.get('action'))), (5, rules),
               (6, bool(p.get('dryRun')) or None))
    return AUTHORIZATION, f"{p.get('namespace', '')}/{p['name']}", body


def generated(workloads, services, moved=None):
    for i in range(0 if moved else services):
        yield service({'name': f's{i}', 'namespace': f'ns{i % 100}',
                       'hostname': f's{i}.ns{i % 100}.svc.cluster.local',
                       'vips': [f'10.{112 + (i >> 16)}.{i >> 8 & 255}.{i & 255}'],
                       'ports': {'80': 8080}})
    for i in range(0, workloads, moved or 1):
        app, ns = i // 10, i // 10 % 100
        s = app % services if services else 0
        yield workload({
            'name': f'app{app}-7d9c5b8f6d-{i:05x}', 'namespace': f'ns{ns}',
            'workloadIps': [f'10.{(160 if moved else 128) + (i >> 16)}.{i >> 8 & 255}.{i & 255}'],
            'protocol': 'HBONE', 'serviceAccount': f'app{app}', 'node': f'worker-{i // 30}',
            'canonicalName': f'app{app}', 'canonicalRevision': 'v1', 'workloadName': f'app{app}',
            'workloadType': 'pod', 'clusterId': 'Kubernetes',
            'services': {f's{s}.ns{s % 100}.svc.cluster.local'.join([f'ns{s % 100}/', '']):
                         {'80': 8080}} if services else {}})


# ---- what there is, and what was seen ----


class World:
    def __init__(self):
        self.changed = threading.Condition()
        # name -> (version, bytes, the field of a response that it is)
        self.resources = {ADDRESS: {}, AUTHORIZATION: {}}
        self.token = None  # nobody is let in before there are orders
        self.loaded = {}
        self.end = (0, '')  # number of the order, status
        self.log = []
        self.ca = {'fail': 0, 'ttl': 0, 'uri': ''}
        self.mute = False

    def lookup(self, name):
        """What istiod gives to who asks for a uid, namespace/hostname or network/address."""
        table = self.resources[ADDRESS]
        if name in table:
            found = [name]
        else:
            found = [n for n, (_, body, _) in table.items() if name in aliases(body)]
        service = next((n for n in found if first(table[n][1], 2, None) is not None), None)
        if service is None or len(found) > 1:  # a workload's address counts before a VIP
            return [n for n in found if first(table[n][1], 1, None) is not None]
        return found + [n for n, (_, body, _) in table.items() if service in memberships(body)]

    def on_node(self, node):
        return [n for n, (_, body, _) in self.resources[ADDRESS].items() if node_of(body) == node]

    def put(self, items):
        for url, name, body in items:
            version = hashlib.sha1(body).hexdigest()[:16]
            whole = msg((1, version), (2, msg((1, url), (2, body))), (3, name),
                        (4, aliases(body) if url == ADDRESS else None))
            self.resources[url][name] = (version, body, msg((2, whole)))

    def put_mesh(self, mesh):
        self.put([workload(w) for w in mesh.get('workloads', [])] +
                 [service(s) for s in mesh.get('services', [])] +
                 [policy(p) for p in mesh.get('policies', [])])

    def seen(self, **what):
        with self.changed:
            self.log.append(what)
            self.changed.notify_all()


def readable(f):
    """Resources may be broken on purpose: nothing is in such a one."""
    def g(body):
        try:
            return f(body)
        except (IndexError, TypeError, AttributeError, ValueError, OSError):
            return []
    return g


@readable
def aliases(body):
    """network/address of a workload or service."""
    w, s = first(body, 1), first(body, 2)
    pairs = [(first(w, 4), v) for n, v in fields(w) if n == 3]
    pairs += [(first(v, 1), first(v, 2)) for n, v in fields(s) if n == 4]
    return [f'{network.decode()}/' + socket.inet_ntop(
        socket.AF_INET6 if len(ip) == 16 else socket.AF_INET, ip) for network, ip in pairs]


@readable
def memberships(body):
    return [first(v, 1).decode() for n, v in fields(first(body, 1)) if n == 22]


def response(url, nonce, put, removed):
    return b''.join(v[2] for _, v in put) + msg((4, url), (5, nonce), (6, removed))


@readable
def node_of(body):
    return first(first(body, 1), 9).decode()


def node_name(node):
    """NODE_NAME of the metadata."""
    for n, entry in fields(first(node, 3)):
        if n == 1 and first(entry, 1) == b'NODE_NAME':
            return first(first(entry, 2), 3).decode()
    return ''


def bearer_ok(world, context):
    got = dict(context.invocation_metadata()).get('authorization', '')
    return world.token == '' or got == f'Bearer {world.token}'


class Stream:
    """One stream: what the client has, by type, and what it still has to be told."""

    def __init__(self, world):
        self.world = world
        self.held = {}  # url -> {name: version}
        self.answered = set()
        self.open = True
        self.nonce = 0
        self.node = ''
        self.on_demand = False
        self.subscribed = set()
        self.asked = []

    def subscribe(self, data, is_first):
        names = [v.decode() for n, v in fields(data) if n == 3]
        gone = [v.decode() for n, v in fields(data) if n == 4]
        if is_first:
            self.on_demand = '*' in names and '*' in gone
        if not self.on_demand:
            return {}
        # as istiod: a name that is subscribed to already has no answer
        fresh = [n for n in names if n not in self.subscribed and n != '*']
        self.subscribed.update(fresh)
        self.subscribed.difference_update(gone)
        if is_first:
            self.subscribed.update(self.held[ADDRESS])
            fresh += self.held[ADDRESS]
        self.asked += fresh
        return {'subscribe': names, 'unsubscribe': gone}

    def read(self, requests, metadata):
        try:
            for data in requests:
                url = first(data, 2).decode()
                error = first(data, 7, None)
                nonce = first(data, 6).decode()
                seen = {'type': url.rsplit('.', 1)[-1], 'nonce': nonce, 'bytes': len(data)}
                if error is not None:
                    seen['error'] = first(error, 2).decode()
                with self.world.changed:
                    is_first = url not in self.held
                    if is_first:
                        claims = dict((first(e, 1).decode(), first(e, 2).decode())
                                      for n, e in fields(data) if n == 5)
                        self.held[url] = claims
                        node = first(data, 1)
                        self.node = node_name(node) or self.node
                        seen.update(claims=len(claims), node=first(node, 1).decode(),
                                    clusterid=metadata.get('clusterid'))
                    if url == ADDRESS:
                        seen.update(self.subscribe(data, is_first))
                    self.world.log.append(seen)
                    self.world.changed.notify_all()
        except Exception:  # the stream is gone
            pass
        with self.world.changed:
            self.open = False
            self.world.changed.notify_all()

    def next_asked(self):
        """Of a client on demand: what it has asked for, what is new on its node, what has changed."""
        have, table = self.held[ADDRESS], self.world.resources[ADDRESS]
        names, removed = [], []
        if not self.world.mute:
            for name in self.asked:
                found = self.world.lookup(name)
                names += found
                removed += [] if found else [name]
            self.asked = []
        here = [n for n in self.world.on_node(self.node) if n not in self.subscribed]
        changed = [n for n in self.subscribed if n in table and have.get(n) != table[n][0]]
        gone = [n for n in self.subscribed if n in have and n not in table]
        names = dict.fromkeys(names + here + changed)
        if not names and not removed and not gone and ADDRESS in self.answered:
            return None
        self.answered.add(ADDRESS)
        self.subscribed.update(names)
        for n in gone:
            have.pop(n)
        have.update((n, table[n][0]) for n in names)
        self.nonce += 1
        return response(ADDRESS, f'n{self.nonce}', [(n, table[n]) for n in names],
                        list(dict.fromkeys(removed + gone)))

    def next(self):
        """The next message, or None; under the lock."""
        for url in (ADDRESS, AUTHORIZATION):
            if url not in self.held:
                continue
            if url == ADDRESS and self.on_demand:
                out = self.next_asked()
                if out is not None:
                    return out
                continue
            have, want = self.held[url], self.world.resources[url]
            put = [(n, v) for n, v in want.items() if have.get(n) != v[0]]
            removed = [n for n in have if n not in want]
            if not put and not removed and url in self.answered:
                continue
            self.answered.add(url)
            self.held[url] = {n: v[0] for n, v in want.items()}
            self.nonce += 1
            return response(url, f'n{self.nonce}', put, removed)
        return None


def delta(world):
    def handle(requests, context):
        import grpc
        if not bearer_ok(world, context):
            world.seen(type='stream', error='Unauthenticated')
            context.abort(grpc.StatusCode.UNAUTHENTICATED, 'the token is 100% wrong\n')
        stream, order = Stream(world), world.end[0]
        world.seen(type='stream')
        threading.Thread(target=stream.read, daemon=True,
                         args=(requests, dict(context.invocation_metadata()))).start()
        while True:
            with world.changed:
                out = stream.next()
                while out is None and stream.open and world.end[0] == order:
                    world.changed.wait(1)
                    out = stream.next()
            if out is not None:
                yield out
            elif world.end[0] != order:
                if world.end[1]:
                    context.abort(grpc.StatusCode[world.end[1]], 'as was ordered')
                return
            elif not stream.open:
                return
    return handle


def sign(ca, csr, ttl, uri):
    """The CSR's own SAN unless uri says otherwise; seconds of life by openssl ca -enddate."""
    import time
    with tempfile.TemporaryDirectory() as d:
        with open(f'{d}/req', 'wb') as f:
            f.write(csr)
        san = f'subjectAltName = critical,URI:{uri}\n' if uri else ''
        with open(f'{d}/conf', 'w', encoding='ascii') as f:
            f.write(f'[ca]\ndefault_ca=own\n[own]\ndatabase={d}/index\nnew_certs_dir={d}\n'
                    f'rand_serial=yes\ndefault_md=sha256\npolicy=any\nx509_extensions=leaf\n'
                    f'copy_extensions={"none" if uri else "copy"}\n[any]\n'
                    'commonName=optional\n[leaf]\nbasicConstraints=critical,CA:FALSE\n'
                    'keyUsage=critical,digitalSignature\n'
                    'extendedKeyUsage=serverAuth,clientAuth\n' + san)
        with open(f'{d}/index', 'w', encoding='ascii'):
            pass
        now = time.time()
        stamp = [time.strftime('%Y%m%d%H%M%SZ', time.gmtime(t)) for t in (now - 1, now + ttl)]
        out = subprocess.run(
            ['openssl', 'ca', '-batch', '-notext', '-config', f'{d}/conf', '-subj', '/',
             '-cert', f'{ca}/root-cert.pem', '-keyfile', f'{ca}/root-key.pem', '-in', f'{d}/req',
             '-startdate', stamp[0], '-enddate', stamp[1]], capture_output=True, check=True)
        return out.stdout


class Signer:
    """A process of its own that runs openssl: one that has gRPC's threads must not fork."""

    def __init__(self, ca):
        self.lock = threading.Lock()
        self.child = subprocess.Popen([sys.executable, __file__, 'sign', ca], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def sign(self, csr, ttl, uri):
        with self.lock:
            print(json.dumps([csr.decode(), ttl, uri]), file=self.child.stdin, flush=True)
            return json.loads(self.child.stdout.readline()).encode()


def signer_main(ca):
    for line in sys.stdin:
        csr, ttl, uri = json.loads(line)
        print(json.dumps(sign(ca, csr.encode(), ttl, uri).decode()), flush=True)


def create_certificate(world, ca, signer):
    def handle(data, context):
        import grpc
        metadata = first(data, 4)
        who = ''
        for _, entry in fields(metadata):
            if first(entry, 1) == b'ImpersonatedIdentity':
                who = first(first(entry, 2), 3).decode()
        ttl = first(data, 3, 0)
        with world.changed:
            refused = world.ca['fail'] > 0
            world.ca['fail'] -= refused
            own_ttl, uri = world.ca['ttl'], world.ca['uri']
        world.seen(type='ca', identity=who, ttl=ttl, refused=bool(refused))
        if refused or not bearer_ok(world, context):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, 'authentication failure')
        leaf = signer.sign(first(data, 1), own_ttl or ttl, uri)
        with open(f'{ca}/root-cert.pem', 'rb') as f:
            return msg((1, [leaf, f.read()]))
    return handle


# ---- the proxy that drips and cuts ----


class Drip:
    def __init__(self, port, to):
        self.rate = self.cut = self.order = 0
        self.to = to
        self.listener = socket.create_server(('', port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(('127.0.0.1', self.to))
            threading.Thread(target=self.pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, True), daemon=True).start()

    def pump(self, a, b, counted):
        pause = threading.Event()
        order, passed = self.order, 0
        try:
            while True:
                data = a.recv(min(self.rate or 65536, 65536) if counted else 65536)
                if not data:
                    break
                if order != self.order:
                    order, passed = self.order, 0
                if counted and self.cut and passed + len(data) > self.cut:
                    b.sendall(data[:self.cut - passed])
                    b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                    break
                b.sendall(data)
                passed += len(data)
                if counted and self.rate:
                    pause.wait(0.01)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RD)  # wakes the thread of the other direction
            except OSError:
                pass
            s.close()


# ---- orders ----


def obey(world, drip, order):
    import yaml
    with world.changed:
        if 'token' in order:
            world.token = order['token']
        if 'load' in order:
            with open(order['load'], encoding='utf-8') as f:
                world.resources = {ADDRESS: {}, AUTHORIZATION: {}}
                mesh = yaml.safe_load(f)
                world.put_mesh(mesh)
                world.loaded = {w['uid']: w for w in mesh['workloads']}
        if 'patch' in order:
            for uid, changes in order['patch'].items():
                world.loaded[uid].update(changes)
                world.put([workload(world.loaded[uid])])
        if 'put' in order:
            world.put_mesh(order['put'])
        if 'raw' in order:
            world.put([(URLS[r['type']], r['name'], bytes.fromhex(r['hex']))
                       for r in order['raw']])
        for name in order.get('remove', []):
            for table in world.resources.values():
                table.pop(name, None)
        if 'generate' in order:
            world.put(generated(**order['generate']))
        if 'end' in order:
            world.end = (world.end[0] + 1, order['end'])
        world.ca.update(order.get('ca', {}))
        world.mute = order.get('mute', world.mute)
        if drip and 'proxy' in order:
            drip.rate = order['proxy'].get('rate', 0)
            drip.cut = order['proxy'].get('cut', 0)
            drip.order += 1
        answer = {'resources': {k: len(world.resources[u]) for k, u in URLS.items()}}
        if order.get('log'):
            answer['log'], world.log = world.log, []
        world.changed.notify_all()
    return answer


def control(world, drip, path):
    if os.path.exists(path):
        os.unlink(path)
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen()
    while True:
        c, _ = s.accept()
        with c, c.makefile('rw') as f:
            try:
                answer = obey(world, drip, json.loads(f.readline()))
            except Exception as e:
                answer = {'error': repr(e)}
            f.write(json.dumps(answer) + '\n')


def serve(args):
    signer = Signer(args.ca)
    import grpc
    world = World()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64),
                         options=[('grpc.max_send_message_length', -1)])
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler(
            'envoy.service.discovery.v3.AggregatedDiscoveryService',
            {'DeltaAggregatedResources': grpc.stream_stream_rpc_method_handler(delta(world))}),
        grpc.method_handlers_generic_handler(
            'istio.v1.auth.IstioCertificateService',
            {'CreateCertificate': grpc.unary_unary_rpc_method_handler(
                create_certificate(world, args.ca, signer))})))
    with open(args.key, 'rb') as key, open(args.cert, 'rb') as cert:
        creds = grpc.ssl_server_credentials([(key.read(), cert.read())])
    if not server.add_secure_port(f'0.0.0.0:{args.port}', creds):
        sys.exit('cannot listen')
    drip = Drip(args.proxy, args.port) if args.proxy else None
    server.start()
    control(world, drip, args.ctl)


def main():
    parser = argparse.ArgumentParser()
    sub = parser.add_subparsers(dest='what', required=True)
    s = sub.add_parser('serve')
    for name, kind in (('port', int), ('proxy', int), ('ctl', str), ('cert', str), ('key', str),
                       ('ca', str)):
        s.add_argument('--' + name, type=kind)
    c = sub.add_parser('ctl')
    c.add_argument('socket')
    c.add_argument('order')
    s = sub.add_parser('sign')  # for serve
    s.add_argument('ca')
    args = parser.parse_args()
    if args.what == 'sign':
        signer_main(args.ca)
        return
    if args.what == 'serve':
        serve(args)
        return
    with socket.socket(socket.AF_UNIX) as s, s.makefile('rw') as f:
        s.connect(args.socket)
        f.write(args.order.replace('\n', ' ') + '\n')
        f.flush()
        answer = json.loads(f.readline())
    print(json.dumps(answer))
    sys.exit('error' in answer)


if __name__ == '__main__':
    main()
