import { expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import type { Database } from '../../src/postgres/database.js';
import { type Audience, TaskStore, type TaskTell } from '../../src/postgres/task-store.js';
import { memoryPubSub } from '../../src/pubsub/memory.js';
import { type DatabaseKind, describeEachDatabase } from '../harness/databases.js';
import { rejection } from './rejection.js';
import { aborted, scripted } from './scripted.js';
import { createWorld, type World } from './world.js';

/** On PGlite a bus that both share: its own stays in its process. */
const shared = (kind: DatabaseKind) => (kind === 'pglite' ? { pubsub: memoryPubSub() } : {});

/** How often a transaction wrote the state of that step. */
async function writesOf({ db }: World, runId: string, stepSlug: string): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    `select count(*)::int from pgflow_audit.log
     where source = 'step_states' and content->>'run_id' = $1 and content->>'step_slug' = $2`,
    [runId, stepSlug],
  );
  return row!.count;
}

/** Says for a task what its worker would, under any claim. */
async function tell({ db, tasks }: World, runId: string, more: Partial<TaskTell>) {
  const task = (await tasks(runId))[0]!;
  const database = {
    query: (sql: string, params?: unknown[]) => db.query(sql, params),
  } as unknown as Database;
  const audience: Audience = {
    trackerId: 1,
    hearsUntracked: true,
    during: (_, statement) => statement([]),
  };
  const outcome = await new TaskStore(database, 'pgflow', audience).tellTasks([
    {
      runId,
      stepIndex: task.step_index,
      taskIndex: task.task_index,
      claim: task.claim,
      progress: { fraction: 0.9, note: 'stray' },
      logs: [{ number: 1, age: 0, message: 'stray', fields: null }],
      ...more,
    },
  ]);
  return { seqs: outcome.changes.map(({ seq }) => seq), heard: outcome.accepted.size };
}

const textsOf = (entries: readonly { message: string }[]) => entries.map(({ message }) => message);

