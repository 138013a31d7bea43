import { PGlite } from '@electric-sql/pglite';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createPgFlow, defineJob } from '../../src/index.js';
import { gate } from '../../src/testing/gate.js';
import { createTestDatabase, describeEachDatabase } from '../harness/databases.js';
import { codeOf, rejection } from './rejection.js';

describeEachDatabase('start and stop', (kind) => {
  async function open() {
    const db = await createTestDatabase(kind);
    const [began, ends] = [gate(), gate()];
    const patient = defineJob({ slug: 'patient' }, async ({ signal }) => {
      began.open();
      await ends;
      return signal.aborted ? 'aborted' : 'left alone';
    });
    const pgflow = await createPgFlow({ database: db.database, jobs: [patient] });
    onTestFinished(() => pgflow.stop({ grace: 0 }).finally(() => db.close()));
    return { db, pgflow, patient, began, ends };
  }

  test('a start that failed can be tried again; until then nothing is claimed', async () => {
    const { db, pgflow, patient, ends } = await open();
    ends.open();
    await db.query('alter function pgflow.register_worker rename to away');

    await expect(pgflow.start()).rejects.toThrow('register_worker');
    expect((await pgflow.health()).worker).toBe('none');
    await db.query('alter function pgflow.away rename to register_worker');
    const { runId } = await pgflow.enqueue(patient, null);
    expect((await pgflow.explain(runId)).waits).toMatchObject([{ reason: 'no_worker' }]);

    await pgflow.start();
    const live = await pgflow.track(runId);
    expect((await live.waitFor('completed')).output).toBe('left alone');
    live.close();
  });

  test('a grace without end waits for handlers, however long', async () => {
    const { db, pgflow, patient, began, ends } = await open();
    await pgflow.start();
    const { runId } = await pgflow.enqueue(patient, null);
    await began;

    const stopping = pgflow.stop({ grace: Number.POSITIVE_INFINITY });
    // Timer: a grace that is too long for a timer would have ended after one millisecond.
    await new Promise((resolve) => setTimeout(resolve, 5));
    ends.open();
    await stopping;

    const rows = await db.query('select output from pgflow.step_tasks where run_id = $1', [runId]);
    expect(rows).toEqual([{ output: 'left alone' }]);
  });

  test('a grace that is none is refused, and stops nothing', async () => {
    const { pgflow, patient, ends } = await open();
    ends.open();
    await pgflow.start();
    for (const grace of [-1, Number.NaN, '5', {}]) {
      const error = await rejection(pgflow.stop({ grace: grace as number }));
      expect(error.code).toBe('INVALID_INPUT');
      expect(error.data?.issues).toEqual([{ path: 'grace', message: expect.any(String) }]);
    }
    const live = await pgflow.track((await pgflow.enqueue(patient, null)).runId);
    expect((await live.waitFor('completed')).status).toBe('completed');
    live.close();
  });

  test('once stopped, everything is CLOSED, whatever it is asked', async () => {
    const { pgflow } = await open();
    await pgflow.stop();
    const asked = [
      pgflow.start(),
      pgflow.getRun('x'),
      pgflow.cancelRun('x'),
      pgflow.retryRun('x'),
      pgflow.explain('x'),
      pgflow.getLogs('x'),
      pgflow.track('x'),
      pgflow.prune({ olderThan: 'x' }),
      pgflow.metrics(),
      pgflow.deleteFlow(''),
    ];
    expect(new Set(await Promise.all(asked.map(codeOf)))).toEqual(new Set(['CLOSED']));
    expect((await pgflow.health()).worker).toBe('stopped');
  });
});

test('a PGlite that was closed under it is a database that is away, and stop ends all the same', async () => {
  // Its worker says that it cannot claim.
  const said = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => said.mockRestore());
  const database = new PGlite();
  const job = defineJob({ slug: 'job' }, () => null);
  const pgflow = await createPgFlow({ database, jobs: [job] });
  await pgflow.start();
  const live = await pgflow.track((await pgflow.enqueue(job, null)).runId);
  await live.waitFor('completed');
  await database.close();

  expect(await codeOf(pgflow.getRun(live.runId))).toBe('DATABASE_UNAVAILABLE');
  expect(await codeOf(pgflow.enqueue(job, null))).toBe('DATABASE_UNAVAILABLE');
  expect((await pgflow.health()).database).toBe('unavailable');
  await pgflow.stop();
  expect(live.ended?.code).toBe('CLOSED');
});
