/** Two that change a run at the same instant: one wins, the other changes nothing. */
import { expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import { NonRetryableError } from '../../src/index.js';
import { scripted } from '../engine/scripted.js';
import { createFaultyWorld } from './faulty-world.js';
import { reported } from './reported.js';

const MINUTES = { timeout: 120_000 };
const ROUNDS = Array.from({ length: 20 }, (_, round) => round);
const WORKER = { pollInterval: 0.2, concurrency: 1 };

test(
  'the last two parents complete at the same instant, on two workers: the child starts once',
  MINUTES,
  async () => {
    const world = await createFaultyWorld();
    const [left, right] = [scripted(), scripted()];
    const flow = defineFlow({ slug: 'join' })
      .step('left', left.handler)
      .step('right', right.handler)
      .step('both', { dependsOn: ['left', 'right'] }, ({ deps }) => `${deps.left} ${deps.right}`);
    const pgflow = await world.open({ flows: [flow], worker: WORKER });
    await world.open({ flows: [flow], worker: WORKER });

    for (const round of ROUNDS) {
      const run = await pgflow.track((await pgflow.startFlow(flow, {})).runId);
      const calls = await Promise.all([left.next(), right.next()]);
      for (const call of calls) call.complete(round);
      expect((await run.waitFor('completed', { timeout: 20 })).output).toEqual({ both: `${round} ${round}` });
    }

    expect(
      await world.db.query(
        `select distinct step_slug, attempt, claim from pgflow.step_tasks order by step_slug`,
      ),
    ).toEqual(['both', 'left', 'right'].map((step_slug) => ({ step_slug, attempt: 1, claim: 1 })));
  },
);

test.each(['complete', 'fail'] as const)(
  'cancel against %s: one wins, and says so',
  MINUTES,
  async (deed) => {
    const world = await createFaultyWorld();
    const mail = scripted();
    const job = defineJob({ slug: 'mail' }, mail.handler);
    const pgflow = await world.open({ jobs: [job], worker: WORKER });

    for (const round of ROUNDS) {
      const run = await pgflow.track((await pgflow.enqueue(job, round)).runId);
      const call = await mail.next();
      if (deed === 'complete') call.complete('sent');
      else call.fail(new NonRetryableError('refused'));
      const { cancelled } = await world.pgflow.cancelRun(run.runId);
      const end = await run.waitFor(['completed', 'failed', 'cancelled'], { timeout: 20 });
      expect(end.status).toBe(cancelled ? 'cancelled' : deed === 'fail' ? 'failed' : 'completed');
    }
  },
);

test(
  'fail against complete, of two steps: the run ends as the first of them says, and stays so',
  MINUTES,
  async () => {
    const world = await createFaultyWorld();
    const [good, bad] = [scripted(), scripted()];
    const flow = defineFlow({ slug: 'pair' }).step('good', good.handler).step('bad', bad.handler);
    const pgflow = await world.open({ flows: [flow], worker: WORKER });
    await world.open({ flows: [flow], worker: WORKER });

    for (const _ of ROUNDS) {
      const run = await pgflow.track((await pgflow.startFlow(flow, {})).runId);
      const [winner, loser] = await Promise.all([good.next(), bad.next()]);
      winner.complete('fine');
      loser.fail(new NonRetryableError('broken'));
      const end = await run.waitFor('failed', { timeout: 20 });
      expect(['completed', 'cancelled']).toContain(end.step('good').status);
      expect(end.step('bad').status).toBe('failed');
    }
  },
);

test('a settle against a rescue: one of them counts, and no attempt is counted twice', MINUTES, async () => {
  const world = await createFaultyWorld();
  const mail = scripted();
  reported(/./);
  const job = defineJob({ slug: 'mail', maxAttempts: 2, baseDelay: 0.01 }, mail.handler);
  const pgflow = await world.open({ jobs: [job], worker: WORKER });

  for (const _ of ROUNDS) {
    const run = await pgflow.track((await pgflow.enqueue(job, {})).runId);
    const call = await mail.next();
    // Taken for dead while it lives: another rescues its task as the handler fails.
    await world.db.query(`update pgflow.workers set expires_at = pgflow.now() - interval '1 second'`);
    const rescued = world.db.query('select from pgflow.rescue_tasks()');
    call.fail(new Error('try again'));
    await rescued;
    const again = await mail.next();
    again.complete('sent');
    expect(again.context.attempt).toBe(2);
    expect((await run.waitFor('completed', { timeout: 20 })).output).toBe('sent');
  }
});