describeEachDatabase('progress', (kind) => {
  test('is seen by watchers here and in another process, and by who reads the run later', async () => {
    const calls = scripted();
    const job = defineJob({ slug: 'job' }, calls.handler);
    const world = await createWorld(kind, { jobs: [job], ...shared(kind) });
    const elsewhere = await world.open({ worker: false });

    const run = await world.start(job);
    const call = await calls.next();
    const other = await world.watch(run.live.runId, elsewhere);
    expect(run.run.step('job').progress).toBeNull();
    call.context.progress(0.4, 'page 4 of 10');

    const said = { fraction: 0.4, note: 'page 4 of 10' };
    const shown = await run.until((now) => now.step('job').progress !== null);
    expect(shown.step('job')).toMatchObject({ status: 'started', progress: said });
    await other.until((now) => now.step('job').progress?.note === said.note);
    expect((await world.getRun(run.live.runId)).step('job').progress).toEqual(said);
    expect(Object.isFrozen(shown.step('job').progress)).toBe(true);

    call.context.progress(0.5);
    await other.until((now) => now.step('job').progress?.fraction === 0.5);
    call.complete();
    expect((await run.end()).step('job').progress).toEqual({ fraction: 0.5, note: null });
    await other.end();
  });

  test('a thousand calls in a turn cost one write; a task that says nothing costs none', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'flow' })
      .step('loud', calls.handler)
      .step('quiet', { dependsOn: ['loud'] }, calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    const { runId } = run.live;
    const loud = await calls.next();
    await run.until((now) => now.step('loud').status === 'started');
    const before = await writesOf(world, runId, 'loud');
    for (let i = 1; i <= 1000; i++) loud.context.progress(i / 1000, `line ${i}`);
    const shown = await run.until((now) => now.step('loud').progress !== null);

    expect(shown.step('loud').progress).toEqual({ fraction: 1, note: 'line 1000' });
    expect(await writesOf(world, runId, 'loud')).toBe(before + 1);
    loud.complete();
    (await calls.next()).complete();
    const end = await run.end();
    expect(end.step('quiet').progress).toBeNull();
    expect(run.eventsOf('task_logged')).toEqual([]);
  });

  test('of a map is the mean over all its tasks', async () => {
    const calls = scripted();
    const flow = defineFlow<number[]>({ slug: 'flow', baseDelay: 60 }).map('each', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });
    const elsewhere = await world.open();
    const until = (fraction: number) =>
      run.until(
        (now) => now.step('each').progress?.fraction === fraction && now.step('each').status === 'started',
      );

    const run = await world.start(flow, [1, 2, 3, 4]);
    const [a, b, c, d] = await calls.nextByIndex(4);
    a!.context.progress(0.5, 'first');
    await until(0.125);
    b!.context.progress(1, 'second');
    expect((await until(0.375)).step('each').progress!.note).toBe('second');
    c!.complete();
    await run.until((now) => now.step('each').remainingTasks === 3);
    a!.context.progress(0.75);
    await until(0.6875);
    a!.fail(new Error('not this time'));
    await run.event('task_failed');
    b!.context.progress(0.5);
    await until(0.375);

    await world.clock.advance('1h');
    for (const one of [b, d, await calls.next()]) one!.complete();
    await run.end();
    await elsewhere.stop();
  });

  test('begins anew with a retry, and stays where it was when the step fails', async () => {
    const calls = scripted();
    const job = defineJob({ slug: 'job', maxAttempts: 2, baseDelay: 60 }, calls.handler);
    const world = await createWorld(kind, { jobs: [job] });

    const run = await world.start(job);
    const first = await calls.next();
    first.context.progress(0.7);
    await run.until((now) => now.step('job').progress?.fraction === 0.7);
    first.fail(new Error('once'));
    const retrying = await run.until((now) => now.step('job').errorMessage === 'once');
    expect(retrying.step('job').progress).toBeNull();

    await world.clock.advance('1h');
    const second = await calls.next();
    second.context.progress(0.2);
    await run.until((now) => now.step('job').progress?.fraction === 0.2);
    second.fail(new Error('twice'));
    expect((await run.end()).step('job')).toMatchObject({
      status: 'failed',
      progress: { fraction: 0.2, note: null },
    });
  });

  test('is kept by a retried run for the steps that it takes over', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'flow', maxAttempts: 1 })
      .step('kept', calls.handler)
      .step('fails', { dependsOn: ['kept'] }, calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    const kept = await calls.next();
    kept.context.progress(1, 'all of it');
    await run.until((now) => now.step('kept').progress !== null);
    kept.complete();
    (await calls.next()).fail(new Error('boom'));
    await run.end();
    const again = await world.watch((await world.pgflow.retryRun(run.live.runId)).runId);
    expect(again.run.step('kept').progress).toEqual({ fraction: 1, note: 'all of it' });
    (await calls.next()).complete();
    await again.end();
  });

  test('what is no progress, or no log, throws in the handler', async () => {
    const caught: unknown[] = [];
    const job = defineJob({ slug: 'job' }, ({ progress, log }) => {
      for (const call of [
        () => progress(0 / 0),
        () => progress(40),
        () => log(1 as never),
        () => log('x', 1 as never),
      ]) {
        try {
          call();
        } catch (error) {
          caught.push(error);
        }
      }
    });
    const world = await createWorld(kind, { jobs: [job] });
    const run = await world.start(job);
    await run.end();
    expect(caught).toMatchObject(Array(4).fill({ code: 'INVALID_INPUT' }));
    expect(run.run.step('job').progress).toBeNull();
  });
});

