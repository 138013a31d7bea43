import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createPgFlow, memoryPubSub, type PgFlow, type PubSub, postgresPubSub } from 'pgflow-live';
import { processOrder, sendEmail } from '../../examples/live-view/flows.js';
import type { View } from '../../examples/live-view/host/view.js';
import { createOrderLive } from '../../examples/live-view/order-live.js';
import { serveOrderLive } from '../../examples/live-view/serve.js';
import { createTestDatabase, type DatabaseKind } from '../harness/databases.js';

/** What is held for pages: TCP connections, mounted pages, live runs asked for and not closed, subscriptions to runs. */
export interface Held {
  readonly sockets: number;
  readonly pages: number;
  readonly liveRuns: number;
  readonly topics: number;
}

export const NOTHING_HELD: Held = { sockets: 0, pages: 0, liveRuns: 0, topics: 0 };

/** The live view in this process, where a test can count what it holds. */
export interface LiveViewServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly pgflow: PgFlow;
  readonly held: Held;
  /** Resolves when this much is held. */
  holds(wanted: Partial<Held>): Promise<void>;
  close(): Promise<void>;
}

export interface LiveViewOptions {
  /** As the host has it. */
  readonly beat?: number;
  /** How many tasks run at once: few make a long run. Default 20. */
  readonly concurrency?: number;
}

/** Serves the live view on an empty database. */
export async function startLiveView(
  kind: DatabaseKind,
  { beat, concurrency = 20 }: LiveViewOptions = {},
): Promise<LiveViewServer> {
  const held = new HeldCount();
  const db = await createTestDatabase(kind);
  const pgflow = await createPgFlow({
    database: db.database,
    flows: [processOrder],
    jobs: [sendEmail],
    pubsub: countingPubSub(kind, held),
    worker: { concurrency },
  });
  countHandles(pgflow, held);
  await pgflow.start();

  const server = createServer();
  const closePages = serveOrderLive(server, countPages(createOrderLive(pgflow), held), { beat });
  server.on('upgrade', (_request, stream) => {
    held.add('sockets', 1);
    stream.on('close', () => held.add('sockets', -1));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const close = async () => {
    closePages();
    server.close();
    await pgflow.stop({ grace: 0 });
    await db.close();
  };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    pgflow,
    get held() {
      return held.now;
    },
    holds: (wanted) => held.becomes(wanted),
    close,
    [Symbol.asyncDispose]: close,
  };
}

class HeldCount {
  readonly #counts = { ...NOTHING_HELD };
  readonly #lookers = new Set<() => void>();

  get now(): Held {
    return { ...this.#counts };
  }

  add(what: keyof Held, count: 1 | -1): void {
    this.#counts[what] += count;
    for (const look of this.#lookers) look();
  }

  becomes(wanted: Partial<Held>): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        const now = this.now;
        if (Object.entries(wanted).some(([what, count]) => now[what as keyof Held] !== count)) return;
        this.#lookers.delete(look);
        resolve();
      };
      this.#lookers.add(look);
      look();
    });
  }
}

function countPages(view: View, held: HeldCount): View {
  return {
    ...view,
    mount(params, socket) {
      if (socket.connected) {
        held.add('pages', 1);
        socket.onClose(() => held.add('pages', -1));
      }
      return view.mount(params, socket);
    },
  };
}

function countingPubSub(kind: DatabaseKind, held: HeldCount): PubSub | ReturnType<typeof postgresPubSub> {
  if (kind === 'pglite') return countTopics(memoryPubSub(), held);
  const { open } = postgresPubSub();
  return { kind: 'postgres', open: (channel) => countTopics(open(channel), held) };
}

/** Counts the subscriptions to single runs; the worker has others. */
function countTopics(bus: PubSub, held: HeldCount): PubSub {
  return {
    payload: bus.payload,
    publish: (topic, message) => bus.publish(topic, message),
    async subscribe(topic, fn) {
      const stop = await bus.subscribe(topic, fn);
      if (!topic.includes(':run:')) return stop;
      held.add('topics', 1);
      return onFirstCall(() => {
        stop();
        held.add('topics', -1);
      });
    },
    onConnection: (fn) => bus.onConnection?.(fn) ?? (() => {}),
    close: () => bus.close(),
  };
}

function countHandles(pgflow: PgFlow, held: HeldCount): void {
  const track = pgflow.track.bind(pgflow) as PgFlow['track'];
  pgflow.track = async (runId: string) => {
    held.add('liveRuns', 1);
    const release = onFirstCall(() => held.add('liveRuns', -1));
    const live = await track<any>(runId).catch((error) => {
      release();
      throw error;
    });
    const close = live.close.bind(live);
    live.close = () => {
      close();
      release();
    };
    return live;
  };
}

function onFirstCall(fn: () => void): () => void {
  let wasCalled = false;
  return () => {
    if (!wasCalled) fn();
    wasCalled = true;
  };
}
