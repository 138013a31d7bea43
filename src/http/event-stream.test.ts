import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PgFlowError } from '../errors.js';
import { applyChange } from '../run/apply-change.js';
import { decodeChange, decodeRun } from '../run/codec.js';
import type { Run } from '../run/run.js';
import type { Authorize } from './access.js';
import { createHandler } from './handler.js';
import type { HandlerOptions } from './handler-options.js';
import { OTHER_ID, RUN_ID } from './sample-run.test-support.js';
import { ScriptedPgFlow } from './scripted-pgflow.test-support.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A reader of an event stream that reads when it is told to. */
class TestReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  text = '';
  events: EventSourceMessage[] = [];
  readonly #parser = createParser({ onEvent: (event) => this.events.push(event) });

  constructor(response: Response) {
    this.#reader = response.body!.getReader();
  }

  /** Reads one piece; false at the end. */
  async read(): Promise<boolean> {
    const { done, value } = await this.#reader.read();
    if (done) return false;
    const piece = this.#decoder.decode(value, { stream: true });
    this.text += piece;
    this.#parser.feed(piece);
    return true;
  }

  async next(): Promise<EventSourceMessage> {
    const count = this.events.length;
    while (this.events.length === count) if (!(await this.read())) throw new Error('ended');
    return this.events.at(-1)!;
  }

  async rest(): Promise<EventSourceMessage[]> {
    while (await this.read());
    return this.events;
  }

  get closed(): Promise<void> {
    return this.#reader.closed as Promise<void>;
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}

function setUp(options: Partial<HandlerOptions> = {}) {
  const pgflow = new ScriptedPgFlow();
  const handler = createHandler({ pgflow, authorize: () => true, onError: () => {}, ...options });
  const watch = (
    headers: Record<string, string> = {},
    { runId = RUN_ID, query = '', signal }: WatchInit = {},
  ) => handler(new Request(`http://app.test/pgflow/runs/${runId}/events${query}`, { headers, signal }));
  const open = async (...args: Parameters<typeof watch>) => new TestReader(await watch(...args));
  return { pgflow, handler, watch, open };
}

interface WatchInit {
  runId?: string;
  query?: string;
  signal?: AbortSignal;
}

const snapshotIn = ({ data }: EventSourceMessage) => decodeRun(JSON.parse(data).run);
const apply = (run: Run | null, { data }: EventSourceMessage) =>
  applyChange(run, decodeChange(JSON.parse(data))!);

describe('an event stream', () => {
  it('tells the snapshot, each change, and the end', async () => {
    const { pgflow, open } = setUp();
    const first = pgflow.add(RUN_ID, { slugs: ['a', 'b'] });
    const reader = await open();
    const snapshot = await reader.next();
    expect([snapshot.event, snapshot.id]).toEqual(['snapshot', '1']);
    expect(snapshotIn(snapshot)).toEqual(first);
    let run: Run | null = snapshotIn(snapshot);
    for (let seq = 2; seq <= 5; seq++) {
      const now = pgflow.advance(RUN_ID);
      const change = await reader.next();
      expect([change.event, change.id]).toEqual(['change', String(seq)]);
      run = apply(run, change).run;
      expect(run).toEqual(now);
    }
    expect(run!.status).toBe('completed');
    const end = (await reader.rest()).at(-1)!;
    expect([end.event, end.data]).toEqual(['end', '{}']);
    expect(pgflow.open).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('begins with a comment at once, under headers that no proxy buffers or keeps', async () => {
    const { pgflow, watch } = setUp();
    pgflow.add(RUN_ID);
    const response = await watch();
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store, no-transform');
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('pgflow-seq')).toBe('1');
    const reader = new TestReader(response);
    await reader.read();
    expect(reader.text).toMatch(/^:.*\n\n$/);
  });

  it('of a run that is over tells it and ends', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    const last = pgflow.finish(RUN_ID);
    const events = await (await open()).rest();
    expect(events.map(({ event }) => event)).toEqual(['snapshot', 'end']);
    expect(snapshotIn(events[0]!)).toEqual(last);
  });

  it('keeps each event on one line, whatever is in the data', async () => {
    const { pgflow, open } = setUp();
    const nasty = 'x\n\nid: 99\nevent: end\ndata: {}\r\n\r\n\u2028\u0000<script>\u001b[31m';
    pgflow.add(RUN_ID, { slugs: ['a'], outputs: { [nasty]: nasty, ['__proto__']: nasty } });
    const last = pgflow.finish(RUN_ID);
    const events = await (await open()).rest();
    expect(events.map(({ event }) => event)).toEqual(['snapshot', 'end']);
    expect(snapshotIn(events[0]!)!.step('a').output).toEqual(last.step('a').output);
  });
});