describeEachDatabase('the fence of what tasks say', (kind) => {
  test('a stale claim, a queued task and a cancelled run change nothing', async () => {
    const calls = scripted();
    const job = defineJob({ slug: 'job', baseDelay: 60 }, calls.handler);
    const world = await createWorld(kind, { jobs: [job] });
    const nothing = { seqs: [], heard: 0 };

    const run = await world.start(job);
    const { runId } = run.live;
    const first = await calls.next();
    expect(await tell(world, runId, { claim: 0 })).toEqual(nothing);
    first.fail(new Error('once'));
    await run.until((now) => now.step('job').errorMessage === 'once');
    expect(await tell(world, runId, {})).toEqual(nothing);

    await world.clock.advance('1h');
    const second = await calls.next();
    expect(await tell(world, runId, { claim: 1 })).toEqual(nothing);
    const gone = aborted(second.context.signal);
    await world.pgflow.cancelRun(runId);
    await gone;
    second.context.progress(0.5);
    second.context.log('too late');
    expect(await tell(world, runId, {})).toEqual(nothing);
    expect((await run.end()).step('job').progress).toBeNull();
    expect(await world.pgflow.getLogs(runId)).toEqual([]);
  });

  test('a completed task still logs, without a change; what is told twice is stored once', async () => {
    const job = defineJob({ slug: 'job' }, () => 1);
    const world = await createWorld(kind, { jobs: [job] });
    const run = await world.start(job);
    const { seq, runId } = await run.end();
    const heard = { seqs: [], heard: 1 };
    expect(await tell(world, runId, {})).toEqual(heard);
    expect(await tell(world, runId, {})).toEqual(heard);
    expect(await world.getRun(runId)).toMatchObject({ seq, stepStates: [{ progress: null }] });
    expect(textsOf(await world.pgflow.getLogs(runId))).toEqual(['stray']);
  });

  test('a begin that was not told yet is told with it', async () => {
    const calls = scripted();
    const job = defineJob({ slug: 'job' }, calls.handler);
    const world = await createWorld(kind, { jobs: [job], paused: true });
    const run = await world.start(job);
    const { runId } = run.live;
    const [worker] = await world.db.query<{ id: number }>(
      `select pgflow.register_worker('test', 3600, array(select handler_id from pgflow.handlers), 1, 1) as id`,
    );
    await world.db.query(
      'select * from pgflow.claim_tasks($1, array(select handler_id from pgflow.handlers), 1)',
      [worker!.id],
    );

    expect(await tell(world, runId, {})).toEqual({ seqs: [2], heard: 1 });
    expect((await world.getRun(runId)).step('job')).toMatchObject({
      status: 'started',
      attempt: 1,
      startedAt: expect.any(Date),
      progress: { fraction: 0.9 },
    });
    await world.pgflow.cancelRun(runId);
  });
});

