// Clients by Node, each of which prints one line of JSON: `node ask.mjs websocket URL`, `lasts URL`, `events URL`,
// `tls URL GROUP`.
//
// Environment: PEERS_HOME (the folder with node_modules), AUTHORITY (PEM), TOKEN; for events NODE_EXTRA_CA_CERTS.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import tls from 'node:tls';

const { PEERS_HOME, AUTHORITY, TOKEN } = process.env;
const [what, url, group] = process.argv.slice(2);
const headers = TOKEN ? { authorization: `Bearer ${TOKEN}` } : {};
const say = (it) => console.log(JSON.stringify(it));

/** A WebSocket, and what ends it: `{ code, reason }`, or `{ refused }` with the status when there is none. */
function open() {
  const { WebSocket } = createRequire(`${PEERS_HOME}/`)('ws');
  const socket = new WebSocket(url, { ca: readFileSync(AUTHORITY), headers, maxPayload: 64 << 20 });
  const ended = new Promise((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    socket.on('unexpected-response', (request, answer) => { answer.resume(); resolve({ refused: answer.statusCode }); });
    socket.on('error', (error) => resolve({ error: error.message }));
  });
  const opened = new Promise((resolve) => socket.on('open', resolve));
  const next = () => new Promise((resolve) => socket.once('message', (data, binary) => resolve({ data, binary })));
  return { socket, ended, opened, next };
}

async function echoes() {
  const { socket, ended, opened, next } = open();
  const first = await Promise.race([opened, ended]);
  if (first) return first;
  const told = {};
  socket.send('headers');
  told.headers = JSON.parse((await next()).data);
  socket.send('hello');
  told.text = (await next()).data.toString();
  const large = Buffer.alloc(5 << 20, 'large ');
  socket.send(large);
  const back = await next();
  told.large = [back.binary, back.data.equals(large)];
  for (const part of ['in ', 'three ', 'pieces']) socket.send(part, { fin: part === 'pieces' });
  told.pieces = (await next()).data.toString();
  told.pong = await new Promise((resolve) => { socket.once('pong', (data) => resolve(data.toString())); socket.ping('alive'); });
  socket.close(4001, 'the client has enough');
  told.own = await ended;
  const other = open();
  await other.opened;
  other.socket.send('close 4002 the service has enough');
  told.other = await other.ended;
  return told;
}

async function lasts() {
  const { socket, ended, opened } = open();
  const first = await Promise.race([opened, ended]);
  if (first) return first;
  const begun = Date.now();
  const beat = setInterval(() => socket.send('beat'), 20);
  const end = await ended;
  clearInterval(beat);
  return { ...end, lasted: Date.now() - begun };
}

function events() {
  const source = new EventSource(url);
  const ids = [];
  // Node would end while the client waits to come back.
  setInterval(() => {}, 1000);
  return new Promise((resolve) => {
    source.onmessage = (event) => {
      ids.push(event.lastEventId);
      if (ids.length % 2 === 1) fetch(url.replace('/events', `/heard/${event.lastEventId}`));
    };
    source.onerror = () => { if (source.readyState === 2) resolve({ ids }); };
  });
}

/** A handshake with one group alone: `{ protocol }`, or `{ error }`. */
function handshake() {
  const { port, hostname } = new URL(url);
  return new Promise((resolve) => {
    const socket = tls.connect({ host: hostname, port, servername: hostname, ca: readFileSync(AUTHORITY), ecdhCurve: group });
    socket.on('secureConnect', () => resolve({ protocol: socket.getProtocol() }));
    socket.on('error', (error) => resolve({ error: error.code }));
  });
}

say(await { websocket: echoes, lasts, events, tls: handshake }[what]());
process.exit(0);