describe('resuming', () => {
  it.each([
    ['Last-Event-ID', { 'last-event-id': '2' }, {}],
    ['since', {}, { query: '?since=2' }],
  ] as const)('with %s tells what is new, in one change', async (_, headers, init) => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    const known = pgflow.advance(RUN_ID);
    const now = pgflow.advance(RUN_ID, 2);
    const change = await (await open(headers, init)).next();
    expect([change.event, change.id]).toEqual(['change', '4']);
    expect(apply(known, change)).toEqual({ kind: 'applied', run: now });
  });

  it('where nothing is new tells nothing until something is', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    const known = pgflow.advance(RUN_ID);
    const reader = await open({ 'last-event-id': '2' });
    await reader.read();
    expect(reader.events).toEqual([]);
    const next = reader.next();
    const now = pgflow.advance(RUN_ID);
    expect(apply(known, await next).run).toEqual(now);
  });

  it('at the last state of a run ends at once', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    const { seq } = pgflow.finish(RUN_ID);
    const events = await (await open({ 'last-event-id': String(seq) })).rest();
    expect(events.map(({ event }) => event)).toEqual(['end']);
  });

  it.each(['0', '-1', '6', '99999999999999999999', '1e1', '0x2', ' ', 'x', 'NaN', '2.5', '2,2', OTHER_ID])(
    'from %j tells the whole run',
    async (id) => {
      const { pgflow, open } = setUp();
      pgflow.add(RUN_ID);
      const now = pgflow.advance(RUN_ID, 2);
      const event = await (await open({ 'last-event-id': id })).next();
      expect(event.event).toBe('snapshot');
      expect(snapshotIn(event)).toEqual(now);
    },
  );

  it('from every seq leads to the same state', async () => {
    const { pgflow, open } = setUp();
    const slugs = ['a', 'b', 'c', 'd'];
    const states: Run[] = [];
    pgflow.add(RUN_ID, { slugs });
    for (let run = pgflow.shared(RUN_ID).run; run.status === 'started'; run = pgflow.advance(RUN_ID))
      states.push(run);
    const last = pgflow.shared(RUN_ID).run;
    for (const known of states) {
      const change = await (await open({ 'last-event-id': String(known.seq) })).next();
      expect(apply(known, change).run).toEqual(last);
    }
  });
});

describe('a slow reader', () => {
  it('gets what it missed in one change', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID, { slugs: ['a', 'b', 'c'] });
    const reader = await open();
    const known = snapshotIn(await reader.next());
    const now = pgflow.advance(RUN_ID, 5);
    const change = await reader.next();
    expect(change.id).toBe('6');
    expect(apply(known, change)).toEqual({ kind: 'applied', run: now });
  });

  it('that never reads costs no work while the run goes on, and is ended at the write deadline', async () => {
    const { pgflow, open } = setUp();
    const slugs = Array.from({ length: 50 }, (_, i) => `s${i}`);
    pgflow.add(RUN_ID, { slugs });
    const reader = await open();
    const ended = expect(reader.closed).rejects.toThrow('takes nothing');
    const changeSince = vi.spyOn(pgflow.shared(RUN_ID), 'changeSince');
    pgflow.advance(RUN_ID, 60);
    expect(changeSince).not.toHaveBeenCalled();
    expect(pgflow.open).toBe(1);
    await vi.advanceTimersByTimeAsync(59_000);
    expect(pgflow.open).toBe(1);
    await vi.advanceTimersByTimeAsync(1_000);
    await ended;
    expect(pgflow.open).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('of a large snapshot is kept as long as it takes some of it', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID, { slugs: ['a', 'b'], outputs: 'x'.repeat(500_000) });
    const now = pgflow.advance(RUN_ID, 2);
    const reader = await open();
    while (reader.events.length === 0) {
      await vi.advanceTimersByTimeAsync(59_000);
      await reader.read();
    }
    expect(snapshotIn(reader.events[0]!)).toEqual(now);
  });

  it('gets no stale slice mixed with news', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID, { slugs: ['a', 'b'], outputs: 'é'.repeat(200_000) });
    const before = pgflow.advance(RUN_ID, 2);
    const reader = await open();
    await reader.read();
    await reader.read();
    const last = pgflow.finish(RUN_ID);
    const [snapshot, change] = await reader.rest();
    expect(snapshotIn(snapshot!)).toEqual(before);
    expect(apply(before, change!).run).toEqual(last);
  });
});

