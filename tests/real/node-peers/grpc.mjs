// A gRPC service and its client by @grpc/grpc-js, with bytes for messages.
//
//   node grpc.mjs serve             listens on a free port of loopback, with TLS when TLS_CHAIN and TLS_KEY name PEM files;
//                                   prints a line of JSON when it listens, and one for each call that its client gave up
//   node grpc.mjs ask PORT SERVICE  calls everything and prints what came of it, as one line of JSON
//
// Environment: PEERS_HOME (the folder with node_modules), AUTHORITY (PEM, whom the client trusts), TOKEN.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { PEERS_HOME, TLS_CHAIN, TLS_KEY, AUTHORITY, TOKEN } = process.env;
const grpc = createRequire(`${PEERS_HOME}/`)('@grpc/grpc-js');
const [role, port, service] = process.argv.slice(2);

const bytes = { requestSerialize: (it) => it, requestDeserialize: (it) => it, responseSerialize: (it) => it, responseDeserialize: (it) => it };
const kinds = { one: [false, false], many: [false, true], sum: [true, false], talk: [true, true], fail: [false, false], wait: [false, false], flow: [false, true] };
const methods = (of) => Object.fromEntries(Object.entries(kinds).map(([name, [requestStream, responseStream]]) => [name, { path: `/${of}/${name}`, requestStream, responseStream, ...bytes }]));

const say = (it) => console.log(JSON.stringify(it));

if (role === 'serve') {
  const trailers = (call) => {
    const told = new grpc.Metadata();
    told.set('x-who', String(call.metadata.get('x-auth-user')[0] ?? ''));
    told.set('x-token', String(call.metadata.get('authorization').length));
    return told;
  };
  const implementation = {
    one: (call, done) => done(null, call.request, trailers(call)),
    many(call) {
      for (let number = 0; number < Number(call.request); number += 1) call.write(Buffer.alloc(4096, number));
      call.end(trailers(call));
    },
    sum(call, done) {
      let total = 0;
      call.on('data', (part) => { total += part.length; });
      call.on('end', () => done(null, Buffer.from(String(total)), trailers(call)));
    },
    talk(call) {
      call.on('data', (part) => call.write(part));
      call.on('end', () => call.end(trailers(call)));
      call.on('cancelled', () => say({ cancelled: 'talk' }));
    },
    fail(call, done) {
      const metadata = trailers(call);
      metadata.set('x-detail-bin', Buffer.from([0, 1, 254, 255]));
      done({ code: grpc.status.FAILED_PRECONDITION, details: 'not like this: ü', metadata });
    },
    wait(call) {
      call.on('cancelled', () => say({ cancelled: 'wait' }));
    },
    flow(call) {
      const beat = setInterval(() => call.write(Buffer.from('beat')), 50);
      call.on('cancelled', () => { clearInterval(beat); say({ cancelled: 'flow' }); });
    },
  };
  const server = new grpc.Server();
  for (const name of ['plain.Echo', 'secret.Echo']) server.addService(methods(name), implementation);
  const credentials = TLS_CHAIN
    ? grpc.ServerCredentials.createSsl(null, [{ cert_chain: readFileSync(TLS_CHAIN), private_key: readFileSync(TLS_KEY) }])
    : grpc.ServerCredentials.createInsecure();
  server.bindAsync('127.0.0.1:0', credentials, (error, bound) => {
    if (error) throw error;
    say({ listening: true, port: bound });
  });
} else {
  const Client = grpc.makeGenericClientConstructor(methods(service), service);
  const client = new Client(`localhost:${port}`, grpc.credentials.createSsl(readFileSync(AUTHORITY)));
  const metadata = new grpc.Metadata();
  if (TOKEN) metadata.set('authorization', `Bearer ${TOKEN}`);
  const soon = (seconds) => ({ deadline: Date.now() + seconds * 1000 });

  /** Follows a call to its status: `{ code, details, who, parts, bytes }`. `also` may act on it meanwhile. */
  const follow = (start, also = () => {}) => new Promise((resolve) => {
    const told = { parts: 0, bytes: 0 };
    const call = start((error, answer) => {
      if (answer) { told.parts += 1; told.bytes += answer.length; told.text = answer.length < 64 ? answer.toString() : undefined; }
    });
    call.on('data', (part) => { told.parts += 1; told.bytes += part.length; });
    call.on('error', () => {});
    call.on('status', (status) => {
      const of = (name) => status.metadata.get(name)[0]?.toString('hex');
      const text = (name) => status.metadata.get(name)[0];
      resolve({ ...told, code: status.code, details: status.details, who: text('x-who'), token: text('x-token'), detail: of('x-detail-bin') });
    });
    also(call, told);
  });
  const large = Buffer.alloc(3 << 20, 7);
  const calls = {
    one: () => follow((done) => client.one(Buffer.from('hello'), metadata, soon(20), done)),
    large: () => follow((done) => client.one(large, metadata, soon(20), done)),
    many: () => follow(() => client.many(Buffer.from('500'), metadata, soon(20))),
    sum: () => follow((done) => client.sum(metadata, soon(20), done), (call) => {
      for (let number = 0; number < 500; number += 1) call.write(Buffer.alloc(4096));
      call.end();
    }),
    // The next word is said when the last was heard: nothing on the way may wait for the end of either side.
    talk: () => follow(() => client.talk(metadata, soon(20)), (call) => {
      let said = 1;
      call.write(Buffer.from('word'));
      call.on('data', () => (said < 50 ? call.write(Buffer.from('word')) : call.end(), said += 1));
    }),
    fail: () => follow((done) => client.fail(Buffer.alloc(0), metadata, soon(20), done)),
    deadline: () => follow((done) => client.wait(Buffer.alloc(0), metadata, soon(0.4), done)),
    cancel: () => follow(() => client.talk(metadata, soon(20)), (call) => {
      call.write(Buffer.from('word'));
      call.once('data', () => call.cancel());
    }),
    flow: () => follow(() => client.flow(Buffer.alloc(0), metadata, soon(20))),
  };
  const told = {};
  for (const name of process.argv.slice(5)) told[name] = await calls[name]();
  say(told);
  client.close();
}
