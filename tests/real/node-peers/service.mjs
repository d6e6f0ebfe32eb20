// A service with long answers, large bodies and a WebSocket, by Node and ws.
//
// Listens on a free port of loopback and prints lines of JSON: where, and what became of each WebSocket.
//   /ws          echoes; the text "close CODE REASON" closes, "headers" tells the headers of the handshake
//   /events      server-sent events: two, then the end; the next two when the client comes back; 204 after that
//   /sink        reads the body and tells its length and SHA-256
//   /source/N    N bytes
// Environment: PEERS_HOME (the folder with node_modules).

import { createHash } from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';
import { pipeline, Readable } from 'node:stream';

const { WebSocketServer } = createRequire(`${process.env.PEERS_HOME}/`)('ws');
const say = (it) => console.log(JSON.stringify(it));

const block = Buffer.alloc(64 * 1024, 'portcullis ');
function* blocks(left) {
  for (; left > 0; left -= block.length) yield left < block.length ? block.subarray(0, left) : block;
}

const server = http.createServer((request, response) => {
  const [, name, amount] = request.url.split('/');
  if (name === 'source') {
    response.setHeader('content-length', amount);
    return pipeline(Readable.from(blocks(Number(amount))), response, () => {});
  }
  if (name === 'sink') {
    const digest = createHash('sha256');
    let length = 0;
    request.on('data', (part) => { digest.update(part); length += part.length; });
    return request.on('end', () => response.end(JSON.stringify({ length, digest: digest.digest('hex') })));
  }
  if (name === 'events') {
    const last = Number(request.headers['last-event-id'] ?? 0);
    if (last >= 4) return response.writeHead(204).end();
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(`retry: 50\nid: ${last + 1}\ndata: one more\n\n`);
    // The second goes out when the client has said, over another request, that it has the first.
    heard.set(last + 1, () => response.end(`id: ${last + 2}\ndata: one more\n\n`));
    return request.on('close', () => say({ events: last }));
  }
  if (name === 'heard') {
    heard.get(Number(amount))();
    return response.end();
  }
  response.writeHead(404).end();
});
const heard = new Map();

const sockets = new WebSocketServer({ server, path: '/ws', maxPayload: 64 << 20 });
sockets.on('connection', (socket, request) => {
  socket.on('message', (data, binary) => {
    const text = binary ? '' : data.toString();
    if (text.startsWith('close ')) {
      const [, code, ...reason] = text.split(' ');
      return socket.close(Number(code), reason.join(' '));
    }
    if (text === 'headers') return socket.send(JSON.stringify(request.headers));
    return socket.send(data, { binary });
  });
  socket.on('close', (code, reason) => say({ closed: code, reason: reason.toString() }));
  socket.on('error', (error) => say({ error: error.message }));
});

server.listen(0, '127.0.0.1', () => say({ listening: true, port: server.address().port }));
