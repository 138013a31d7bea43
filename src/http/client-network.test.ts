import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClient, type RunStore, type RunView } from './client.js';
import { createHandler } from './handler.js';
import { toNodeListener } from './node.js';
import { RUN_ID } from './sample-run.test-support.js';
import { ScriptedPgFlow } from './scripted-pgflow.test-support.js';

let pgflow: ScriptedPgFlow;
let server: Server;
let url: string;
/** What the readers said they have, connection by connection. */
let resumed: (string | undefined)[];

beforeEach(async () => {
  pgflow = new ScriptedPgFlow();
  resumed = [];
  const listener = toNodeListener(createHandler({ pgflow, authorize: () => true }));
  server = createServer((req, res) => {
    if (req.url!.endsWith('/events')) resumed.push(req.headers['last-event-id'] as string | undefined);
    return listener(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pgflow`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** Resolves once the store shows what is asked for. */
function shows(store: RunStore, isIt: (view: RunView) => boolean): Promise<RunView> {
  return new Promise((resolve) => {
    const look = () => {
      if (!isIt(store.getSnapshot())) return;
      stop();
      resolve(store.getSnapshot());
    };
    const stop = store.subscribe(look);
    queueMicrotask(look);
  });
}

describe('over a real connection', () => {
  it('a run is started, followed and finished', async () => {
    const client = createClient({ url });
    const store = client.watch(RUN_ID);
    const settled = shows(store, ({ state }) => state === 'settled');
    const run = await client.startFlow('process_order', { orderId: 'é' }, { runId: RUN_ID });
    expect(run.input).toEqual({ a: 1 });
    await shows(store, ({ caughtUp }) => caughtUp);
    while (pgflow.shared(RUN_ID).run.status === 'started') {
      const { seq } = pgflow.advance(RUN_ID);
      await shows(store, (view) => view.run!.seq >= seq);
    }
    expect((await settled).run).toEqual(pgflow.shared(RUN_ID).run);
  });

  it('every cut connection is followed by one that goes on from there', async () => {
    pgflow.add(RUN_ID, { slugs: ['a', 'b', 'c'] });
    const store = createClient({ url }).watch(RUN_ID);
    const keep = store.subscribe(() => {});
    await shows(store, ({ caughtUp }) => caughtUp);
    for (let i = 0; i < 3; i++) {
      server.closeAllConnections();
      await shows(store, ({ connected }) => !connected);
      const { seq } = pgflow.advance(RUN_ID);
      await shows(store, ({ run, caughtUp }) => caughtUp && run!.seq === seq);
    }
    expect(resumed).toEqual([undefined, '1', '2', '3']);
    pgflow.finish(RUN_ID);
    expect((await shows(store, ({ state }) => state === 'settled')).run).toEqual(pgflow.shared(RUN_ID).run);
    keep();
  });

  it('a refusal that breaks off is asked for again', async () => {
    const listener = server.listeners('request')[0] as (...args: unknown[]) => void;
    server.removeAllListeners('request');
    server.once('request', (_, res) => {
      res.writeHead(404, { 'content-type': 'application/json', 'content-length': 100 });
      res.write('{"error":', () => {
        server.on('request', listener);
        res.destroy();
      });
    });
    pgflow.add(RUN_ID);

    const view = await shows(createClient({ url }).watch(RUN_ID), ({ state }) => state !== 'loading');

    expect(view.state).toBe('live');
  });

  it('the last subscriber to leave closes the connection', async () => {
    pgflow.add(RUN_ID);
    const store = createClient({ url }).watch(RUN_ID);
    const connection = once(server, 'connection') as Promise<[Socket]>;
    const keep = store.subscribe(() => {});
    await shows(store, ({ connected }) => connected);
    const [socket] = await connection;
    keep();
    await once(socket, 'close');
    expect(pgflow.open).toBe(0);
  });
});
