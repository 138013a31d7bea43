import { PGlite } from '@electric-sql/pglite';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createHandler } from '../../src/http/handler.js';
import { createPgFlow, defineJob, memoryPubSub, type PgFlowOptions } from '../../src/index.js';
import { createTestDatabase, describeEachDatabase } from '../harness/databases.js';
import { codeOf, rejection } from './rejection.js';

const job = defineJob({ slug: 'mail' }, ({ input }) => input);

describeEachDatabase('bad input', (kind) => {
  async function open(options: PgFlowOptions = {}) {
    const db = await createTestDatabase(kind);
    const pgflow = await createPgFlow({ database: db.database, jobs: [job], worker: false, ...options });
    onTestFinished(() => pgflow.stop().finally(() => db.close()));
    return { db, pgflow };
  }

  test('what is no flow is refused, and nothing is written', async () => {
    const { db, pgflow } = await open();
    const none: any[] = [undefined, null, 5, {}, '', 'a-b', 'a\0b', 'constructor', 'unknown'];

    for (const flow of none)
      expect((await rejection(pgflow.startFlow(flow, {}))).code).toBe('FLOW_NOT_FOUND');
    expect(await db.query('select from pgflow.runs')).toEqual([]);
  });

  test('times that no database keeps are refused, and nothing is written', async () => {
    const { db, pgflow } = await open();
    const wrong = [
      { delay: 1e300 },
      { delay: Number.NaN },
      { runAt: new Date(8.64e15) },
      { runAt: new Date(Number.NaN) },
    ];

    for (const options of wrong) {
      const error = await rejection(pgflow.enqueue(job, {}, options));
      expect(error.code).toBe('INVALID_INPUT');
      expect(error.data?.issues).toEqual([{ path: Object.keys(options)[0], message: expect.any(String) }]);
    }
    expect(await db.query('select from pgflow.runs')).toEqual([]);
  });

  test('a list by what cannot be: no runs, or the reason', async () => {
    const { pgflow } = await open();
    const forged = (text: string) => Buffer.from(`${text} ${crypto.randomUUID()}`).toString('base64url');

    expect(await pgflow.listRuns({ flow: 'a\0b' })).toEqual({ runs: [], cursor: null });
    for (const cursor of [forged('1'), forged('+275760-09-13T00:00:00.000Z'), 'x']) {
      expect((await rejection(pgflow.listRuns({ cursor }))).code).toBe('INVALID_INPUT');
    }
  });

  test('a bus may have an `open` of its own', async () => {
    const bus = Object.assign(memoryPubSub(), { open: () => 'mine' });
    const { pgflow } = await open({ pubsub: bus });
    const heard = new Promise((resolve) => bus.subscribe('pgflow:list', resolve));
    await pgflow.enqueue(job, 1);
    expect(await heard).toEqual({ from: expect.any(String) });
  });

  test('null in place of options is none given', async () => {
    const { pgflow } = await open({ pubsub: null, worker: null } as never);
    const none = null as never;
    const { runId } = await pgflow.enqueue(job, 1, none);

    expect((await pgflow.listRuns(none)).runs).toHaveLength(1);
    expect(await pgflow.getLogs(runId, none)).toEqual([]);
    expect((await pgflow.metrics(none)).flows).toHaveLength(1);
    const list = await pgflow.trackRuns(none);
    expect(list.getSnapshot().runs).toHaveLength(1);
    list.close();
    expect((await pgflow.cancelRun(runId, none)).cancelled).toBe(true);
    await pgflow.stop(none);
  });

  test('what maintenance cannot take is refused with the option and the reason', async () => {
    const { pgflow } = await open();
    const wrong: [() => Promise<unknown>, string][] = [
      [() => pgflow.prune(undefined as never), 'olderThan'],
      [() => pgflow.prune({ olderThan: 1n as never }), 'olderThan'],
      [() => pgflow.prune({ olderThan: 'soon' }), 'olderThan'],
      [() => pgflow.prune({ olderThan: 0, batch: 0 }), 'batch'],
      [() => pgflow.metrics({ failedWithin: -1 }), 'failedWithin'],
    ];
    for (const [ask, path] of wrong) {
      const error = await rejection(ask());
      expect(error.code).toBe('INVALID_INPUT');
      expect(error.data?.issues).toEqual([{ path, message: expect.any(String) }]);
    }
    for (const slug of ['a\0b', 'a b', undefined, 'unknown']) {
      expect(await codeOf(pgflow.deleteFlow(slug as string))).toBe('FLOW_NOT_FOUND');
    }
  });

  test('over HTTP: a cancel needs no body, and a run shows its nulls', async () => {
    const { pgflow } = await open();
    const handler = createHandler({ pgflow, authorize: () => true });
    const { runId } = await pgflow.enqueue(job, 1);

    const response = await handler(
      new Request(`http://localhost/pgflow/runs/${runId}/cancel`, { method: 'POST' }),
    );
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      cancelled: true,
      run: {
        status: 'cancelled',
        output: null,
        error: null,
        retryOf: null,
        stepStates: [{ startedAt: null }],
      },
    });
    const retried = await handler(
      new Request(`http://localhost/pgflow/runs/${runId}/retry`, { method: 'POST' }),
    );
    expect(retried.status).toBe(201);
    const { run } = (await retried.json()) as { run: { runId: string } };
    const again = await handler(
      new Request(`http://localhost/pgflow/runs/${run.runId}/retry`, { method: 'POST' }),
    );
    expect(again.status).toBe(409);
    expect(await again.json()).toMatchObject({
      error: { code: 'RUN_CONFLICT', data: { status: 'started' } },
    });
  });

  test('a bus that was given is left open', async () => {
    const bus = memoryPubSub();
    const { pgflow } = await open({ pubsub: bus });
    await pgflow.stop();
    await expect(bus.publish('a', 1)).resolves.toBeUndefined();
  });
});

test('createPgFlow says what is wrong before it opens anything', async () => {
  const wrong: [any, string][] = [
    [{ flows: [undefined] }, 'INVALID_DEFINITION'],
    [{ flows: [{}] }, 'INVALID_DEFINITION'],
    [{ jobs: job }, 'INVALID_DEFINITION'],
    [{ database: 5 }, 'INVALID_INPUT'],
    [{ database: 'mysql://x' }, 'INVALID_INPUT'],
    [{ pubsub: 'redis://localhost' }, 'INVALID_INPUT'],
    [{ pubsub: memoryPubSub }, 'INVALID_INPUT'],
    [{ pubsub: {} }, 'INVALID_INPUT'],
    [{ worker: 5 }, 'INVALID_INPUT'],
    [{ worker: true }, 'INVALID_INPUT'],
    [5, 'INVALID_INPUT'],
  ];
  const opened = vi.spyOn(PGlite, 'create');
  onTestFinished(() => opened.mockRestore());
  for (const [options, code] of wrong) expect(await codeOf(createPgFlow(options))).toBe(code);
  expect(opened).not.toHaveBeenCalled();
});

test('worker options out of range are refused; those not given are the defaults', async () => {
  for (const worker of [{ concurrency: 0 }, { lease: -1 }, { pollInterval: Number.NaN }]) {
    const opened = createPgFlow({ database: 'memory:', jobs: [job], worker });
    expect((await rejection(opened)).code).toBe('INVALID_INPUT');
  }
  const pgflow = await createPgFlow({ database: 'memory:', jobs: [job], worker: { concurrency: undefined } });
  onTestFinished(() => pgflow.stop());
  expect((await pgflow.metrics()).worker).toEqual({ executing: 0, concurrency: 10 });
});
