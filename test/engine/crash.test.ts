import { describe, expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { startChild } from '../harness/child.js';
import { scripted } from './scripted.js';
import { createWorld } from './world.js';

describe('crash on postgres', () => {
  test('crash: the worker is killed while running: another runs the task, one completion', async () => {
    const charge = scripted();
    const flow = defineFlow({ slug: 'order' })
      .step('charge', charge.handler)
      .step('ship', { dependsOn: ['charge'] }, () => 'shipped');
    const world = await createWorld('postgres', { flows: [flow], worker: false });
    const run = await world.start(flow);
    await using child = startChild('test/engine/fixtures/stuck-worker.ts', {
      env: { TEST_DATABASE_URL: world.db.url },
    });
    await child.waitForLine(/^began 1$/);
    const begun = await run.until((now) => now.step('charge').status === 'started');
    expect(begun.step('charge')).toMatchObject({ attempt: 1, errorMessage: null });

    child.kill('SIGKILL');
    await child.exited;
    const survivor = await world.watch(run.live.runId, await world.open({ worker: {} }));
    expect(charge.calls).toEqual([]);
    await world.clock.advance('31s');
    const call = await charge.next();
    const retried = await survivor.until((now) => now.step('charge').attempt === 2);
    call.complete('paid');
    const end = await survivor.end();

    expect(call.context.attempt).toBe(2);
    expect(retried.step('charge')).toMatchObject({
      status: 'started',
      errorMessage: 'The worker that ran this attempt stopped answering.',
    });
    expect(end).toMatchObject({ status: 'completed', output: { ship: 'shipped' } });
    expect(charge.calls).toHaveLength(1);
    expect(survivor.eventsOf('step_completed')).toHaveLength(2);
    expect(await world.tasks(end.runId)).toMatchObject([
      { status: 'completed', attempt: 2, claim: 2, output: 'paid' },
      { status: 'completed', attempt: 1 },
    ]);
  });

  test('crash: without a clock that is moved, the end of a short lease is enough', async () => {
    const charge = scripted();
    const flow = defineFlow({ slug: 'order' })
      .step('charge', charge.handler)
      .step('ship', { dependsOn: ['charge'] }, () => 'shipped');
    const world = await createWorld('postgres', { flows: [flow], worker: false });
    const run = await world.start(flow);
    await using child = startChild('test/engine/fixtures/stuck-worker.ts', {
      env: { TEST_DATABASE_URL: world.db.url, TEST_LEASE: '0.5' },
    });
    await child.waitForLine(/^began 1$/);
    child.kill('SIGKILL');
    await child.exited;

    await world.open({ worker: { lease: 3 } });
    const call = await charge.next();
    call.complete('paid');

    expect(call.context.attempt).toBe(2);
    expect((await run.end()).output).toEqual({ ship: 'shipped' });
  });
});
