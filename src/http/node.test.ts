import { once } from 'node:events';
import {
  Agent,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createHandler } from './handler.js';
import { toNodeListener } from './node.js';
import { RUN_ID } from './sample-run.test-support.js';
import { ScriptedPgFlow } from './scripted-pgflow.test-support.js';
import { createSignal } from './signal.test-support.js';

type Handler = (request: Request) => Promise<Response>;
type Listener = (req: IncomingMessage, res: ServerResponse) => void;

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serve(listener: Listener): Promise<{ url: string; port: number; server: Server }> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, server };
}

const mount = (handler: Handler) => serve(toNodeListener(handler));

/** Sends bytes as they are and returns all that comes until the server is done. */
async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.end(text);
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  return answer;
}

describe('a request', () => {
  it('arrives whole: method, URL, headers, body', async () => {
    const { url } = await mount(async (request) =>
      Response.json({
        method: request.method,
        url: request.url,
        header: request.headers.get('x-test'),
        body: await request.text(),
      }),
    );
    const response = await fetch(`${url}/a%2Fb?c=d%20e`, {
      method: 'PUT',
      headers: { 'x-test': 'yes' },
      body: 'é'.repeat(100_000),
    });
    const { method, url: seen, header, body } = (await response.json()) as Record<string, string>;
    expect([method, seen, header]).toEqual(['PUT', `${url}/a%2Fb?c=d%20e`, 'yes']);
    expect(body).toBe('é'.repeat(100_000));
  });

  it('keeps its own host, whatever the path or a forwarding header claims', async () => {
    const { port, url } = await mount(async (request) => new Response(request.url));
    const headers =
      'host: app.test\r\nconnection: close\r\nx-forwarded-proto: https\r\nx-forwarded-host: evil.test\r\n';
    expect(await raw(port, `GET //evil.test/x HTTP/1.1\r\n${headers}\r\n`)).toContain(
      'http://app.test//evil.test/x',
    );
    expect(await (await fetch(`${url}/x`, { headers: { forwarded: 'host=evil.test' } })).text()).toBe(
      `${url}/x`,
    );
  });

  it.each(['a.test/pgflow?', 'a b', 'user@a.test', 'a.test#x'])(
    'with the host %j is refused',
    async (host) => {
      const handler = vi.fn<Handler>(async () => new Response('reached'));
      const { port } = await mount(handler);
      const answer = await raw(port, `GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(handler).not.toHaveBeenCalled();
    },
  );

  it('with a method that the web forbids is refused', async () => {
    const { port } = await mount(async () => new Response('reached'));
    expect(await raw(port, 'TRACE / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 400 /,
    );
  });

  it('whose body Express has parsed brings it on', async () => {
    const listener = toNodeListener(async (request) => new Response(await request.text()));
    const { url } = await serve(async (req, res) => {
      const chunks: Buffer[] = [];
      for await (const chunk of req) chunks.push(chunk as Buffer);
      await listener(Object.assign(req, { body: JSON.parse(Buffer.concat(chunks).toString()) }), res);
    });
    const response = await fetch(url, { method: 'POST', body: '{ "input": [1, 2] }' });
    expect(await response.json()).toEqual({ input: [1, 2] });
  });

  it('whose body Express left alone is read from the socket', async () => {
    const listener = toNodeListener(async (request) => new Response(await request.text()));
    const { url } = await serve((req, res) => listener(Object.assign(req, { body: {} }), res));
    expect(await (await fetch(url, { method: 'POST', body: 'text' })).text()).toBe('text');
  });

  it('below a mount point of Express keeps its full path', async () => {
    const listener = toNodeListener(async (request) => new Response(new URL(request.url).pathname));
    const { url } = await serve((req, res) => {
      const originalUrl = req.url;
      req.url = '/runs';
      return listener(Object.assign(req, { originalUrl }), res);
    });
    expect(await (await fetch(`${url}/pgflow/runs`)).text()).toBe('/pgflow/runs');
  });

  it('that breaks off fails the reading of its body, and nothing else', async () => {
    const broke = createSignal<unknown>();
    const { port, url } = await mount(async (request) => {
      if (request.method === 'POST') await request.text().catch(broke.resolve);
      return new Response('fine');
    });
    const socket = connect(port, '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 100\r\n\r\nhalf');
    await once(socket, 'connect');
    socket.destroy();
    expect(await broke.promise).toBeInstanceOf(Error);
    expect(await (await fetch(url)).text()).toBe('fine');
  });

  it('answered before its body was read leaves the connection usable', async () => {
    const { port } = await mount(async (request) => {
      if (request.method === 'GET') return new Response('second');
      const reader = request.body!.getReader();
      await reader.read();
      return new Response('first', { status: 413 });
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (method: string, body?: string) =>
      new Promise<{ status: number; port: number }>((resolve, reject) => {
        const req = request({ port, host: '127.0.0.1', method, agent }, (res) => {
          res.resume();
          res.on('end', () => resolve({ status: res.statusCode!, port: req.socket!.localPort! }));
        });
        req.on('error', reject);
        req.end(body);
      });
    const first = await ask('POST', 'x'.repeat(3_000_000));
    const second = await ask('GET');
    expect([first.status, second.status]).toEqual([413, 200]);
    expect(second.port).toBe(first.port);
    agent.destroy();
  });
});

describe('a response', () => {
  it('arrives whole: status, headers, cookies one by one', async () => {
    const headers = new Headers({ 'x-test': 'yes' });
    headers.append('set-cookie', 'a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT');
    headers.append('set-cookie', 'b=2');
    const { url } = await mount(async () => new Response('body', { status: 418, headers }));
    const response = await fetch(url);
    expect([response.status, response.headers.get('x-test'), await response.text()]).toEqual([
      418,
      'yes',
      'body',
    ]);
    expect(response.headers.getSetCookie()).toEqual(['a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT', 'b=2']);
  });

  it('may have no body', async () => {
    const { url } = await mount(async () => new Response(null, { status: 204 }));
    expect((await fetch(url)).status).toBe(204);
  });

  it('sends its headers before its body has begun', async () => {
    const { url } = await mount(
      async () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) })),
    );
    expect((await fetch(url)).status).toBe(200);
  });

  it('is 500 without a reason when the handler throws', async () => {
    const { url } = await mount(() => Promise.reject(new Error('secret')));
    const response = await fetch(url);
    expect([response.status, await response.text()]).toEqual([500, '']);
  });

  it('is cut off, not ended, when its body fails halfway', async () => {
    let pulls = 0;
    const body = new ReadableStream({
      pull(controller) {
        if (pulls++ > 0) throw new Error('halfway');
        controller.enqueue(new TextEncoder().encode('half'));
      },
    });
    const { url } = await mount(async () => new Response(body));
    const response = await fetch(url);
    await expect(response.text()).rejects.toThrow();
  });

  /** A large body for a client that takes nothing of it, from the moment when nobody takes any more. */
  const stall = async () => {
    const chunk = new Uint8Array(256 * 1024);
    const MOST = 256 * chunk.byteLength;
    const seen = { pulled: 0, fail: () => {} };
    const body = new ReadableStream<Uint8Array>(
      {
        start(controller) {
          seen.fail = () => controller.error(new Error('failed'));
        },
        pull(controller) {
          seen.pulled += chunk.byteLength;
          if (seen.pulled > MOST) controller.close();
          else controller.enqueue(chunk);
        },
      },
      { highWaterMark: 0 },
    );
    const listener = toNodeListener(async () => new Response(body));
    const full = createSignal();
    const closed = createSignal();
    const { port } = await serve((req, res) => {
      res.on('close', closed.resolve);
      const write = res.write.bind(res) as (chunk: Uint8Array) => boolean;
      res.write = ((piece: Uint8Array) => {
        const more = write(piece);
        // The kernel took none or half of it, and Node has said so.
        if (!more && res.socket!.writableLength > 0) setImmediate(full.resolve);
        return more;
      }) as never;
      return listener(req, res);
    });
    const socket = connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: a.test\r\n\r\n');
    socket.pause();
    await full.promise;
    return { socket, seen, chunk, closed: closed.promise };
  };

  it('is not asked for more than the client takes', async () => {
    const { socket, seen, chunk } = await stall();
    const atRest = seen.pulled;
    let bytes = 0;
    for await (const data of socket) {
      bytes += (data as Buffer).length;
      if (bytes > atRest + chunk.byteLength) break;
    }
    expect(seen.pulled).toBeGreaterThan(atRest);
  });

  it('is cut off when its body fails while the client takes nothing', async () => {
    const { socket, seen, closed } = await stall();
    seen.fail();
    await closed;
    socket.destroy();
  });
});

describe('a client that goes away', () => {
  const gone = async (act: (socket: Socket) => void) => {
    const seen = { aborted: createSignal<void>(), cancelled: createSignal<void>() };
    const { port } = await mount(async (request) => {
      request.signal.addEventListener('abort', () => seen.aborted.resolve());
      const body = new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode('hello')),
        cancel: () => seen.cancelled.resolve(),
      });
      return new Response(body);
    });
    const socket = connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: a.test\r\n\r\n');
    await once(socket, 'data');
    act(socket);
    await Promise.all([seen.aborted.promise, seen.cancelled.promise]);
  };

  it('aborts the request and cancels the body', async () => {
    await gone((socket) => socket.destroy());
    await gone((socket) => socket.resetAndDestroy());
  });

  it('before the answer has its body cancelled', async () => {
    const cancelled = createSignal<void>();
    const { port } = await mount(async (request) => {
      const aborted = once(request.signal, 'abort');
      socket.destroy();
      await aborted;
      return new Response(new ReadableStream({ cancel: () => cancelled.resolve() }));
    });
    const socket = connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: a.test\r\n\r\n');
    await cancelled.promise;
  });

  it('after the answer aborts nothing', async () => {
    const signals: AbortSignal[] = [];
    const { url, server } = await mount(async (request) => {
      signals.push(request.signal);
      return new Response('done');
    });
    const closed = new Promise((resolve) =>
      server.once('connection', (socket) => socket.once('close', resolve)),
    );
    await (await fetch(url, { headers: { connection: 'close' } })).text();
    await closed;
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
  });
});

describe('the handler, mounted', () => {
  const setUp = async () => {
    const pgflow = new ScriptedPgFlow();
    const closed = createSignal<void>();
    const track = pgflow.track.bind(pgflow);
    pgflow.track = async (runId) => {
      const live = await track(runId);
      const close = live.close.bind(live);
      live.close = () => {
        close();
        closed.resolve();
      };
      return live;
    };
    const handler = createHandler({ pgflow, authorize: () => true });
    return { pgflow, closed: closed.promise, ...(await mount(handler)) };
  };

  it('starts, reads and follows a run to its end', async () => {
    const { pgflow, url } = await setUp();
    const started = await fetch(`${url}/pgflow/flows/process_order/runs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input: { orderId: '1' }, runId: RUN_ID }),
    });
    expect(started.status).toBe(201);
    expect((await fetch(`${url}/pgflow/runs/${RUN_ID}`)).status).toBe(200);
    const events = await fetch(`${url}/pgflow/runs/${RUN_ID}/events`);
    pgflow.finish(RUN_ID);
    expect((await events.text()).match(/^event: \w+$/gm)).toEqual(
      expect.arrayContaining(['event: snapshot', 'event: end']),
    );
    expect(pgflow.open).toBe(0);
  });

  it('lets go of the run when its reader vanishes', async () => {
    const { pgflow, port, closed } = await setUp();
    pgflow.add(RUN_ID);
    const socket = connect(port, '127.0.0.1');
    socket.write(`GET /pgflow/runs/${RUN_ID}/events HTTP/1.1\r\nhost: a.test\r\n\r\n`);
    await once(socket, 'data');
    socket.resetAndDestroy();
    await closed;
    expect(pgflow.open).toBe(0);
  });

  it('keeps nothing for a reader that never reads, however much happens', async () => {
    const { pgflow, port, server } = await setUp();
    const output = 'x'.repeat(100_000);
    const slugs = Array.from({ length: 400 }, (_, i) => `s${i}`);
    pgflow.add(RUN_ID, { slugs, outputs: output });
    const [[serverSide], socket] = await Promise.all([
      once(server, 'connection') as Promise<[Socket]>,
      Promise.resolve(connect(port, '127.0.0.1')),
    ]);
    socket.pause();
    socket.write(`GET /pgflow/runs/${RUN_ID}/events HTTP/1.1\r\nhost: a.test\r\n\r\n`);
    await once(server, 'request');
    const told = vi.spyOn(pgflow.shared(RUN_ID), 'changeSince');
    let most = 0;
    while (pgflow.shared(RUN_ID).run.status === 'started') {
      pgflow.advance(RUN_ID);
      await new Promise(setImmediate);
      most = Math.max(most, serverSide.writableLength);
    }
    // 40 MB went by; what waits in this process is one slice of a frame.
    expect(most).toBeLessThan(200_000);
    expect(told.mock.calls.length).toBeLessThan(400);
    socket.destroy();
  });
});
