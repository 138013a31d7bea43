import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PgFlowError } from '../errors.js';
import { type ClientOptions, createClient, type RunStore } from './client.js';
import { createHandler } from './handler.js';
import type { HandlerOptions } from './handler-options.js';
import { OTHER_ID, RUN_ID } from './sample-run.test-support.js';
import { ScriptedPgFlow } from './scripted-pgflow.test-support.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Lets everything happen that is due now. */
const settle = () => vi.advanceTimersByTimeAsync(0);

/** A client and a handler, joined without a network; `intercept` is asked first. */
function setUp(options: { client?: Partial<ClientOptions>; handler?: Partial<HandlerOptions> } = {}) {
  const pgflow = new ScriptedPgFlow();
  const handler = createHandler({ pgflow, authorize: () => true, onError: () => {}, ...options.handler });
  const requests: Request[] = [];
  let intercept: (request: Request) => Response | Promise<Response> | undefined = () => undefined;
  const fetch = vi.fn(async (url: string | URL | Request, init?: RequestInit) => {
    const request = new Request(url, init);
    requests.push(request);
    return (await intercept(request)) ?? (await handler(request));
  });
  const client = createClient({ url: 'http://app.test/pgflow/', fetch, ...options.client });
  const net = {
    answer: (fn: typeof intercept) => {
      intercept = fn;
    },
    heal: () => {
      intercept = () => undefined;
    },
  };
  return { pgflow, client, requests, net };
}

const down = () => Promise.reject(new TypeError('fetch failed'));

/** Subscribes, and keeps every view that was shown. */
function record(store: RunStore) {
  const views = [store.getSnapshot()];
  const stop = store.subscribe(() => views.push(store.getSnapshot()));
  return { views, stop, states: () => views.map(({ state }) => state) };
}