describeEachDatabase('logs', (kind) => {
  test('are kept by step and attempt, in order, also those of an attempt that failed', async () => {
    const flow = defineFlow<string[]>({ slug: 'flow', baseDelay: 0 })
      .step('charge', ({ log, attempt }) => {
        log('asking the bank', { attempt });
        log(attempt === 1 ? 'no answer' : 'charged');
        if (attempt === 1) throw new Error('no answer');
      })
      .map('mail', { dependsOn: ['charge'] }, ({ log, item }) => log(`mail to ${item}`));
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow, ['a', 'b']);
    await run.end();
    const { runId } = run.live;
    const logs = await world.pgflow.getLogs(runId);

    expect(logs.slice(0, 4)).toEqual(
      ['asking the bank', 'no answer', 'asking the bank', 'charged'].map((message, i) => ({
        logId: expect.any(Number),
        at: expect.any(Date),
        stepSlug: 'charge',
        taskIndex: 0,
        attempt: i < 2 ? 1 : 2,
        message,
        fields: i % 2 === 0 ? { attempt: i < 2 ? 1 : 2 } : {},
      })),
    );
    expect(
      logs
        .slice(4)
        .map(({ taskIndex, message }) => [taskIndex, message])
        .sort(),
    ).toEqual([
      [0, 'mail to a'],
      [1, 'mail to b'],
    ]);
    const { startedAt, completedAt } = await world.getRun(runId);
    for (const { at } of logs) {
      expect(at.getTime()).toBeGreaterThanOrEqual(startedAt.getTime());
      expect(at.getTime()).toBeLessThanOrEqual(completedAt!.getTime());
    }
    expect(await world.pgflow.getLogs(runId, { step: 'charge', attempt: 2 })).toEqual(logs.slice(2, 4));
    expect(await world.pgflow.getLogs(runId, { step: 'mail' })).toEqual(logs.slice(4));
    expect(await world.pgflow.getLogs(runId, { limit: 2, after: logs[2]!.logId })).toEqual(logs.slice(3, 5));
  });

  test('are live, here and in another process, each before the end of its task', async () => {
    const calls = scripted();
    const job = defineJob({ slug: 'job' }, calls.handler);
    const world = await createWorld(kind, { jobs: [job], ...shared(kind) });
    const elsewhere = await world.open({ worker: false });

    const run = await world.start(job);
    const other = await world.watch(run.live.runId, elsewhere);
    const call = await calls.next();
    await other.until((now) => now.step('job').status === 'started');
    const text = 'half "way" \\ {1,2},\nNULL';
    call.context.progress(0.5, text);
    call.context.log(text, { done: 5, text });
    const heard = await other.event('task_logged');
    const [stored] = await world.pgflow.getLogs(run.live.runId);
    expect(heard).toMatchObject({
      type: 'task_logged',
      stepSlug: 'job',
      taskIndex: 0,
      attempt: 1,
      message: text,
      fields: { done: 5, text },
      at: stored!.at,
    });
    expect((await world.getRun(run.live.runId)).step('job').progress?.note).toBe(text);
    call.context.log('at the end');
    call.complete();
    await run.end();

    const types = run.events.filter(({ type }) => type.startsWith('task_')).map(({ type }) => type);
    expect(types).toEqual(['task_started', 'task_logged', 'task_logged', 'task_completed']);
    expect(textsOf(await world.pgflow.getLogs(run.live.runId))).toEqual([text, 'at the end']);
    await other.end();
  });

  test('of an attempt are 1,000 and one that counts the others; long ones are cut', async () => {
    const job = defineJob({ slug: 'job' }, ({ log }) => {
      log('x'.repeat(5000), { page: 'x'.repeat(5000), nul: '\0' });
      for (let i = 0; i < 1500; i++) log(`entry ${i}`);
    });
    const world = await createWorld(kind, { jobs: [job] });
    const run = await world.start(job);
    await run.end();
    const { runId } = run.live;

    const logs = await world.pgflow.getLogs(runId);
    const rest = await world.pgflow.getLogs(runId, { after: logs.at(-1)!.logId });
    expect(logs).toHaveLength(1000);
    expect(textsOf(logs.slice(1))).toEqual(Array.from({ length: 999 }, (_, i) => `entry ${i}`));
    expect(textsOf(rest)).toEqual([expect.stringContaining('501 more entries were dropped')]);
    expect(logs[0]!.message).toHaveLength(4000);
    expect(logs[0]!.fields).toEqual({
      nul: expect.stringContaining('NUL'),
      '…': 'too long, left out: page',
    });
  });

  test('before, in and after a commit are stored', async () => {
    const job = defineJob({ slug: 'job' }, async ({ log, progress, commit }) => {
      log('before');
      const output = await commit(async () => {
        progress(0.5);
        log('in it');
        return 1;
      });
      log('after');
      return output;
    });
    const world = await createWorld(kind, { jobs: [job] });
    const run = await world.start(job);
    expect((await run.end()).step('job').progress).toBeNull();
    await world.pgflow.stop();
    const [row] = await world.db.query<{ messages: string[] }>(
      'select array_agg(message order by log_id) as messages from pgflow.step_logs',
    );
    expect(row!.messages).toEqual(['before', 'in it', 'after']);
  });

  test('of a task that is given back are kept', async () => {
    const calls = scripted();
    const job = defineJob({ slug: 'job' }, calls.handler);
    const world = await createWorld(kind, { jobs: [job] });
    const reader = await world.open({ worker: false });
    const run = await world.watch((await world.pgflow.enqueue(job, {})).runId, reader);
    const call = await calls.next();
    call.context.log('half done');
    await world.pgflow.stop({ grace: 0 });
    expect(textsOf(await reader.getLogs(run.live.runId))).toEqual(['half done']);
    expect(await world.tasks(run.live.runId)).toMatchObject([{ status: 'queued', attempt: 0 }]);
  });

  test('go with their run', async () => {
    const job = defineJob({ slug: 'job' }, ({ log }) => log('x'));
    const world = await createWorld(kind, { jobs: [job] });
    const run = await world.start(job);
    await run.end();
    expect(await world.pgflow.getLogs(run.live.runId)).toHaveLength(1);
    await world.clock.advance('2d');
    await world.pgflow.prune({ olderThan: '1d' });
    expect(await world.db.query('select * from pgflow.step_logs')).toEqual([]);
  });

  test('of an unknown run or step are none; options out of range are refused', async () => {
    const world = await createWorld(kind, { worker: false });
    const { pgflow } = world;
    const runId = crypto.randomUUID();
    expect(await pgflow.getLogs(runId)).toEqual([]);
    expect(await pgflow.getLogs(runId, { step: 'no slug\0' })).toEqual([]);
    expect(await rejection(pgflow.getLogs('x'))).toMatchObject({ code: 'INVALID_RUN_ID' });
    for (const options of [
      { limit: 0 },
      { limit: 1001 },
      { attempt: 0.5 },
      { after: -1 },
      { limit: '5' as never },
    ]) {
      expect(await rejection(pgflow.getLogs(runId, options))).toMatchObject({ code: 'INVALID_INPUT' });
    }
  });
});