describe('many readers', () => {
  it('at the same place share one encoding', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    const readers = await Promise.all(Array.from({ length: 20 }, () => open()));
    await Promise.all(readers.map((reader) => reader.next()));
    const changeSince = vi.spyOn(pgflow.shared(RUN_ID), 'changeSince');
    pgflow.advance(RUN_ID);
    const changes = await Promise.all(readers.map((reader) => reader.next()));
    expect(new Set(changes.map(({ data }) => data)).size).toBe(1);
    expect(changeSince).toHaveBeenCalledTimes(1);
  });

  it('at different places each get what they lack', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    const known = [undefined, pgflow.shared(RUN_ID).run, pgflow.advance(RUN_ID), pgflow.advance(RUN_ID)];
    const last = pgflow.advance(RUN_ID);
    for (let turn = 0; turn < 2; turn++) {
      for (const seq of [1, 2, 3]) {
        const change = await (await open({ 'last-event-id': String(seq) })).next();
        expect(JSON.parse(change.data).since).toBe(seq);
        expect(apply(known[seq]!, change).run).toEqual(last);
      }
      expect(snapshotIn(await (await open()).next())).toEqual(last);
    }
  });

  it('see only their own run', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    pgflow.add(OTHER_ID);
    const reader = await open();
    await reader.next();
    pgflow.finish(OTHER_ID);
    const next = reader.next();
    pgflow.advance(RUN_ID);
    expect(JSON.parse((await next).data).runId).toBe(RUN_ID);
  });

  it('are refused with 429 beyond the limit, until one leaves', async () => {
    const { pgflow, watch } = setUp({ maxStreams: 2 });
    pgflow.add(RUN_ID);
    const first = await watch();
    await watch();
    const refused = await watch();
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ error: { code: 'LIMIT_EXCEEDED' } });
    await first.body!.cancel();
    expect((await watch()).status).toBe(200);
  });

  it('that are refused otherwise do not count', async () => {
    const { pgflow, watch } = setUp({ maxStreams: 1 });
    for (let i = 0; i < 3; i++) expect((await watch()).status).toBe(404);
    pgflow.add(RUN_ID);
    const track = vi
      .spyOn(pgflow, 'track')
      .mockRejectedValueOnce(new PgFlowError('DATABASE_UNAVAILABLE', 'x'));
    expect((await watch()).status).toBe(503);
    track.mockRestore();
    expect((await watch()).status).toBe(200);
  });

  it('that come and go leave nothing', async () => {
    const { pgflow, watch } = setUp({ maxStreams: 1 });
    pgflow.add(RUN_ID);
    for (let i = 0; i < 1_000; i++) {
      const gone = new AbortController();
      const response = await watch({}, { signal: gone.signal });
      expect(response.status).toBe(200);
      if (i % 2) gone.abort();
      else await response.body!.cancel();
    }
    expect(pgflow.open).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a reader that is gone', () => {
  it('before the stream was open leaves nothing', async () => {
    const { pgflow, watch } = setUp();
    pgflow.add(RUN_ID);
    await watch({}, { signal: AbortSignal.abort() });
    expect(pgflow.open).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('while it waits leaves nothing', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    const gone = new AbortController();
    const reader = await open({}, { signal: gone.signal });
    await reader.next();
    const rest = reader.rest();
    gone.abort();
    await rest;
    expect(pgflow.open).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('silence', () => {
  it('is broken by a comment every 15 seconds', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    const reader = await open();
    await reader.next();
    reader.text = '';
    for (let i = 1; i <= 3; i++) {
      const piece = reader.read();
      await vi.advanceTimersByTimeAsync(14_999);
      expect(reader.text).toBe(': ping\n\n'.repeat(i - 1));
      await vi.advanceTimersByTimeAsync(1);
      await piece;
      expect(reader.text).toBe(': ping\n\n'.repeat(i));
    }
  });
});

describe('freshness', () => {
  it('is told when the server is cut off, and when it is back', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    const reader = await open();
    await reader.next();
    const shared = pgflow.shared(RUN_ID);
    const next = reader.next();
    shared.setFreshness(true, false);
    shared.setFreshness(false, false);
    expect(await next).toMatchObject({ event: 'freshness', data: '{"connected":false,"caughtUp":false}' });
    const back = reader.next();
    shared.setFreshness(true, true);
    expect(await back).toMatchObject({ event: 'freshness', data: '{"connected":true,"caughtUp":true}' });
  });

  it('is told at the beginning when the server is cut off already', async () => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    pgflow.shared(RUN_ID).setFreshness(false, true);
    const reader = await open();
    expect((await reader.next()).event).toBe('snapshot');
    expect((await reader.next()).event).toBe('freshness');
  });

  it.each([
    ['the run was deleted: there is nothing to come back for', 'RUN_NOT_FOUND', ['snapshot', 'end']],
    ['the server stops: another one may go on', 'CLOSED', ['snapshot']],
  ] as const)('lost for good ends the stream. Because %s', async (_, code, events) => {
    const { pgflow, open } = setUp();
    pgflow.add(RUN_ID);
    const reader = await open();
    await reader.next();
    const rest = reader.rest();
    pgflow.shared(RUN_ID).end(new PgFlowError(code, 'ended'));
    expect((await rest).map(({ event }) => event)).toEqual(events);
    expect(pgflow.open).toBe(0);
  });
});

describe('authorization', () => {
  const withdrawn = (): { authorize: Authorize; withdraw(fn: Authorize): void } => {
    let verdict: Authorize = () => true;
    return {
      authorize: (...args) => verdict(...args),
      withdraw: (fn) => {
        verdict = fn;
      },
    };
  };

  it.each<[string, Authorize]>([
    ['says no', () => false],
    ['throws', () => Promise.reject(new Error('expired'))],
    ['never answers', () => new Promise(() => {})],
  ])('that %s ends the stream', async (_, later) => {
    const { authorize, withdraw } = withdrawn();
    const { pgflow, open } = setUp({ authorize });
    pgflow.add(RUN_ID);
    const reader = await open();
    await reader.next();
    const rest = reader.rest();
    await vi.advanceTimersByTimeAsync(45_000);
    expect(pgflow.open).toBe(1);
    withdraw(later);
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await rest).map(({ event }) => event)).toEqual(['snapshot']);
    expect(pgflow.open).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that ends while the reader is not reading ends the stream too', async () => {
    const { authorize, withdraw } = withdrawn();
    const { pgflow, open } = setUp({ authorize, writeTimeout: 1_000, authorizeInterval: 5 });
    pgflow.add(RUN_ID);
    const reader = await open();
    const ended = expect(reader.closed).rejects.toThrow();
    withdraw(() => false);
    await vi.advanceTimersByTimeAsync(5_000);
    await ended;
    expect(pgflow.open).toBe(0);
  });

  it('is asked with the request, the run and its flow each time', async () => {
    const authorize = vi.fn<Authorize>(() => true);
    const { pgflow, open } = setUp({ authorize, authorizeInterval: 5 });
    pgflow.add(RUN_ID);
    await (await open({ authorization: 'Bearer x' })).next();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(authorize).toHaveBeenCalledTimes(3);
    for (const [request, access] of authorize.mock.calls) {
      expect(request.headers.get('authorization')).toBe('Bearer x');
      expect(access).toEqual({ action: 'watch', runId: RUN_ID, flowSlug: 'process_order' });
    }
  });
});
