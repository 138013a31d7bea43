import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';

let proxy: TcpProxy;
let stop: () => Promise<void>;
const clients: Client[] = [];

beforeEach(async () => {
  const echo = await startEcho();
  proxy = await startTcpProxy(echo.port);
  stop = async () => {
    for (const client of clients.splice(0)) client.socket.destroy();
    await proxy.close();
    await echo.close();
  };
});
afterEach(() => stop());

test('carries bytes both ways, and the end of a connection', async () => {
  const client = await connect();
  expect(await client.ask('hello')).toBe('hello');

  client.socket.end();
  await client.ended;

  expect(await (await connect()).ask('again')).toBe('again');
});

test('carries more than fits in the buffers', async () => {
  const client = await connect();
  const much = 'x'.repeat(20_000_000);
  expect(await client.ask(much)).toBe(much);
});

test('cut resets every open connection; the next one passes', async () => {
  const [one, two] = [await connect(), await connect()];
  await Promise.all([one.ask('1'), two.ask('2')]);

  proxy.cut();

  expect(await one.lost).toBe('ECONNRESET');
  expect(await two.lost).toBe('ECONNRESET');
  expect(await (await connect()).ask('3')).toBe('3');
});

test('freeze holds bytes back with the sockets up; resume delivers them', async () => {
  const client = await connect();
  await client.ask('before');

  proxy.freeze();
  const reply = client.ask('frozen');
  const late = await connect();
  const lateReply = late.ask('late');
  // Bytes that are let through arrive while others make twenty round trips.
  await roundTripElsewhere();
  expect(client.received).toBe('before');
  expect(late.received).toBe('');
  expect(client.socket.destroyed || late.socket.destroyed).toBe(false);

  proxy.resume();
  expect(await reply).toBe('frozen');
  expect(await lateReply).toBe('late');
});

test('freeze with only: current lets new connections pass', async () => {
  const frozen = await connect();
  await frozen.ask('before');
  proxy.freeze({ only: 'current' });

  const reply = frozen.ask('frozen');
  expect(await (await connect()).ask('new')).toBe('new');
  expect(frozen.received).toBe('before');

  proxy.cut();
  await expect(reply).rejects.toThrow('ECONNRESET');
});

test('a client that leaves while frozen is not noticed by the server until resume', async () => {
  const client = await connect();
  await client.ask('before');
  proxy.freeze();
  client.socket.destroy();
  await roundTripElsewhere();
  expect(proxy.connections).toBe(1);

  proxy.resume();
  await expect.poll(() => proxy.connections).toBe(0);
});

test('cutBeforeReplyTo lets the server act and hides its answer', async () => {
  const client = await connect();
  const bystander = await connect();
  const cut = proxy.cutBeforeReplyTo('commit');
  expect(await client.ask('begin')).toBe('begin');

  const reply = client.ask('commit');

  await cut;
  await expect(reply).rejects.toThrow('ECONNRESET');
  expect(client.received).toBe('begin');
  expect(await bystander.ask('commit')).toBe('commit');
});

test('refuse turns new connections away and leaves the open ones', async () => {
  const open = await connect();
  await open.ask('before');
  proxy.refuse();

  const refused = createConnection({ port: proxy.port, host: '127.0.0.1' });
  const [error] = await once(refused, 'error').catch((error) => [error]);
  expect(error.code).toBe('ECONNRESET');
  expect(await open.ask('after')).toBe('after');

  proxy.accept();
  expect(await (await connect()).ask('again')).toBe('again');
});

interface Client {
  readonly socket: Socket;
  readonly received: string;
  /** The code of the error that ended the connection. */
  readonly lost: Promise<string>;
  readonly ended: Promise<void>;
  ask(text: string): Promise<string>;
}

async function connect(): Promise<Client> {
  const socket = createConnection({ port: proxy.port, host: '127.0.0.1' });
  let received = '';
  const lost = new Promise<string>((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
  const ended = new Promise<void>((resolve) => {
    socket.on('end', resolve);
  });
  socket.on('data', (bytes) => {
    received += bytes;
  });
  await once(socket, 'connect');
  const client: Client = {
    socket,
    get received() {
      return received;
    },
    lost,
    ended,
    ask(text) {
      const until = received.length + text.length;
      socket.write(text);
      return new Promise((resolve, reject) => {
        socket.on('data', () => received.length >= until && resolve(received.slice(until - text.length)));
        void lost.then((code) => reject(new Error(code)));
      });
    },
  };
  clients.push(client);
  return client;
}

async function startEcho() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function roundTripElsewhere(): Promise<void> {
  const echo = await startEcho();
  const socket = createConnection({ port: echo.port, host: '127.0.0.1' });
  for (let i = 0; i < 20; i++) {
    socket.write('ping');
    await once(socket, 'data');
  }
  socket.destroy();
  await echo.close();
}