describe('making a client', () => {
  it.each([[undefined], [{}], [{ url: 5 }]])('is refused without a url: %j', (options) => {
    expect(() => createClient(options as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_DEFINITION', message: expect.stringContaining('url') }),
    );
  });
});

describe('watching a run', () => {
  it('goes from loading through every state to settled, and then asks no more', async () => {
    const { pgflow, client, requests } = setUp();
    const first = pgflow.add(RUN_ID, { slugs: ['a'] });
    const store = client.watch(RUN_ID);
    const { views } = record(store);
    await settle();
    expect(store.getSnapshot()).toEqual({
      run: first,
      state: 'live',
      error: null,
      connected: true,
      caughtUp: true,
    });
    pgflow.advance(RUN_ID);
    await settle();
    const last = pgflow.advance(RUN_ID);
    await settle();
    expect(store.getSnapshot()).toMatchObject({ run: last, state: 'settled' });
    expect(views.map(({ run }) => run?.seq)).toEqual([undefined, undefined, 1, 2, 3]);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(requests).toHaveLength(1);
    expect(pgflow.open).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('shows the same object until something changes', async () => {
    const { pgflow, client } = setUp();
    pgflow.add(RUN_ID);
    const store = client.watch(RUN_ID);
    expect(store.getSnapshot()).toBe(client.watch(OTHER_ID).getSnapshot());
    record(store);
    await settle();
    const view = store.getSnapshot();
    await vi.advanceTimersByTimeAsync(40_000);
    expect(store.getSnapshot()).toBe(view);
    expect(client.watch(RUN_ID.toUpperCase()).getSnapshot()).toBe(view);
  });

  it('costs nothing before somebody subscribes', async () => {
    const { client, requests } = setUp();
    for (let i = 0; i < 100; i++) client.watch(RUN_ID).getSnapshot();
    await settle();
    expect([requests.length, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it('shares one connection among all who watch, until a second after the last has left', async () => {
    const { pgflow, client, requests } = setUp();
    pgflow.add(RUN_ID);
    const watchers = Array.from({ length: 50 }, () => record(client.watch(RUN_ID)));
    await settle();
    expect([requests.length, pgflow.open]).toEqual([1, 1]);
    for (const { stop } of watchers) {
      stop();
      stop();
    }
    await vi.advanceTimersByTimeAsync(999);
    const again = record(client.watch(RUN_ID));
    await vi.advanceTimersByTimeAsync(5_000);
    expect([requests.length, pgflow.open]).toEqual([1, 1]);
    expect(again.views[0]!.state).toBe('live');
    again.stop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect([pgflow.open, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it('goes on where it was when somebody comes back later', async () => {
    const { pgflow, client, requests } = setUp();
    pgflow.add(RUN_ID);
    const store = client.watch(RUN_ID);
    const { stop } = record(store);
    await settle();
    stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(store.getSnapshot()).toMatchObject({ state: 'live', connected: false });
    record(store);
    await settle();
    expect(requests.at(-1)!.headers.get('last-event-id')).toBe('1');
    expect(store.getSnapshot()).toMatchObject({ connected: true, caughtUp: true });
  });

  it('ten thousand times leaves nothing', async () => {
    const { pgflow, client } = setUp();
    pgflow.add(RUN_ID);
    for (let i = 0; i < 10_000; i++) {
      const { stop } = record(client.watch(i % 50 ? RUN_ID : crypto.randomUUID()));
      stop();
    }
    await vi.advanceTimersByTimeAsync(1_000);
    expect([pgflow.open, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it('survives a subscriber that throws', async () => {
    const { pgflow, client } = setUp();
    const report = vi.spyOn(console, 'error').mockImplementation(() => {});
    pgflow.add(RUN_ID);
    const store = client.watch(RUN_ID);
    store.subscribe(() => {
      throw new Error('mine');
    });
    const { states } = record(store);
    await settle();
    expect(states().at(-1)).toBe('live');
    expect(report).toHaveBeenCalled();
    report.mockRestore();
  });

  it('is told apart by run', async () => {
    const { pgflow, client } = setUp();
    pgflow.add(RUN_ID);
    pgflow.add(OTHER_ID);
    const one = record(client.watch(RUN_ID));
    const other = record(client.watch(OTHER_ID));
    await settle();
    pgflow.finish(OTHER_ID);
    await settle();
    expect([one.states().at(-1), other.states().at(-1)]).toEqual(['live', 'settled']);
    expect(one.views.at(-1)!.run!.runId).toBe(RUN_ID);
  });
});

describe('a broken connection', () => {
  it('is made anew, for ever, and goes on where it was', async () => {
    const { pgflow, client, requests, net } = setUp();
    pgflow.add(RUN_ID);
    const store = client.watch(RUN_ID);
    const { states } = record(store);
    await settle();
    net.answer(down);
    pgflow.shared(RUN_ID).end(new PgFlowError('CLOSED', 'server stops'));
    await vi.advanceTimersByTimeAsync(600_000);
    expect(store.getSnapshot()).toMatchObject({
      state: 'live',
      connected: false,
      caughtUp: false,
      error: null,
    });
    expect(requests.length).toBeGreaterThan(10);
    pgflow.add(RUN_ID);
    pgflow.advance(RUN_ID, 2);
    net.heal();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(requests.at(-1)!.headers.get('last-event-id')).toBe('1');
    expect(store.getSnapshot()).toMatchObject({ connected: true, caughtUp: true });
    expect(store.getSnapshot().run!.seq).toBe(3);
    expect(states()).not.toContain('error');
  });

  it('that is silent for 45 s is made anew', async () => {
    const { pgflow, client, requests } = setUp({ handler: { pingInterval: 1_000 } });
    pgflow.add(RUN_ID);
    const store = client.watch(RUN_ID);
    record(store);
    await vi.advanceTimersByTimeAsync(44_999);
    expect([requests.length, store.getSnapshot().connected]).toEqual([1, true]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([requests.length, store.getSnapshot().connected]).toEqual([2, true]);
    expect(pgflow.open).toBe(1);
  });

  it('that never answers is made anew too', async () => {
    const { pgflow, client, requests, net } = setUp();
    pgflow.add(RUN_ID);
    net.answer(() => new Promise<Response>(() => {}));
    const store = client.watch(RUN_ID);
    record(store);
    await vi.advanceTimersByTimeAsync(44_000);
    expect(requests).toHaveLength(1);
    net.heal();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(requests).toHaveLength(2);
    expect(requests[0]!.signal.aborted).toBe(true);
    expect(store.getSnapshot().state).toBe('live');
  });

  it('that was given up has no more say', async () => {
    const { pgflow, client, net } = setUp();
    pgflow.add(RUN_ID);
    const late: ((response: Response) => void)[] = [];
    net.answer(() => new Promise<Response>((resolve) => late.push(resolve)));
    const store = client.watch(RUN_ID);
    const { states } = record(store);
    await vi.advanceTimersByTimeAsync(46_000);
    net.heal();
    await vi.advanceTimersByTimeAsync(60_000);
    for (const answer of late) answer(Response.json({}, { status: 403 }));
    await settle();
    expect(store.getSnapshot()).toMatchObject({ state: 'live', connected: true });
    expect(states()).not.toContain('error');
    expect(pgflow.open).toBe(1);
  });

  it('with pings is left alone', async () => {
    const { pgflow, client, requests } = setUp();
    pgflow.add(RUN_ID);
    record(client.watch(RUN_ID));
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(requests).toHaveLength(1);
  });

  it('cut in the middle of an event loses nothing', async () => {
    const { pgflow, client, net } = setUp();
    pgflow.add(RUN_ID);
    const now = pgflow.advance(RUN_ID, 2);
    let cut = 0;
    const inner = createHandler({ pgflow, authorize: () => true });
    net.answer(async (request) => {
      const response = await inner(request);
      cut += 7;
      return new Response(response.body!.pipeThrough(cutAfter(cut)), { headers: response.headers });
    });
    const store = client.watch(RUN_ID);
    record(store);
    // Each connection lives a little longer than the one before.
    for (let i = 0; i < 1_000 && store.getSnapshot().run === null; i++)
      await vi.advanceTimersByTimeAsync(30_000);
    expect(store.getSnapshot().run).toEqual(now);
  });

  it('is retried at once when the device comes back online', async () => {
    const page = new EventTarget();
    const listen = vi.fn(page.addEventListener.bind(page));
    const unlisten = vi.fn(page.removeEventListener.bind(page));
    vi.stubGlobal('addEventListener', listen);
    vi.stubGlobal('removeEventListener', unlisten);
    vi.stubGlobal('document', Object.assign(new EventTarget(), { visibilityState: 'visible' }));
    const { pgflow, client, requests, net } = setUp();
    pgflow.add(RUN_ID);
    net.answer(down);
    const store = client.watch(RUN_ID);
    const { stop } = record(store);
    await vi.advanceTimersByTimeAsync(300_000);
    net.heal();
    const before = requests.length;
    page.dispatchEvent(new Event('online'));
    await settle();
    expect([requests.length, store.getSnapshot().state]).toEqual([before + 1, 'live']);
    document.dispatchEvent(new Event('visibilitychange'));
    await settle();
    expect(requests).toHaveLength(before + 1);
    stop();
    await vi.advanceTimersByTimeAsync(1_000);
    page.dispatchEvent(new Event('online'));
    await settle();
    expect(requests).toHaveLength(before + 1);
    expect(unlisten.mock.calls).toEqual(listen.mock.calls);
  });
});

describe('a run that is not there', () => {
  it('is missing after a short grace, and not asked for again', async () => {
    const { client, requests } = setUp();
    const store = client.watch(RUN_ID);
    const { states } = record(store);
    await vi.advanceTimersByTimeAsync(8_000);
    expect(store.getSnapshot().state).toBe('loading');
    await vi.advanceTimersByTimeAsync(4_000);
    expect(store.getSnapshot()).toMatchObject({
      state: 'missing',
      run: null,
      error: { code: 'RUN_NOT_FOUND' },
    });
    const asked = requests.length;
    await vi.advanceTimersByTimeAsync(600_000);
    expect(requests).toHaveLength(asked);
    expect(states()).toEqual(['loading', 'missing']);
  });

  it('yet is live as soon as it has started', async () => {
    const { client } = setUp();
    const store = client.watch(RUN_ID);
    const { states } = record(store);
    await vi.advanceTimersByTimeAsync(1_000);
    const run = await client.startFlow('process_order', { orderId: '1' }, { runId: RUN_ID });
    expect(store.getSnapshot()).toMatchObject({ state: 'live', run });
    await settle();
    expect(store.getSnapshot()).toMatchObject({ connected: true, caughtUp: true });
    expect(states()).not.toContain('missing');
  });

  it('is live when it starts long after it was given up', async () => {
    const { pgflow, client } = setUp();
    const store = client.watch(RUN_ID);
    record(store);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(store.getSnapshot().state).toBe('missing');
    await client.startFlow('process_order', 1, { runId: RUN_ID });
    pgflow.finish(RUN_ID);
    await settle();
    expect(store.getSnapshot().state).toBe('settled');
  });

  it('any more, because it was pruned, becomes missing', async () => {
    const { pgflow, client } = setUp();
    pgflow.add(RUN_ID);
    const store = client.watch(RUN_ID);
    record(store);
    await settle();
    pgflow.remove(RUN_ID);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(store.getSnapshot()).toMatchObject({ state: 'missing', run: null });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('tokens', () => {
  it('are asked for before each request, so that one that expired is replaced', async () => {
    let token = 0;
    const headers = vi.fn(async () => ({ authorization: `Bearer ${++token}` }));
    const { pgflow, client, requests, net } = setUp({ client: { headers } });
    pgflow.add(RUN_ID);
    net.answer((request) =>
      request.headers.get('authorization') === 'Bearer 1'
        ? new Response('expired', { status: 401 })
        : undefined!,
    );
    const store = client.watch(RUN_ID);
    record(store);
    await settle();
    expect(store.getSnapshot()).toMatchObject({ state: 'error', error: { code: 'UNAUTHORIZED' } });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(store.getSnapshot()).toMatchObject({ state: 'live', error: null });
    expect(requests.map((request) => request.headers.get('authorization'))).toEqual(['Bearer 1', 'Bearer 2']);
  });

  it('that cannot be had for now are asked for again', async () => {
    const headers = vi.fn(async () => ({ authorization: 'x' }));
    headers.mockRejectedValueOnce(new Error('no token'));
    const { pgflow, client } = setUp({ client: { headers } });
    pgflow.add(RUN_ID);
    const store = client.watch(RUN_ID);
    record(store);
    await vi.advanceTimersByTimeAsync(300);
    expect(store.getSnapshot().state).toBe('live');
    headers.mockRejectedValueOnce(new Error('no token'));
    await expect(client.getRun(RUN_ID)).rejects.toThrow('no token');
  });

  it('that ended mid-stream end the watching', async () => {
    let isValid = true;
    const { pgflow, client } = setUp({ handler: { authorize: () => isValid } });
    pgflow.add(RUN_ID);
    const store = client.watch(RUN_ID);
    record(store);
    await settle();
    isValid = false;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(store.getSnapshot()).toMatchObject({ state: 'missing', run: null });
    expect(pgflow.open).toBe(0);
  });
});

describe('an answer that is not ours', () => {
  it('is an error that says so, and passes when the handler is back', async () => {
    const { pgflow, client, net } = setUp();
    pgflow.add(RUN_ID);
    net.answer(() => new Response('<html>', { headers: { 'content-type': 'text/html' } }));
    const store = client.watch(RUN_ID);
    record(store);
    await settle();
    expect(store.getSnapshot().state).toBe('error');
    expect(store.getSnapshot().error!.message).toMatch(/text\/html.*base path/);
    net.heal();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(store.getSnapshot().state).toBe('live');
  });

  it.each([
    'event: change\ndata: {"runId":1}\n\n',
    'event: snapshot\ndata: {"run":{}}\n\n',
    'event: snapshot\ndata: {\n\n',
    'event: end\ndata: {}\n\n',
  ])('among the events leads to a fresh snapshot: %j', async (broken) => {
    const { pgflow, client, requests, net } = setUp();
    pgflow.add(RUN_ID);
    const garbage = `event: novelty\ndata: 1\n\ndata: x\n\n${broken}: and then nothing`;
    net.answer(() => {
      net.heal();
      const bytes = new TextEncoder().encode(garbage);
      const body = new ReadableStream({ start: (controller) => controller.enqueue(bytes) });
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
    });
    const store = client.watch(RUN_ID);
    record(store);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(store.getSnapshot().state).toBe('live');
    expect(requests).toHaveLength(2);
    expect(requests[1]!.headers.get('last-event-id')).toBeNull();
  });
});

describe('commands', () => {
  it('start a run once, show it at once, and keep it for who watches it soon', async () => {
    const { pgflow, client, requests } = setUp();
    const run = await client.startFlow('process_order', { orderId: '1' }, { runId: RUN_ID });
    expect(run).toEqual(await pgflow.getRun(RUN_ID));
    expect(client.watch(RUN_ID).getSnapshot()).toMatchObject({ state: 'live', run });
    const { views } = record(client.watch(RUN_ID));
    await settle();
    expect(views[0]!.state).toBe('live');
    expect(requests.map((request) => request.headers.get('last-event-id'))).toEqual([null, '1']);
  });

  it('start a run that nobody comes to watch, and keep nothing of it', async () => {
    const { client } = setUp();
    await client.startFlow('process_order', 1, { runId: RUN_ID });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(vi.getTimerCount()).toBe(0);
    expect(client.watch(RUN_ID).getSnapshot().state).toBe('loading');
  });

  it('reject with the code of the server, and are not repeated', async () => {
    const { client, requests, net } = setUp();
    await expect(client.startFlow('unknown', 1)).rejects.toMatchObject({ code: 'FLOW_NOT_FOUND' });
    await client.startFlow('process_order', 1, { runId: RUN_ID });
    const conflict = client.startFlow('process_order', 2, { runId: RUN_ID });
    await expect(conflict).rejects.toBeInstanceOf(PgFlowError);
    await expect(conflict).rejects.toMatchObject({ code: 'RUN_CONFLICT' });
    net.answer(down);
    await expect(client.startFlow('process_order', 1)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    net.answer(() => new Response('Bad gateway', { status: 502 }));
    await expect(client.startFlow('process_order', 1)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    net.answer(() => new Response('{}'));
    await expect(client.startFlow('process_order', 1)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await expect(client.startFlow('process_order', 1n)).rejects.toMatchObject({ code: 'NOT_STORABLE' });
    expect(requests).toHaveLength(6);
  });

  it('bring the issues of an input', async () => {
    const { pgflow, client } = setUp();
    const issues = [{ path: 'orderId', message: 'Required' }];
    pgflow.failure = new PgFlowError('INVALID_INPUT', 'bad', { data: { issues } });
    await expect(client.startFlow('process_order', {})).rejects.toMatchObject({ data: { issues } });
  });

  it('get a run, or null', async () => {
    const { pgflow, client } = setUp();
    const run = pgflow.add(RUN_ID);
    expect(await client.getRun(RUN_ID)).toEqual(run);
    expect(await client.getRun(OTHER_ID)).toBeNull();
    await expect(client.getRun('nope')).rejects.toMatchObject({ code: 'INVALID_RUN_ID' });
  });

  it('list runs', async () => {
    const { pgflow, client } = setUp();
    const run = pgflow.add(RUN_ID);
    expect(await client.listRuns()).toEqual({ runs: [run], cursor: 'next' });
    const query = { flow: 'a b&c', status: 'failed', tag: 'é&=', limit: 7, cursor: 'x/y=' } as const;
    await client.listRuns(query);
    expect(pgflow.queries[1]).toEqual(query);
  });

  it('cancel and retry', async () => {
    const { pgflow, client } = setUp();
    const run = pgflow.add(RUN_ID);
    expect(await client.cancelRun(RUN_ID, { reason: 'why not' })).toEqual({ cancelled: true, run });
    expect((await client.retryRun(RUN_ID)).runId).not.toBe(RUN_ID);
  });
});

/** Passes on that many bytes and then fails. */
function cutAfter(bytes: number): TransformStream<Uint8Array, Uint8Array> {
  let left = bytes;
  return new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(chunk.subarray(0, left));
      left -= chunk.byteLength;
      if (left <= 0) controller.error(new Error('cut'));
    },
  });
}
