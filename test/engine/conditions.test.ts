import { expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { describeEachDatabase } from '../harness/databases.js';
import { aborted, scripted } from './scripted.js';
import { createWorld } from './world.js';

const statuses = (run: { stepStates: readonly { stepSlug: string; status: string }[] }) =>
  Object.fromEntries(run.stepStates.map(({ stepSlug, status }) => [stepSlug, status]));

const fails = () => {
  throw new Error('no luck');
};

describeEachDatabase('conditions', (kind) => {
  test.each<[unknown, string, string, string]>([
    [{ plan: 'pro', age: 3 }, 'completed', 'completed', 'completed'],
    [{ plan: 'pro', tags: ['beta', 'eu'] }, 'completed', 'skipped', 'skipped'],
    [{ plan: 'free' }, 'skipped', 'completed', 'skipped'],
    [{}, 'skipped', 'completed', 'skipped'],
    ['pro', 'skipped', 'completed', 'skipped'],
  ])('if-root, ifNot, both: the input %j', async (input, whenPro, whenNotBeta, whenBoth) => {
    const flow = defineFlow({ slug: 'roots' })
      .step('pro', { if: { plan: 'pro' } }, () => 1)
      .step('not_beta', { ifNot: { tags: ['beta'] } }, () => 1)
      .step('both', { if: { plan: 'pro' }, ifNot: { tags: ['beta'] } }, () => 1)
      .step('always', () => 1);
    const world = await createWorld(kind, { flows: [flow] });

    const end = await (await world.start(flow, input)).end();

    expect(statuses(end)).toEqual({
      pro: whenPro,
      not_beta: whenNotBeta,
      both: whenBoth,
      always: 'completed',
    });
    const ran = end.stepStates.filter(({ status }) => status === 'completed').map((step) => step.stepSlug);
    expect(Object.keys(end.output as object).toSorted()).toEqual(ran.toSorted());
  });

  test.each<[unknown, string, string]>([
    [null, 'completed', 'skipped'],
    [{}, 'skipped', 'completed'],
    [0, 'skipped', 'completed'],
    ['null', 'skipped', 'completed'],
  ])('if-root: null is a pattern, and %j is compared with it', async (input, whenNull, whenOther) => {
    const flow = defineFlow<unknown>({ slug: 'nulls' })
      .step('empty', { if: null }, () => 1)
      .step('full', { ifNot: null }, () => 1);
    const world = await createWorld(kind, { flows: [flow] });

    const end = await (await world.start(flow, input)).end();

    expect(statuses(end)).toEqual({ empty: whenNull, full: whenOther });
  });

  test('if-dependent, ifNot, both: containment in the outputs by slug, nulls included', async () => {
    const flow = defineFlow({ slug: 'dependents' })
      .step('a', () => ({ ok: true, lines: [{ sku: 'x', n: 2 }, { sku: 'y' }], gone: null }))
      .step('b', () => null)
      .step('deep', { dependsOn: ['a'], if: { a: { lines: [{ sku: 'y' }] } } }, () => 1)
      .step('other', { dependsOn: ['a'], if: { a: { lines: [{ sku: 'z' }] } } }, () => 1)
      .step('null_key', { dependsOn: ['a'], if: { a: { gone: null } } }, () => 1)
      .step('null_output', { dependsOn: ['a', 'b'], if: { b: null } }, () => 1)
      .step('not_null', { dependsOn: ['b'], ifNot: { b: null } }, () => 1)
      .step('both', { dependsOn: ['a', 'b'], if: { a: { ok: true } }, ifNot: { b: null } }, () => 1);
    const world = await createWorld(kind, { flows: [flow] });

    const end = await (await world.start(flow)).end();

    expect(statuses(end)).toMatchObject({
      deep: 'completed',
      other: 'skipped',
      null_key: 'completed',
      null_output: 'completed',
      not_null: 'skipped',
      both: 'skipped',
    });
    expect(end).toMatchObject({ status: 'completed', remainingSteps: 0 });
    expect(end.output).toEqual({ deep: 1, null_key: 1, null_output: 1 });
  });

  test('ifNot: an absent dependency makes { dep: {} } true, a present one false', async () => {
    const flow = defineFlow({ slug: 'absent' })
      .step('a', { if: { paid: true } }, () => ({ id: 1 }))
      .step('without', { dependsOn: ['a'], ifNot: { a: {} } }, ({ deps }) => Object.keys(deps))
      .step('with', { dependsOn: ['a'], if: { a: {} } }, ({ deps }) => Object.keys(deps));
    const world = await createWorld(kind, { flows: [flow] });

    const absent = await (await world.start(flow, { paid: false })).end();
    const present = await (await world.start(flow, { paid: true })).end();

    expect(absent.output).toEqual({ without: [] });
    expect(present.output).toEqual({ with: ['a'] });
  });

  test.each([{ n: 1 }, { n: 2 }, {}])('opposite conditions run exactly one, with %j', async (value) => {
    const flow = defineFlow({ slug: 'opposite' })
      .step('root_yes', { if: { n: 1 } }, () => 1)
      .step('root_no', { ifNot: { n: 1 } }, () => 1)
      .step('load', ({ input }) => input)
      .step('yes', { dependsOn: ['load'], if: { load: { n: 1 } } }, () => 1)
      .step('no', { dependsOn: ['load'], ifNot: { load: { n: 1 } } }, () => 1)
      .step('join', { dependsOn: ['yes', 'no', 'root_yes', 'root_no'] }, ({ deps }) =>
        Object.keys(deps).sort(),
      );
    const world = await createWorld(kind, { flows: [flow] });

    const end = await (await world.start(flow, value)).end();

    const isOne = 'n' in value && value.n === 1;
    expect(end.output).toEqual({ join: isOne ? ['root_yes', 'yes'] : ['no', 'root_no'] });
  });

  test('when-unmet skip: dependents run without the key, a map over it is [], it never has tasks', async () => {
    const flow = defineFlow({ slug: 'unmet' })
      .step('kept', () => 'k')
      .step('maybe', { if: { go: true } }, () => [1, 2])
      .step('after', { dependsOn: ['kept', 'maybe'] }, ({ deps }) => deps)
      .map('each', { over: 'maybe' as never, dependsOn: ['kept'] }, () => 1)
      .step('last', { dependsOn: ['each'] }, ({ deps }) => deps);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    const end = await run.end();

    expect(end.output).toEqual({ after: { kept: 'k' }, last: { each: [] } });
    expect(end.step('maybe')).toMatchObject({
      status: 'skipped',
      skipReason: 'condition_unmet',
      initialTasks: null,
      remainingTasks: null,
      attempt: 0,
      output: null,
      startedAt: null,
    });
    expect(end.step('maybe').skippedAt).toEqual(end.startedAt);
    expect(end.step('each')).toMatchObject({ status: 'completed', output: [], initialTasks: 0 });
    expect((await world.tasks(end.runId)).map((task) => task.step_slug)).toEqual(['kept', 'after', 'last']);
  });

  test('when-unmet skip-cascade: all that comes after is skipped, whatever else it waits for', async () => {
    const slow = scripted();
    const flow = defineFlow({ slug: 'cascade' })
      .step('slow', slow.handler)
      .step('root', { if: { go: true }, whenUnmet: 'skip-cascade' }, () => [1])
      .step('child', { dependsOn: ['root', 'slow'] }, () => 1)
      .map('each', { over: 'root' as never }, () => 1)
      .step('grandchild', { dependsOn: ['child'] }, () => 1)
      .step('free', { dependsOn: ['slow'] }, () => 'ran');
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    const call = await slow.next();
    const early = run.run;
    call.complete(1);
    const end = await run.end();

    expect(statuses(early)).toMatchObject({ child: 'skipped', each: 'skipped', grandchild: 'skipped' });
    expect(end.stepStates.map(({ skipReason }) => skipReason)).toEqual([
      null,
      'condition_unmet',
      'dependency_skipped',
      'dependency_skipped',
      'dependency_skipped',
      null,
    ]);
    // What has ended does not change any more, though `child` still counted `slow` then.
    expect(end.step('child')).toEqual(early.step('child'));
    expect(end).toMatchObject({ status: 'completed', output: { free: 'ran' } });
    expect((await world.tasks(end.runId)).map((task) => task.step_slug)).toEqual(['slow', 'free']);
  });

  test('when-unmet skip-cascade: of a dependent', async () => {
    const flow = defineFlow({ slug: 'cascade' })
      .step('a', () => ({ go: false }))
      .step('b', { dependsOn: ['a'], if: { a: { go: true } }, whenUnmet: 'skip-cascade' }, () => 1)
      .step('c', { dependsOn: ['b'], ifNot: { b: {} as never } }, () => 1);
    const world = await createWorld(kind, { flows: [flow] });

    const end = await (await world.start(flow)).end();

    expect(end).toMatchObject({ status: 'completed', output: {} });
    expect(end.step('b').skipReason).toBe('condition_unmet');
    expect(end.step('c').skipReason).toBe('dependency_skipped');
  });

  test.each([
    ['a root', 0, (flow: any) => flow.step('checked', { if: { go: true }, whenUnmet: 'fail' }, fails)],
    [
      'a dependent',
      1,
      (flow: any) =>
        flow
          .step('a', () => 1)
          .step('checked', { dependsOn: ['a'], ifNot: { a: 1 }, whenUnmet: 'fail' }, fails),
    ],
  ])('when-unmet fail: %s fails with its run, without a task', async (_, executions, extend) => {
    const other = scripted();
    const begun = defineFlow({ slug: 'strict' }).step('other', other.handler);
    const flow = extend(begun).step('after', { dependsOn: ['checked'] }, fails);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    const end = await run.end();

    const message = 'The condition of the step was not met.';
    const error = { stepSlug: 'checked', taskIndex: null, message };
    expect(end).toMatchObject({ status: 'failed', error, output: null });
    expect(end.step('checked')).toMatchObject({
      status: 'failed',
      errorMessage: message,
      initialTasks: null,
    });
    expect(end.step('checked').failedAt).toEqual(end.failedAt);
    expect(end.step('other')).toMatchObject({ status: 'cancelled' });
    expect(end.step('after')).toMatchObject({ status: 'created' });
    const tasks = (await world.tasks(end.runId)).filter((task) => task.status !== 'cancelled');
    expect(tasks).toHaveLength(executions);
  });

  test.each([
    [
      'a root',
      (execute: (slug: string) => void) =>
        defineFlow({ slug: 'strict' })
          .step('plain', () => execute('plain'))
          .step('checked', { if: { go: true }, whenUnmet: 'fail' }, fails),
    ],
    [
      'a dependent',
      (execute: (slug: string) => void) =>
        defineFlow({ slug: 'strict' })
          .step('a', () => [1])
          .step('plain', { dependsOn: ['a'] }, () => execute('plain'))
          .map('mapped', { over: 'a' }, () => execute('mapped'))
          .step('checked', { dependsOn: ['a'], ifNot: { a: [1] }, whenUnmet: 'fail' }, fails),
    ],
  ])('when-unmet fail: of %s: what became ready in the same moment is never executed', async (_, define) => {
    const executed: string[] = [];
    const flow = define((slug) => executed.push(slug));
    const later = defineFlow({ slug: 'later' }).step('only', () => 1);
    const world = await createWorld(kind, { flows: [flow, later] });

    expect(await (await world.start(flow)).end()).toMatchObject({ status: 'failed' });
    await (await world.start(later)).end();

    expect(executed).toEqual([]);
  });

  test('exhausted-skip: the task failed, the step is skipped, dependents run', async () => {
    const flow = defineFlow({ slug: 'lenient', maxAttempts: 2, baseDelay: 0 })
      .step('risky', { whenExhausted: 'skip' }, fails)
      .step('after', { dependsOn: ['risky'] }, ({ deps }) => deps);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    const end = await run.end();

    expect(end).toMatchObject({ status: 'completed', error: null, output: { after: {} } });
    expect(end.step('risky')).toMatchObject({
      status: 'skipped',
      skipReason: 'handler_failed',
      errorMessage: 'no luck',
      attempt: 2,
      remainingTasks: 1,
      output: null,
    });
    expect(run.eventsOf('step_failed')).toEqual([]);
    expect(run.eventsOf('step_skipped')).toMatchObject([{ skipReason: 'handler_failed' }]);
    expect((await world.tasks(end.runId))[0]).toMatchObject({ status: 'failed', error_message: 'no luck' });
  });

  test.each(['skip', 'skip-cascade'] as const)(
    'exhausted-skip: alone in its flow, the run completes; %s',
    async (whenExhausted) => {
      const flow = defineFlow({ slug: 'alone', maxAttempts: 1 }).step('only', { whenExhausted }, fails);
      const world = await createWorld(kind, { flows: [flow] });

      const end = await (await world.start(flow)).end();

      expect(end).toMatchObject({ status: 'completed', output: {}, remainingSteps: 0, error: null });
      expect(end.step('only')).toMatchObject({ status: 'skipped', skipReason: 'handler_failed' });
    },
  );

  test("exhausted-skip: a map's siblings are cancelled, their signals abort, the cascade takes what comes after", async () => {
    const calls = scripted();
    const flow = defineFlow<number[]>({ slug: 'maps', maxAttempts: 1 })
      .map('each', { whenExhausted: 'skip-cascade' }, calls.handler)
      .map('again', { over: 'each' }, () => 1)
      .step('beside', () => 'ran');
    const world = await createWorld(kind, { flows: [flow], worker: { concurrency: 4, lease: 1 } });

    const run = await world.start(flow, [1, 2, 3, 4, 5, 6]);
    const [first, second, third] = await calls.nextByIndex(3);
    first!.complete('done');
    await run.until((now) => now.step('each').remainingTasks === 5);
    second!.fail(new Error('no'));
    const end = await run.end();
    await aborted(third!.context.signal);
    third!.complete('too late');

    expect(end).toMatchObject({ status: 'completed', output: { beside: 'ran' } });
    expect(end.step('each')).toMatchObject({ status: 'skipped', errorMessage: 'no', remainingTasks: 5 });
    expect(end.step('again')).toMatchObject({ status: 'skipped', skipReason: 'dependency_skipped' });
    const tasks = (await world.tasks(end.runId)).filter((task) => task.step_slug === 'each');
    expect(tasks.map(({ status }) => status)).toEqual(['completed', 'failed', ...Array(4).fill('cancelled')]);
  });

  test.each(['skip', 'skip-cascade'] as const)(
    'type-violation: fails step and run, also with whenExhausted %s',
    async (whenExhausted) => {
      const flow = defineFlow({ slug: 'violation' })
        .step('list', { whenExhausted }, () => 'no array')
        .map('each', { over: 'list' as never }, () => 1);
      const world = await createWorld(kind, { flows: [flow] });

      const end = await (await world.start(flow)).end();

      expect(end).toMatchObject({ status: 'failed', error: { stepSlug: 'list', taskIndex: 0 } });
      expect(end.step('list')).toMatchObject({ status: 'failed', attempt: 1, skipReason: null });
      expect(end.error!.message).toContain('must return an array');
    },
  );
});
